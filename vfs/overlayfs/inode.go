package overlayfs

import (
	"io/fs"
	"math"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// inode is a file of any type. All but refs is guarded by FS.mu.
type inode struct {
	fs   *FS
	id   uint64 // see record; 0 before it is written down
	ino  uint64
	typ  wasip1.Filetype
	self node

	// What the layers have. Of a file that was copied up nothing of the lower shows. The nodes are
	// nil while they are not wanted: see down and up.
	lower, upper       vfs.Node
	hasLower, hasUpper bool
	lowerPath          string // in the lower, where nodes are given back

	from  layerIno // what it was met as, if it was not made here
	stash string   // the name in the root of the upper, of a file none of whose own names is known

	names []location // those that are known
	// nlink counts names, those in the lower that were not met included. Directories have theirs
	// counted.
	nlink uint64
	// pinned inodes differ from what the layers would show at their place, and so have to be
	// remembered.
	pinned bool
	set    override

	refs atomic.Int64 // nodes given out and not released; only where FS.releases
}

// location is a name in a directory.
type location struct {
	dir  *dir
	name string
}

// override is what was changed of the attributes of an inode that is not in the upper, and the
// times of directories.
type override struct {
	mask       vfs.SetMask
	explicit   bool // asked for by a guest, not the trace of another change
	ctim       bool
	mode       fs.FileMode
	atim, mtim int64
	changed    int64
}

// node is implemented by the types of nodes.
type node interface {
	vfs.Node
	in() *inode
}

func (n *inode) in() *inode            { return n }
func (n *inode) Type() wasip1.Filetype { return n.typ }

// link is a symbolic link, device any node without content of its own.
type (
	link   struct{ inode }
	device struct{ inode }
)

// newNode makes the node of what one or both layers have. FS.mu is held.
func (f *FS) newNode(typ wasip1.Filetype, lower, upper vfs.Node) node {
	var n node
	switch typ {
	case wasip1.FiletypeDirectory:
		n = new(dir)
	case wasip1.FiletypeRegularFile:
		n = new(file)
	case wasip1.FiletypeSymbolicLink:
		n = new(link)
	default:
		n = new(device)
	}
	in := n.in()
	in.fs, in.typ, in.self = f, typ, n
	in.lower, in.upper, in.hasLower, in.hasUpper = lower, upper, lower != nil, upper != nil
	if f, ok := n.(*file); ok && upper != nil {
		_, again := upper.(vfs.Preparer)
		f.settled.Store(!again)
	}
	return n
}

// hold counts a node that is given out.
func (n *inode) hold() {
	if n.fs.releases {
		n.refs.Add(1)
	}
}

// Release gives back what the layers hold for a node that nobody uses.
func (n *inode) Release() {
	if !n.fs.releases || n.refs.Add(-1) > 0 {
		return
	}
	n.fs.mu.Lock()
	defer n.fs.unlock()
	n.idle()
}

// idle lets go of an inode that nobody has, or of its layers' nodes, as far as nothing is lost by
// it. FS.mu is held.
func (n *inode) idle() {
	if n.refs.Load() > 0 || n == &n.fs.root.inode {
		return
	}
	switch s := n.self.(type) {
	case *file:
		if s.busy() {
			return
		}
	case *dir:
		if s.changed || s.cached > 0 {
			n.drop()
			return
		}
	}
	n.drop()
	if n.pinned || n.hasUpper || n.id != 0 {
		return
	}
	delete(n.fs.shared, n.from)
	for _, p := range n.names {
		if e := p.dir.names[p.name]; e != nil && e.node == n.self {
			e.node = nil
			p.dir.cached--
			p.dir.idle()
		}
	}
	n.names = nil
}

// Attr returns the attributes.
func (n *inode) Attr() (vfs.Attr, error) {
	n.fs.mu.Lock()
	defer n.fs.unlock()
	return n.attr()
}

// attr is Attr. FS.mu is held.
func (n *inode) attr() (vfs.Attr, error) {
	src, err := n.source()
	if err != nil {
		return vfs.Attr{}, err
	}
	a, err := src.Attr()
	if err != nil {
		return vfs.Attr{}, err
	}
	a.Ino = n.ino
	if d, ok := n.self.(*dir); ok {
		if a.Nlink, err = d.nlinks(a.Nlink); err != nil {
			return vfs.Attr{}, err
		}
	} else {
		a.Nlink = n.nlink
	}
	n.set.apply(&a)
	return a, nil
}

// source is the layer's node that attributes are taken from. FS.mu is held.
func (n *inode) source() (vfs.Node, error) {
	if n.hasUpper {
		return n.up()
	}
	return n.down()
}

// locked is source for one who does not hold FS.mu.
func (n *inode) locked() (vfs.Node, error) {
	n.fs.mu.Lock()
	defer n.fs.unlock()
	return n.source()
}

func (o *override) apply(a *vfs.Attr) {
	if o.mask&vfs.SetMode != 0 {
		a.Mode = o.mode
	}
	if o.mask&vfs.SetAtim != 0 {
		a.Atim = o.atim
	}
	if o.mask&vfs.SetMtim != 0 {
		a.Mtim = o.mtim
	}
	if o.ctim {
		a.Ctim = o.changed
	}
}

func (o *override) change(s vfs.SetAttr, now int64) {
	s.Mask &^= vfs.SetSize
	o.mask |= s.Mask
	if s.Mask&vfs.SetMode != 0 {
		o.mode = s.Mode.Perm()
	}
	if s.Mask&vfs.SetAtim != 0 {
		o.atim = s.Atim
	}
	if s.Mask&vfs.SetMtim != 0 {
		o.mtim = s.Mtim
	}
	o.ctim, o.changed = true, now
}

// SetAttr changes attributes; where nothing was copied up it copies nothing.
func (n *inode) SetAttr(s vfs.SetAttr) error { return n.setAttr(s, nil) }

func (n *inode) setAttr(s vfs.SetAttr, charge vfs.KeepCharge) error {
	if s.Mask&vfs.SetSize != 0 {
		f, ok := n.self.(*file)
		switch {
		case n.typ == wasip1.FiletypeDirectory:
			return wasip1.EISDIR
		case !ok:
			return wasip1.EINVAL
		case s.Size > math.MaxInt64:
			return wasip1.EFBIG
		}
		if err := f.cut(int64(s.Size)); err != nil {
			return err
		}
	}
	n.fs.lock(charge)
	defer n.fs.unlock()
	if err := n.remember(); err != nil {
		return err
	}
	if !n.hasUpper || n.typ == wasip1.FiletypeDirectory {
		n.set.change(s, n.fs.now())
		n.set.explicit = true
		n.pinned = true
		n.dirty()
		if n.typ != wasip1.FiletypeDirectory || !n.hasUpper {
			return nil
		}
	}
	u, err := n.up()
	if err != nil {
		return err
	}
	return u.SetAttr(s)
}

// touch makes the times of a directory whose names were changed now, or the change time alone of
// anything else. FS.mu is held.
func (n *inode) touch(now int64) {
	var s vfs.SetAttr
	if n.typ == wasip1.FiletypeDirectory {
		s = vfs.SetAttr{Mask: vfs.SetMtim, Mtim: now}
	}
	if n.typ == wasip1.FiletypeDirectory || !n.hasUpper {
		n.set.change(s, now)
	}
	n.dirty()
}

// Readlink returns the target.
func (l *link) Readlink() (string, error) {
	l.fs.mu.Lock()
	defer l.fs.unlock()
	src, err := l.source()
	if err != nil {
		return "", err
	}
	s, ok := src.(vfs.Symlink)
	if !ok {
		return "", wasip1.EINVAL
	}
	return s.Readlink()
}

// OpenStream opens the layer's node, if it is one that can be.
func (n *device) OpenStream(mode vfs.OpenMode) (vfs.Stream, error) {
	src, err := n.locked()
	if err != nil {
		return nil, err
	}
	s, ok := src.(vfs.StreamNode)
	if !ok {
		return nil, wasip1.ENXIO
	}
	return s.OpenStream(mode)
}
