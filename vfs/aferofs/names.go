package aferofs

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/internal/names"
	"github.com/wasivirt/wasivirt/wasip1"
)

// link is a symbolic link.
type link struct {
	inode
	target string // of one that the store does not have
	stored bool
}

// Readlink returns the target.
func (l *link) Readlink() (string, error) {
	if !l.stored {
		return l.target, nil
	}
	l.fs.lock()
	defer l.fs.mu.Unlock()
	if l.at.dir == nil {
		return l.target, nil
	}
	t, err := l.fs.readlink(l.path())
	return t, err
}

// Attr returns the attributes; the size is the target's length.
func (l *link) Attr() (vfs.Attr, error) {
	a, err := l.inode.Attr()
	if err != nil {
		return a, err
	}
	t, err := l.Readlink()
	if err == nil {
		a.Size = uint64(len(t))
	}
	return a, err
}

func (f *FS) readlink(path string) (string, error) {
	r, ok := f.store.(afero.LinkReader)
	if !ok {
		return "", wasip1.ENOTSUP
	}
	t, err := r.ReadlinkIfPossible(path)
	return t, translate(err)
}

// vacant prepares for a new name: it checks the name, the directory, and that nothing is there.
// FS.mu is held.
func (d *dir) vacant(name string) error {
	if err := d.alive(); err != nil {
		return err
	}
	if d.hides(name) {
		return wasip1.EACCES
	}
	switch _, err := d.resolve(name); {
	case err == nil:
		return wasip1.EEXIST
	case !gone(err):
		return err
	}
	return nil
}

// begin checks what every change of names wants and takes the lock.
func (d *dir) begin(names ...string) error {
	for _, name := range names {
		if err := checkName(name); err != nil {
			return err
		}
	}
	if d.fs.readOnly {
		return wasip1.EROFS
	}
	d.fs.lock()
	return nil
}

// made adopts what was just made in the store and gives it and the directory their times. FS.mu is
// held.
func (d *dir) made(name string) (vfs.Node, error) {
	fi, err := d.fs.lstat(place{dir: d, name: name}.path())
	if err != nil {
		return nil, err
	}
	return d.madeOf(name, fi), nil
}

// madeOf is made for one who has asked the store.
func (d *dir) madeOf(name string, fi os.FileInfo) node {
	name = strings.Clone(name)
	e := d.add(name, d.fs.adopt(place{dir: d, name: name}, fi), false)
	now := d.fs.now()
	e.node.in().made(now)
	d.stamp(now)
	return e.node
}

// Create makes an empty regular file.
func (d *dir) Create(name string, perm fs.FileMode) (vfs.Node, error) {
	if err := d.begin(name); err != nil {
		return nil, err
	}
	defer d.fs.mu.Unlock()
	if err := d.vacant(name); err != nil {
		return nil, err
	}
	h, err := d.create(name, perm)
	if err != nil {
		return nil, err
	}
	if err := h.Close(); err != nil {
		return nil, translate(err)
	}
	return d.made(name)
}

// create makes an empty file in the store. FS.mu is held.
func (d *dir) create(name string, perm fs.FileMode) (afero.File, error) {
	h, err := d.fs.store.OpenFile(place{dir: d, name: name}.path(), rdwr|os.O_CREATE|os.O_EXCL, perm.Perm())
	return h, translate(err)
}

// Make looks name up and makes a file where nothing is there, which the walker of package vfs
// prefers: the file stays open.
func (d *dir) Make(name string, perm fs.FileMode) (vfs.Node, vfs.File, error) {
	if err := checkName(name); err != nil {
		return nil, nil, err
	}
	d.fs.lock()
	defer d.fs.mu.Unlock()
	if d.fs.memory {
		if f, c := d.makeFirst(name, perm); f != nil {
			return f, c, nil
		}
	}
	switch e, err := d.resolve(name); {
	case err == nil:
		return e.node, nil, nil
	case !gone(err):
		return nil, nil, err
	case d.fs.readOnly:
		return nil, nil, wasip1.EROFS
	case d.hides(name):
		return nil, nil, wasip1.EACCES
	}
	if err := d.alive(); err != nil {
		return nil, nil, err
	}
	h, err := d.create(name, perm)
	if err != nil {
		return nil, nil, err
	}
	fi, err := h.Stat()
	if err != nil {
		h.Close()
		return nil, nil, translate(err)
	}
	f, ok := d.madeOf(name, fi).(*file)
	if !ok {
		h.Close()
		return nil, nil, wasip1.EIO
	}
	return f, f.opened(h), nil
}

