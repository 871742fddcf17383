package quotafs

import (
	"math"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// node is a node of the file system below.
type node struct {
	fs  *FS
	n   vfs.Node
	num atomic.Uint64 // the inode number once it was asked for
}

// The types of nodes. Those that are no directories can always be released; of directories only those can where the
// root below says that it is of use, so that others pay nothing for it.
type (
	file struct{ node }
	link struct{ node }
	dev  struct{ node }
	// other is a node of which nothing is known but its attributes.
	other struct{ node }

	held struct{ dir }
)

// wrapped is implemented by all of them.
type wrapped interface {
	vfs.Node
	below() *node
}

func (n *node) below() *node { return n }

func (f *FS) wrap(n vfs.Node) vfs.Node {
	switch t := n.(type) {
	case vfs.Directory:
		if _, ok := n.(vfs.Releaser); ok {
			h := new(held)
			h.fs, h.n, h.d = f, n, t
			return h
		}
		d := &dir{d: t}
		d.fs, d.n = f, n
		return d
	case vfs.RegularFile:
		w := new(file)
		w.fs, w.n = f, n
		return w
	case vfs.Symlink:
		w := new(link)
		w.fs, w.n = f, n
		return w
	case vfs.StreamNode:
		w := new(dev)
		w.fs, w.n = f, n
		return w
	}
	w := new(other)
	w.fs, w.n = f, n
	return w
}

// Release hands the release on.
func (h *held) Release()  { release(h.n) }
func (f *file) Release()  { release(f.n) }
func (l *link) Release()  { release(l.n) }
func (d *dev) Release()   { release(d.n) }
func (o *other) Release() { release(o.n) }

func (n *node) Type() wasip1.Filetype   { return n.n.Type() }
func (n *node) Attr() (vfs.Attr, error) { return n.n.Attr() }

// Readlink returns the target.
func (l *link) Readlink() (string, error) { return l.n.(vfs.Symlink).Readlink() }

// OpenStream opens the device.
func (d *dev) OpenStream(mode vfs.OpenMode) (vfs.Stream, error) {
	return d.n.(vfs.StreamNode).OpenStream(mode)
}

// ino returns the inode number.
func (n *node) ino() (uint64, error) {
	if i := n.num.Load(); i != 0 {
		return i, nil
	}
	a, err := n.n.Attr()
	if err != nil {
		return 0, err
	}
	n.num.Store(a.Ino)
	return a.Ino, nil
}

// SetAttr changes attributes. A larger size counts as written.
func (n *node) SetAttr(s vfs.SetAttr) error {
	if s.Mask&vfs.SetSize == 0 || n.Type() != wasip1.FiletypeRegularFile {
		return n.n.SetAttr(s)
	}
	if s.Size > math.MaxInt64 || int64(s.Size) > n.fs.limits.FileSize {
		return wasip1.EFBIG
	}
	ino, err := n.ino()
	if err != nil {
		return err
	}
	in := n.fs.inode(ino)
	defer n.fs.drop(ino, in)
	in.mu.Lock()
	defer in.mu.Unlock()
	a, err := n.n.Attr()
	if err != nil {
		return err
	}
	if a.Nlink == 0 && !n.fs.isOpen(in) && s.Size > a.Size {
		// Nothing would tell when the file is gone for good.
		return wasip1.ENOENT
	}
	return n.fs.resize(in, n.n, int64(a.Size), int64(s.Size), func() error { return n.n.SetAttr(s) })
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

// settle charges what a change that failed, or may have done less than it was to, has really made of a file, and gives
// back what else of the bytes got was taken. in.mu is held.
func (f *FS) settle(in *inode, n vfs.Node, from, got int64) {
	grown := int64(0)
	if a, err := n.Attr(); err == nil {
		grown = min(max(int64(a.Size)-from, 0), got)
	}
	f.charge(in, grown)
	f.give(got - grown)
}
