package overlayfs

import (
	"errors"
	"io/fs"
	"strconv"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/internal/names"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// vacant prepares for a new name: it must be free, and the upper needs the directory. FS.mu is
// held.
func (d *dir) vacant(name string) error {
	switch {
	case d.gone:
		return wasip1.ENOENT
	case d.hides(name):
		return wasip1.EACCES
	}
	switch _, err := d.resolve(name); {
	case err == nil:
		return wasip1.EEXIST
	case wasip1.FromError(err) != wasip1.ENOENT:
		return err
	}
	return nil
}

// raise makes sure that the upper has the directory. FS.mu is held.
func (d *dir) raise() (err error) {
	if d.hasUpper {
		return nil
	}
	if len(d.inode.names) == 0 {
		return wasip1.ENOENT
	}
	p := d.inode.names[0]
	if err := p.dir.raise(); err != nil {
		return err
	}
	cost := 2*vfs.InodeBytes + vfs.NameCost(p.name) // here, and in the upper
	if err := d.fs.keep(d.ino, cost); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			d.fs.unkeep(d.ino, cost)
		}
	}()
	a, err := d.attr()
	if err != nil {
		return err
	}
	parent := p.dir.upperDir()
	if parent == nil {
		return wasip1.ENOTDIR
	}
	u, err := parent.Mkdir(p.name, a.Mode.Perm())
	if err != nil {
		return err
	}
	set := vfs.SetAttr{Mask: vfs.SetMode | vfs.SetAtim | vfs.SetMtim, Mode: a.Mode.Perm(), Atim: a.Atim, Mtim: a.Mtim}
	if err := u.SetAttr(set); err != nil {
		wrapfs.Release(u)
		if e := parent.Rmdir(p.name); e != nil {
			return e
		}
		return err
	}
	// What is not in the upper's attributes, the change time, and what later changes in the upper
	// must not move, stays on top.
	d.set.change(set, a.Ctim)
	d.upper, d.hasUpper, d.upperKnown = u, true, true
	d.want()
	d.dirty()
	if e := p.dir.names[p.name]; e != nil {
		e.inUpper = true
		p.dir.note(p.name)
	}
	return nil
}

// enter makes the entry of a file that was just made in the upper. FS.mu is held.
func (d *dir) enter(name string, u vfs.Node) node {
	n := d.fs.newNode(u.Type(), nil, u)
	in := n.in()
	in.ino, in.nlink, in.pinned = d.fs.newNumber(), 1, true
	if sub, ok := n.(*dir); ok {
		sub.upperKnown = true
	}
	in.dirty()
	covered := d.uncover(name)
	d.show(name, in.typ, in.ino, n, true, false).alone = !covered
	d.modified()
	in.hold()
	return n
}

// uncover takes the whiteout of a name away that is about to be shown, and reports whether there
// was one.
func (d *dir) uncover(name string) bool {
	e := d.entry(name)
	if e == nil || !e.white {
		return false
	}
	delete(d.names, name)
	d.note(name)
	d.fs.unkeep(d.ino, vfs.NameCost(name))
	return true
}

func (d *dir) modified() {
	d.changed = true
	d.fs.changes.Add(1)
	d.touch(d.fs.now())
}

// make does what is common to the calls that make a file.
func (d *dir) make(name string, charge vfs.KeepCharge, in func(upper vfs.Directory) (vfs.Node, error)) (vfs.Node, error) {
	if err := vfs.CheckName(name); err != nil {
		return nil, err
	}
	d.fs.lock(charge)
	defer d.fs.unlock()
	if err := d.vacant(name); err != nil {
		return nil, err
	}
	return d.makeVacant(name, in)
}

// makeVacant is make where nothing has the name. FS.mu is held.
func (d *dir) makeVacant(name string, in func(upper vfs.Directory) (vfs.Node, error)) (node, error) {
	if err := d.raise(); err != nil {
		return nil, err
	}
	upper := d.upperDir()
	if upper == nil {
		return nil, wasip1.ENOTDIR
	}
	u, err := in(upper)
	if err != nil {
		return nil, err
	}
	return d.enter(name, u), nil
}

// Make looks name up and makes a file where nothing is there, which the walker of package vfs
// prefers: the lower is asked once.
func (d *dir) Make(name string, perm fs.FileMode) (vfs.Node, vfs.File, error) {
	return d.lookupOrMake(name, perm, nil)
}

