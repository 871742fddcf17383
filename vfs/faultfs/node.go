package faultfs

import (
	"errors"
	"io/fs"
	"strings"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// node is a node of the file system below, with the path by which it was reached.
type node struct {
	wrapfs.Node
	fs    *FS
	path  string
	known *inode // where durability is tracked
	// fresh says that the file was just made: the opening that follows belongs to the same
	// path_open.
	fresh atomic.Bool
}

// The types of nodes.
type (
	dir struct {
		node
		d vfs.Directory
	}
	file struct{ node }
	link struct{ node }
	dev  struct{ node }
	// other is a node of which nothing is known but its attributes.
	other struct{ node }
)

// wrapped is implemented by all of them.
type wrapped interface {
	vfs.Node
	own() *node
}

func (n *node) own() *node { return n }

// maker is an FS as what makes its nodes.
type maker FS

// Wrap makes the root.
func (m *maker) Wrap(n vfs.Node) vfs.Node { return (*FS)(m).wrap(n, m.at) }

func (f *FS) wrap(n vfs.Node, path string) wrapped {
	w := typed(n)
	in := w.own()
	in.Below, in.Of, in.fs, in.path = n, (*maker)(f), f, path
	return w
}

func typed(n vfs.Node) wrapped {
	switch t := n.(type) {
	case vfs.Directory:
		return &dir{d: t}
	case vfs.RegularFile:
		return new(file)
	case vfs.Symlink:
		return new(link)
	case vfs.StreamNode:
		return new(dev)
	}
	return new(other)
}

// child returns the path of a name.
func (d *dir) child(name string) string { return join(d.path, name) }

func join(dir, name string) string {
	if dir == "/" {
		return "/" + name
	}
	return dir + "/" + name
}

// Attr returns the attributes.
func (n *node) Attr() (vfs.Attr, error) {
	if _, err := n.fs.fire(evAttr, n.path); err != nil {
		return vfs.Attr{}, err
	}
	return n.Below.Attr()
}

// SetAttr changes attributes.
func (n *node) SetAttr(s vfs.SetAttr) error {
	if _, err := n.fs.fire(evSetattr, n.path); err != nil {
		return err
	}
	if s.Mask&vfs.SetSize == 0 || n.Type() != wasip1.FiletypeRegularFile {
		return n.Below.SetAttr(s)
	}
	return n.fs.resize(n, int64(s.Size), func() error { return n.Below.SetAttr(s) })
}

// Readlink returns the target.
func (l *link) Readlink() (string, error) {
	if _, err := l.fs.fire(evReadlink, l.path); err != nil {
		return "", err
	}
	return l.Below.(vfs.Symlink).Readlink()
}

// OpenStream opens the device. What is read and written then has no faults.
func (d *dev) OpenStream(mode vfs.OpenMode) (vfs.Stream, error) {
	if _, err := d.fs.fire(evOpen|evPathOpen, d.path); err != nil {
		return nil, err
	}
	return d.Below.(vfs.StreamNode).OpenStream(mode)
}

// Lookup returns what a name stands for.
func (d *dir) Lookup(name string) (vfs.Node, error) {
	path := d.child(name)
	if _, err := d.fs.fire(evLookup, path); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		n, err := d.d.Lookup(name)
		if err != nil {
			return nil, err
		}
		w := d.fs.wrap(n, path)
		err = d.fs.track.meet(d, name, w.own())
		if err == nil {
			return w, nil
		}
		w.own().Release()
		// A file that has gone between the two was replaced or removed: the next look tells which.
		if gone := errors.Is(err, wasip1.ENOENT) || errors.Is(err, wasip1.ESTALE); !gone || try == maxLooks {
			return nil, err
		}
	}
}

// maxLooks is how often a name whose file is replaced all the time is looked up.
const maxLooks = 100

// ReadDir lists names.
func (d *dir) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	if _, err := d.fs.fire(evReaddir, d.path); err != nil {
		return 0, err
	}
	return d.d.ReadDir(cookie, entries)
}

