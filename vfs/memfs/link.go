package memfs

import (
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

var _ interface {
	handle
	vfs.Symlink
} = (*linkNode)(nil)

// Type returns the type.
func (n *linkNode) Type() wasip1.Filetype { return wasip1.FiletypeSymbolicLink }

// Attr returns the attributes.
func (n *linkNode) Attr() (a vfs.Attr, err error) {
	err = n.base().fileAttr(&a)
	return a, err
}

// Readlink returns the target, which never changes.
func (n *linkNode) Readlink() (string, error) {
	f := n.fs
	l := f.stripe(n.ino)
	l.rlock(&f.park)
	target := n.in.dir.target
	l.runlock(&f.park)
	return target, nil
}

// SetAttr changes attributes. Errors: EINVAL for the size.
func (n *linkNode) SetAttr(a vfs.SetAttr) error {
	if a.Mask&vfs.SetSize != 0 {
		return wasip1.EINVAL
	}
	f := n.fs
	l := f.stripe(n.ino)
	l.lock(&f.park)
	if n.in.owner != f.owner {
		n.base().claim(l)
	}
	if !n.gone {
		n.in.set(&a, f.now())
	}
	l.unlock(&f.park)
	return nil
}
