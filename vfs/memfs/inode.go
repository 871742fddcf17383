package memfs

import (
	"io/fs"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// inode is what a file is. What belongs to one type only stands at the end.
type inode struct {
	owner  *owner
	typ    wasip1.Filetype
	unread bool // changed since it was read: the next read sets atim
	mode   fs.FileMode
	nlink  uint64

	atim, mtim, ctim int64

	// Regular files: chunk 0, which most files are all of, and the others.
	size  int64
	first *chunk
	rest  *rest // nil where there are none

	// Directories, and symbolic links for their target.
	dir *dirTable
}

// attr stores the attributes in a.
func (in *inode) attr(a *vfs.Attr, ino uint64) {
	a.Ino, a.Type, a.Mode, a.Nlink = ino, in.typ, in.mode, in.nlink
	a.Size, a.Atim, a.Mtim, a.Ctim = uint64(in.size), in.atim, in.mtim, in.ctim
	if in.typ == wasip1.FiletypeSymbolicLink {
		a.Size = uint64(len(in.dir.target))
	}
}

// changed notes a change of the content.
func (in *inode) changed(now int64) {
	in.mtim, in.ctim, in.unread = now, now, true
}

// node is the handle of an inode in one file system: there is one as long as the inode is in
// the table. It is what dirNode, fileNode and linkNode have in common.
type node struct {
	fs   *FS
	ino  uint64
	in   *inode // replaced and changed under the locks of its type; noInode for a file that has gone
	life uint32 // used atomically once others know the node
	typ  wasip1.Filetype
	gone bool // no longer in the table
}

// What node.life holds: bits, and above them how often a file is open. A file goes when it has no
// name and is not open. Whoever finds it so sets over, which only one can.
const (
	known   = 1 << iota // others than who got it from Make may have the node: it stays what it is for ever
	unnamed             // it has no name
	over                // it goes or has gone
	opened              // it is open once
)

// dirNode, fileNode and linkNode are the nodes of the three types.
type (
	dirNode  node
	fileNode node
	linkNode node
)

// handle is any of them.
type handle interface {
	vfs.Node
	base() *node
}

func (n *dirNode) base() *node  { return (*node)(n) }
func (n *fileNode) base() *node { return (*node)(n) }
func (n *linkNode) base() *node { return (*node)(n) }

// self returns n as what it is.
func (n *node) self() vfs.Node {
	switch n.typ {
	case wasip1.FiletypeDirectory:
		return (*dirNode)(n)
	case wasip1.FiletypeSymbolicLink:
		return (*linkNode)(n)
	}
	return (*fileNode)(n)
}

// give returns n for somebody who may keep it. FS.mu is held.
func (n *node) give() vfs.Node {
	if atomic.LoadUint32(&n.life)&known == 0 {
		atomic.OrUint32(&n.life, known)
	}
	return n.self()
}

// newNode returns a handle for in. It is in no table yet.
func newNode(f *FS, ino uint64, in *inode) *node {
	n := &node{fs: f, ino: ino, typ: in.typ, in: in, life: known}
	if in.nlink == 0 {
		n.life |= unnamed
	}
	return n
}

// newborn is an inode with the entry that names it first: one piece of memory, since most live and
// die together. The node is apart, because forks share the inode and must not keep the file system
// alive that made it.
type newborn struct {
	inode
	entry
}

// spares are parts of a file that nobody has any more: where files are made and removed over and
// over, the next ones need no memory of their own.
type spares struct {
	inode *inode
	node  *node // of a regular file
	dir   *node // of a directory, with its inode
	entry *entry
}

// take returns an inode, an entry and a node for a file of that type, with nothing in them that
// newInode does not set. FS.mu is held for writing.
func (s *spares) take(typ wasip1.Filetype) (*inode, *entry, *node) {
	e := s.entry
	s.entry = nil
	var in *inode
	var n *node
	switch {
	case typ == wasip1.FiletypeRegularFile:
		in, n, s.inode, s.node = s.inode, s.node, nil, nil
	case typ == wasip1.FiletypeDirectory && s.dir != nil:
		in, n, s.dir = s.dir.in, s.dir, nil
	}
	if n == nil {
		n = new(node)
	}
	switch {
	case in == nil && e == nil:
		born := new(newborn)
		return &born.inode, &born.entry, n
	case in == nil:
		in = new(inode)
	case e == nil:
		e = new(entry)
	}
	return in, e, n
}

// noInode stands in for that of a regular file that has gone. It is never changed.
var noInode = &inode{typ: wasip1.FiletypeRegularFile}

// birth is what a new inode begins with.
type birth struct {
	typ    wasip1.Filetype
	life   uint32 // of the node
	perm   fs.FileMode
	target string // of a symbolic link
	parent uint64 // of a directory
	name   *string
	charge int64 // of metadata
}

// newInode makes an inode, with its node, and enters both in the tables: nil if there is no room.
// The entry is in no directory yet. FS.mu is held for writing.
func (f *FS) newInode(b *birth) (*node, *entry) {
	now := f.now()
	if f.inodes >= f.maxInodes || f.meta+b.charge > f.maxMeta {
		return nil, nil
	}
	f.inodes++
	f.meta += b.charge
	typ := b.typ
	in, e, n := f.spares.take(typ)
	in.owner, in.typ, in.unread, in.mode, in.nlink = f.owner, typ, true, b.perm&modeBits, 1
	in.atim, in.mtim, in.ctim = now, now, now
	e.owner, e.name, e.ino, e.typ = f.owner, b.name, f.next, typ
	switch typ {
	case wasip1.FiletypeDirectory:
		if in.dir == nil {
			in.dir = new(dirTable)
		}
		in.nlink, in.dir.parent = 2, b.parent
	case wasip1.FiletypeSymbolicLink:
		in.dir = &dirTable{target: b.target}
	}
	n.fs, n.ino, n.in, n.typ, n.gone, n.life = f, f.next, in, typ, false, b.life
	f.next++
	f.table.set(f.owner, n.ino, in)
	if n.ino != rootIno { // see FS.root
		f.nodes.set(nobody, n.ino, n)
	}
	return n, e
}

// node returns the node of an inode that is in the table, else nil. FS.mu is held for writing.
func (f *FS) node(ino uint64) *node {
	if n := f.nodes.get(ino); n != nil {
		return n
	}
	if ino == rootIno {
		return f.root.base()
	}
	in := f.table.get(ino)
	if in == nil {
		return nil
	}
	n := newNode(f, ino, in)
	f.nodes.set(nobody, ino, n)
	return n
}

// claim is own for a file or link whose lock l is held for writing, but not FS.mu. It lets go of l
// meanwhile: the file may have changed, or gone, when it returns.
func (n *node) claim(l *rwlock) {
	f := n.fs
	l.unlock(&f.park)
	f.mu.lock(&f.park)
	l.lock(&f.park)
	if !n.gone {
		n.own()
	}
	f.mu.unlock(&f.park)
}

// own makes the inode one that its file system may change. FS.mu is held for writing, and the lock
// of its type.
func (n *node) own() *inode {
	if n.in.owner == n.fs.owner {
		return n.in
	}
	return n.copyOwn()
}

// copyOwn is own for an inode that another file system has too.
func (n *node) copyOwn() *inode {
	f := n.fs
	in := *n.in
	in.owner = f.owner
	if in.dir != nil {
		dir := *in.dir
		in.dir = &dir
	}
	if in.rest != nil {
		rest := *in.rest
		in.rest = &rest
	}
	n.in = &in
	if !n.gone {
		f.table.set(f.owner, n.ino, &in)
	}
	return &in
}

// forget takes an inode without names, that is not open, out of the tables and gives back what it
// took, and charge besides. The attributes of a directory and the target of a link stay with the
// node, for whoever still has that; a file's do not. FS.mu is held for writing, and the lock of its
// type unless nobody has the node.
func (n *node) forget(charge int64) {
	f := n.fs
	n.gone = true
	in := n.own()
	f.truncate(in, 0)
	charge += vfs.InodeBytes
	if in.dir != nil {
		charge += int64(len(in.dir.target))
	}
	f.inodes--
	f.meta -= charge
	f.table.del(f.owner, n.ino)
	f.nodes.del(nobody, n.ino)
	if f.orphans != nil {
		delete(f.orphans, n.ino)
	}
	switch spare := atomic.LoadUint32(&n.life)&known == 0; {
	case n.typ == wasip1.FiletypeRegularFile:
		// No fork has it, or it would have another tag.
		n.in = noInode
		*in = inode{}
		f.spares.inode = in
		if spare {
			f.spares.node = n
		}
	case spare && n.typ == wasip1.FiletypeDirectory:
		dir := in.dir
		*dir = dirTable{}
		*in = inode{dir: dir}
		f.spares.dir = n
	}
}

// discard lets go of an entry that is in no directory any more. FS.mu is held for writing.
func (f *FS) discard(e *entry) {
	if e.owner == f.owner {
		*e = entry{}
		f.spares.entry = e
	}
}

// unlinked takes one name from a file or link, which was charged that much. FS.mu is held for
// writing.
func (n *node) unlinked(now, charge int64) {
	f := n.fs
	if atomic.LoadUint32(&n.life) == 0 {
		// Nobody has it, so nobody holds its lock, and it has the one name that it was made with.
		n.forget(charge)
		return
	}
	l := f.stripe(n.ino)
	l.lock(&f.park)
	in := n.own()
	in.nlink--
	in.ctim = now
	if in.nlink == 0 {
		if n.lost() {
			n.forget(charge)
			charge = 0
		} else {
			if f.orphans == nil {
				f.orphans = make(map[uint64]struct{})
			}
			f.orphans[n.ino] = struct{}{}
		}
	}
	l.unlock(&f.park)
	f.meta -= charge
}

// lost notes that a file or link has no name any more, and reports whether it goes for that.
func (n *node) lost() bool {
	for {
		was := atomic.LoadUint32(&n.life)
		is := was | unnamed
		if was < opened {
			is |= over
		}
		if atomic.CompareAndSwapUint32(&n.life, was, is) {
			return is&over != 0
		}
	}
}

// vanish takes a file away that had no name and was not open, unless somebody has opened it again.
func (n *node) vanish() {
	f := n.fs
	f.mu.lock(&f.park)
	n.vanishLocked()
	f.mu.unlock(&f.park)
}

// vanishLocked is vanish with FS.mu held for writing.
func (n *node) vanishLocked() {
	f := n.fs
	if !atomic.CompareAndSwapUint32(&n.life, known|unnamed, known|unnamed|over) {
		return
	}
	l := f.stripe(n.ino)
	l.lock(&f.park)
	n.forget(0)
	l.unlock(&f.park)
}

// fileAttr stores the attributes of a file or link in a. Errors: ENOENT for a file that has gone.
func (n *node) fileAttr(a *vfs.Attr) error {
	f := n.fs
	l := f.stripe(n.ino)
	l.rlock(&f.park)
	if n.in == noInode {
		l.runlock(&f.park)
		return wasip1.ENOENT
	}
	n.in.attr(a, n.ino)
	l.runlock(&f.park)
	return nil
}

// set applies all of a but the size.
func (in *inode) set(a *vfs.SetAttr, now int64) {
	if a.Mask&vfs.SetAtim != 0 {
		in.atim, in.unread = a.Atim, false
	}
	if a.Mask&vfs.SetMtim != 0 {
		in.mtim = a.Mtim
	}
	if a.Mask&vfs.SetMode != 0 {
		in.mode = a.Mode & modeBits
	}
	in.ctim = now
}
