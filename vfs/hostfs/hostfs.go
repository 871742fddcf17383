package hostfs

import (
	"io/fs"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// FS is a directory, or one file, of the machine. It is made by [New] or [File].
type FS struct {
	backend backend
}

var _ vfs.FS = (*FS)(nil)

// backend is the seam between the systems: descriptors and openat on Linux, os.Root elsewhere.
type backend interface {
	root() vfs.Node
	close() error
}

// Option changes what [New] makes.
type Option func(*options)

type options struct {
	readOnly bool
}

// WithReadOnly refuses with EROFS whatever would change the directory. Reading may still move
// access times, as the machine's mount options say.
func WithReadOnly() Option {
	return func(o *options) { o.readOnly = true }
}

// New opens the directory dir, which may be reached through symbolic links: only what lies
// below it is confined. The directory is held, not its name: renaming it changes nothing.
func New(dir string, opts ...Option) (*FS, error) {
	b, err := openDir(dir, collect(opts))
	if err != nil {
		return nil, &fs.PathError{Op: "mount", Path: dir, Err: err}
	}
	return &FS{b}, nil
}

// File opens the regular file path as a file system whose root is that file, read-only. The file is
// held, not its name: one that is later renamed into its place is not seen. ENXIO where it is not a
// regular file.
func File(path string) (*FS, error) {
	b, err := openFile(path)
	if err != nil {
		return nil, &fs.PathError{Op: "mount", Path: path, Err: err}
	}
	return &FS{b}, nil
}

// Root returns the directory's node. It need not be released.
func (f *FS) Root() vfs.Node { return f.backend.root() }

// UsesMachine implements [vfs.MachineUser].
func (f *FS) UsesMachine() bool { return true }

// Close gives the directory back to the machine. The root then answers EBADF; other directories and
// files that are still open stay so until they are released or closed. A second Close does nothing.
func (f *FS) Close() error { return f.backend.close() }

func collect(opts []Option) options {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// entryError is the answer to opening what is not a regular file.
func entryError(t wasip1.Filetype) error {
	switch t {
	case wasip1.FiletypeDirectory:
		return wasip1.EISDIR
	case wasip1.FiletypeSymbolicLink:
		return wasip1.ELOOP
	}
	return wasip1.ENXIO
}

// mix is the finalizer of splitmix64, a bijection.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
