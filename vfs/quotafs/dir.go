package quotafs

import (
	"io/fs"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// dir is a directory.
type dir struct {
	node
	d vfs.Directory
}

// Lookup returns what a name stands for.
func (d *dir) Lookup(name string) (vfs.Node, error) {
	n, err := d.d.Lookup(name)
	if err != nil {
		return nil, err
	}
	return d.fs.Wrap(n), nil
}

// ReadDir lists names.
func (d *dir) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	return d.d.ReadDir(cookie, entries)
}

// Sync puts the names on the store, where that is more than nothing.
func (d *dir) Sync(dataOnly bool) error { return (&wrapfs.Dir{Node: d.Node}).Sync(dataOnly) }

// room notes one more name in the directory if there may be one. FS.names is held.
func (d *dir) room() error {
	if d.fs.limits.DirEntries == orUnlimited(0) {
		return nil
	}
	return d.counting(func(in *inode) error {
		if in.entries >= d.fs.limits.DirEntries {
			return wasip1.ENOSPC
		}
		return nil
	})
}

// counted changes the number of names by n. FS.names is held.
func (d *dir) counted(n int64) {
	if d.fs.limits.DirEntries == orUnlimited(0) {
		return
	}
	ino, err := d.ino()
	if err != nil {
		return
	}
	in := d.fs.inode(ino)
	defer d.fs.drop(ino, in)
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	if in.counted {
		in.entries += n
	}
}

// counting calls f with the directory's number of names up to date. They are counted once, and
// remembered as long as the directory is known.
func (d *dir) counting(f func(*inode) error) error {
	ino, err := d.ino()
	if err != nil {
		return err
	}
	in := d.fs.inode(ino)
	defer d.fs.drop(ino, in)
	if !in.counted {
		var buf [64]vfs.DirEntry
		in.entries = 0
		for cookie := uint64(0); ; {
			n, err := d.d.ReadDir(cookie, buf[:])
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			in.entries += int64(n)
			cookie = buf[n-1].Next
		}
		d.fs.mu.Lock()
		in.counted = true
		in.uses++ // kept until the directory is removed
		d.fs.mu.Unlock()
	}
	return f(in)
}

// make does what is common to the calls that make a file: it takes what is needed, calls do, and
// charges the new inode.
func (d *dir) make(name string, bytes int64, do func() (vfs.Node, error)) (vfs.Node, error) {
	d.fs.names.Lock()
	defer d.fs.names.Unlock()
	if n, err := d.d.Lookup(name); err == nil {
		wrapfs.Release(n)
		return nil, wasip1.EEXIST
	}
	if err := d.room(); err != nil {
		return nil, err
	}
	if err := d.fs.takeInode(); err != nil {
		return nil, err
	}
	meta := vfs.InodeBytes + vfs.NameCost(name)
	if err := d.fs.takeMeta(meta); err != nil {
		d.fs.giveInode()
		return nil, err
	}
	made := false
	got, err := d.fs.take(bytes)
	defer func() {
		if !made { // also if the file system below panics
			d.fs.give(got)
			d.fs.giveMeta(meta)
			d.fs.giveInode()
		}
	}()
	var n vfs.Node
	if err == nil {
		n, err = do()
	}
	var ino uint64
	if err == nil {
		var a vfs.Attr
		if a, err = n.Attr(); err != nil {
			wrapfs.Release(n)
		}
		ino = a.Ino
	}
	if err != nil {
		return nil, err
	}
	made = true
	in := d.fs.inode(ino)
	d.fs.charged(in, got, meta, 1)
	d.fs.drop(ino, in)
	d.counted(1)
	return d.fs.Wrap(n), nil
}

// Create makes an empty file for one inode and its metadata.
func (d *dir) Create(name string, perm fs.FileMode) (vfs.Node, error) {
	return d.make(name, 0, func() (vfs.Node, error) { return d.d.Create(name, perm) })
}

// Mkdir makes an empty directory for one inode.
func (d *dir) Mkdir(name string, perm fs.FileMode) (vfs.Node, error) {
	return d.make(name, 0, func() (vfs.Node, error) { return d.d.Mkdir(name, perm) })
}

// Symlink makes a symbolic link for one inode and the target's length.
func (d *dir) Symlink(name, target string) (vfs.Node, error) {
	return d.make(name, int64(len(target)), func() (vfs.Node, error) { return d.d.Symlink(name, target) })
}

