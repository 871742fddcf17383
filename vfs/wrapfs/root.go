package wrapfs

import (
	"io/fs"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Root returns root, the wrapped root of a file system, without what would be of no use because the
// node below does not have it: Release, OpenPath and AttrPath. The walker asks the root alone
// whether it is to release nodes and to hand whole paths to directories, so no other directory has
// to be treated so. It is called once; [Whole] undoes it.
func Root(root, below vfs.Node) vfs.Node {
	dir, ok := root.(vfs.Directory)
	if !ok {
		return root
	}
	r, hasRelease := root.(vfs.Releaser)
	p, hasPaths := root.(paths)
	_, release := below.(vfs.Releaser)
	_, path := below.(paths)
	bare := whole{dir}
	switch {
	case release == hasRelease && path == hasPaths:
		return root
	case release && hasRelease:
		return &struct {
			whole
			vfs.Releaser
		}{bare, r}
	case path && hasPaths:
		return &struct {
			whole
			paths
		}{bare, p}
	}
	return &bare
}

// Whole returns the directory of which [Root] has hidden a part, or n itself.
func Whole(n vfs.Node) vfs.Node {
	if w, ok := n.(interface{ all() vfs.Directory }); ok {
		return w.all()
	}
	return n
}

// paths is what a [vfs.PathOpener] has besides a directory.
type paths interface {
	OpenPath(path string, follow bool, flags wasip1.Oflags, mode vfs.OpenMode, perm fs.FileMode) (vfs.Node, vfs.File, error)
	AttrPath(path string, follow bool) (vfs.Attr, error)
}

// whole is a directory of which only what all have shows.
type whole struct{ vfs.Directory }

func (w *whole) all() vfs.Directory { return w.Directory }

func (w *whole) Sync(dataOnly bool) error { return syncDir(w.Directory, dataOnly) }

func (w *whole) Unwrap() (vfs.Node, Wrapper) {
	if u, ok := w.Directory.(interface{ Unwrap() (vfs.Node, Wrapper) }); ok {
		return u.Unwrap()
	}
	return nil, nil
}

// OpenPath is the OpenPath of a directory that may have none. Errors: ENOSYS if so.
func OpenPath(below vfs.Node, path string, follow bool, flags wasip1.Oflags, mode vfs.OpenMode, perm fs.FileMode) (vfs.Node, vfs.File, error) {
	p, ok := below.(paths)
	if !ok {
		return nil, nil, wasip1.ENOSYS
	}
	return p.OpenPath(path, follow, flags, mode, perm)
}

// AttrPath is the AttrPath of a directory that may have none. Errors: ENOSYS if so.
func AttrPath(below vfs.Node, path string, follow bool) (vfs.Attr, error) {
	p, ok := below.(paths)
	if !ok {
		return vfs.Attr{}, wasip1.ENOSYS
	}
	return p.AttrPath(path, follow)
}
