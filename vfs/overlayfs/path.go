package overlayfs

import (
	"io/fs"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// A path is followed in what the overlay knows, and where it leads to what is shown of the lower
// unchanged the lower resolves the rest in one step, if it can (vfs.PlainOpener). Whatever needs
// more than that is for the walker: links, "..", and what may be changed, because that wants the
// names on the way.

// OpenPath opens what is there. Errors: ENOSYS for what the walker has to find.
func (d *dir) OpenPath(path string, follow bool, flags wasip1.Oflags, mode vfs.OpenMode, perm fs.FileMode) (vfs.Node, vfs.File, error) {
	if d.fs.plain == nil || mode&vfs.OpenTruncate != 0 || flags&(wasip1.OCreat|wasip1.OTrunc) != 0 {
		return nil, nil, wasip1.ENOSYS
	}
	at, below, rest, err := d.follow(path)
	switch {
	case err != nil:
		return nil, nil, err
	case below != "":
		return rest.dir.openBelow(below, rest.name, flags, mode)
	}
	if at.Type() == wasip1.FiletypeDirectory {
		return at, nil, nil
	}
	f, ok := at.(*file)
	if !ok {
		at.in().Release()
		return nil, nil, wasip1.ENOSYS
	}
	if flags&wasip1.ODirectory != 0 {
		f.Release()
		return nil, nil, wasip1.ENOTDIR
	}
	c, err := f.Open(mode)
	if err != nil {
		f.Release()
		return nil, nil, err
	}
	return f, c, nil
}

// AttrPath returns the attributes of what path stands for. Errors: as OpenPath.
func (d *dir) AttrPath(path string, follow bool) (vfs.Attr, error) {
	if d.fs.plain == nil {
		return vfs.Attr{}, wasip1.ENOSYS
	}
	at, below, _, err := d.follow(path)
	if err != nil {
		return vfs.Attr{}, err
	}
	if below == "" {
		defer at.in().Release()
		if follow && at.Type() == wasip1.FiletypeSymbolicLink {
			return vfs.Attr{}, wasip1.ENOSYS
		}
		return at.Attr()
	}
	changes := d.fs.changes.Load()
	a, err := d.fs.plain.AttrPlain(below)
	if err != nil {
		return vfs.Attr{}, err
	}
	if follow && a.Type == wasip1.FiletypeSymbolicLink {
		return vfs.Attr{}, wasip1.ENOSYS
	}
	d.fs.mu.Lock()
	defer d.fs.unlock()
	key := layerIno{ino: a.Ino}
	if n := d.fs.several(key); n != nil {
		return n.in().attr()
	}
	if d.fs.changes.Load() != changes {
		return vfs.Attr{}, wasip1.ENOSYS // the names on the way may be others by now
	}
	a.Ino = d.fs.number(key)
	return a, nil
}

// follow goes along path as far as the overlay knows it. It returns the node, which the caller
// releases, or a path of the lower that shows unchanged, and what that is from the last directory
// that is known.
func (d *dir) follow(path string) (_ node, below string, rest location, err error) {
	d.fs.mu.Lock()
	defer d.fs.unlock()
	for left := path; ; {
		name, more, sub := strings.Cut(left, "/")
		switch {
		case name == "" || name == "." || name == ".." || sub && more == "":
			return nil, "", location{}, wasip1.ENOSYS
		case len(name) > vfs.MaxName:
			return nil, "", location{}, wasip1.ENAMETOOLONG
		case d.gone || d.hides(name):
			return nil, "", location{}, wasip1.ENOENT
		}
		if err := d.loadUpper(); err != nil {
			return nil, "", location{}, err
		}
		e := d.entry(name)
		switch {
		case e == nil && d.hasLower, e != nil && e.node == nil && e.id == 0 && e.low && !e.inUpper:
			if !plain(more) {
				return nil, "", location{}, wasip1.ENOSYS
			}
			return nil, childPath(d.lowerPath, left), location{d, left}, nil
		case e == nil || e.white:
			return nil, "", location{}, wasip1.ENOENT
		case e.node == nil:
			if e, err = d.resolve(name); err != nil {
				return nil, "", location{}, err
			}
		}
		in := e.node.in()
		if !sub {
			// Who has the node keeps the file, whatever becomes of its names.
			if _, err := in.up(); err != nil {
				return nil, "", location{}, err
			}
			in.hold()
			return e.node, "", location{}, nil
		}
		next, ok := e.node.(*dir)
		switch {
		case ok:
			d, left = next, more
		case e.typ == wasip1.FiletypeSymbolicLink:
			return nil, "", location{}, wasip1.ENOSYS
		default:
			return nil, "", location{}, wasip1.ENOTDIR
		}
	}
}

// plain reports whether a path has neither "." nor ".." nor an empty component. The empty path has
// none.
func plain(path string) bool {
	for path != "" {
		var c string
		var more bool
		c, path, more = strings.Cut(path, "/")
		if c == "" || c == "." || c == ".." || more && path == "" {
			return false
		}
	}
	return true
}

// openBelow opens a path of the lower. The node has no name in the overlay until the walker meets
// it: it is found by its number.
func (d *dir) openBelow(path, rest string, flags wasip1.Oflags, mode vfs.OpenMode) (vfs.Node, vfs.File, error) {
	if flags&wasip1.ODirectory != 0 {
		return nil, nil, wasip1.ENOSYS // it is used by the names in it
	}
	f := d.fs
	changes := f.changes.Load()
	l, low, a, err := f.plain.OpenPlain(path)
	if err != nil {
		return nil, nil, err
	}
	keep := false
	defer func() {
		if !keep {
			if low != nil {
				low.Close()
			}
			wrapfs.Release(l)
		}
	}()
	if a.Type != wasip1.FiletypeRegularFile {
		return nil, nil, wasip1.ENOSYS
	}
	n, made, err := d.meetBelow(path, rest, mode, changes, l, low, a)
	switch {
	case err != nil:
		return nil, nil, err
	case made:
		keep = true
		return n, &n.first, nil
	}
	c, err := n.Open(mode)
	if err != nil {
		n.Release()
		return nil, nil, err
	}
	return n, c, nil
}

// meetBelow returns the file that the lower has opened as low, for the caller to release: the one
// that the overlay knows by that number, or a new one that uses low. ENOSYS if there have been
// changes.
func (d *dir) meetBelow(path, rest string, mode vfs.OpenMode, changes uint64, l vfs.Node, low vfs.File, a vfs.Attr) (n *file, made bool, err error) {
	f := d.fs
	f.mu.Lock()
	defer f.unlock()
	key := layerIno{ino: a.Ino}
	if known := f.several(key); known != nil {
		n, ok := known.(*file)
		if !ok {
			return nil, false, wasip1.ENOSYS
		}
		if _, err := n.up(); err != nil {
			return nil, false, err
		}
		n.hold()
		return n, false, nil
	}
	if f.changes.Load() != changes {
		return nil, false, wasip1.ENOSYS // somebody was faster
	}
	path = strings.Clone(path)
	n = f.newNode(a.Type, l, nil).(*file)
	n.ino, n.nlink, n.from, n.lowerPath = f.number(key), a.Nlink, key, path
	n.way = location{d, path[len(path)-len(rest):]}
	n.low = low
	n.opened(mode)
	f.shared[key] = n
	n.hold()
	return n, true, nil
}

// meet gives a file that was opened by a path the name that it has there, so that its copy gets
// that name too. If the names on the way have changed since, the file stays without one until the
// walker or Diff meets it. FS.mu is held.
func (f *file) meet() {
	d, rest := f.way.dir, f.way.name
	f.way = location{}
	for d != nil && len(f.names) == 0 && d.attached() {
		name, more, sub := strings.Cut(rest, "/")
		e, err := d.resolve(name)
		if err != nil || !sub {
			return
		}
		d, _ = e.node.(*dir)
		rest = more
	}
}

// attached reports whether a directory is one that paths lead to, and not one that was forgotten or
// removed. FS.mu is held.
func (d *dir) attached() bool {
	for at := d; at != at.fs.root; at = at.inode.names[0].dir {
		if at.gone || len(at.inode.names) == 0 {
			return false
		}
	}
	return true
}