// opened opens a file that was made with a handle. FS.mu is held.
func (f *file) opened(h afero.File) vfs.File {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.h, f.writable, f.opens = h, true, 1
	return &open{file: f}
}

// Mkdir makes an empty directory.
func (d *dir) Mkdir(name string, perm fs.FileMode) (vfs.Node, error) {
	if err := d.begin(name); err != nil {
		return nil, err
	}
	defer d.fs.mu.Unlock()
	if err := d.vacant(name); err != nil {
		return nil, err
	}
	if err := d.fs.store.Mkdir(place{dir: d, name: name}.path(), perm.Perm()); err != nil {
		return nil, translate(err)
	}
	return d.made(name)
}

// Symlink makes a symbolic link, in the store if it has them and keeps the target as it is.
func (d *dir) Symlink(name, target string) (vfs.Node, error) {
	if err := d.begin(name); err != nil {
		return nil, err
	}
	defer d.fs.mu.Unlock()
	if err := d.vacant(name); err != nil {
		return nil, err
	}
	stored, err := d.fs.symlink(target, place{dir: d, name: name}.path())
	if err != nil {
		return nil, err
	}
	if stored {
		return d.made(name)
	}
	l := &link{target: strings.Clone(target)}
	d.fs.initialise(&l.inode, typeLink)
	now := d.fs.now()
	l.atim, l.mtim, l.ctim, l.timed, l.perm = now, now, now, true, 0o777
	e := d.add(strings.Clone(name), l, true)
	l.links = []place{{dir: d, name: e.name}}
	d.stamp(now)
	return l, nil
}

// symlink tries to make a link in the store and reports whether it did. BasePathFs, for one,
// changes the target into a path of the host: such links are taken away again and kept in the
// adapter.
func (f *FS) symlink(target, path string) (bool, error) {
	l, ok := f.store.(afero.Linker)
	if f.nolinks || !ok {
		return false, nil
	}
	err := l.SymlinkIfPossible(target, path)
	if errors.Is(err, afero.ErrNoSymlink) {
		f.nolinks = true
		return false, nil
	}
	if err != nil {
		return false, translate(err)
	}
	if back, err := f.readlink(path); err == nil && back == target {
		return true, nil
	}
	f.nolinks = true
	return false, translate(f.store.Remove(path))
}

// Link gives a file another name, which the adapter keeps.
func (d *dir) Link(name string, to vfs.Node) error {
	n, ok := to.(node)
	if !ok || n.in().fs != d.fs {
		return wasip1.EXDEV
	}
	if n.Type() == typeDir {
		return wasip1.EPERM
	}
	if err := d.begin(name); err != nil {
		return err
	}
	defer d.fs.mu.Unlock()
	if err := d.vacant(name); err != nil {
		return err
	}
	in := n.in()
	if in.nlink() == 0 {
		return wasip1.ENOENT
	}
	e := d.add(strings.Clone(name), n, true)
	in.links = append(in.links, place{dir: d, name: e.name})
	now := d.fs.now()
	in.changed(now)
	d.stamp(now)
	return nil
}

// Unlink removes a name that is not a directory's.
func (d *dir) Unlink(name string) error {
	if err := d.begin(name); err != nil {
		return err
	}
	defer d.fs.mu.Unlock()
	e, err := d.resolve(name)
	if err != nil {
		return err
	}
	if e.node.Type() == typeDir {
		return wasip1.EISDIR
	}
	if err := d.drop(e); err != nil {
		return err
	}
	d.stamp(d.fs.now())
	return nil
}

// drop takes one name from what is not a directory. FS.mu is held.
func (d *dir) drop(e *entry) error {
	n := e.node.in()
	switch {
	case e.local:
		n.links = without(n.links, d, e.name)
	case len(n.links) > 0:
		to := n.links[0]
		if err := d.fs.store.Rename(n.path(), to.path()); err != nil {
			return translate(err)
		}
		n.at, n.links = to, append([]place(nil), n.links[1:]...)
		if alias := to.dir.names[to.name]; alias != nil {
			alias.local = false
		}
	default:
		if l, ok := e.node.(*link); ok {
			l.target, _ = d.fs.readlink(n.path())
		}
		if err := d.orphan(n); err != nil {
			return err
		}
	}
	d.del(e)
	n.changed(d.fs.now())
	return nil
}

