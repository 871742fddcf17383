package quotafs

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// node is a node whose changes are limited: a regular file or a directory. Others are plain.
type node struct {
	wrapfs.Node
	fs  *FS
	num atomic.Uint64 // the inode number once it was asked for
}

// file is a regular file.
type file struct{ node }

// Wrap returns the node of the wrapper for one of the file system below.
func (f *FS) Wrap(n vfs.Node) vfs.Node {
	if k, ok := n.(vfs.Keeper); ok {
		n = k.Charging(f.chargeKept)
	}
	return f.wrap(n)
}

// wrap is Wrap for a node that charges.
func (f *FS) wrap(n vfs.Node) vfs.Node {
	below := wrapfs.Node{Below: n, Of: f}
	switch t := n.(type) {
	case vfs.Directory:
		return &dir{node: node{Node: below, fs: f}, d: t}
	case vfs.RegularFile:
		return &file{node: node{Node: below, fs: f}}
	}
	return wrapfs.Plain(n, f)
}

// NodeAbove returns the node for one of the file system below, nil for nil.
func (f *FS) NodeAbove(n vfs.Node) vfs.Node {
	switch n {
	case nil:
		return nil
	case f.fs.Root():
		return f.root
	}
	return f.Wrap(n)
}

// Charging implements [vfs.Keeper].
func (d *dir) Charging(charge vfs.KeepCharge) vfs.Node {
	if k, ok := d.Below.(vfs.Keeper); ok {
		return d.fs.wrap(k.Charging(charge))
	}
	return d
}

// Charging implements [vfs.Keeper].
func (f *file) Charging(charge vfs.KeepCharge) vfs.Node {
	if k, ok := f.Below.(vfs.Keeper); ok {
		return f.fs.wrap(k.Charging(charge))
	}
	return f
}

// ino returns the inode number.
func (n *node) ino() (uint64, error) {
	if i := n.num.Load(); i != 0 {
		return i, nil
	}
	a, err := n.Below.Attr()
	if err != nil {
		return 0, err
	}
	n.num.Store(a.Ino)
	return a.Ino, nil
}

// SetAttr changes attributes. A larger size counts as written.
func (n *node) SetAttr(s vfs.SetAttr) error {
	if s.Mask&vfs.SetSize == 0 || n.Type() != wasip1.FiletypeRegularFile {
		return n.Below.SetAttr(s)
	}
	if s.Size > math.MaxInt64 || int64(s.Size) > n.fs.limits.FileSize {
		return wasip1.EFBIG
	}
	if err := n.fs.prepare(context.Background(), n.Below, int64(s.Size), nil); err != nil {
		return err
	}
	ino, err := n.ino()
	if err != nil {
		return err
	}
	in := n.fs.inode(ino)
	defer n.fs.drop(ino, in)
	in.mu.Lock()
	defer in.mu.Unlock()
	a, err := n.Below.Attr()
	if err != nil {
		return err
	}
	if a.Nlink == 0 && !n.fs.isOpen(in) && s.Size > a.Size {
		// Nothing would tell when the file is gone for good.
		return wasip1.ENOENT
	}
	return n.fs.resize(in, n.Below, int64(a.Size), int64(s.Size), func() error { return n.Below.SetAttr(s) })
}

func (f *FS) isOpen(in *inode) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return in.opens > 0
}

// resize charges the way from one size to another, all of it or nothing, around do. in.mu is held.
func (f *FS) resize(in *inode, n vfs.Node, from, to int64, do func() error) error {
	got, err := f.take(to - from)
	if err != nil {
		f.give(got)
		return err
	}
	if err := do(); err != nil {
		f.settle(in, n, from, got)
		return err
	}
	if to < from {
		f.charge(in, to-from)
	} else {
		f.charge(in, got)
	}
	return nil
}

// settle charges what a change that failed, or may have done less than it was to, has really made
// of a file, and gives back what else of the bytes got was taken. in.mu is held.
func (f *FS) settle(in *inode, n vfs.Node, from, got int64) {
	grown := int64(0)
	if a, err := n.Attr(); err == nil {
		grown = min(max(int64(a.Size)-from, 0), got)
	}
	f.charge(in, grown)
	f.give(got - grown)
}
