package aferofs

import (
	"os"
	"strings"

	"github.com/spf13/afero/mem"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/internal/names"
	"github.com/wasivirt/wasivirt/wasip1"
)

// dir is a directory. Beside the inode it has the names that were met in it, which gives them
// lasting identities and cookies.
type dir struct {
	inode

	// Guarded by FS.mu.
	names map[string]*entry
	order names.Order[*entry]
	lists uint64 // how often the store was asked for its names
	gone  bool
}

// entry is a name in a directory.
type entry struct {
	names.Mark
	name  string
	node  node
	local bool // an alias or a symbolic link that the store does not know
	// listed is dir.lists when the store listed the name last.
	listed uint64
}

// add makes a name known, which is the caller's no more.
func (d *dir) add(name string, n node, local bool) *entry {
	if d.names == nil {
		d.names = make(map[string]*entry)
	}
	e := &entry{name: name, node: n, local: local}
	d.names[name] = e
	d.order.Add(e)
	return e
}

// del takes a name away from what is known, not from the store.
func (d *dir) del(e *entry) {
	if d.order.Remove(e) {
		delete(d.names, e.name)
	}
}

// forget drops a name whose file host code took away, and with it the names that hang on it.
func (d *dir) forget(e *entry) {
	d.del(e)
	n := e.node.in()
	if e.local {
		n.links = without(n.links, d, e.name)
		return
	}
	n.at = place{}
	if n.opens == 0 { // which changes with FS.mu held only
		n.unspare()
	}
	for _, l := range n.links {
		if alias := l.dir.names[l.name]; alias != nil && alias.node == e.node {
			l.dir.del(alias)
		}
	}
	n.links = nil
	if sub, ok := e.node.(*dir); ok {
		sub.vanish()
	}
}

// vanish ends a directory that host code removed.
func (d *dir) vanish() {
	d.gone = true
	for _, e := range d.names {
		d.forget(e)
	}
}

func without(places []place, d *dir, name string) []place {
	kept := places[:0]
	for _, p := range places {
		if p.dir != d || p.name != name {
			kept = append(kept, p)
		}
	}
	return kept
}

// alive checks that the directory is still there. FS.mu is held.
func (d *dir) alive() error {
	_, err := d.ask()
	return err
}

// ask is alive, and returns what the store says of the directory.
func (d *dir) ask() (os.FileInfo, error) {
	if d.gone {
		return nil, wasip1.ENOENT
	}
	fi, _, err := d.there(d.path())
	switch {
	case err != nil && !gone(err):
		return nil, err
	case fi != nil:
		if d == d.fs.root {
			d.fs.rootData = dataOf(fi)
		}
		return fi, nil
	case d == d.fs.root:
		return nil, wasip1.ENOENT
	}
	if e := d.at.dir.names[d.at.name]; e != nil && e.node == node(d) {
		d.at.dir.forget(e)
	} else {
		d.vanish()
	}
	return nil, wasip1.ENOENT
}

// resolve returns what a name stands for, in the store first. FS.mu is held.
func (d *dir) resolve(name string) (*entry, error) {
	if d.gone || d.hides(name) {
		return nil, wasip1.ENOENT
	}
	e := d.names[name]
	p := place{dir: d, name: name}
	if e != nil && !e.local {
		p.rel = e.node.in().at.rel
	}
	path := p.path()
	if e != nil && !e.local {
		if fi, _ := e.confirmed(path); fi != nil {
			return e, nil
		}
	}
	fi, err := d.fs.lstat(path)
	if err != nil && gone(err) && d.fs.memory && d == d.fs.root && d.fs.base == sep {
		p.rel = !p.rel
		fi, err = d.fs.lstat(p.path())
	}
	switch {
	case err != nil && !gone(err):
		return nil, err
	case err != nil && e == nil:
		return nil, wasip1.ENOENT
	case err != nil && e.local:
		return d.resolveLocal(e)
	case err != nil:
		d.forget(e)
		return nil, wasip1.ENOENT
	}
	return d.met(e, p, fi), nil
}

// met notes what the store has at a place, where e, if not nil, was known.
func (d *dir) met(e *entry, p place, fi os.FileInfo) *entry {
	if e != nil {
		n := e.node.in()
		switch {
		case e.local:
		case d.fs.memory && dataOf(fi) != nil && dataOf(fi) == dataOf(n.info):
			return e
		case n.typ == typeOf(fi) && same(n.info, fi):
			n.info = fi
			return e
		}
		d.forget(e)
	}
	p.name = strings.Clone(p.name)
	return d.add(p.name, d.fs.adopt(p, fi), false)
}

