package overlayfs

import (
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/internal/levels"
	"github.com/wasivirt/wasivirt/vfs/internal/names"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// dir is a directory: of the lower, of the upper, or both merged.
type dir struct {
	inode

	names   map[string]*entry
	order   names.Order[*entry] // those that show and are not low
	shown   int                 // entries that show
	cached  int                 // entries with a node
	listed  bool                // names has all that the layers have
	subdirs int                 // entries that show and are directories; right once listed
	// upperKnown says that names has all that the upper has.
	upperKnown bool
	changed    bool // names differ from what the layers would show
	gone       bool

	past                   levels.Map[string, written] // what was written down of names
	pastShown, pastSubdirs int                         // of past
	partial                bool                        // names does not have all of past
	noted                  map[string]struct{}         // names that are not as they were written down
}

// entry is a name in a directory. One that is white hides a name of the lower.
type entry struct {
	names.Mark
	name    string
	typ     wasip1.Filetype
	ino     uint64
	node    node   // nil if it was only listed, or written down
	id      uint64 // what was written down of node, if that is nil
	white   bool
	inUpper bool // the upper has the file under this name
	low     bool // it shows where the lower lists its name
	alone   bool // the lower has no such name, as was found when this was made
}

// show adds a name to those that are seen.
func (d *dir) show(name string, typ wasip1.Filetype, ino uint64, n node, inUpper, low bool) *entry {
	if d.names == nil {
		d.names = make(map[string]*entry)
	}
	e := &entry{name: strings.Clone(name), typ: typ, ino: ino, node: n, inUpper: inUpper, low: low}
	d.names[e.name] = e
	d.shown++
	if !low {
		d.order.Add(e)
	}
	if typ == wasip1.FiletypeDirectory {
		d.subdirs++
	}
	if n != nil {
		d.cached++
		in := n.in()
		in.names = append(in.names, location{d, e.name})
	}
	if inUpper || !low {
		d.note(e.name)
	}
	return e
}

// hide takes a name away from those that are seen, and leaves a whiteout where the lower has it.
func (d *dir) hide(e *entry, white bool) {
	d.shown--
	if !e.low {
		d.order.Remove(e)
	}
	delete(d.names, e.name)
	if e.typ == wasip1.FiletypeDirectory {
		d.subdirs--
	}
	if e.node != nil {
		d.cached--
		in := e.node.in()
		for i, p := range in.names {
			if p.dir == d && p.name == e.name {
				in.names = append(in.names[:i:i], in.names[i+1:]...)
				break
			}
		}
		in.dirty()
	}
	if white {
		d.names[e.name] = &entry{name: e.name, white: true}
	}
	d.changed = true
	d.note(e.name)
}

// inLower reports whether the lower has the name of e, and asks it if that is not known. FS.mu is
// held.
func (d *dir) inLower(e *entry) (bool, error) {
	if e.low || e.alone || !d.hasLower {
		return e.low, nil
	}
	l := d.lowerDir()
	if l == nil {
		return false, nil
	}
	n, err := l.Lookup(e.name)
	switch {
	case err == nil:
		wrapfs.Release(n)
		return true, nil
	case wasip1.FromError(err) == wasip1.ENOENT:
		return false, nil
	}
	return false, err
}

func find(d vfs.Directory, name string) (vfs.Node, error) {
	if d == nil {
		return nil, nil
	}
	n, err := d.Lookup(name)
	if err != nil && wasip1.FromError(err) == wasip1.ENOENT {
		return nil, nil
	}
	return n, err
}

// resolve returns the entry of a name, with its node. FS.mu is held.
func (d *dir) resolve(name string) (*entry, error) {
	if d.gone || d.hides(name) {
		return nil, wasip1.ENOENT
	}
	e := d.entry(name)
	switch {
	case e != nil && e.white, e == nil && d.listed:
		return nil, wasip1.ENOENT
	case e != nil && e.node == nil && e.id != 0:
		d.fs.inode(e.id)
	}
	if e != nil && e.node != nil {
		return e, nil
	}
	var u vfs.Node
	var err error
	if !d.upperKnown || e != nil {
		if u, err = find(d.upperDir(), name); err != nil {
			return nil, err
		}
	}
	var l vfs.Node
	if u == nil || u.Type() == wasip1.FiletypeDirectory {
		if l, err = find(d.lowerDir(), name); err != nil {
			return nil, err
		}
	}
	if u != nil && l != nil && l.Type() != wasip1.FiletypeDirectory {
		wrapfs.Release(l)
		l = nil
	}
	if u == nil && l == nil {
		return nil, wasip1.ENOENT
	}
	n, err := d.fs.met(l, u)
	if err != nil {
		return nil, err
	}
	if in := n.in(); in.hasLower && in.lowerPath == "" {
		in.lowerPath = strings.Clone(childPath(d.lowerPath, name))
	}
	n.in().want()
	if e == nil {
		return d.show(name, n.Type(), n.in().ino, n, u != nil, l != nil), nil
	}
	e.node = n
	d.cached++
	n.in().names = append(n.in().names, location{d, e.name})
	return e, nil
}

// met returns the node of what the layers have at one name: a new one, or the one it has under
// another name. FS.mu is held.
func (f *FS) met(l, u vfs.Node) (node, error) {
	from := l
	if from == nil {
		from = u
	}
	a, err := from.Attr()
	if err != nil {
		return nil, err
	}
	key := layerIno{upper: l == nil, ino: a.Ino}
	if n := f.several(key); n != nil {
		if l != nil {
			wrapfs.Release(l)
		}
		if in := n.in(); in.hasUpper && in.upper == nil {
			in.upper = u // of which no name may be known
		} else if u != nil {
			wrapfs.Release(u)
		}
		return n, nil
	}
	n := f.newNode(from.Type(), l, u)
	in := n.in()
	in.ino, in.nlink, in.from = f.number(key), a.Nlink, key
	if a.Nlink > 1 && in.typ != wasip1.FiletypeDirectory {
		f.shared[key] = n
	}
	return n, nil
}

// Lookup returns what a name stands for.
func (d *dir) Lookup(name string) (vfs.Node, error) {
	if err := vfs.CheckName(name); err != nil {
		return nil, err
	}
	d.fs.mu.Lock()
	defer d.fs.unlock()
	return d.lookup(name)
}

// lookup is Lookup. FS.mu is held.
func (d *dir) lookup(name string) (vfs.Node, error) {
	e, err := d.resolve(name)
	if err != nil {
		return nil, err
	}
	// Who has the node keeps the file, whatever becomes of its names.
	in := e.node.in()
	if _, err := in.up(); err != nil {
		return nil, err
	}
	in.hold()
	return e.node, nil
}

// loadUpper makes sure that all names of the upper are known. FS.mu is held.
func (d *dir) loadUpper() error {
	if d.upperKnown || d.gone {
		return nil
	}
	err := each(d.upperDir(), func(u vfs.DirEntry) error {
		if d.hides(u.Name) || d.entry(u.Name) != nil {
			return nil
		}
		key := layerIno{upper: true, ino: u.Ino}
		if u.Type == wasip1.FiletypeDirectory {
			// A merged directory goes by the number of the lower.
			l, err := find(d.lowerDir(), u.Name)
			if err != nil {
				return err
			}
			if l != nil {
				a, err := l.Attr()
				wrapfs.Release(l)
				if err != nil {
					return err
				}
				if a.Type == wasip1.FiletypeDirectory {
					key = layerIno{ino: a.Ino}
				}
			}
		}
		d.show(u.Name, u.Type, d.fs.number(key), nil, true, false)
		return nil
	})
	d.upperKnown = err == nil
	return err
}

// list makes sure that all names are known. FS.mu is held.
func (d *dir) list() error {
	if d.listed || d.gone {
		return nil
	}
	if err := d.loadUpper(); err != nil {
		return err
	}
	err := each(d.lowerDir(), func(l vfs.DirEntry) error {
		if !d.hides(l.Name) && d.entry(l.Name) == nil {
			d.show(l.Name, l.Type, d.fs.number(layerIno{ino: l.Ino}), nil, false, true)
		}
		return nil
	})
	d.listed = err == nil
	return err
}

// each calls f for every name in a directory, which may be nil.
func each(d vfs.Directory, f func(vfs.DirEntry) error) error {
	if d == nil {
		return nil
	}
	var buf [64]vfs.DirEntry
	cookie := uint64(0)
	for {
		n, err := d.ReadDir(cookie, buf[:])
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		for _, e := range buf[:n] {
			if err := f(e); err != nil {
				return err
			}
		}
		cookie = buf[n-1].Next
	}
}

// ReadDir lists the names of both layers: first those of the lower, with its cookies, which are
// made even, then the others, whose cookies are odd. Nothing is kept for a name that was only
// listed.
func (d *dir) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	d.fs.mu.Lock()
	defer d.fs.unlock()
	if d.gone {
		return 0, nil
	}
	if err := d.loadUpper(); err != nil {
		return 0, err
	}
	n, after := 0, cookie>>1
	if cookie&1 == 0 {
		var err error
		if n, err = d.readLower(after, entries); err != nil || n == len(entries) {
			return n, err
		}
		after = 0
	}
	return n + d.readOthers(after, entries[n:]), nil
}

