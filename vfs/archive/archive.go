// Package archive fills any vfs.FS from a map, a tar, a zip, an io/fs.FS or a directory of the
// host. It writes any vfs.FS to a tar or a directory of the host.
//
//	fsys := memfs.New()
//	if err := archive.FromTar(fsys, r); err != nil { ... }
//	...
//	err := archive.ToTar(fsys, w)
//
// # In
//
// Archives are not trusted. Names are made relative to the root. A name that contains ".." is
// refused, and so is a name that leads through a symbolic link. A symbolic link that leads out of
// the tree is refused unless [WithLinksOut] says otherwise. An entry whose stated size is too large
// is refused before it is read. Otherwise the bytes are counted as they are read. Missing
// directories are made with mode 0755. An entry replaces the file or link that is there; a
// directory stays, with what is in it.
//
// Modes and modification times are kept; owners are not. Hard links stay links, zeros
// become holes.
//
// # Out
//
// Identical trees give identical tars, byte for byte: entries are sorted, headers have one format
// and hold the name, type, mode, size, modification time and link target. Files that change
// meanwhile are an error.
//
// # Limits
//
// Defaults: FromTar, FromZip and FromFS take [DefaultMaxBytes] and [DefaultMaxEntries]; FromMap and
// FromDir have no limit; ToTar and ToDir write at most [DefaultMaxWritten] bytes. [WithMaxBytes]
// and [WithMaxEntries] replace them. The context of WithContext ends the work after each entry and
// each 64 KiB.
//
// Every error names the entry it is about, and wraps a cause for [errors.Is].
package archive

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// What is read from somebody's archive, and what is written of a tree, unless an option says
// otherwise.
const (
	// DefaultMaxBytes is how many bytes of content FromTar, FromZip and FromFS take. Holes count.
	DefaultMaxBytes = 1 << 30
	// DefaultMaxEntries is how many entries FromTar, FromZip and FromFS take.
	DefaultMaxEntries = 1 << 20
	// DefaultMaxWritten is how many bytes of content ToTar and ToDir write. Holes count: a guest
	// can make a file seem to have 1<<62 bytes.
	DefaultMaxWritten = 64 << 30
)

func tooMany(what string, most int64) error {
	return fmt.Errorf("there are more than %d %s: %w; a larger limit is an option", most, what, wasip1.ENOSPC)
}

// entryError names the entry in which something went wrong.
func entryError(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("archive: entry %.300q: %w", name, err)
}

// FromMap makes a file of each entry, contents by name. A name that ends in a slash is a directory.
func FromMap(fsys vfs.FS, files map[string]string, opts ...Option) error {
	b, err := newBuilder(fsys, newConfig(unlimited, unlimited, opts))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var err error
		if strings.HasSuffix(name, "/") && files[name] == "" {
			err = b.dir(name, 0o755, time.Time{})
		} else {
			err = b.file(name, 0o644, time.Time{}, int64(len(files[name])), strings.NewReader(files[name]))
		}
		if err != nil {
			return entryError(name, err)
		}
	}
	return b.finish()
}

// builder adds entries to a file system.
type builder struct {
	config
	root    vfs.Directory
	bytes   int64
	entries int64
	buf     []byte
	dirs    []dirAttr
}

// dirAttr is what a directory gets when nothing more is added to it: that would change its time,
// and its mode may forbid it.
type dirAttr struct {
	name  string
	mode  fs.FileMode
	mtime time.Time
}

func newBuilder(fsys vfs.FS, c config) (*builder, error) {
	root, ok := fsys.Root().(vfs.Directory)
	if !ok {
		return nil, fmt.Errorf("archive: the root of the file system: %w", wasip1.ENOTDIR)
	}
	return &builder{config: c, root: root}, nil
}

// split returns the components of a name below the root.
func split(name string) ([]string, error) {
	if len(name) > vfs.MaxPath {
		return nil, wasip1.ENAMETOOLONG
	}
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			return nil, fmt.Errorf("the name leads out of the tree: %w", wasip1.EPERM)
		default:
			if err := vfs.CheckName(part); err != nil {
				return nil, err
			}
			parts = append(parts, part)
		}
	}
	return parts, nil
}

