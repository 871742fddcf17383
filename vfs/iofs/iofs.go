package iofs

import (
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// FS is an io/fs.FS as a file system for guests.
type FS struct {
	fsys   fs.FS
	links  fs.ReadLinkFS // fsys, if it is one
	root   vfs.Node
	budget atomic.Int64 // bytes of content that may still be kept
}

var _ vfs.FS = (*FS)(nil)

const rootIno = 1

// DefaultBuffer is how many bytes of content are kept in memory at most, unless WithBuffer says
// otherwise.
const DefaultBuffer = 64 << 20

// Option changes what [New] makes.
type Option func(*FS)

// WithBuffer limits the content of files without random access that is kept in memory, in bytes for
// all open files together. 0 keeps none: such a file is then read again from its start for each
// step back.
func WithBuffer(bytes int64) Option {
	return func(f *FS) { f.budget.Store(max(bytes, 0)) }
}

// New returns fsys as a file system. If the root of fsys is a file, which io/fs does not forbid, so
// is the root here.
func New(fsys fs.FS, opts ...Option) *FS {
	f := &FS{fsys: fsys}
	f.links, _ = fsys.(fs.ReadLinkFS)
	f.budget.Store(DefaultBuffer)
	for _, opt := range opts {
		opt(f)
	}
	f.root = &dir{node: node{fs: f, path: ".", ino: rootIno}}
	if info, err := f.stat("."); err == nil && info.Mode().IsRegular() {
		f.root = &file{node{fs: f, path: ".", ino: rootIno}}
	}
	return f
}

// UsesMachine implements [vfs.MachineUser]. An io/fs.FS uses the machine if it is a
// [vfs.MachineUser] that says so, or if its root opens as an [os.File], as those of [os.DirFS] and
// [os.Root] do.
func (f *FS) UsesMachine() bool {
	if m, ok := f.fsys.(vfs.MachineUser); ok {
		return m.UsesMachine()
	}
	root, err := f.fsys.Open(".")
	if err != nil {
		return false
	}
	defer root.Close()
	_, ok := root.(*os.File)
	return ok
}

// Root returns the node of ".".
func (f *FS) Root() vfs.Node { return f.root }

// stat does not follow a symbolic link where the file system can tell.
func (f *FS) stat(path string) (fs.FileInfo, error) {
	if f.links != nil {
		return f.links.Lstat(path)
	}
	return fs.Stat(f.fsys, path)
}

// ino returns the inode number of path: a hash, so that it does not depend on which paths were met
// before.
func ino(path string) uint64 {
	if path == "." {
		return rootIno
	}
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(path) {
		h = (h ^ uint64(path[i])) * 1099511628211
	}
	return max(h, rootIno+1)
}

// node returns the node of a path that was found to be of type t.
func (f *FS) node(path string, t wasip1.Filetype) vfs.Node {
	n := node{fs: f, path: path, ino: ino(path)}
	switch t {
	case wasip1.FiletypeDirectory:
		return &dir{node: n}
	case wasip1.FiletypeRegularFile:
		return &file{n}
	case wasip1.FiletypeSymbolicLink:
		return &link{n}
	}
	return &special{n, t}
}

func filetype(m fs.FileMode) wasip1.Filetype {
	switch m.Type() {
	case 0:
		return wasip1.FiletypeRegularFile
	case fs.ModeDir:
		return wasip1.FiletypeDirectory
	case fs.ModeSymlink:
		return wasip1.FiletypeSymbolicLink
	case fs.ModeDevice:
		return wasip1.FiletypeBlockDevice
	case fs.ModeDevice | fs.ModeCharDevice, fs.ModeCharDevice:
		return wasip1.FiletypeCharacterDevice
	case fs.ModeSocket:
		return wasip1.FiletypeSocketStream
	}
	return wasip1.FiletypeUnknown
}