// dirEntry is what is told of a name that shows elsewhere than where the lower has it.
func (e *entry) dirEntry() vfs.DirEntry {
	return vfs.DirEntry{Name: e.name, Ino: e.ino, Type: e.typ, Next: e.Cookie()<<1 | 1}
}

// readOthers lists the names that show elsewhere. FS.mu is held.
func (d *dir) readOthers(cookie uint64, entries []vfs.DirEntry) int {
	d.recallAll()
	n := 0
	for e := range d.order.After(cookie) {
		if n == len(entries) {
			break
		}
		entries[n] = e.dirEntry()
		n++
	}
	return n
}

// readLower lists the names that show where the lower has them. It fills entries unless there are
// no more. FS.mu is held.
func (d *dir) readLower(cookie uint64, entries []vfs.DirEntry) (int, error) {
	l := d.lowerDir()
	n := 0
	for l != nil && n < len(entries) {
		got, err := l.ReadDir(cookie, entries[n:])
		if err != nil {
			if n > 0 {
				err = nil // for the next call to meet
			}
			return n, err
		}
		if got == 0 {
			if n > 0 {
				entries[n-1].Next = 1 // the others follow, and the lower need not be asked again
			}
			break
		}
		read := entries[n : n+got]
		cookie = read[got-1].Next
		unknown := d.unknown()
		for i := range read {
			e := &read[i]
			if !d.showLower(e, unknown) {
				continue
			}
			if &entries[n] != e {
				entries[n] = *e
			}
			n++
		}
	}
	return n, nil
}