func (d *dir) lookupOrMake(name string, perm fs.FileMode, charge vfs.KeepCharge) (vfs.Node, vfs.File, error) {
	if err := vfs.CheckName(name); err != nil {
		return nil, nil, err
	}
	d.fs.lock(charge)
	defer d.fs.unlock()
	n, err := d.lookup(name)
	switch {
	case err == nil:
		return n, nil, nil
	case wasip1.FromError(err) != wasip1.ENOENT || d.gone:
		return nil, nil, err
	case d.hides(name):
		return nil, nil, wasip1.EACCES
	}
	made, err := d.makeVacant(name, func(u vfs.Directory) (vfs.Node, error) { return u.Create(name, perm) })
	if err != nil {
		return nil, nil, err
	}
	f, ok := made.(*file)
	if !ok {
		made.in().Release()
		return nil, nil, wasip1.EIO
	}
	c, err := f.openLocked(vfs.OpenRead | vfs.OpenWrite)
	if err != nil {
		return nil, nil, err
	}
	return f, c, nil
}

// Create makes an empty regular file in the upper.
func (d *dir) Create(name string, perm fs.FileMode) (vfs.Node, error) {
	return d.create(name, perm, nil)
}

func (d *dir) create(name string, perm fs.FileMode, charge vfs.KeepCharge) (vfs.Node, error) {
	return d.make(name, charge, func(u vfs.Directory) (vfs.Node, error) { return u.Create(name, perm) })
}

// Mkdir makes an empty directory in the upper. One of the lower that was removed does not shine
// through.
func (d *dir) Mkdir(name string, perm fs.FileMode) (vfs.Node, error) {
	return d.mkdir(name, perm, nil)
}

func (d *dir) mkdir(name string, perm fs.FileMode, charge vfs.KeepCharge) (vfs.Node, error) {
	return d.make(name, charge, func(u vfs.Directory) (vfs.Node, error) { return u.Mkdir(name, perm) })
}

// Symlink makes a symbolic link in the upper.
func (d *dir) Symlink(name, target string) (vfs.Node, error) {
	return d.symlink(name, target, nil)
}

func (d *dir) symlink(name, target string, charge vfs.KeepCharge) (vfs.Node, error) {
	return d.make(name, charge, func(u vfs.Directory) (vfs.Node, error) { return u.Symlink(name, target) })
}

// Link gives a file another name. The upper has it too if the file is there and the upper knows
// links.
func (d *dir) Link(name string, to vfs.Node) error { return d.link(name, to, nil) }

func (d *dir) link(name string, to vfs.Node, charge vfs.KeepCharge) error {
	n, ok := to.(node)
	if !ok || n.in().fs != d.fs {
		return wasip1.EXDEV
	}
	n = n.in().self // and not a view
	if n.Type() == wasip1.FiletypeDirectory {
		return wasip1.EPERM
	}
	if err := vfs.CheckName(name); err != nil {
		return err
	}
	d.fs.lock(charge)
	defer d.fs.unlock()
	if err := d.vacant(name); err != nil {
		return err
	}
	in := n.in()
	if in.nlink == 0 {
		return wasip1.ENOENT
	}
	if err := errors.Join(d.remember(), in.remember()); err != nil {
		return err
	}
	inUpper := false
	if in.hasUpper {
		u, err := in.up()
		if err != nil {
			return err
		}
		if err := d.raise(); err != nil {
			return err
		}
		switch err := d.upperDir().Link(name, u); wasip1.FromError(err) {
		case wasip1.ESUCCESS:
			inUpper = true
		case wasip1.ENOTSUP, wasip1.EMLINK, wasip1.EPERM, wasip1.ENOSYS:
		default:
			return err
		}
	}
	d.uncover(name)
	d.show(name, in.typ, in.ino, n, inUpper, false)
	in.nlink++
	in.pinned = true
	in.dirty()
	d.modified()
	in.touch(d.fs.now())
	return nil
}

// Unlink removes a name that is not a directory's.
func (d *dir) Unlink(name string) error { return d.unlink(name, nil) }

func (d *dir) unlink(name string, charge vfs.KeepCharge) (err error) {
	if err := vfs.CheckName(name); err != nil {
		return err
	}
	d.fs.lock(charge)
	defer d.fs.unlock()
	e, err := d.resolve(name)
	if err != nil {
		return err
	}
	if e.typ == wasip1.FiletypeDirectory {
		return wasip1.EISDIR
	}
	white, err := d.inLower(e)
	if err != nil {
		return err
	}
	if err := d.keepLoss(e, white); err != nil {
		return err
	}
	defer d.unlessLost(e.name, white, &err)
	if err := d.vacate(e); err != nil {
		return err
	}
	if e.inUpper {
		if err := d.upperDir().Unlink(name); err != nil {
			return err
		}
	}
	d.lose(e, white)
	d.modified()
	return nil
}

