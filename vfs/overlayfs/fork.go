package overlayfs

import (
	"errors"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

var _ vfs.Forker = (*FS)(nil)

// ForkFS implements [vfs.Forker]. The fork shares what the overlay wrote down of the difference,
// and makes of that what is looked at. So the first fork after changes costs what was changed since
// the fork before it, and one of an overlay without changes since, such as that of a snapshot,
// takes constant time. A lower that is no [vfs.Forker] is shared, because no overlay changes its
// lower. The upper has to be one. Errors: ENOTSUP.
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
	f.write()
	g := newFS(lower.FS, upper.FS)
	g.releases, g.past, g.lastIno, g.scratch, g.maxCopies = f.releases, f.past, f.lastIno, f.scratch, f.maxCopies
	g.copies = f.copies - f.aside
	g.clock.Store(f.clock.Load())
	g.changes.Store(f.changes.Load())
	root := &record{ino: f.root.ino, hasLower: f.root.hasLower, hasUpper: f.root.hasUpper, pinned: true}
	if r, _ := g.past.inodes.Get(rootID); r != nil {
		root = r
	}
	g.root.recall(root)
	c := &counterparts{from: f, to: g, upper: upper.Node, lastID: f.past.lastID, made: make(map[*inode]node)}
	return vfs.Fork{FS: g, Node: c.of, Settle: func() {
		for _, layer := range []vfs.Fork{lower, upper} {
			if layer.Settle != nil {
				layer.Settle()
			}
		}
	}}, nil
}

func same(n vfs.Node) vfs.Node { return n }

// counterparts finds the nodes of a fork for those of the overlay that it was made of.
type counterparts struct {
	from, to *FS
	upper    func(vfs.Node) vfs.Node
	lastID   uint64          // of the overlay when it was forked
	made     map[*inode]node // for those that no record leads to
}

// of implements [vfs.Fork.Node].
func (c *counterparts) of(old vfs.Node) vfs.Node {
	n, ok := old.(node)
	if !ok || n.in().fs != c.from {
		return nil
	}
	c.from.mu.Lock()
	defer c.from.unlock()
	c.to.mu.Lock()
	defer c.to.unlock()
	was := n.in() // and not a view
	made := c.node(was)
	in := made.in()
	if in.hasUpper && in.upper == nil && was.hasUpper && was.upper != nil {
		in.upper = c.upper(was.upper) // which is not found by a path if it has lost its names
	}
	in.hold()
	return made
}

// node returns the counterpart of an inode. FS.mu of both is held.
func (c *counterparts) node(n *inode) node {
	if n.id != 0 && n.id <= c.lastID {
		if made := c.to.inode(n.id); made != nil {
			return made
		}
	}
	if made := c.made[n]; made != nil {
		return made
	}
	made := c.unchanged(n)
	if made == nil {
		made = c.to.newNode(n.typ, nil, nil)
		in := made.in()
		in.recall(n.describe())
		switch made := made.(type) {
		case *dir:
			made.gone = n.dead()
		case *file:
			c.charge(n.self.(*file), made)
		}
		if in.nlink > 0 && in.from != (layerIno{}) {
			c.to.shared[in.from] = made // for whoever meets one of its names
		}
	}
	c.made[n] = made
	return made
}

// unchanged returns the counterpart of an inode that is what the layers show at its place, nil if
// there is none. FS.mu of both is held.
func (c *counterparts) unchanged(n *inode) node {
	if file, ok := n.self.(*file); ok && !n.dead() {
		file.meet()
	}
	for _, p := range n.names {
		d, ok := c.node(&p.dir.inode).(*dir)
		if !ok {
			continue
		}
		e, err := d.resolve(p.name)
		if err == nil && e.node.in().from == n.from && e.typ == n.typ {
			return e.node
		}
	}
	return nil
}

// charge counts the copy of a file without a name to the fork, which has a descriptor of it. FS.mu
// of both is held.
func (c *counterparts) charge(was, made *file) {
	if was.hasUpper && was.aside {
		made.copied = was.copied
		c.to.copies += made.copied
		made.setAside()
	}
}