// Link gives a file another name, which costs the name.
func (d *dir) Link(name string, to vfs.Node) error {
	below, err := wrapfs.Below(to, d.fs)
	if err != nil {
		return err
	}
	d.fs.names.Lock()
	defer d.fs.names.Unlock()
	if n, err := d.d.Lookup(name); err == nil {
		wrapfs.Release(n)
		return d.d.Link(name, below) // for the error that comes first
	}
	if err := d.room(); err != nil {
		return err
	}
	a, err := below.Attr()
	if err != nil {
		return err
	}
	cost := vfs.NameCost(name)
	if err := d.fs.takeMeta(cost); err != nil {
		return err
	}
	if err := d.d.Link(name, below); err != nil {
		d.fs.giveMeta(cost)
		return err
	}
	in := d.fs.inode(a.Ino)
	d.fs.chargeMeta(in, cost)
	d.fs.drop(a.Ino, in)
	d.counted(1)
	return nil
}

// victim is a file that is about to lose a name.
type victim struct {
	fs   *FS
	n    vfs.Node
	name string
	ino  uint64
	in   *inode
	last bool // it is the last
}

// victim finds out about what is at name. FS.names is held.
func (d *dir) victim(name string) (*victim, error) {
	n, err := d.d.Lookup(name)
	if err != nil {
		return nil, err
	}
	a, err := n.Attr()
	if err != nil {
		wrapfs.Release(n)
		return nil, err
	}
	last := a.Nlink <= 1 || a.Type == wasip1.FiletypeDirectory
	if last {
		d.fs.knowAll()
	}
	return &victim{fs: d.fs, n: n, name: name, ino: a.Ino, in: d.fs.inode(a.Ino), last: last}, nil
}

// end notes whether the name has gone.
func (v *victim) end(removed bool) {
	if removed && v.last {
		v.fs.mu.Lock()
		if v.in.counted {
			v.in.counted = false
			v.in.uses--
		}
		v.fs.mu.Unlock()
		v.fs.unnamed(v.in)
	} else if removed {
		v.fs.chargeMeta(v.in, -vfs.NameCost(v.name))
	}
	v.fs.drop(v.ino, v.in)
	wrapfs.Release(v.n)
}

// remove removes a name and gives back what its file was charged if it was the last.
func (d *dir) remove(name string, do func(string) error) error {
	d.fs.names.Lock()
	defer d.fs.names.Unlock()
	v, err := d.victim(name)
	if err != nil {
		return do(name)
	}
	err = do(name)
	v.end(err == nil)
	if err == nil {
		d.counted(-1)
	}
	return err
}

// Unlink removes a name that is not a directory's.
func (d *dir) Unlink(name string) error { return d.remove(name, d.d.Unlink) }

// Rmdir removes an empty directory.
func (d *dir) Rmdir(name string) error { return d.remove(name, d.d.Rmdir) }

// Rename moves a name; what was replaced gives back its charge.
func (d *dir) Rename(name string, to vfs.Directory, newName string) error {
	t, ok := wrapfs.Whole(to).(*dir)
	if !ok || t.fs != d.fs {
		return wasip1.EXDEV
	}
	d.fs.names.Lock()
	defer d.fs.names.Unlock()
	src, err := d.victim(name)
	if err != nil {
		return d.d.Rename(name, t.d, newName)
	}
	defer src.end(false)
	dst, err := t.victim(newName)
	if err != nil {
		dst = nil
	}
	same, err := d.sameDirectory(t)
	if err != nil {
		if dst != nil {
			dst.end(false)
		}
		return err
	}
	if dst == nil && !same {
		if err := t.room(); err != nil {
			return err
		}
	}
	cost := vfs.NameCost(newName)
	if d.fs.namesCharged(src.in) >= vfs.NameCost(name) {
		cost -= vfs.NameCost(name) // which the old name gives back
	}
	if err := d.fs.takeMeta(max(cost, 0)); err != nil {
		if dst != nil {
			dst.end(false)
		}
		return err
	}
	err = d.d.Rename(name, t.d, newName)
	// A rename between two names of one file leaves both.
	moved := err == nil && (dst == nil || dst.ino != src.ino)
	if moved {
		d.fs.chargeMeta(src.in, cost)
	} else {
		d.fs.giveMeta(cost)
	}
	if dst != nil {
		dst.end(moved)
	}
	if moved {
		d.counted(-1)
		if dst == nil {
			t.counted(1)
		}
	}
	return err
}

func (d *dir) sameDirectory(t *dir) (bool, error) {
	a, err := d.ino()
	if err != nil {
		return false, err
	}
	b, err := t.ino()
	return a == b, err
}