// keepLoss charges for what is kept when the name of e goes: a whiteout, and the inodes that have
// changed by it. FS.mu is held.
func (d *dir) keepLoss(e *entry, white bool) error {
	if err := d.remember(); err != nil {
		return err
	}
	if in := e.node.in(); in.nlink > 1 || in.typ == wasip1.FiletypeDirectory {
		if err := in.remember(); err != nil {
			return err
		}
	}
	if white {
		return d.fs.keep(d.ino, vfs.NameCost(e.name))
	}
	return nil
}

// unlessLost gives back what keepLoss charged for a whiteout that was not made. FS.mu is held.
func (d *dir) unlessLost(name string, white bool, err *error) {
	if *err != nil && white {
		d.fs.unkeep(d.ino, vfs.NameCost(name))
	}
}

// lose takes a name, which the upper does not have any more, from what is not a directory. FS.mu is
// held.
func (d *dir) lose(e *entry, white bool) {
	in := e.node.in()
	d.hide(e, white)
	if in.nlink--; in.nlink > 0 {
		in.pinned = true
	} else {
		delete(d.fs.shared, in.from)
		if f, ok := e.node.(*file); ok {
			f.unstash()
			f.nameless()
		}
	}
	in.touch(d.fs.now())
}

// vacate sees to it that the upper loses no file that has other names when it loses this one: the
// file is given one of those, or one of the overlay's own if they are not known. FS.mu is held.
func (d *dir) vacate(e *entry) error {
	in := e.node.in()
	if !e.inUpper || in.nlink == 1 {
		return nil
	}
	u, err := in.up()
	if err != nil {
		return err
	}
	a, err := u.Attr()
	if err != nil || a.Nlink > 1 {
		return err
	}
	for _, p := range in.names {
		if p.dir == d && p.name == e.name {
			continue
		}
		if err := p.dir.raise(); err != nil {
			return err
		}
		if err := d.upperDir().Rename(e.name, p.dir.upperDir(), p.name); err != nil {
			return err
		}
		e.inUpper, p.dir.names[p.name].inUpper = false, true
		d.note(e.name)
		p.dir.note(p.name)
		return nil
	}
	f, ok := e.node.(*file)
	if !ok {
		return nil
	}
	stash := d.fs.scratchName()
	if err := d.upperDir().Rename(e.name, d.fs.root.upperDir(), stash); err != nil {
		return err
	}
	e.inUpper, f.stash = false, stash
	d.note(e.name)
	f.dirty()
	return nil
}

// freshName is scratchName for one who does not hold FS.mu.
func (f *FS) freshName() string {
	f.mu.Lock()
	defer f.unlock()
	return f.scratchName()
}

// scratchName returns a name for the root of the upper that was not used before. FS.mu is held.
func (f *FS) scratchName() string {
	f.scratch++
	return scratchPrefix + strconv.FormatUint(f.scratch, 10)
}

// Rmdir removes an empty directory.
func (d *dir) Rmdir(name string) error { return d.rmdir(name, nil) }

func (d *dir) rmdir(name string, charge vfs.KeepCharge) (err error) {
	if err := vfs.CheckName(name); err != nil {
		return err
	}
	d.fs.lock(charge)
	defer d.fs.unlock()
	e, err := d.resolve(name)
	if err != nil {
		return err
	}
	sub, ok := e.node.(*dir)
	if !ok {
		return wasip1.ENOTDIR
	}
	if err := names.Empty(sub.empty()); err != nil {
		return err
	}
	white, err := d.inLower(e)
	if err != nil {
		return err
	}
	if err := d.keepLoss(e, white); err != nil {
		return err
	}
	defer d.unlessLost(e.name, white, &err)
	if e.inUpper {
		if err := d.upperDir().Rmdir(name); err != nil {
			return err
		}
	}
	d.hide(e, white)
	sub.leave()
	d.modified()
	return nil
}

// leave makes a directory one that no path leads to any more. FS.mu is held.
func (d *dir) leave() {
	d.gone = true
	d.dirty()
}
