package faultfs

import (
	"io/fs"
	"path"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Without rules there is nothing to look for on the way, so that a file system which waits for its
// faults costs nothing.

// plain reports whether paths may be resolved below, where no rule sees it.
func (f *FS) plain() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.rules) == 0 && f.track == nil && !f.off.Load()
}

// OpenPath opens a path in one step as long as there are no rules. Errors: ENOSYS otherwise, and
// where the file system below has no such call.
func (d *dir) OpenPath(name string, follow bool, flags wasip1.Oflags, mode vfs.OpenMode, perm fs.FileMode) (vfs.Node, vfs.File, error) {
	if !d.fs.plain() {
		return nil, nil, wasip1.ENOSYS
	}
	full := path.Join(d.path, name)
	o := d.fs.opening(nil, full, mode)
	n, f, err := wrapfs.OpenPath(d.Below, name, follow, flags, mode, perm)
	if err != nil {
		return nil, nil, err
	}
	w := d.fs.wrap(n, full)
	if f == nil {
		return w, nil, nil
	}
	o.Below, o.Node = f, n
	return w, o, nil
}

// AttrPath returns the attributes of what a path stands for as long as there are no rules. Errors:
// as OpenPath.
func (d *dir) AttrPath(name string, follow bool) (vfs.Attr, error) {
	if !d.fs.plain() {
		return vfs.Attr{}, wasip1.ENOSYS
	}
	return wrapfs.AttrPath(d.Below, name, follow)
}