// orphan takes the last name from a stored file. Those who have it open keep it. FS.mu is held.
func (d *dir) orphan(n *inode) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	path := n.path()
	if n.opens > 0 {
		if _, err := n.refresh(); err != nil {
			return err
		}
	}
	if n.opens > 0 && (!d.fs.keepsOpen || n.h == nil) {
		d.fs.orphans++
		hidden := join(d.fs.base, hiddenPrefix+strconv.FormatUint(d.fs.orphans, 10))
		if err := d.fs.store.Rename(path, hidden); err != nil {
			return translate(err)
		}
		n.hidden = hidden
	} else if err := d.fs.store.Remove(path); err != nil {
		return translate(err)
	}
	n.at = place{}
	if n.opens == 0 {
		n.unspare()
	}
	return nil
}

// Rmdir removes an empty directory.
func (d *dir) Rmdir(name string) error {
	if err := d.begin(name); err != nil {
		return err
	}
	defer d.fs.mu.Unlock()
	e, err := d.resolve(name)
	if err != nil {
		return err
	}
	sub, ok := e.node.(*dir)
	if !ok {
		return wasip1.ENOTDIR
	}
	if err := d.dropDir(e, sub); err != nil {
		return err
	}
	d.stamp(d.fs.now())
	return nil
}

// dropDir removes a directory that has to be empty. FS.mu is held.
func (d *dir) dropDir(e *entry, sub *dir) error {
	if err := names.Empty(sub.empty()); err != nil {
		return err
	}
	if err := d.fs.store.Remove(sub.path()); err != nil {
		return translate(err)
	}
	d.forget(e)
	return nil
}

// Rename moves a name, with all that rename(2) wants checked before the store is asked.
func (d *dir) Rename(name string, to vfs.Directory, newName string) error {
	t, ok := to.(*dir)
	if !ok || t.fs != d.fs {
		return wasip1.EXDEV
	}
	if err := d.begin(name, newName); err != nil {
		return err
	}
	defer d.fs.mu.Unlock()
	src, err := d.resolve(name)
	if err != nil {
		return err
	}
	if err := t.alive(); err != nil {
		return err
	}
	if t.hides(newName) {
		return wasip1.EACCES
	}
	dst, err := t.resolve(newName)
	if err != nil && !gone(err) {
		return err
	}
	if dst != nil && dst.node == src.node {
		return nil
	}
	if err := d.replaceable(src, t, dst); err != nil {
		return err
	}
	if dst != nil {
		if err := t.clear(dst, src); err != nil {
			return err
		}
	}
	return d.move(src, t, newName, dst)
}

// replaceable applies the rules of rename(2) to what stands at the new name. FS.mu is held.
func (d *dir) replaceable(src *entry, t *dir, dst *entry) error {
	moved, isDir := src.node.(*dir)
	if isDir {
		for up := t; up != nil; up = up.at.dir {
			if up == moved {
				return wasip1.EINVAL
			}
		}
	}
	if dst == nil {
		return nil
	}
	old, ontoDir := dst.node.(*dir)
	return names.Replaceable(isDir, ontoDir, func() (bool, error) { return old.empty() })
}

// clear makes way for src at the name dst. A plain stored file is left for the store's rename to
// replace, which it may do atomically. FS.mu is held.
func (d *dir) clear(dst, src *entry) error {
	if sub, ok := dst.node.(*dir); ok {
		return d.dropDir(dst, sub)
	}
	n := dst.node.in()
	n.mu.Lock()
	kept := n.opens == 0 || d.fs.keepsOpen && n.h != nil
	plain := !dst.local && !src.local && n.typ == typeFile && len(n.links) == 0 && kept && !n.at.rel
	n.mu.Unlock()
	if plain {
		return nil
	}
	return d.drop(dst)
}

// move renames a name to one where nothing stands but perhaps a file to be replaced; old, if not
// nil, is or was the entry there. FS.mu is held.
func (d *dir) move(src *entry, t *dir, newName string, old *entry) error {
	n := src.node.in()
	p := place{dir: t, name: strings.Clone(newName)}
	if src.local {
		n.links = append(without(n.links, d, src.name), p)
	} else {
		if err := d.fs.store.Rename(n.path(), p.path()); err != nil {
			return translate(err)
		}
	}
	if dst := t.names[newName]; dst != nil {
		t.forget(dst)
	}
	d.del(src)
	if !src.local {
		n.at = p
	}
	e := t.add(p.name, src.node, src.local)
	if old != nil {
		t.order.KeepPlace(e, old)
	}
	now := d.fs.now()
	n.changed(now)
	if d != t {
		d.stamp(now)
	}
	t.stamp(now)
	return nil
}
