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
	tin := t.base().own()
	if t == d && old == nil && e.owner == f.owner {
		d.renameEntry(hash, e, newHash, newName)
	} else {
		d.removeEntry(hash, e, now)
		t.addEntry(e, newHash, newName, old)
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

// renameEntry gives e another name in d, which nothing has. Both are the file system's own. FS.mu
// is held for writing.
func (d *dirNode) renameEntry(hash uint64, e *entry, newHash uint64, newName string) {
	f := d.fs
	f.unremember(d.ino, hash, e)
	f.names.keep(hash, e.name)
	e.name = f.names.get(newHash, newName)
	d.in.dir.rename(f.owner, hash, newHash, e)
}

// addEntry puts e, which was taken out of its directory, into d in the place of old, if there is
// that. d is the file system's own. FS.mu is held for writing.
func (d *dirNode) addEntry(e *entry, newHash uint64, newName string, old *entry) {
	f := d.fs
	if e.owner != f.owner {
		e = &entry{owner: f.owner, ino: e.ino, typ: e.typ}
	}
	if old == nil {
		e.name = f.names.get(newHash, newName)
		d.in.dir.insert(f.owner, newHash, e)
	} else {
		e.name = old.name
		d.in.dir.replace(f.owner, newHash, old, e)
		f.unremember(d.ino, newHash, old)
	}
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
