package aferofs

import (
	"io/fs"
	"os"
	"time"

	"github.com/spf13/afero/mem"

	"github.com/wasivirt/wasivirt/vfs"
)

// What a MemMapFs has at a path is a mem.FileData: one file, under whatever name, and always of one
// type. A mem.FileInfo is no copy of its attributes but leads to them. So the adapter keeps the
// first one, and asks by path only whether the file is still there. For that Open does less than
// Stat.

// dataOf returns the file that fi, an answer of a MemMapFs, leads to; nil for another store's.
func dataOf(fi os.FileInfo) *mem.FileData {
	if m, ok := fi.(*mem.FileInfo); ok {
		return m.FileData
	}
	return nil
}

// there returns what the store says of path, if that is n, else nil. h, if not nil, is the file,
// open for reading, and has not to be closed. FS.mu is held.
func (n *inode) there(path string) (fi os.FileInfo, h *mem.File, err error) {
	if n.fs.memory && n.info != nil {
		opened, err := n.fs.store.Open(path)
		if err != nil {
			return nil, nil, translate(err)
		}
		if h, ok := opened.(*mem.File); ok {
			if h.Data() != dataOf(n.info) {
				return nil, nil, nil
			}
			return n.info, h, nil
		}
	}
	fi, err = n.fs.lstat(path)
	if err != nil || typeOf(fi) != n.typ || !same(n.info, fi) {
		return nil, nil, err
	}
	return fi, nil, nil
}

// confirmed is there for a name that the store has: it notes what that says. FS.mu is held.
func (e *entry) confirmed(path string) (fi os.FileInfo, h *mem.File) {
	n := e.node.in()
	fi, h, _ = n.there(path)
	if fi != nil && h == nil {
		n.info = fi
	}
	return fi, h
}

// data returns the file of a MemMapFs; nil where it is not known. FS.mu is held.
func (n *inode) data() *mem.FileData {
	switch {
	case !n.fs.memory:
		return nil
	case n == &n.fs.root.inode:
		return n.fs.rootData
	}
	return dataOf(n.info)
}

// setTime gives a file of a MemMapFs its time of modification, which is the only one it has.
// Chtimes would look the path up first.
func setTime(data *mem.FileData, mtim int64) { mem.SetModTime(data, time.Unix(0, mtim)) }

// makeFirst is Make for a MemMapFs, which makes no file where one is: the name is not looked up
// before. nil says that Make has to do it, or to tell what is wrong. FS.mu is held.
func (d *dir) makeFirst(name string, perm fs.FileMode) (*file, vfs.File) {
	if d.fs.readOnly || d.hides(name) || d.names[name] != nil || d.alive() != nil {
		return nil, nil
	}
	if d == d.fs.root && d.fs.base == sep {
		if _, err := d.fs.lstat(name); !gone(err) {
			return nil, nil // place.rel
		}
	}
	h, err := d.create(name, perm)
	if err != nil {
		return nil, nil
	}
	fi, err := h.Stat()
	if err != nil {
		h.Close()
		return nil, nil
	}
	f, ok := d.madeOf(name, fi).(*file)
	if !ok {
		h.Close()
		return nil, nil
	}
	return f, f.opened(h)
}
