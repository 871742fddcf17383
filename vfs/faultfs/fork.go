package faultfs

import (
	"math/rand/v2"
	"slices"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
)

var _ vfs.Forker = (*FS)(nil)

// ForkFS implements [vfs.Forker]. In the fork rules go on with the counts and the random numbers
// that they have here, and what is not durable yet is the same: with [WithDurability] a fork costs
// what that is.
func (f *FS) ForkFS(s *vfs.Forking) (vfs.Fork, error) {
	f.track.lock()
	defer f.track.unlock()
	below, err := s.Fork(f.fs)
	if err != nil {
		return vfs.Fork{}, err
	}
	g := &FS{fs: below.FS, at: f.at, seed: f.seed, sleep: f.sleep}
	g.env.Store(f.env.Load())
	g.off.Store(f.off.Load())
	g.generation.Store(f.generation.Load())
	f.mu.Lock()
	for _, r := range f.rules {
		c := *r
		src := *r.src
		c.src, c.rng = &src, rand.New(&src)
		g.rules = append(g.rules, &c)
	}
	f.mu.Unlock()
	copies := map[*inode]*inode{}
	g.track = f.track.fork(below.FS, copies)
	root := g.wrap(below.FS.Root(), g.at)
	if g.track != nil {
		root.own().known = g.track.root
	}
	g.root = wrapfs.Root(root, below.FS.Root())
	node := func(old vfs.Node) vfs.Node {
		w, ok := wrapfs.Whole(old).(wrapped)
		if !ok || w.own().fs != f {
			return nil
		}
		n := below.Node(w.own().Below)
		switch n {
		case nil:
			return nil
		case below.FS.Root():
			return g.root
		}
		c := g.wrap(n, w.own().path)
		c.own().known = w.own().known.fork(copies)
		return c
	}
	return vfs.Fork{FS: g, Node: node, Settle: below.Settle}, nil
}

// fork copies what is known to a tracker of fsys. mu is held.
func (t *tracker) fork(fsys vfs.FS, copies map[*inode]*inode) *tracker {
	if t == nil {
		return nil
	}
	c := &tracker{fs: fsys, strict: t.strict, root: t.root.fork(copies), inodes: make(map[uint64]*inode, len(t.inodes))}
	for ino, f := range t.inodes {
		c.inodes[ino] = f.fork(copies)
	}
	for _, l := range t.log {
		c.log = append(c.log, &change{l.kind, l.f.fork(copies), l.at.fork(copies), l.to.fork(copies)})
	}
	return c
}

func (f *inode) fork(copies map[*inode]*inode) *inode {
	if f == nil {
		return nil
	}
	if c := copies[f]; c != nil {
		return c
	}
	c := &inode{ino: f.ino, typ: f.typ}
	copies[f] = c
	for _, s := range f.names {
		c.names = append(c.names, s.fork(copies))
	}
	if f.content != nil {
		c.content = &unsynced{f.content.size, slices.Clone(f.content.patches)}
	}
	if f.saved != nil {
		saved := *f.saved
		c.saved = &saved
	}
	return c
}

func (s spot) fork(copies map[*inode]*inode) spot { return spot{s.dir.fork(copies), s.name} }
