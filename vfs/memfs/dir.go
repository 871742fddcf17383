package memfs

import (
	"hash/maphash"
	"io/fs"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

var _ interface {
	handle
	vfs.Directory
} = (*dirNode)(nil)

// Type returns the type.
func (d *dirNode) Type() wasip1.Filetype { return wasip1.FiletypeDirectory }

// Lookup returns the node that name stands for. Errors: ENOENT, ENAMETOOLONG.
func (d *dirNode) Lookup(name string) (vfs.Node, error) {
	f := d.fs
	hash := maphash.String(f.seed, name)
	if c := f.cache.Load(); c != nil {
		if n := c.lookup(hash, d.ino, name); n != nil {
			return n.self(), nil
		}
	}
	if len(name) > vfs.MaxName {
		return nil, wasip1.ENAMETOOLONG
	}
	f.mu.rlock(&f.park)
	e := d.in.dir.find(hash, name)
	if e == nil {
		f.mu.runlock(&f.park)
		return nil, wasip1.ENOENT
	}
	n := f.nodes.get(e.ino)
	if n == nil {
		f.mu.runlock(&f.park)
		return d.lookupFirst(name, hash)
	}
	self := n.give()
	f.remember(d.ino, hash, e, n)
	f.mu.runlock(&f.park)
	return self, nil
}

// lookupFirst is Lookup for a file that has no node in this file system yet.
func (d *dirNode) lookupFirst(name string, hash uint64) (vfs.Node, error) {
	f := d.fs
	f.mu.lock(&f.park)
	defer f.mu.unlock(&f.park)
	e := d.in.dir.find(hash, name)
	if e == nil {
		return nil, wasip1.ENOENT
	}
	n := f.node(e.ino)
	self := n.give()
	f.remember(d.ino, hash, e, n)
	return self, nil
}

// ReadDir lists in the order in which the names were made. A cookie is the place after an entry.
func (d *dirNode) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	f := d.fs
	f.mu.rlock(&f.park)
	order := &d.in.dir.order
	n := 0
	for n < len(entries) {
		seq, e := order.next(cookie)
		if e == nil {
			break
		}
		cookie = seq + 1
		entries[n] = vfs.DirEntry{Name: *e.name, Ino: e.ino, Type: e.typ, Next: cookie}
		n++
	}
	unread := d.in.unread
	f.mu.runlock(&f.park)
	if unread && len(entries) > 0 {
		f.mu.lock(&f.park)
		in := d.base().own()
		in.atim, in.unread = f.now(), false
		f.mu.unlock(&f.park)
	}
	return n, nil
}

// Attr returns the attributes. The size of a directory is 0.
func (d *dirNode) Attr() (a vfs.Attr, err error) {
	f := d.fs
	f.mu.rlock(&f.park)
	d.in.attr(&a, d.ino)
	f.mu.runlock(&f.park)
	return a, nil
}

// SetAttr changes attributes. Errors: EISDIR for the size.
func (d *dirNode) SetAttr(a vfs.SetAttr) error {
	if a.Mask&vfs.SetSize != 0 {
		return wasip1.EISDIR
	}
	f := d.fs
	f.mu.lock(&f.park)
	d.base().own().set(&a, f.now())
	f.mu.unlock(&f.park)
	return nil
}

// Create makes an empty regular file. Errors: EEXIST, ENOSPC; ENOENT in a directory that was
// removed; ENAMETOOLONG, EINVAL for a name that cannot be.
func (d *dirNode) Create(name string, perm fs.FileMode) (vfs.Node, error) {
	return d.add(name, wasip1.FiletypeRegularFile, perm, "")
}

// Mkdir makes an empty directory. Errors: as Create.
func (d *dirNode) Mkdir(name string, perm fs.FileMode) (vfs.Node, error) {
	return d.add(name, wasip1.FiletypeDirectory, perm, "")
}

// MakeDir is Mkdir for one who does not want the node, which the walker of package vfs prefers:
// nobody has that then, and it may serve for another directory when this one has gone.
func (d *dirNode) MakeDir(name string, perm fs.FileMode) error {
	_, err := d.addFor(0, name, wasip1.FiletypeDirectory, perm, "")
	return err
}

// Symlink makes a symbolic link. Errors: as Create; ENAMETOOLONG for a target longer than
// vfs.MaxPath.
func (d *dirNode) Symlink(name, target string) (vfs.Node, error) {
	if len(target) > vfs.MaxPath {
		return nil, wasip1.ENAMETOOLONG
	}
	return d.add(name, wasip1.FiletypeSymbolicLink, 0o777, strings.Clone(target))
}

// Make looks name up and makes a file where nothing is there, which the walker of package vfs
// prefers.
func (d *dirNode) Make(name string, perm fs.FileMode) (vfs.Node, vfs.File, error) {
	if err := vfs.CheckName(name); err != nil {
		return nil, nil, err
	}
	f := d.fs
	hash := maphash.String(f.seed, name)
	if c := f.cache.Load(); c != nil {
		if n := c.lookup(hash, d.ino, name); n != nil {
			return n.self(), nil, nil
		}
	}
	f.mu.lock(&f.park)
	defer f.mu.unlock(&f.park)
	if e := d.in.dir.find(hash, name); e != nil {
		n := f.node(e.ino)
		node := n.give()
		f.remember(d.ino, hash, e, n)
		return node, nil, nil
	}
	n, err := d.addLocked(name, hash, &birth{typ: wasip1.FiletypeRegularFile, life: opened, perm: perm})
	if err != nil {
		return nil, nil, err
	}
	return (*fileNode)(n), (*fileNode)(n), nil
}