// unknown reports whether nothing is known of any name, so that all show as the lower has them.
// FS.mu is held.
func (d *dir) unknown() bool { return len(d.names) == 0 && !d.partial && d != d.fs.root }

// showLower makes an entry of the lower one of d, if it shows there. FS.mu is held.
func (d *dir) showLower(e *vfs.DirEntry, unknown bool) bool {
	e.Next <<= 1
	if !unknown {
		switch known := d.entry(e.Name); {
		case d.hides(e.Name) || known != nil && !known.low:
			return false
		case known != nil:
			e.Ino, e.Type = known.ino, known.typ
			return true
		}
	}
	e.Ino = d.fs.number(layerIno{ino: e.Ino})
	return true
}

// lister is a directory that tells its entries without a copy, as package vfs wants it.
type lister interface {
	List(cookie uint64, put func(*vfs.DirEntry) bool) error
}

// List is ReadDir for the walker of package vfs: put is called for each entry, under FS.mu, until
// it returns false. Errors: ENOSYS if the lower has no List.
func (d *dir) List(cookie uint64, put func(*vfs.DirEntry) bool) error {
	d.fs.mu.Lock()
	defer d.fs.unlock()
	if d.gone {
		return nil
	}
	if err := d.loadUpper(); err != nil {
		return err
	}
	after, more := cookie>>1, true
	if cookie&1 == 0 {
		l := d.lowerDir()
		lower, ok := l.(lister)
		if l != nil && !ok {
			return wasip1.ENOSYS
		}
		if ok {
			unknown := d.unknown()
			if err := lower.List(after, func(e *vfs.DirEntry) bool {
				more = !d.showLower(e, unknown) || put(e)
				return more
			}); err != nil {
				return err
			}
		}
		after = 0
	}
	if !more {
		return nil
	}
	d.recallAll()
	other := new(vfs.DirEntry)
	for e := range d.order.After(after) {
		if *other = e.dirEntry(); !put(other) {
			break
		}
	}
	return nil
}

// Sync puts the names that the upper has on its store, where that is more than nothing.
func (d *dir) Sync(dataOnly bool) error {
	d.fs.mu.Lock()
	defer d.fs.unlock()
	n, err := d.up()
	u, ok := n.(interface{ Sync(dataOnly bool) error })
	if err != nil || !ok {
		return err
	}
	return u.Sync(dataOnly)
}

// empty reports whether no name shows. FS.mu is held.
func (d *dir) empty() (bool, error) {
	if d.shown > 0 {
		return false, nil
	}
	if err := d.list(); err != nil {
		return false, err
	}
	return d.shown == 0, nil
}

// nlinks returns the link count, given that of the layer that attributes are taken from. FS.mu is
// held.
func (d *dir) nlinks(layer uint64) (uint64, error) {
	switch {
	case d.gone:
		return 0, nil
	case layer < 2, !d.changed && !(d.hasLower && d.hasUpper):
		return layer, nil
	}
	if err := d.list(); err != nil {
		return 0, err
	}
	return uint64(d.subdirs) + 2, nil
}
