package devfs

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// FS is a tree of files that the host made. It implements [vfs.EnvFS].
type FS struct {
	mu      sync.RWMutex
	env     vfs.Env
	lastIno uint64
	root    *directory
	plain   bool // New made it, and nothing was added or removed
	machine bool // a stream of WithStreams is of the machine
}

// Option is an option of [New].
type Option func(*FS)

// WithStreams adds stdin, stdout and stderr. They are not closed when a guest closes the file; one
// that is nil is left out.
func WithStreams(stdin, stdout, stderr vfs.Stream) Option {
	return func(f *FS) {
		nodes := new([3]streamNode)
		for i, s := range [len(nodes)]struct {
			name   string
			stream vfs.Stream
		}{{"stdin", stdin}, {"stdout", stdout}, {"stderr", stderr}} {
			if s.stream != nil {
				nodes[i] = streamNode{f.newHeader(), s.stream, true, vfs.StandardStream(i)}
				f.machine = f.machine || vfs.UsesMachine(s.stream)
				f.mustPut(s.name, &nodes[i])
			}
		}
	}
}

// New returns a file system with null, zero, full, random and urandom, which behave as on Linux.
func New(opts ...Option) *FS {
	// One for each guest is made: the devices are allocated together.
	s := new(standard)
	f := s.FS.init()
	for i, d := range [len(s.devices)]struct {
		name string
		kind deviceKind
	}{{"null", null}, {"zero", zero}, {"full", full}, {"random", random}, {"urandom", random}} {
		s.devices[i] = device{f.newHeader(), d.kind}
		f.mustPut(d.name, &s.devices[i])
	}
	for _, opt := range opts {
		opt(f)
	}
	f.plain = true
	return f
}

// Standard reports whether the FS is what [New] returned: nothing was added and nothing removed.
func (f *FS) Standard() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.plain
}

// standard is an FS with the devices of New.
type standard struct {
	FS
	devices [5]device
}

// Empty returns a file system without files.
func Empty() *FS { return new(FS).init() }

func (f *FS) init() *FS {
	f.root = f.newDirectory()
	return f
}

// UsesMachine implements [vfs.MachineUser].
func (f *FS) UsesMachine() bool { return f.machine }

// KeepsWrites implements [vfs.SpaceUser]: devices keep nothing.
func (f *FS) KeepsWrites() bool { return false }

// Root implements [vfs.FS].
func (f *FS) Root() vfs.Node { return f.root }

// Attach implements [vfs.EnvFS].
func (f *FS) Attach(env vfs.Env) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.env.Clock == nil {
		f.env.Clock = env.Clock
	}
	if f.env.Random == nil {
		f.env.Random = env.Random
	}
}

func (f *FS) random(p []byte) error {
	f.mu.RLock()
	fill := f.env.Random
	f.mu.RUnlock()
	if fill == nil {
		return wasip1.EIO
	}
	return fill(p)
}

// now returns the time, 0 without a clock. f.mu is held.
func (f *FS) now() int64 {
	if f.env.Clock == nil {
		return 0
	}
	return f.env.Clock.Realtime()
}

// header is what all nodes have.
type header struct {
	fs   *FS
	ino  uint64
	born int64
}

// newHeader is called with f.mu held, or before anybody else knows f.
func (f *FS) newHeader() header {
	f.lastIno++
	return header{f, f.lastIno, f.now()}
}

func (h header) attr(t wasip1.Filetype, mode fs.FileMode) vfs.Attr {
	return vfs.Attr{Ino: h.ino, Type: t, Mode: mode, Nlink: 1, Atim: h.born, Mtim: h.born, Ctim: h.born}
}

// mustPut puts one of the package's own names into the root of a file system that nobody else knows
// yet.
func (f *FS) mustPut(name string, node vfs.Node) {
	if f.root.names[name] != nil {
		panic("devfs: " + name + " twice")
	}
	f.root.put(name, node)
}

// add puts a node at path and makes the directories that lead there.
func (f *FS) add(path string, make func(header) vfs.Node) error {
	dir, name, err := f.find(path, true)
	if err != nil {
		return fmt.Errorf("add %s: %w", path, err)
	}
	defer f.mu.Unlock()
	if dir.names[name] != nil {
		return fmt.Errorf("add %s: %w", path, wasip1.EEXIST)
	}
	dir.put(name, make(f.newHeader()))
	return nil
}

// find returns the directory that path lies in and its last component. It locks f.mu, and leaves it
// locked where there is no error.
func (f *FS) find(path string, create bool) (*directory, string, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for _, name := range parts {
		if err := vfs.CheckName(name); err != nil {
			return nil, "", err
		}
	}
	f.mu.Lock()
	f.plain = false // whoever asks changes something
	dir := f.root
	for _, name := range parts[:len(parts)-1] {
		next := dir.names[name]
		if next == nil {
			if !create {
				f.mu.Unlock()
				return nil, "", wasip1.ENOENT
			}
			next = f.newDirectory()
			dir.put(name, next)
		}
		d, ok := next.(*directory)
		if !ok {
			f.mu.Unlock()
			return nil, "", wasip1.ENOTDIR
		}
		dir = d
	}
	return dir, strings.Clone(parts[len(parts)-1]), nil
}

