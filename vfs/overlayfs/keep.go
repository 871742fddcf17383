package overlayfs

import (
	"context"
	"io/fs"

	"github.com/wasivirt/wasivirt/vfs"
)

// What an overlay keeps for changes of the lower is charged to whoever makes them, as [vfs.Keeper]
// says.

// lock takes FS.mu for a change that is charged to charge, which may be nil.
func (f *FS) lock(charge vfs.KeepCharge) {
	f.mu.Lock()
	f.charge = charge
}

// keep charges for what is about to be kept for an inode. mu is held.
func (f *FS) keep(ino uint64, bytes int64) error {
	if f.charge == nil {
		return nil
	}
	return f.charge(ino, bytes)
}

// unkeep gives back what keep charged. mu is held.
func (f *FS) unkeep(ino uint64, bytes int64) { _ = f.keep(ino, -bytes) } // which does not fail

// remember charges for an inode of the lower that cannot be forgotten any more. FS.mu is held.
func (n *inode) remember() error {
	if n.pinned || n.hasUpper {
		return nil
	}
	if err := n.fs.keep(n.ino, vfs.InodeBytes); err != nil {
		return err
	}
	n.pinned = true
	n.dirty()
	return nil
}

// both asks one charge after the other. One may be nil.
func both(a, b vfs.KeepCharge) vfs.KeepCharge {
	if a == nil {
		return b
	}
	return func(ino uint64, bytes int64) error {
		if err := a(ino, bytes); err != nil {
			return err
		}
		err := b(ino, bytes)
		if err != nil {
			_ = a(ino, -bytes) // which does not fail
		}
		return err
	}
}

// Views of nodes whose changes are charged. Whoever gets one back takes inode.self for the node.
type (
	chargedDir struct {
		*dir
		charge vfs.KeepCharge
	}
	chargedFile struct {
		*file
		charge vfs.KeepCharge
	}
	chargedLink struct {
		*link
		charge vfs.KeepCharge
	}
	chargedDevice struct {
		*device
		charge vfs.KeepCharge
	}
)

// Charging implements [vfs.Keeper].
func (d *dir) Charging(c vfs.KeepCharge) vfs.Node { return chargedDir{d, c} }

// Charging implements [vfs.Keeper].
func (d chargedDir) Charging(c vfs.KeepCharge) vfs.Node { return chargedDir{d.dir, both(d.charge, c)} }

// Create makes an empty regular file in the upper.
func (d chargedDir) Create(name string, perm fs.FileMode) (vfs.Node, error) {
	return d.create(name, perm, d.charge)
}

// Make looks a name up and makes a file where nothing is there.
func (d chargedDir) Make(name string, perm fs.FileMode) (vfs.Node, vfs.File, error) {
	return d.lookupOrMake(name, perm, d.charge)
}

// Mkdir makes an empty directory in the upper.
func (d chargedDir) Mkdir(name string, perm fs.FileMode) (vfs.Node, error) {
	return d.mkdir(name, perm, d.charge)
}

// Symlink makes a symbolic link in the upper.
func (d chargedDir) Symlink(name, target string) (vfs.Node, error) {
	return d.symlink(name, target, d.charge)
}

// Link gives a file another name.
func (d chargedDir) Link(name string, to vfs.Node) error { return d.link(name, to, d.charge) }

// Unlink removes a name that is not a directory's.
func (d chargedDir) Unlink(name string) error { return d.unlink(name, d.charge) }

// Rmdir removes an empty directory.
func (d chargedDir) Rmdir(name string) error { return d.rmdir(name, d.charge) }

// Rename moves a name.
func (d chargedDir) Rename(name string, to vfs.Directory, newName string) error {
	return d.rename(name, to, newName, d.charge)
}

// SetAttr changes attributes.
func (d chargedDir) SetAttr(s vfs.SetAttr) error { return d.setAttr(s, d.charge) }

// Charging implements [vfs.Keeper].
func (f *file) Charging(c vfs.KeepCharge) vfs.Node { return chargedFile{f, c} }

// Charging implements [vfs.Keeper].
func (f chargedFile) Charging(c vfs.KeepCharge) vfs.Node {
	return chargedFile{f.file, both(f.charge, c)}
}

// SetAttr changes attributes.
func (f chargedFile) SetAttr(s vfs.SetAttr) error { return f.setAttr(s, f.charge) }

// Prepare implements [vfs.Preparer].
func (f chargedFile) Prepare(ctx context.Context, keep int64, charge vfsCharge) error {
	return f.prepare(ctx, keep, charge, f.charge)
}

// Charging implements [vfs.Keeper].
func (l *link) Charging(c vfs.KeepCharge) vfs.Node { return chargedLink{l, c} }

// SetAttr changes attributes.
func (l chargedLink) SetAttr(s vfs.SetAttr) error { return l.setAttr(s, l.charge) }

// Charging implements [vfs.Keeper].
func (n *device) Charging(c vfs.KeepCharge) vfs.Node { return chargedDevice{n, c} }

// SetAttr changes attributes.
func (n chargedDevice) SetAttr(s vfs.SetAttr) error { return n.setAttr(s, n.charge) }
