package overlayfs

import (
	"errors"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/internal/names"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Rename moves a name. What stands in the lower only is not copied: it is found where it is.
func (d *dir) Rename(name string, to vfs.Directory, newName string) error {
	return d.rename(name, to, newName, nil)
}

func (d *dir) rename(name string, to vfs.Directory, newName string, charge vfs.KeepCharge) (err error) {
	n, ok := to.(node)
	if !ok || n.in().fs != d.fs {
		return wasip1.EXDEV
	}
	t := n.in().self.(*dir)
	if err := vfs.CheckName(name); err != nil {
		return err
	}
	if err := vfs.CheckName(newName); err != nil {
		return err
	}
	d.fs.lock(charge)
	defer d.fs.unlock()
	src, err := d.resolve(name)
	if err != nil {
		return err
	}
	switch {
	case t.gone:
		return wasip1.ENOENT
	case t.hides(newName):
		return wasip1.EACCES
	}
	dst, err := t.resolve(newName)
	if err != nil && wasip1.FromError(err) != wasip1.ENOENT {
		return err
	}
	if dst != nil && dst.node == src.node {
		return nil
	}
	if err := replaceable(src, t, dst); err != nil {
		return err
	}
	white, err := d.inLower(src)
	if err != nil {
		return err
	}
	if err := errors.Join(t.remember(), src.node.in().remember()); err != nil {
		return err
	}
	if err := d.keepLoss(src, white); err != nil {
		return err
	}
	defer d.unlessLost(name, white, &err)
	if err := d.renameUpper(src, t, dst, newName); err != nil {
		return err
	}
	if dst != nil {
		if sub, ok := dst.node.(*dir); ok {
			t.hide(dst, false)
			sub.leave()
		} else {
			t.lose(dst, false)
		}
	}
	moved := src.node.in()
	d.hide(src, white)
	t.uncover(newName)
	e := t.show(newName, moved.typ, moved.ino, src.node, src.inUpper, dst != nil && dst.low)
	if dst != nil && !dst.low {
		t.order.KeepPlace(e, dst)
	}
	moved.pinned = true
	moved.dirty()
	d.modified()
	t.modified()
	moved.touchName(d.fs.now())
	return nil
}

// touchName sets the change time of what was renamed. FS.mu is held.
func (n *inode) touchName(now int64) {
	if n.typ != wasip1.FiletypeDirectory {
		n.touch(now)
	}
}

// replaceable applies the rules of rename(2) to what stands at the new name. FS.mu is held.
func replaceable(src *entry, t *dir, dst *entry) error {
	moved, isDir := src.node.(*dir)
	for up := t; isDir && up != nil; {
		if up == moved {
			return wasip1.EINVAL
		}
		if len(up.inode.names) == 0 {
			break
		}
		up = up.inode.names[0].dir
	}
	if dst == nil {
		return nil
	}
	old, ontoDir := dst.node.(*dir)
	return names.Replaceable(isDir, ontoDir, func() (bool, error) { return old.empty() })
}

// renameUpper does in the upper what a rename wants there. FS.mu is held.
func (d *dir) renameUpper(src *entry, t *dir, dst *entry, newName string) error {
	if dst != nil && dst.typ != wasip1.FiletypeDirectory {
		if err := t.vacate(dst); err != nil {
			return err
		}
	}
	switch {
	case src.inUpper:
		if err := t.raise(); err != nil {
			return err
		}
		return d.upperDir().Rename(src.name, t.upperDir(), newName)
	case dst == nil || !dst.inUpper:
		return nil
	case dst.typ == wasip1.FiletypeDirectory:
		return t.upperDir().Rmdir(newName)
	}
	return t.upperDir().Unlink(newName)
}