// leadsOut reports whether a link called name (below the root) leads out of the tree, by its text.
func leadsOut(name, target string) bool {
	if strings.HasPrefix(target, "/") {
		return true
	}
	parts, err := split(name)
	depth := len(parts) - 1
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 {
			return true
		}
	}
	return err != nil
}

func release(n vfs.Node) {
	if r, ok := n.(vfs.Releaser); ok {
		r.Release()
	}
}

// count counts an entry against the limit, and looks whether the work has to end.
func (b *builder) count() error {
	if err := b.ended(); err != nil {
		return err
	}
	if b.entries++; b.entries > b.maxEntries {
		return tooMany("entries", b.maxEntries)
	}
	return nil
}

// open returns the directory that parts name, made where it is not there. The caller lets go of it.
func (b *builder) open(parts []string) (vfs.Directory, error) {
	d := b.root
	for i, part := range parts {
		n, err := d.Lookup(part)
		if wasip1.FromError(err) == wasip1.ENOENT {
			if err = b.count(); err == nil {
				n, err = d.Mkdir(part, 0o755)
			}
		}
		b.leave(d)
		if err != nil {
			return nil, err
		}
		next, ok := n.(vfs.Directory)
		if !ok {
			typ := n.Type()
			release(n)
			at := strings.Join(parts[:i+1], "/")
			if typ == wasip1.FiletypeSymbolicLink {
				return nil, fmt.Errorf("%q is a symbolic link: %w", at, wasip1.ELOOP)
			}
			return nil, fmt.Errorf("%q is no directory: %w", at, wasip1.ENOTDIR)
		}
		d = next
	}
	return d, nil
}

// leave lets go of a directory that is not the root.
func (b *builder) leave(d vfs.Directory) {
	if d != b.root {
		release(d)
	}
}

// in calls f with the directory that name is in, in which there is nothing but perhaps a directory
// of that name.
func (b *builder) in(name string, f func(d vfs.Directory, base string) error) error {
	parts, err := split(name)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return fmt.Errorf("the root is a directory: %w", wasip1.EISDIR)
	}
	last := len(parts) - 1
	d, err := b.open(parts[:last])
	if err != nil {
		return err
	}
	defer b.leave(d)
	switch err := d.Unlink(parts[last]); wasip1.FromError(err) {
	case wasip1.ESUCCESS, wasip1.ENOENT, wasip1.EISDIR:
	default:
		return err
	}
	if err := b.count(); err != nil {
		return err
	}
	return f(d, parts[last])
}

