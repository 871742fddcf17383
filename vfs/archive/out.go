package archive

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// ToTar writes all of a file system as a tar in PAX format. Entries that are neither regular files,
// directories nor links are ENOTSUP, unless [WithoutDevices] leaves them out; a name longer than
// vfs.MaxPath is ENAMETOOLONG. A tar has no holes: at most [DefaultMaxWritten] bytes of content are
// written, unless [WithMaxBytes] says otherwise.
func ToTar(fsys vfs.FS, w io.Writer, opts ...Option) error {
	tw := tar.NewWriter(w)
	if err := walk(fsys, &tarSink{w: tw}, newConfig(DefaultMaxWritten, unlimited, opts)); err != nil {
		return err
	}
	if err := tw.Close(); err != nil {
		return fmt.Errorf("archive: ending a tar: %w", err)
	}
	return nil
}

// ToDir writes all of a file system into a directory of the host, which is made if it is not there.
// A file that is there already is EEXIST; directories may be. Nothing is written outside of it
// whatever links there are, and symbolic links that lead out are refused with EPERM unless
// [WithLinksOut] says otherwise.
func ToDir(fsys vfs.FS, dir string, opts ...Option) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	defer root.Close()
	s := &dirSink{config: newConfig(DefaultMaxWritten, unlimited, opts), root: root}
	if err := walk(fsys, s, s.config); err != nil {
		return err
	}
	return s.finish()
}

// sink takes the entries of a tree, parents first.
type sink interface {
	dir(name string, a vfs.Attr) error
	file(name string, a vfs.Attr, content io.Reader) error
	symlink(name string, a vfs.Attr, target string) error
	link(name, old string, a vfs.Attr) error
}

// walker walks a tree in the order of names.
type walker struct {
	sink
	first map[uint64]string // the names under which files with more than one were first met

	config
	bytes   uint64
	entries int64
}

func walk(fsys vfs.FS, s sink, c config) error {
	root, ok := fsys.Root().(vfs.Directory)
	if !ok {
		return fmt.Errorf("archive: the root of the file system: %w", wasip1.ENOTDIR)
	}
	w := &walker{sink: s, first: make(map[uint64]string), config: c}
	return w.below(root, "")
}

