package vfs

import (
	"io/fs"
	"strings"

	"github.com/wasivirt/wasivirt/wasip1"
)

// MaxName is the longest name of a file, in bytes (POSIX: NAME_MAX).
const MaxName = 255

// MaxReadFile is the largest file that host code reads whole, in bytes. A guest can make a file of
// 1<<62 bytes by writing one byte at its end. To read a larger file, open it and read it in pieces.
const MaxReadFile = 1 << 30

// MaxPath is the longest path and the longest target of a symbolic link, in bytes (POSIX:
// PATH_MAX).
const MaxPath = 4096

// MaxLinks is how many symbolic links one path may lead through (POSIX: SYMLOOP_MAX).
const MaxLinks = 40

// shortName is the length in bytes up to which a loop finds a byte sooner than [strings.IndexByte].
const shortName = 16

// CheckName returns an error if name cannot be one component of a path. Errors: ENAMETOOLONG;
// EINVAL for an empty name, ".", ".." and a name that contains '/' or a NUL byte. The walker never
// passes such a name to a file system. Other callers of a file system may.
func CheckName(name string) error {
	switch {
	case len(name) > MaxName:
		return wasip1.ENAMETOOLONG
	case name == "", name == ".", name == "..":
		return wasip1.EINVAL
	case len(name) > shortName:
		if strings.IndexByte(name, '/') >= 0 || strings.IndexByte(name, 0) >= 0 {
			return wasip1.EINVAL
		}
		return nil
	}
	for i := range len(name) {
		if name[i] == '/' || name[i] == 0 {
			return wasip1.EINVAL
		}
	}
	return nil
}

// ReadOnlyNode returns EROFS from SetAttr. Nodes of a read-only file system embed it.
type ReadOnlyNode struct{}

// SetAttr answers EROFS.
func (ReadOnlyNode) SetAttr(SetAttr) error { return wasip1.EROFS }

// ReadOnlyDirectory implements the methods that change a directory for a read-only file system.
// They return EEXIST or ENOENT if POSIX says so for an existing or missing name, otherwise EROFS.
// Embed one whose Names is the directory itself. If Names is nil, all calls return EROFS.
type ReadOnlyDirectory struct {
	ReadOnlyNode
	Names interface {
		Lookup(name string) (Node, error)
	}
}

// Type returns FiletypeDirectory.
func (ReadOnlyDirectory) Type() wasip1.Filetype { return wasip1.FiletypeDirectory }

// adding is the error for a call that would add name, removing for one that would take it away.
func (d ReadOnlyDirectory) adding(name string) error {
	if d.has(name) == nil {
		return wasip1.EEXIST
	}
	return wasip1.EROFS
}

func (d ReadOnlyDirectory) removing(name string) error {
	if err := d.has(name); err == wasip1.ENOENT {
		return err
	}
	return wasip1.EROFS
}

func (d ReadOnlyDirectory) has(name string) error {
	if d.Names == nil {
		return wasip1.EROFS
	}
	node, err := d.Names.Lookup(name)
	if err != nil {
		return wasip1.FromError(err)
	}
	if r, ok := node.(Releaser); ok {
		r.Release()
	}
	return nil
}

// Create answers EEXIST or EROFS.
func (d ReadOnlyDirectory) Create(name string, _ fs.FileMode) (Node, error) {
	return nil, d.adding(name)
}

// Mkdir answers EEXIST or EROFS.
func (d ReadOnlyDirectory) Mkdir(name string, _ fs.FileMode) (Node, error) {
	return nil, d.adding(name)
}

// Symlink answers EEXIST or EROFS.
func (d ReadOnlyDirectory) Symlink(name, _ string) (Node, error) { return nil, d.adding(name) }

// Link answers EEXIST or EROFS.
func (d ReadOnlyDirectory) Link(name string, _ Node) error { return d.adding(name) }

// Unlink answers ENOENT or EROFS.
func (d ReadOnlyDirectory) Unlink(name string) error { return d.removing(name) }

// Rmdir answers ENOENT or EROFS.
func (d ReadOnlyDirectory) Rmdir(name string) error { return d.removing(name) }

// Rename answers ENOENT or EROFS.
func (d ReadOnlyDirectory) Rename(name string, _ Directory, _ string) error {
	return d.removing(name)
}

// readOnlyDirectory is the zero ReadOnlyDirectory without a field, for places.
type readOnlyDirectory struct{}

func (readOnlyDirectory) Type() wasip1.Filetype                    { return wasip1.FiletypeDirectory }
func (readOnlyDirectory) SetAttr(SetAttr) error                    { return wasip1.EROFS }
func (readOnlyDirectory) Create(string, fs.FileMode) (Node, error) { return nil, wasip1.EROFS }
func (readOnlyDirectory) Mkdir(string, fs.FileMode) (Node, error)  { return nil, wasip1.EROFS }
func (readOnlyDirectory) Symlink(string, string) (Node, error)     { return nil, wasip1.EROFS }
func (readOnlyDirectory) Link(string, Node) error                  { return wasip1.EROFS }
func (readOnlyDirectory) Unlink(string) error                      { return wasip1.ENOENT }
func (readOnlyDirectory) Rmdir(string) error                       { return wasip1.ENOENT }
func (readOnlyDirectory) Rename(string, Directory, string) error   { return wasip1.ENOENT }