// dir makes a directory, or gives one that is there mode and time.
func (b *builder) dir(name string, mode fs.FileMode, mtime time.Time) error {
	parts, err := split(name)
	if err != nil {
		return err
	}
	if len(parts) > 0 {
		err := b.in(name, func(d vfs.Directory, base string) error {
			n, err := d.Mkdir(base, 0o755)
			if err == nil {
				release(n)
			}
			if wasip1.FromError(err) == wasip1.EEXIST {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	b.dirs = append(b.dirs, dirAttr{name, mode, mtime})
	return nil
}

// file makes a regular file with the content of r, which is said to have size bytes.
func (b *builder) file(name string, mode fs.FileMode, mtime time.Time, size int64, r io.Reader) error {
	if size > b.maxBytes-b.bytes {
		return tooMany("bytes", b.maxBytes)
	}
	return b.in(name, func(d vfs.Directory, base string) error {
		n, err := d.Create(base, mode.Perm())
		if err != nil {
			return err
		}
		defer release(n)
		if err := b.fill(n, r); err != nil {
			return err
		}
		if err := setMode(n, mode); err != nil {
			return err
		}
		return setTime(n, mtime)
	})
}

const blockSize = 64 << 10

var zeros [4096]byte

// fill gives the empty file n the content of r.
func (b *builder) fill(n vfs.Node, r io.Reader) error {
	file, ok := n.(vfs.RegularFile)
	if !ok {
		return fmt.Errorf("the file system made a %T: %w", n, wasip1.EIO)
	}
	f, err := file.Open(vfs.OpenWrite)
	if err != nil {
		return err
	}
	size, written, err := b.copy(f, r)
	if err == nil && size > written {
		err = n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(size)})
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// copy writes all of r but the blocks of zeros. It returns how much there was, and where the last
// write ended.
func (b *builder) copy(f vfs.File, r io.Reader) (size, written int64, err error) {
	if b.buf == nil {
		b.buf = make([]byte, blockSize)
	}
	for err == nil {
		if err := b.ended(); err != nil {
			return size, written, err
		}
		n := 0
		for n < len(b.buf) && err == nil {
			var k int
			k, err = r.Read(b.buf[n:])
			n += k
		}
		if b.bytes += int64(n); b.bytes > b.maxBytes {
			return size, written, tooMany("bytes", b.maxBytes)
		}
		for p := b.buf[:n]; len(p) > 0; {
			q := p[:min(len(p), len(zeros))]
			p = p[len(q):]
			if !bytes.Equal(q, zeros[:len(q)]) {
				if _, err := f.WriteAt(q, size); err != nil {
					return size, written, err
				}
				written = size + int64(len(q))
			}
			size += int64(len(q))
		}
	}
	if err == io.EOF {
		err = nil
	}
	return size, written, err
}

// symlink makes a symbolic link.
func (b *builder) symlink(name, target string, mtime time.Time) error {
	switch {
	case len(target) > vfs.MaxPath:
		return fmt.Errorf("the link's target: %w", wasip1.ENAMETOOLONG)
	case !b.linksOut && leadsOut(name, target):
		return fmt.Errorf("the link to %q leads out of the tree: %w", target, wasip1.EPERM)
	}
	return b.in(name, func(d vfs.Directory, base string) error {
		n, err := d.Symlink(base, target)
		if err != nil {
			return err
		}
		defer release(n)
		return setTime(n, mtime)
	})
}

// link makes another name for the file called old.
func (b *builder) link(name, old string) error {
	n, err := b.find(old)
	if err != nil {
		return fmt.Errorf("the link's target %.300q: %w", old, err)
	}
	defer release(n)
	return b.in(name, func(d vfs.Directory, base string) error { return d.Link(base, n) })
}

// find returns what name stands for, which is not the root. Links are not followed.
func (b *builder) find(name string) (vfs.Node, error) {
	parts, err := split(name)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, wasip1.EISDIR
	}
	var n vfs.Node = b.root
	for i, part := range parts {
		d, ok := n.(vfs.Directory)
		if !ok {
			release(n)
			return nil, wasip1.ENOTDIR
		}
		n, err = d.Lookup(part)
		if i > 0 {
			release(d)
		}
		if err != nil {
			return nil, err
		}
	}
	return n, nil
}

// finish sets the modes and times of directories, the deepest first.
func (b *builder) finish() error {
	for _, d := range slices.Backward(b.dirs) {
		if err := b.finishDir(d); err != nil {
			return entryError(d.name, err)
		}
	}
	return nil
}

func (b *builder) finishDir(d dirAttr) error {
	var n vfs.Node = b.root
	if parts, err := split(d.name); err != nil {
		return err
	} else if len(parts) > 0 {
		n, err = b.find(d.name)
		switch wasip1.FromError(err) {
		case wasip1.ESUCCESS:
		case wasip1.ENOENT, wasip1.ENOTDIR: // a later entry took its place
			return nil
		default:
			return err
		}
		defer release(n)
	}
	if n.Type() != wasip1.FiletypeDirectory {
		return nil
	}
	if err := setMode(n, d.mode); err != nil {
		return err
	}
	return setTime(n, d.mtime)
}

const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// setMode sets the mode where the file system made something else of it, as with a umask.
func setMode(n vfs.Node, mode fs.FileMode) error {
	mode &= modeBits
	if a, err := n.Attr(); err != nil || a.Mode&modeBits == mode {
		return err
	}
	return n.SetAttr(vfs.SetAttr{Mask: vfs.SetMode, Mode: mode})
}

// setTime sets the modification time, where there is one that a guest can be told.
func setTime(n vfs.Node, t time.Time) error {
	if t.Before(time.Unix(0, 0)) || t.After(time.Unix(0, math.MaxInt64)) {
		return nil
	}
	return n.SetAttr(vfs.SetAttr{Mask: vfs.SetMtim, Mtim: t.UnixNano()})
}
