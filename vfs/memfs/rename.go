package memfs

import (
	"hash/maphash"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Rename moves name to newName in to, as rename(2) does. Errors, the first that applies: EXDEV
// where to is not of this file system; ENAMETOOLONG, EINVAL for newName; ENOENT where name is not
// there or to has been removed; EINVAL for a directory into itself; EISDIR, ENOTDIR, ENOTEMPTY by
// what newName stands for; ENOSPC for a longer name.
func (d *dirNode) Rename(name string, to vfs.Directory, newName string) error {
	t, ok := to.(*dirNode)
	if !ok || t.fs != d.fs {
		return wasip1.EXDEV
	}
	if err := vfs.CheckName(newName); err != nil {
		return err
	}
	f := d.fs
	f.mu.lock(&f.park)
	err := d.renameLocked(name, t, newName)
	f.mu.unlock(&f.park)
	return err
}

// renameLocked is Rename with FS.mu held for writing.
func (d *dirNode) renameLocked(name string, t *dirNode, newName string) error {
	f := d.fs
	hash, newHash := maphash.String(f.seed, name), maphash.String(f.seed, newName)
	e := d.in.dir.find(hash, name)
	if e == nil {
		return d.absent(name)
	}
	if t.gone {
		return wasip1.ENOENT
	}
	isDir := e.typ == wasip1.FiletypeDirectory
	if isDir && t != d && f.within(t.ino, e.ino) {
		return wasip1.EINVAL
	}
	old := t.in.dir.find(newHash, newName)
	if old != nil {
		oldDir := old.typ == wasip1.FiletypeDirectory
		switch {
		case old.ino == e.ino:
			// POSIX: two names of one file are left as they are.
			return nil
		case isDir && !oldDir:
			return wasip1.ENOTDIR
		case !isDir && oldDir:
			return wasip1.EISDIR
		case oldDir && f.node(old.ino).in.dir.len > 0:
			return wasip1.ENOTEMPTY
		}
	}

	more := -vfs.NameCost(name)
	if old == nil {
		more += vfs.NameCost(newName)
	}
	if more != 0 && !f.reserveMeta(more) {
		return wasip1.ENOSPC
	}
	now := f.now()
	d.removeEntry(hash, e, now)
	moved := e
	if e.owner != f.owner {
		moved = &entry{owner: f.owner, ino: e.ino, typ: e.typ}
	}
	tin := t.base().own()
	if old == nil {
		moved.name = f.names.get(newHash, newName)
		tin.dir.insert(f.owner, newHash, moved)
	} else {
		moved.name = old.name
		tin.dir.replace(f.owner, newHash, old, moved)
		f.unremember(t.ino, newHash, old)
	}
	tin.changed(now)

	n := f.node(e.ino)
	if isDir {
		in := n.own()
		in.dir.parent, in.ctim = t.ino, now
		d.in.nlink--
		tin.nlink++
	} else {
		l := f.stripe(n.ino)
		l.lock(&f.park)
		n.own().ctim = now
		l.unlock(&f.park)
	}
	if old != nil {
		if isDir {
			tin.nlink--
			f.node(old.ino).removed(now, 0)
		} else {
			f.node(old.ino).unlinked(now, 0)
		}
		f.discard(old)
	}
	return nil
}

// within reports whether directory ino is top or lies below it. FS.mu is held.
func (f *FS) within(ino, top uint64) bool {
	for ino != top {
		if ino == rootIno {
			return false
		}
		ino = f.node(ino).in.dir.parent
	}
	return true
}
