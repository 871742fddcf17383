package iofs

import "github.com/wasivirt/wasivirt/vfs"

var _ vfs.Forker = (*FS)(nil)

// ForkFS implements [vfs.Forker]: what never changes is its own fork.
func (f *FS) ForkFS(*vfs.Forking) (vfs.Fork, error) {
	return vfs.Fork{FS: f, Node: func(n vfs.Node) vfs.Node { return n }}, nil
}
