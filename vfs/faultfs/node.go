package faultfs

import (
	"io/fs"
	"strings"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// node is a node of the file system below, with the path by which it was reached.
type node struct {
	fs   *FS
	n    vfs.Node
	path string
	ino  uint64 // where durability is tracked
	// fresh says that the file was just made: the opening that follows belongs to the same path_open.
	fresh atomic.Bool
}

// The types of nodes. Directories can be released only where the file system below says that it is of use, so that
// others pay nothing for it.
type (
	dir struct {
		node
		d vfs.Directory
	}
	held struct{ dir }
	file struct{ node }
	link struct{ node }
	dev  struct{ node }
	// other is a node of which nothing is known but its attributes.
	other struct{ node }
)

// wrapped is implemented by all of them.
type wrapped interface {
	vfs.Node
	below() *node
}

func (n *node) below() *node   { return n }
func (d *dir) directory() *dir { return d }
func (h *held) Release()       { release(h.n) }
func (f *file) Release()       { release(f.n) }
func (l *link) Release()       { release(l.n) }
func (d *dev) Release()        { release(d.n) }
func (o *other) Release()      { release(o.n) }

func release(n vfs.Node) {
	if r, ok := n.(vfs.Releaser); ok {
		r.Release()
	}
}

func (f *FS) wrap(n vfs.Node, path string, fresh bool) vfs.Node {
	w := f.typed(n)
	in := w.below()
	in.fs, in.n, in.path = f, n, path
	in.fresh.Store(fresh)
	if f.track != nil {
		if a, err := n.Attr(); err == nil {
			in.ino = a.Ino
		}
	}
	return w
}

func (f *FS) typed(n vfs.Node) wrapped {
	switch t := n.(type) {
	case vfs.Directory:
		if _, ok := n.(vfs.Releaser); ok {
			return &held{dir{d: t}}
		}
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
func (d *dir) child(name string) string {
	if d.path == "/" {
		return "/" + name
	}
	return d.path + "/" + name
}

// Type returns the type.
func (n *node) Type() wasip1.Filetype { return n.n.Type() }

// Attr returns the attributes.
func (n *node) Attr() (vfs.Attr, error) {
	if _, err := n.fs.fire(evAttr, n.path); err != nil {
		return vfs.Attr{}, err
	}
	return n.n.Attr()
}

// SetAttr changes attributes.
func (n *node) SetAttr(s vfs.SetAttr) error {
	if _, err := n.fs.fire(evSetattr, n.path); err != nil {
		return err
	}
	if s.Mask&vfs.SetSize == 0 || n.Type() != wasip1.FiletypeRegularFile {
		return n.n.SetAttr(s)
	}
	return n.fs.track.resize(n, int64(s.Size), func() error { return n.n.SetAttr(s) })
}

// Readlink returns the target.
func (l *link) Readlink() (string, error) {
	if _, err := l.fs.fire(evReadlink, l.path); err != nil {
		return "", err
	}
	return l.n.(vfs.Symlink).Readlink()
}

// OpenStream opens the device. What is read and written then has no faults.
func (d *dev) OpenStream(mode vfs.OpenMode) (vfs.Stream, error) {
	if _, err := d.fs.fire(evOpen|evPathOpen, d.path); err != nil {
		return nil, err
	}
	return d.n.(vfs.StreamNode).OpenStream(mode)
}

// Lookup returns what a name stands for.
func (d *dir) Lookup(name string) (vfs.Node, error) {
	path := d.child(name)
	if _, err := d.fs.fire(evLookup, path); err != nil {
		return nil, err
	}
	n, err := d.d.Lookup(name)
	if err != nil {
		return nil, err
	}
	w := d.fs.wrap(n, path, false)
	d.fs.track.met(d, name, w.(wrapped).below())
	return w, nil
}

// ReadDir lists names.
func (d *dir) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	if _, err := d.fs.fire(evReaddir, d.path); err != nil {
		return 0, err
	}
	return d.d.ReadDir(cookie, entries)
}

// Sync makes the directory durable, and with it all changes of names.
func (d *dir) Sync(dataOnly bool) error {
	if _, err := d.fs.fire(evSync, d.path); err != nil {
		return err
	}
	if s, ok := d.n.(interface{ Sync(dataOnly bool) error }); ok {
		if err := s.Sync(dataOnly); err != nil {
			return err
		}
	}
	d.fs.track.commit()
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
	w := d.fs.wrap(n, strings.Clone(path), ev&evCreate != 0)
	t.made(d, name, w.(wrapped).below())
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
	w, ok := to.(wrapped)
	if !ok || w.below().fs != d.fs {
		return wasip1.EXDEV
	}
	if _, err := d.fs.fire(evLink, d.child(name), w.below().path); err != nil {
		return err
	}
	t := d.fs.track
	if err := d.fs.begin(); err != nil {
		return err
	}
	defer t.unlock()
	if err := d.d.Link(name, w.below().n); err != nil {
		return err
	}
	t.linked(d, name, w.below())
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
	w, ok := to.(interface{ directory() *dir })
	if !ok || w.directory().fs != d.fs {
		return wasip1.EXDEV
	}
	target := w.directory()
	if _, err := d.fs.fire(evRename, d.child(name), target.child(newName)); err != nil {
		return err
	}
	t := d.fs.track
	if err := d.fs.begin(); err != nil {
		return err
	}
	defer t.unlock()
	moved, lost := t.losing(d, name), t.losing(target, newName)
	if err := d.d.Rename(name, target.d, newName); err != nil {
		return err
	}
	t.renamed(moved, lost, target, newName)
	return nil
}