func (d *dirNode) add(name string, typ wasip1.Filetype, perm fs.FileMode, target string) (vfs.Node, error) {
	n, err := d.addFor(known, name, typ, perm, target)
	if err != nil {
		return nil, err
	}
	return n.self(), nil
}

// addFor adds a name for a node with that life.
func (d *dirNode) addFor(life uint32, name string, typ wasip1.Filetype, perm fs.FileMode, target string) (*node, error) {
	if err := vfs.CheckName(name); err != nil {
		return nil, err
	}
	f := d.fs
	hash := maphash.String(f.seed, name)
	f.mu.lock(&f.park)
	defer f.mu.unlock(&f.park)
	if d.in.dir.find(hash, name) != nil {
		return nil, wasip1.EEXIST
	}
	return d.addLocked(name, hash, &birth{typ: typ, life: life, perm: perm, target: target})
}

// addLocked adds a name that is not there. FS.mu is held for writing.
func (d *dirNode) addLocked(name string, hash uint64, b *birth) (*node, error) {
	if d.gone {
		return nil, wasip1.ENOENT
	}
	f := d.fs
	b.charge = vfs.InodeBytes + vfs.NameCost(name) + int64(len(b.target))
	b.name, b.parent = f.names.get(hash, name), d.ino
	n, e := f.newInode(b)
	if n == nil {
		return nil, wasip1.ENOSPC
	}
	in := d.base().own()
	in.dir.insert(f.owner, hash, e)
	if b.typ == wasip1.FiletypeDirectory {
		in.nlink++
	}
	in.changed(n.in.ctim)
	return n, nil
}

// Link gives a file or symbolic link another name. Errors: EXDEV for a node of another file system,
// a fork included; EPERM for a directory; EEXIST; ENOSPC; ENOENT where the directory or the last
// name has gone.
func (d *dirNode) Link(name string, node vfs.Node) error {
	h, ok := node.(handle)
	if !ok || h.base().fs != d.fs {
		return wasip1.EXDEV
	}
	n := h.base()
	if n.typ == wasip1.FiletypeDirectory {
		return wasip1.EPERM
	}
	if err := vfs.CheckName(name); err != nil {
		return err
	}
	f := d.fs
	hash := maphash.String(f.seed, name)
	f.mu.lock(&f.park)
	defer f.mu.unlock(&f.park)
	switch {
	case d.gone:
		return wasip1.ENOENT
	case d.in.dir.find(hash, name) != nil:
		return wasip1.EEXIST
	}
	now := f.now()
	n.give() // the caller has it
	l := f.stripe(n.ino)
	l.lock(&f.park)
	if n.in.nlink == 0 {
		l.unlock(&f.park)
		return wasip1.ENOENT
	}
	if !f.reserveMeta(vfs.NameCost(name)) {
		l.unlock(&f.park)
		return wasip1.ENOSPC
	}
	nin := n.own()
	nin.nlink++
	nin.ctim = now
	l.unlock(&f.park)
	in := d.base().own()
	in.dir.insert(f.owner, hash, &entry{owner: f.owner, name: f.names.get(hash, name), ino: n.ino, typ: n.typ})
	in.changed(now)
	return nil
}

// Unlink removes a name that is not a directory's. Errors: ENOENT, EISDIR.
func (d *dirNode) Unlink(name string) error {
	f := d.fs
	hash := maphash.String(f.seed, name)
	f.mu.lock(&f.park)
	defer f.mu.unlock(&f.park)
	e := d.in.dir.find(hash, name)
	switch {
	case e == nil:
		return d.absent(name)
	case e.typ == wasip1.FiletypeDirectory:
		return wasip1.EISDIR
	}
	now := f.now()
	n := f.node(e.ino)
	d.removeEntry(hash, e, now)
	f.discard(e)
	n.unlinked(now, vfs.NameCost(name))
	return nil
}

// absent is the answer to a name that is not there.
func (d *dirNode) absent(name string) error {
	if len(name) > vfs.MaxName {
		return wasip1.ENAMETOOLONG
	}
	return wasip1.ENOENT
}

// removeEntry takes e out of d. FS.mu is held for writing.
func (d *dirNode) removeEntry(hash uint64, e *entry, now int64) {
	f := d.fs
	in := d.base().own()
	in.dir.remove(f.owner, hash, e)
	in.changed(now)
	f.unremember(d.ino, hash, e)
	f.names.keep(hash, e.name)
}

// Rmdir removes an empty directory. Errors: ENOENT, ENOTDIR, ENOTEMPTY.
func (d *dirNode) Rmdir(name string) error {
	f := d.fs
	hash := maphash.String(f.seed, name)
	f.mu.lock(&f.park)
	defer f.mu.unlock(&f.park)
	e := d.in.dir.find(hash, name)
	switch {
	case e == nil:
		return d.absent(name)
	case e.typ != wasip1.FiletypeDirectory:
		return wasip1.ENOTDIR
	}
	child := f.node(e.ino)
	if child.in.dir.len > 0 {
		return wasip1.ENOTEMPTY
	}
	now := f.now()
	d.removeEntry(hash, e, now)
	f.discard(e)
	d.in.nlink--
	child.removed(now, vfs.NameCost(name))
	return nil
}

// removed makes an empty directory one that was removed, whose name was charged that much. FS.mu is
// held for writing.
func (n *node) removed(now, charge int64) {
	in := n.own()
	in.nlink, in.ctim = 0, now
	n.forget(charge)
}
