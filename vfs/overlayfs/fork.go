package overlayfs

import (
	"errors"
	"maps"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

var _ vfs.Forker = (*FS)(nil)

// ForkFS implements [vfs.Forker]. It copies what the overlay remembers of the difference, and of
// what guests have looked at, to a new overlay over forks of the layers; so it costs what that is,
// not what the layers hold. A lower that is no [vfs.Forker] is shared, because no overlay changes
// its lower. The upper has to be one. Errors: ENOTSUP.
func (f *FS) ForkFS(s *vfs.Forking) (vfs.Fork, error) {
	f.mu.Lock()
	defer f.unlock()
	lower, err := s.Fork(f.lower)
	if errors.Is(err, wasip1.ENOTSUP) {
		lower, err = vfs.Fork{FS: f.lower, Node: same}, nil
	}
	if err != nil {
		return vfs.Fork{}, err
	}
	upper, err := s.Fork(f.upper)
	if err != nil {
		return vfs.Fork{}, err
	}
	g := &FS{lower: lower.FS, upper: upper.FS, releases: f.releases, lastIno: f.lastIno, scratch: f.scratch, maxCopies: f.maxCopies,
		inos: maps.Clone(f.inos), shared: make(map[layerIno]node, len(f.shared))}
	g.clock.Store(f.clock.Load())
	g.changes.Store(f.changes.Load())
	g.plain, _ = lower.FS.Root().(vfs.PlainOpener)
	c := &copier{from: f, to: g, lower: lower.Node, upper: upper.Node, made: map[*inode]node{}}
	g.root = c.dir(f.root)
	for key, n := range f.shared {
		g.shared[key] = c.node(n)
	}
	return vfs.Fork{FS: g, Node: c.counterpart, Settle: func() {
		for _, layer := range []vfs.Fork{lower, upper} {
			if layer.Settle != nil {
				layer.Settle()
			}
		}
	}}, nil
}

func same(n vfs.Node) vfs.Node { return n }

// copier copies the inodes of one overlay for another.
type copier struct {
	from, to     *FS
	lower, upper func(vfs.Node) vfs.Node
	made         map[*inode]node
}

// counterpart returns the copy of a node.
func (c *copier) counterpart(old vfs.Node) vfs.Node {
	n, ok := old.(node)
	if !ok || n.in().fs != c.from {
		return nil
	}
	c.from.mu.Lock()
	defer c.from.unlock()
	c.to.mu.Lock()
	defer c.to.unlock()
	made := c.node(n)
	made.in().hold()
	return made
}

// dir is node for a directory, nil for nil.
func (c *copier) dir(d *dir) *dir {
	if d == nil {
		return nil
	}
	return c.node(d).(*dir)
}

// node copies an inode and whatever can be reached from it. FS.mu of both is held, or nobody else
// knows the new one yet.
func (c *copier) node(old node) node {
	if old == nil {
		return nil
	}
	from := old.in()
	old = from.self // and not a view
	if n := c.made[from]; n != nil {
		return n
	}
	lower, upper := copied(from.lower, c.from.lower, c.lower), copied(from.upper, c.from.upper, c.upper)
	if from == &c.from.root.inode {
		lower, upper = c.to.lower.Root(), c.to.upper.Root()
	}
	n := c.to.newNode(from.typ, lower, upper)
	c.made[from] = n
	in := n.in()
	in.hasLower, in.hasUpper, in.lowerPath = from.hasLower, from.hasUpper, from.lowerPath
	in.ino, in.from, in.stash, in.nlink, in.pinned, in.set = from.ino, from.from, from.stash, from.nlink, from.pinned, from.set
	for _, p := range from.names {
		in.names = append(in.names, location{c.dir(p.dir), p.name})
	}
	switch n := n.(type) {
	case *dir:
		c.entries(old.(*dir), n)
	case *file:
		was := old.(*file)
		n.copied, n.way = was.copied, location{c.dir(was.way.dir), was.way.name}
		n.settled.Store(was.settled.Load())
		c.to.copies += was.copied
	}
	return n
}

// copied returns the copy of a layer's node. Nodes that hold something of the machine are found
// again by their paths.
func copied(old vfs.Node, layer vfs.FS, node func(vfs.Node) vfs.Node) vfs.Node {
	if _, machine := layer.Root().(vfs.Releaser); old == nil || machine {
		return nil
	}
	return node(old)
}

func (c *copier) entries(from, to *dir) {
	to.listed, to.upperKnown, to.changed, to.gone = from.listed, from.upperKnown, from.changed, from.gone
	to.shown, to.cached, to.subdirs = from.shown, from.cached, from.subdirs
	if from.names != nil {
		to.names = make(map[string]*entry, len(from.names))
	}
	ordered := map[*entry]*entry{}
	for name, e := range from.names {
		made := *e
		made.node = c.node(e.node)
		to.names[name] = &made
		ordered[e] = &made
	}
	to.order = from.order.Copy(func(e *entry) *entry { return ordered[e] })
}
