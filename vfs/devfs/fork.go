package devfs

import (
	"slices"

	"github.com/wasivirt/wasivirt/vfs"
)

var _ vfs.Forker = (*FS)(nil)

// ForkFS implements [vfs.Forker]. The copy of stdin, stdout and stderr is the stream that s has as
// [vfs.StandardStream] 0, 1 and 2. Other streams, functions and objects of the embedder serve both.
// Randomness and clock are those of where the copy is mounted.
func (f *FS) ForkFS(s *vfs.Forking) (vfs.Fork, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	g := &FS{lastIno: f.lastIno, plain: f.plain}
	g.root = f.root.fork(g, s)
	return vfs.Fork{FS: g, Node: g.counterpart}, nil
}

// fork copies a directory and what it holds for g.
func (d *directory) fork(g *FS, s *vfs.Forking) *directory {
	c := &directory{header: d.copied(g), names: make(map[string]vfs.Node, len(d.names)), order: slices.Clone(d.order)}
	c.Names = c
	for name, n := range d.names {
		switch n := n.(type) {
		case *directory:
			c.names[name] = n.fork(g, s)
		case *device:
			c.names[name] = &device{n.copied(g), n.kind}
		case *streamNode:
			stream := n.stream
			if n.standard {
				stream = s.Once(n.number, func() any { return stream }).(vfs.Stream)
				g.machine = g.machine || vfs.UsesMachine(stream)
			}
			c.names[name] = &streamNode{n.copied(g), stream, n.standard, n.number}
		case *hostFile:
			c.names[name] = &hostFile{n.copied(g), n.File}
		case *opener:
			c.names[name] = &opener{n.copied(g), n.kind, n.open}
		case *funcFile:
			copied := &funcFile{header: n.copied(g), content: n.content}
			copied.size.Store(n.size.Load())
			c.names[name] = copied
		case *link:
			c.names[name] = &link{header: n.copied(g), target: n.target}
		}
	}
	return c
}

func (h header) copied(g *FS) header { return header{g, h.ino, h.born} }

// counterpart returns the node with the inode number of old.
func (f *FS) counterpart(old vfs.Node) vfs.Node {
	h, ok := old.(interface{ inode() uint64 })
	if !ok {
		return nil
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.root.find(h.inode())
}

func (d *directory) find(ino uint64) vfs.Node {
	if d.ino == ino {
		return d
	}
	for _, n := range d.names {
		if sub, ok := n.(*directory); ok {
			if found := sub.find(ino); found != nil {
				return found
			}
		} else if inoOf(n) == ino {
			return n
		}
	}
	return nil
}