// Sync makes the names in the directory durable.
func (d *dir) Sync(dataOnly bool) error {
	if _, err := d.fs.fire(evSync, d.path); err != nil {
		return err
	}
	if err := (&wrapfs.Dir{Node: d.Node}).Sync(dataOnly); err != nil {
		return err
	}
	d.fs.track.syncedDir(d)
	return nil
}

// make does what is common to the calls that make a file.
func (d *dir) make(ev event, name string, do func() (vfs.Node, error)) (vfs.Node, error) {
	path := d.child(name)
	if _, err := d.fs.fire(ev, path); err != nil {
		return nil, err
	}
	t := d.fs.track
	if err := d.fs.begin(); err != nil {
		return nil, err
	}
	defer t.unlock()
	n, err := do()
	if err != nil {
		return nil, err
	}
	w := d.fs.wrap(n, strings.Clone(path))
	w.own().fresh.Store(ev&evCreate != 0)
	if err := t.made(d, name, w.own()); err != nil {
		w.own().Release()
		return nil, err
	}
	return w, nil
}

// Create makes an empty file.
func (d *dir) Create(name string, perm fs.FileMode) (vfs.Node, error) {
	return d.make(evCreate|evPathOpen, name, func() (vfs.Node, error) { return d.d.Create(name, perm) })
}

// Mkdir makes an empty directory.
func (d *dir) Mkdir(name string, perm fs.FileMode) (vfs.Node, error) {
	return d.make(evMkdir, name, func() (vfs.Node, error) { return d.d.Mkdir(name, perm) })
}

// Symlink makes a symbolic link.
func (d *dir) Symlink(name, target string) (vfs.Node, error) {
	return d.make(evSymlink, name, func() (vfs.Node, error) { return d.d.Symlink(name, target) })
}

// Link gives a file another name.
func (d *dir) Link(name string, to vfs.Node) error {
	w, ok := wrapfs.Whole(to).(wrapped)
	if !ok || w.own().fs != d.fs {
		return wasip1.EXDEV
	}
	if _, err := d.fs.fire(evLink, d.child(name), w.own().path); err != nil {
		return err
	}
	t := d.fs.track
	if err := d.fs.begin(); err != nil {
		return err
	}
	defer t.unlock()
	if err := d.d.Link(name, w.own().Below); err != nil {
		return err
	}
	t.linked(d, name, w.own())
	return nil
}

// remove does what is common to Unlink and Rmdir.
func (d *dir) remove(ev event, name string, do func(string) error) error {
	if _, err := d.fs.fire(ev, d.child(name)); err != nil {
		return err
	}
	t := d.fs.track
	if err := d.fs.begin(); err != nil {
		return err
	}
	defer t.unlock()
	lost := t.losing(d, name)
	if err := do(name); err != nil {
		return err
	}
	t.removed(lost)
	return nil
}

// Unlink removes a name that is not a directory's.
func (d *dir) Unlink(name string) error { return d.remove(evUnlink, name, d.d.Unlink) }

// Rmdir removes an empty directory.
func (d *dir) Rmdir(name string) error { return d.remove(evRmdir, name, d.d.Rmdir) }

// Rename moves a name.
func (d *dir) Rename(name string, to vfs.Directory, newName string) error {
	target, ok := wrapfs.Whole(to).(*dir)
	if !ok || target.fs != d.fs {
		return wasip1.EXDEV
	}
	if _, err := d.fs.fire(evRename, d.child(name), target.child(newName)); err != nil {
		return err
	}
	t := d.fs.track
	if err := d.fs.begin(); err != nil {
		return err
	}
	defer t.unlock()
	from, lost := t.losing(d, name), t.losing(target, newName)
	if err := d.d.Rename(name, target.d, newName); err != nil {
		return err
	}
	t.renamed(from, lost, target, newName)
	return nil
}