// resolveLocal validates a name that only the adapter knows: it is good as long as the directory
// and the file are.
func (d *dir) resolveLocal(e *entry) (*entry, error) {
	if err := d.alive(); err != nil {
		return nil, err
	}
	n := e.node.in()
	if n.at.dir == nil {
		return e, nil
	}
	if fi, _, err := n.there(n.path()); fi != nil {
		return e, nil
	} else if err != nil && !gone(err) {
		return nil, err
	}
	if stored := n.at.dir.names[n.at.name]; stored != nil && stored.node == e.node {
		n.at.dir.forget(stored)
	}
	d.del(e)
	return nil, wasip1.ENOENT
}

// adopt makes the node of a stored file that was not known. The name is the caller's no more.
func (f *FS) adopt(p place, fi os.FileInfo) node {
	var n node
	typ := typeOf(fi)
	switch typ {
	case typeDir:
		n = new(dir)
	case typeFile:
		n = new(file)
	case typeLink:
		n = &link{stored: true}
	default:
		n = new(special)
	}
	in := n.in()
	f.initialise(in, typ)
	in.at, in.info = p, fi
	in.look(fi)
	return n
}

// Lookup returns what a name stands for.
func (d *dir) Lookup(name string) (vfs.Node, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	d.fs.lock()
	defer d.fs.mu.Unlock()
	e, err := d.resolve(name)
	if err != nil {
		return nil, err
	}
	return e.node, nil
}

// ReadDir asks the store for its names at the start, and goes on from what it said then.
func (d *dir) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	d.fs.lock()
	defer d.fs.mu.Unlock()
	if cookie == 0 {
		if err := d.relist(); err != nil {
			return 0, err
		}
	}
	n := 0
	for e := range d.order.After(cookie) {
		if n == len(entries) {
			break
		}
		in := e.node.in()
		entries[n] = vfs.DirEntry{Name: e.name, Ino: in.ino, Type: in.typ, Next: e.Cookie()}
		n++
	}
	return n, nil
}

// relist brings the known names up to date with the store. FS.mu is held.
func (d *dir) relist() error {
	if d.gone {
		return nil
	}
	if err := d.alive(); err != nil {
		if d != d.fs.root && gone(err) {
			return nil
		}
		return err
	}
	infos, err := d.fs.list(d.path())
	if err != nil {
		return err
	}
	d.lists++
	seen := 0
	for _, fi := range infos {
		name := fi.Name()
		e := d.names[name]
		if name == "" || e != nil && e.listed == d.lists || d.hides(name) {
			continue
		}
		p := place{dir: d, name: name}
		if d.fs.memory && d == d.fs.root && d.fs.base == sep {
			if m, ok := fi.(*mem.FileInfo); ok {
				p.rel = !strings.HasPrefix(m.FileData.Name(), sep)
			}
			if e != nil && !e.local && p.rel != e.node.in().at.rel {
				// Two files that differ in the leading separator alone: the first one met stays.
				e.listed = d.lists
				seen++
				continue
			}
		}
		d.met(e, p, fi).listed = d.lists
		seen++
	}
	if seen == len(d.names) {
		return nil
	}
	for _, e := range d.names {
		if !e.local && e.listed != d.lists {
			d.forget(e)
		}
	}
	return nil
}

// empty reports whether neither the store nor the adapter has a name in the directory. FS.mu is
// held.
func (d *dir) empty() (bool, error) {
	for _, e := range d.names {
		if e.local {
			if _, err := d.resolve(e.name); err == nil {
				return false, nil
			}
		}
	}
	busy, err := d.fs.occupied(d.path())
	return !busy, err
}

// Number returns the inode number. Attr lists the directory, to count those in it.
func (d *dir) Number() (uint64, error) {
	d.fs.lock()
	defer d.fs.mu.Unlock()
	if err := d.alive(); err != nil && !d.gone {
		return 0, err
	}
	return d.ino, nil
}

// Attr returns the attributes.
func (d *dir) Attr() (vfs.Attr, error) {
	d.fs.lock()
	defer d.fs.mu.Unlock()
	var nlink uint64
	fi, err := d.ask()
	switch {
	case err == nil:
		nlink = 1
		if d.fs.memory {
			infos, err := d.fs.list(d.path())
			if err != nil {
				return vfs.Attr{}, err
			}
			nlink = 2
			for _, fi := range infos {
				if fi.IsDir() {
					nlink++
				}
			}
		}
	case !d.gone:
		return vfs.Attr{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if nlink > 0 {
		d.look(fi)
		if d.dirty {
			d.settle()
		}
	}
	a := d.attr(nlink)
	// What stores say of a directory's size has no meaning that two of them share.
	a.Size = 0
	return a, nil
}
