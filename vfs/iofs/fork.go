package iofs

import "github.com/wasivirt/wasivirt/vfs"

var _ vfs.Forker = (*FS)(nil)

// ForkFS implements [vfs.Forker]: what never changes is its own fork.
func (f *FS) ForkFS() (vfs.FS, func(vfs.Node) vfs.Node, error) {
	return f, func(n vfs.Node) vfs.Node { return n }, nil
}
