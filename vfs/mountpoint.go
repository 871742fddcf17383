package vfs

import (
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/wasip1"
)

// mountPoint is a node in the tree of mount points: a name at which something is mounted, or which
// leads to one. It is also the directory that a guest sees there when nothing real stands below it:
// read-only, and empty but for the mount points, which the walker and fd_readdir add.
type mountPoint struct {
	readOnlyDirectory
	name    string
	parent  *mountPoint // nil for the root of a tree
	ns      *Namespace
	id      uint64 // rises with age; orders listings and is the inode number of the synthetic directory
	created int64

	mount    atomic.Pointer[mount]
	children atomic.Pointer[children] // those at or below which something is mounted; nil for none

	known map[string]*mountPoint // all children there ever were; guarded by Namespace.mu
}

// children are the mount points right below one. They are never changed, but replaced.
type children struct {
	byAge  []*mountPoint
	byName map[string]*mountPoint // nil for a few, which are found sooner by looking at each
}

// fewChildren is how many mount points in one directory are looked at one by one.
const fewChildren = 8

// child returns the mount point called name right below p, nil if no mount lies there or below.
func (p *mountPoint) child(name string) *mountPoint {
	c := p.children.Load()
	switch {
	case c == nil:
		return nil
	case c.byName != nil:
		return c.byName[name]
	}
	for _, p := range c.byAge {
		if p.name == name {
			return p
		}
	}
	return nil
}

// live reports whether something is mounted at p or below it.
func (p *mountPoint) live() bool {
	return p.mount.Load() != nil || p.children.Load() != nil
}

// resolve finds what is seen at p from the directory above it: what is mounted there, else the real
// directory that the mounts below p lie in, else p itself.
func (p *mountPoint) resolve(above *position) found {
	if m := p.mount.Load(); m != nil {
		return found{node: m.root, m: m, at: p}
	}
	if node, err := above.dir.Lookup(p.name); err == nil {
		if node.Type() == wasip1.FiletypeDirectory {
			return found{node: node, m: above.m, at: p}
		}
		above.m.drop(node)
	}
	return found{node: p, m: p.ns.synthetic, at: p}
}

// position returns where a walk that starts at p, the root of a tree, starts.
func (p *mountPoint) position() position {
	if m := p.mount.Load(); m != nil {
		if dir, ok := m.root.(Directory); ok {
			return position{dir: dir, m: m, at: p}
		}
	}
	return position{dir: p, m: p.ns.synthetic, at: p}
}

// path returns the name of p from the root of its tree on.
func (p *mountPoint) path() string {
	if p.parent == nil {
		return p.name
	}
	if parent := p.parent.path(); parent != "/" {
		return parent + "/" + p.name
	}
	return "/" + p.name
}

// Attr implements [Node].
func (p *mountPoint) Attr() (Attr, error) {
	return Attr{
		Ino: p.id, Type: wasip1.FiletypeDirectory, Mode: fs.ModeDir | 0o555, Nlink: 2,
		Atim: p.created, Mtim: p.created, Ctim: p.created,
	}, nil
}

// Lookup implements [Directory]: what is mounted below is found by the walker before it asks.
func (p *mountPoint) Lookup(string) (Node, error) { return nil, wasip1.ENOENT }

// ReadDir implements [Directory].
func (p *mountPoint) ReadDir(uint64, []DirEntry) (int, error) { return 0, nil }

// mount is a file system that is seen at a mount point.
type mount struct {
	*volume
	ns       *Namespace
	readOnly bool
}

// volume is what the mounts of one file system in several Namespaces have in common.
type volume struct {
	fs   FS
	root Node
	dev  uint64
	// releases says that nodes of this file system hold something of the machine, and paths that
	// its directories resolve paths: both are asked of the root once, so that others pay nothing.
	releases bool
	paths    bool
	// appendMu makes appending indivisible for files that are no Appender.
	appendMu sync.Mutex
}

// newMount makes the first mount of a file system, and its volume with it.
func newMount(ns *Namespace, fsys FS, root Node, dev uint64) *mount {
	parts := new(struct {
		mount  mount
		volume volume
	})
	m, v := &parts.mount, &parts.volume
	m.volume, m.ns = v, ns
	v.fs, v.root, v.dev = fsys, root, dev
	_, v.releases = root.(Releaser)
	_, v.paths = root.(PathOpener)
	return m
}

// drop releases a node that the walker got from m and does not keep.
func (m *mount) drop(node Node) {
	if !m.releases || node == m.root {
		return
	}
	if r, ok := node.(Releaser); ok {
		r.Release()
	}
}