// below walks what is in d, whose name with a slash is prefix.
func (w *walker) below(d vfs.Directory, prefix string) error {
	names, err := list(d)
	if err != nil {
		return entryError(prefix, err)
	}
	for _, base := range names {
		n, err := d.Lookup(base)
		if wasip1.FromError(err) == wasip1.ENOENT {
			continue // removed since
		}
		name := prefix + base
		if err == nil && len(name) > vfs.MaxPath {
			release(n)
			err = wasip1.ENAMETOOLONG
		}
		if err != nil {
			return entryError(name, err)
		}
		err = entryError(name, w.entry(name, n))
		if sub, ok := n.(vfs.Directory); ok && err == nil {
			err = w.below(sub, name+"/")
		}
		release(n)
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(name string, n vfs.Node) error {
	if err := w.ended(); err != nil {
		return err
	}
	a, err := n.Attr()
	if err != nil {
		return err
	}
	if w.entries++; w.entries > w.maxEntries {
		return tooMany("entries", w.maxEntries)
	}
	_, isDir := n.(vfs.Directory)
	if !isDir && a.Nlink > 1 {
		if old, ok := w.first[a.Ino]; ok {
			return w.link(name, old, a)
		}
		w.first[a.Ino] = name
	}
	switch n := n.(type) {
	case vfs.Directory:
		return w.dir(name, a)
	case vfs.Symlink:
		target, err := n.Readlink()
		if err != nil {
			return err
		}
		return w.symlink(name, a, target)
	case vfs.RegularFile:
		if left := uint64(w.maxBytes) - w.bytes; a.Size > left {
			return tooMany("bytes", w.maxBytes)
		}
		w.bytes += a.Size
		f, err := n.Open(vfs.OpenRead)
		if err != nil {
			return err
		}
		defer f.Close()
		return w.file(name, a, piecewise{io.NewSectionReader(f, 0, int64(a.Size)), &w.config})
	default:
		if w.noDevices {
			return nil
		}
		return fmt.Errorf("it is of type %v: %w; WithoutDevices leaves it out", n.Type(), wasip1.ENOTSUP)
	}
}

// piecewise is a reader that looks whether the work has to end.
type piecewise struct {
	io.Reader
	c *config
}

func (r piecewise) Read(p []byte) (int, error) {
	if err := r.c.ended(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p[:min(len(p), blockSize)])
}

// list returns the names in a directory, sorted.
func list(d vfs.Directory) ([]string, error) {
	var names []string
	entries := make([]vfs.DirEntry, 128)
	for cookie := uint64(0); ; {
		n, err := d.ReadDir(cookie, entries)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			slices.Sort(names)
			return names, nil
		}
		for _, e := range entries[:n] {
			names = append(names, strings.Clone(e.Name))
		}
		cookie = entries[n-1].Next
	}
}

// copyExactly copies size bytes, and has it that there are not fewer.
func copyExactly(w io.Writer, r io.Reader, size uint64) error {
	n, err := io.Copy(w, r)
	if err == nil && uint64(n) != size {
		err = fmt.Errorf("it had %d bytes, and %d when it was read: %w", size, n, io.ErrUnexpectedEOF)
	}
	return err
}

type tarSink struct{ w *tar.Writer }

func (s *tarSink) header(name string, typ byte, a vfs.Attr) *tar.Header {
	mode := int64(a.Mode.Perm())
	for _, bit := range []struct {
		mode fs.FileMode
		tar  int64
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if a.Mode&bit.mode != 0 {
			mode |= bit.tar
		}
	}
	return &tar.Header{
		Typeflag: typ, Name: name, Mode: mode, ModTime: time.Unix(0, a.Mtim).UTC(), Format: tar.FormatPAX,
	}
}

func (s *tarSink) dir(name string, a vfs.Attr) error {
	return s.w.WriteHeader(s.header(name+"/", tar.TypeDir, a))
}

func (s *tarSink) file(name string, a vfs.Attr, content io.Reader) error {
	h := s.header(name, tar.TypeReg, a)
	h.Size = int64(a.Size)
	if err := s.w.WriteHeader(h); err != nil {
		return err
	}
	return copyExactly(s.w, content, a.Size)
}

func (s *tarSink) symlink(name string, a vfs.Attr, target string) error {
	h := s.header(name, tar.TypeSymlink, a)
	h.Linkname = target
	return s.w.WriteHeader(h)
}

func (s *tarSink) link(name, old string, a vfs.Attr) error {
	h := s.header(name, tar.TypeLink, a)
	h.Linkname = old
	return s.w.WriteHeader(h)
}

type dirSink struct {
	config
	root *os.Root
	dirs []namedAttr
}

type namedAttr struct {
	name string
	attr vfs.Attr
}

func (s *dirSink) dir(name string, a vfs.Attr) error {
	s.dirs = append(s.dirs, namedAttr{name, a})
	err := s.root.Mkdir(name, 0o700)
	if err == nil {
		return nil
	}
	if info, serr := s.root.Lstat(name); serr == nil && info.IsDir() {
		return nil
	}
	return err
}

func (s *dirSink) file(name string, a vfs.Attr, content io.Reader) error {
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = copyExactly(f, content, a.Size)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return s.attr(name, a)
}

// attr gives what was written its mode and time.
func (s *dirSink) attr(name string, a vfs.Attr) error {
	if err := s.root.Chmod(name, a.Mode.Perm()); err != nil {
		return err
	}
	t := time.Unix(0, a.Mtim)
	return s.root.Chtimes(name, t, t)
}

func (s *dirSink) symlink(name string, _ vfs.Attr, target string) error {
	if !s.linksOut && leadsOut(name, target) {
		return fmt.Errorf("the link to %q leads out of the tree: %w", target, wasip1.EPERM)
	}
	return s.root.Symlink(target, name)
}

func (s *dirSink) link(name, old string, _ vfs.Attr) error { return s.root.Link(old, name) }

// finish gives directories mode and time when all is in them, the deepest first.
func (s *dirSink) finish() error {
	for _, d := range slices.Backward(s.dirs) {
		if err := s.attr(d.name, d.attr); err != nil {
			return entryError(d.name, err)
		}
	}
	return nil
}
