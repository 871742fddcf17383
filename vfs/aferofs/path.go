package aferofs

import (
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/afero/mem"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// A path is followed in one step, name by name as the walker does it, and each name is validated
// against the store as there; but the lock is taken once, and the paths that the store is asked for
// are parts of one string. What is more than a regular file is for the walker.

var _ vfs.PathOpener = (*dir)(nil)

// OpenPath opens a regular file that is there. Errors: ENOSYS for what the walker has to find.
func (d *dir) OpenPath(path string, follow bool, flags wasip1.Oflags, mode vfs.OpenMode, perm fs.FileMode) (vfs.Node, vfs.File, error) {
	if flags&(wasip1.OCreat|wasip1.ODirectory) != 0 {
		return nil, nil, wasip1.ENOSYS
	}
	d.fs.lock()
	defer d.fs.mu.Unlock()
	e, _, h, at, err := d.find(path)
	if err != nil {
		return nil, nil, err
	}
	f, ok := e.node.(*file)
	if !ok {
		return nil, nil, wasip1.ENOSYS
	}
	c, err := f.open(mode, at, h)
	if err != nil {
		return nil, nil, err
	}
	return f, c, nil
}

// AttrPath returns the attributes of a regular file. Errors: as OpenPath.
func (d *dir) AttrPath(path string, follow bool) (vfs.Attr, error) {
	d.fs.lock()
	defer d.fs.mu.Unlock()
	e, fi, _, _, err := d.find(path)
	if err != nil {
		return vfs.Attr{}, err
	}
	f, ok := e.node.(*file)
	if !ok {
		return vfs.Attr{}, wasip1.ENOSYS
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fi == nil || f.h != nil && !f.fs.memory {
		return f.refresh()
	}
	f.look(fi)
	return f.attr(f.nlink()), nil
}

// find returns what path stands for. If that is a name that was known, fi is what the store says of
// it now, at is its path there, and h as of inode.there. FS.mu is held.
func (d *dir) find(path string) (e *entry, fi os.FileInfo, h *mem.File, at string, err error) {
	if sep != "/" {
		return nil, nil, nil, "", wasip1.ENOSYS
	}
	way := join(d.path(), path)
	from, end := 0, len(way)-len(path)
	for {
		name, _, more := strings.Cut(way[end:], sep)
		end += len(name)
		switch err := checkName(name); {
		case err == wasip1.EINVAL:
			return nil, nil, nil, "", wasip1.ENOSYS
		case err != nil:
			return nil, nil, nil, "", err
		}
		if e, fi, h, at = d.known(name, way[from:end]); fi == nil {
			if e, err = d.resolve(name); err != nil {
				return nil, nil, nil, "", err
			}
		}
		if !more {
			return e, fi, h, at, nil
		}
		switch n := e.node.(type) {
		case *dir:
			d, end = n, end+len(sep)
			if n.at.rel {
				from = len(sep)
			}
		case *link:
			return nil, nil, nil, "", wasip1.ENOSYS
		default:
			return nil, nil, nil, "", wasip1.ENOTDIR
		}
	}
}

// known returns the entry of a name that is known, if the store still has it at path, or at that
// without the leading separator (place.rel). Else fi is nil. FS.mu is held.
func (d *dir) known(name, path string) (e *entry, fi os.FileInfo, h *mem.File, at string) {
	if e = d.names[name]; e == nil || e.local || d.gone || d.hides(name) {
		return nil, nil, nil, ""
	}
	if e.node.in().at.rel {
		path = path[len(sep):]
	}
	if fi, h = e.confirmed(path); fi == nil {
		return nil, nil, nil, ""
	}
	return e, fi, h, path
}
