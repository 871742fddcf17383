package memfs

import (
	"maps"

	"github.com/wasivirt/wasivirt/vfs"
)

// Fork returns a file system that holds what f holds at this moment, in constant time; from then on
// both go their own ways. It may be called while f is in use: every operation on f is in the fork
// either whole or not at all.
//
// The fork has the limits and the inode numbers of f, its clock until it is mounted itself, and
// nodes of its own, which ForkNode finds; nodes of f stay with f. Files that have no name and are
// open in f come along; see [FS.DropOrphans].
func (f *FS) Fork() *FS {
	g := &FS{}
	g.park.cond.L = &g.park.mu

	f.mu.lock(&f.park)
	for i := range f.stripes {
		f.stripes[i].lock(&f.park)
	}
	// What was f's own is shared now, so neither may change it in place.
	f.owner, g.owner = new(owner), new(owner)
	g.limits, g.next, g.table, g.seed = f.limits, f.next, f.table, f.seed
	g.orphans = maps.Clone(f.orphans)
	g.used.Store(f.used.Load())
	g.meta, g.inodes = f.meta, f.inodes
	g.clock.Store(f.clock.Load())
	g.clockChosen = f.clockChosen
	g.identity, g.origin, g.forkedAt = new(identity), f.identity, f.next
	for i := range f.stripes {
		f.stripes[i].unlock(&f.park)
	}
	f.mu.unlock(&f.park)

	g.root = (*dirNode)(newNode(g, rootIno, g.table.get(rootIno)))
	return g
}

// ForkNode returns the node of f for the file that old, a node of the file system that f was forked
// from, stood for at that moment. A file that had no name any more and was not open, or that f has
// lost since, gives a node that has gone as well. It is nil if old is no node of that file system
// or was made after the fork.
func (f *FS) ForkNode(old vfs.Node) vfs.Node {
	h, ok := old.(handle)
	if !ok {
		return nil
	}
	o := h.base()
	if o.fs.identity != f.origin || o.ino >= f.forkedAt {
		return nil
	}
	f.mu.lock(&f.park)
	var self vfs.Node
	n := f.node(o.ino)
	if n != nil {
		self = n.give()
	}
	f.mu.unlock(&f.park)
	if n != nil {
		return self
	}
	in := noInode
	if a, err := old.Attr(); err == nil {
		in = &inode{typ: a.Type, mode: a.Mode, atim: a.Atim, mtim: a.Mtim, ctim: a.Ctim, dir: new(dirTable)}
		if l, ok := old.(*linkNode); ok {
			in.dir.target, _ = l.Readlink()
		}
	}
	n = newNode(f, o.ino, in)
	n.gone, n.life = true, known|unnamed|over
	return n.self()
}

// DropOrphans drops the files without a name that came from the file system f was forked from and
// that nobody has opened in f. Call it when the descriptors that shall move over have moved; until
// then such files count in [FS.Usage].
func (f *FS) DropOrphans() {
	f.mu.lock(&f.park)
	defer f.mu.unlock(&f.park)
	for ino := range maps.Clone(f.orphans) {
		if n := f.node(ino); n != nil {
			n.vanishLocked()
		}
	}
}

// ForkFS implements [vfs.Forker].
func (f *FS) ForkFS(*vfs.Forking) (vfs.Fork, error) {
	g := f.Fork()
	return vfs.Fork{FS: g, Node: g.ForkNode, Settle: g.DropOrphans}, nil
}
