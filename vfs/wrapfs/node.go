package wrapfs

import (
	"context"
	"io/fs"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Wrapper makes nodes. A file system that wraps another one implements it. It is compared with ==:
// nodes of another Wrapper belong to another file system.
type Wrapper interface {
	// Wrap returns the node of the wrapper for one of the file system below.
	Wrap(vfs.Node) vfs.Node
}

// Node is a node of the file system below. It is embedded in the nodes of a wrapper.
type Node struct {
	Below vfs.Node
	Of    Wrapper
}

// Unwrap returns the node below and the wrapper that made this one.
func (n *Node) Unwrap() (vfs.Node, Wrapper) { return n.Below, n.Of }

// Type returns the type.
func (n *Node) Type() wasip1.Filetype { return n.Below.Type() }

// Attr returns the attributes.
func (n *Node) Attr() (vfs.Attr, error) { return n.Below.Attr() }

// SetAttr changes attributes.
func (n *Node) SetAttr(s vfs.SetAttr) error { return n.Below.SetAttr(s) }

// Release releases the node below.
func (n *Node) Release() { Release(n.Below) }

// Release releases a node if it is a [vfs.Releaser].
func Release(n vfs.Node) {
	if r, ok := n.(vfs.Releaser); ok {
		r.Release()
	}
}

// Attach hands env on to a file system that wants it.
func Attach(fsys vfs.FS, env vfs.Env) {
	if e, ok := fsys.(vfs.EnvFS); ok {
		e.Attach(env)
	}
}

// Below returns the node below n. Errors: EXDEV where n was not made by of.
func Below(n vfs.Node, of Wrapper) (vfs.Node, error) {
	if w, ok := n.(interface{ Unwrap() (vfs.Node, Wrapper) }); ok {
		if below, by := w.Unwrap(); by == of {
			return below, nil
		}
	}
	return nil, wasip1.EXDEV
}

// Plain returns a node that does what n does, as the wrapper's own.
func Plain(n vfs.Node, of Wrapper) vfs.Node {
	node := Node{Below: n, Of: of}
	switch n.(type) {
	case vfs.Directory:
		return &Dir{node}
	case vfs.RegularFile:
		return &RegularFile{node}
	case vfs.Symlink:
		return &Symlink{node}
	case vfs.StreamNode:
		return &StreamNode{node}
	}
	return &node
}

// RegularFile is a regular file of the file system below.
type RegularFile struct{ Node }

// Open opens the file below. A wrapper that changes what is read or written returns something of
// its own, with a [File] in it.
func (f *RegularFile) Open(mode vfs.OpenMode) (vfs.File, error) {
	return f.Below.(vfs.RegularFile).Open(mode)
}

// Prepare prepares the file below, if that needs it.
func (f *RegularFile) Prepare(ctx context.Context, keep int64, charge func(ino uint64, inodes, bytes int64) error) error {
	return Prepare(ctx, f.Below, keep, charge)
}

// Prepare prepares a file that may be no [vfs.Preparer].
func Prepare(ctx context.Context, n vfs.Node, keep int64, charge func(ino uint64, inodes, bytes int64) error) error {
	if p, ok := n.(vfs.Preparer); ok {
		return p.Prepare(ctx, keep, charge)
	}
	return nil
}

// Symlink is a symbolic link of the file system below.
type Symlink struct{ Node }

// Readlink returns the target.
func (l *Symlink) Readlink() (string, error) { return l.Below.(vfs.Symlink).Readlink() }

// StreamNode is a device or a pipe of the file system below.
type StreamNode struct{ Node }

// OpenStream opens it.
func (s *StreamNode) OpenStream(mode vfs.OpenMode) (vfs.Stream, error) {
	return s.Below.(vfs.StreamNode).OpenStream(mode)
}

// Dir is a directory of the file system below.
type Dir struct{ Node }

var _ vfs.Directory = (*Dir)(nil)

// Directory returns the directory below.
func (d *Dir) Directory() vfs.Directory { return d.Below.(vfs.Directory) }

func (d *Dir) wrap(n vfs.Node, err error) (vfs.Node, error) {
	if err != nil {
		return nil, err
	}
	return d.Of.Wrap(n), nil
}

// Lookup returns what a name stands for, wrapped.
func (d *Dir) Lookup(name string) (vfs.Node, error) { return d.wrap(d.Directory().Lookup(name)) }

// ReadDir lists names.
func (d *Dir) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	return d.Directory().ReadDir(cookie, entries)
}

// Create makes an empty regular file.
func (d *Dir) Create(name string, perm fs.FileMode) (vfs.Node, error) {
	return d.wrap(d.Directory().Create(name, perm))
}

// Mkdir makes an empty directory.
func (d *Dir) Mkdir(name string, perm fs.FileMode) (vfs.Node, error) {
	return d.wrap(d.Directory().Mkdir(name, perm))
}

// Symlink makes a symbolic link.
func (d *Dir) Symlink(name, target string) (vfs.Node, error) {
	return d.wrap(d.Directory().Symlink(name, target))
}

// Link gives a file another name. Errors: EXDEV for a node of another file system, or of another
// wrapper of the same.
func (d *Dir) Link(name string, to vfs.Node) error {
	below, err := Below(to, d.Of)
	if err != nil {
		return err
	}
	return d.Directory().Link(name, below)
}

// Unlink removes a name that is not a directory's.
func (d *Dir) Unlink(name string) error { return d.Directory().Unlink(name) }

// Rmdir removes an empty directory.
func (d *Dir) Rmdir(name string) error { return d.Directory().Rmdir(name) }

// Rename moves a name. Errors: EXDEV for a directory of another file system, or of another wrapper
// of the same.
func (d *Dir) Rename(name string, to vfs.Directory, newName string) error {
	below, err := Below(to, d.Of)
	if err != nil {
		return err
	}
	t, ok := below.(vfs.Directory)
	if !ok {
		return wasip1.EXDEV
	}
	return d.Directory().Rename(name, t, newName)
}

// Sync puts the names on the store, where that is more than nothing.
func (d *Dir) Sync(dataOnly bool) error { return syncDir(d.Below, dataOnly) }

func syncDir(n vfs.Node, dataOnly bool) error {
	if s, ok := n.(interface{ Sync(dataOnly bool) error }); ok {
		return s.Sync(dataOnly)
	}
	return nil
}