// AddFunc adds a file whose content is what content returns each time that it is opened; it must
// not call back into the FS. Its size is that of the content that was asked for last, 0 before.
// Guests can only read it.
//
// Errors: EEXIST, ENOTDIR, EINVAL, ENAMETOOLONG.
func (f *FS) AddFunc(path string, content func() ([]byte, error)) error {
	return f.add(path, func(h header) vfs.Node { return &funcFile{header: h, content: content} })
}

// AddFile adds a file that is an object of the embedder's. Errors: as AddFunc.
func (f *FS) AddFile(path string, file File) error {
	return f.add(path, func(h header) vfs.Node { return &hostFile{h, file} })
}

// AddStream adds a device that is s, which is not closed when a guest closes the file. Errors: as
// AddFunc.
func (f *FS) AddStream(path string, s vfs.Stream) error {
	return f.add(path, func(h header) vfs.Node { return &streamNode{header: h, stream: s} })
}

// AddOpener adds a file of type t that open makes a stream for each time that it is opened; it is
// closed with the descriptor. What open answers is the answer to path_open. Errors: as AddFunc.
func (f *FS) AddOpener(path string, t wasip1.Filetype, open func(vfs.OpenMode) (vfs.Stream, error)) error {
	return f.add(path, func(h header) vfs.Node { return &opener{h, t, open} })
}

// AddLink adds a symbolic link. Errors: as AddFunc.
func (f *FS) AddLink(path, target string) error {
	return f.add(path, func(h header) vfs.Node { return &link{header: h, target: target} })
}

// Mkdir adds a directory. Errors: as AddFunc.
func (f *FS) Mkdir(path string) error {
	return f.add(path, func(header) vfs.Node { return f.newDirectory() })
}

// Remove takes away what is at path, with all below it. Errors: ENOENT, ENOTDIR, EINVAL.
func (f *FS) Remove(path string) error {
	dir, name, err := f.find(path, false)
	if err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	defer f.mu.Unlock()
	if dir.names[name] == nil {
		return fmt.Errorf("remove %s: %w", path, wasip1.ENOENT)
	}
	delete(dir.names, name)
	dir.order = slices.DeleteFunc(dir.order, func(e dirEntry) bool { return e.name == name })
	return nil
}

// directory is a directory. Its names are guarded by FS.mu.
type directory struct {
	vfs.ReadOnlyDirectory
	header
	names map[string]vfs.Node
	order []dirEntry // by age
}

type dirEntry struct {
	name   string
	cookie uint64
}

// usual is how many names /dev has.
const usual = 8

func (f *FS) newDirectory() *directory {
	d := &directory{header: f.newHeader(), names: make(map[string]vfs.Node, usual), order: make([]dirEntry, 0, usual)}
	d.Names = d
	return d
}

// put adds a name. FS.mu is held.
func (d *directory) put(name string, node vfs.Node) {
	cookie := uint64(1)
	if n := len(d.order); n > 0 {
		cookie = d.order[n-1].cookie + 1
	}
	d.names[name] = node
	d.order = append(d.order, dirEntry{name, cookie})
}

// Attr implements [vfs.Node].
func (d *directory) Attr() (vfs.Attr, error) {
	return d.attr(wasip1.FiletypeDirectory, fs.ModeDir|0o555), nil
}

// Lookup implements [vfs.Directory].
func (d *directory) Lookup(name string) (vfs.Node, error) {
	d.fs.mu.RLock()
	defer d.fs.mu.RUnlock()
	if node := d.names[name]; node != nil {
		return node, nil
	}
	return nil, wasip1.ENOENT
}

// ReadDir implements [vfs.Directory].
func (d *directory) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	d.fs.mu.RLock()
	defer d.fs.mu.RUnlock()
	i, _ := slices.BinarySearchFunc(d.order, cookie+1, func(e dirEntry, c uint64) int {
		switch {
		case e.cookie < c:
			return -1
		case e.cookie > c:
			return 1
		}
		return 0
	})
	n := 0
	for ; n < len(entries) && i < len(d.order); n, i = n+1, i+1 {
		e := d.order[i]
		node := d.names[e.name]
		entries[n] = vfs.DirEntry{Name: e.name, Ino: inoOf(node), Type: node.Type(), Next: e.cookie}
	}
	return n, nil
}

func inoOf(node vfs.Node) uint64 {
	if h, ok := node.(interface{ inode() uint64 }); ok {
		return h.inode()
	}
	return 1
}

func (h header) inode() uint64 { return h.ino }

// link is a symbolic link.
type link struct {
	vfs.ReadOnlyNode
	header
	target string
}

// Type implements [vfs.Node].
func (l *link) Type() wasip1.Filetype { return wasip1.FiletypeSymbolicLink }

// Attr implements [vfs.Node].
func (l *link) Attr() (vfs.Attr, error) {
	a := l.attr(wasip1.FiletypeSymbolicLink, fs.ModeSymlink|0o777)
	a.Size = uint64(len(l.target))
	return a, nil
}

// Readlink implements [vfs.Symlink].
func (l *link) Readlink() (string, error) { return l.target, nil }
