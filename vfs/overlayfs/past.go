package overlayfs

import (
	"maps"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/vfs/internal/levels"
	"github.com/wasivirt/wasivirt/wasip1"
)

// What an overlay remembers of the difference is written down when it is forked: as records, which
// never change and which the overlay and all its forks share. Each fork makes inodes of records
// when they are wanted (see revive). A record refers to others by their numbers, which an inode
// gets when it is written down first. An inode without a record is what the layers show at its
// place.

// past is what was written down.
type past struct {
	inodes levels.Map[uint64, *record]  // by their numbers as inode.id
	shared levels.Map[layerIno, uint64] // numbers of inodes that are in FS.shared
	inos   levels.Map[layerIno, uint64] // see FS.number
	lastID uint64
}

// rootID is inode.id of the root.
const rootID = 1

// record is what is written down of an inode.
type record struct {
	typ                wasip1.Filetype
	ino                uint64
	hasLower, hasUpper bool
	lowerPath          string
	from               layerIno
	stash              string
	names              []place
	nlink              uint64
	pinned             bool
	set                override

	// of a file
	copied  int64
	settled bool

	// of a directory
	entries             levels.Map[string, written]
	shown, subdirs      int    // of entries
	seq                 uint64 // the last cookie
	upperKnown, changed bool
}

// place is a name in a directory, by the number of that.
type place struct {
	dir  uint64
	name string
}

// written is what is written down of an entry.
type written struct {
	cookie              uint64
	typ                 wasip1.Filetype
	ino                 uint64
	id                  uint64 // 0 if the layers show at the name what it stands for
	white, inUpper, low bool
}

// shows returns what an entry counts for in a directory: names, and directories.
func (w written) shows() (shown, subdirs int) {
	switch {
	case w == written{} || w.white:
		return 0, 0
	case w.typ == wasip1.FiletypeDirectory:
		return 1, 1
	}
	return 1, 0
}

// dead reports whether an inode is found under no name any more, and never will be.
func (n *inode) dead() bool {
	if d, ok := n.self.(*dir); ok {
		return d.gone
	}
	return n.nlink == 0
}

// dirty notes that an inode is not as it was written down. FS.mu is held.
func (n *inode) dirty() {
	if n.id == 0 && n.dead() {
		delete(n.fs.unwritten, n)
		return
	}
	n.fs.unwritten[n] = struct{}{}
}

// note notes that the entry of a name is not as it was written down. FS.mu is held.
func (d *dir) note(name string) {
	d.dirty()
	if d.names[name] == nil {
		if _, written := d.past.Get(name); !written {
			delete(d.noted, name)
			return
		}
	}
	if d.noted == nil {
		d.noted = make(map[string]struct{})
	}
	d.noted[name] = struct{}{}
}

// write writes down what has changed. mu is held.
func (f *FS) write() {
	f.past.inos = f.past.inos.With(f.inos)
	f.inos = make(map[layerIno]uint64)
	if len(f.unwritten) == 0 {
		return
	}
	inodes, shared := make(map[uint64]*record), make(map[layerIno]uint64)
	all := f.toWrite()
	for _, n := range all {
		if n.dead() {
			inodes[n.id] = nil
			delete(f.known, n.id)
		} else {
			inodes[n.id] = n.record()
		}
		if n.from != (layerIno{}) {
			shared[n.from] = 0
		}
	}
	for _, n := range all {
		if !n.dead() && n.from != (layerIno{}) && f.shared[n.from] == n.self {
			shared[n.from] = n.id
		}
	}
	f.past.inodes, f.past.shared = f.past.inodes.With(inodes), f.past.shared.With(shared)
	clear(f.unwritten)
}

// toWrite returns the inodes that have to be written down, with the directories that lead to them,
// and gives them numbers. FS.mu is held.
func (f *FS) toWrite() []*inode {
	for n := range f.unwritten {
		if file, ok := n.self.(*file); ok && !n.dead() {
			file.meet()
		}
	}
	all := slices.Collect(maps.Keys(f.unwritten))
	for i := 0; i < len(all); i++ {
		n := all[i]
		if n.dead() {
			continue
		}
		if n.id == 0 {
			f.past.lastID++
			n.id = f.past.lastID
			f.known[n.id] = n.self
		}
		for _, p := range n.names {
			_, waits := f.unwritten[&p.dir.inode]
			if p.dir.note(p.name); !waits {
				all = append(all, &p.dir.inode)
			}
		}
	}
	return all
}

// record writes an inode down. Those that it refers to have their numbers. FS.mu is held.
func (n *inode) record() *record {
	r := n.describe()
	for _, p := range n.names {
		r.names = append(r.names, place{p.dir.id, p.name})
	}
	if d, ok := n.self.(*dir); ok {
		d.record(r)
	}
	return r
}

// describe returns a record of an inode without its names and without what is in it. FS.mu is held.
func (n *inode) describe() *record {
	r := &record{
		typ: n.typ, ino: n.ino, hasLower: n.hasLower, hasUpper: n.hasUpper, lowerPath: n.lowerPath,
		from: n.from, stash: n.stash, nlink: n.nlink, pinned: n.pinned, set: n.set,
	}
	if f, ok := n.self.(*file); ok {
		r.settled = f.settled.Load()
		if !f.aside {
			r.copied = f.copied
		}
	}
	return r
}

// record writes down what only directories have.
func (d *dir) record(r *record) {
	r.seq, r.upperKnown, r.changed = d.order.Last(), d.upperKnown, d.changed
	r.shown, r.subdirs = d.pastShown, d.pastSubdirs
	level := make(map[string]written, len(d.noted))
	for name := range d.noted {
		var w written
		if e := d.names[name]; e != nil {
			w = written{cookie: e.Cookie(), typ: e.typ, ino: e.ino, id: e.id, white: e.white, inUpper: e.inUpper, low: e.low}
			if e.node != nil {
				w.id = e.node.in().id
			}
		}
		was, _ := d.past.Get(name)
		shown, subdirs := was.shows()
		r.shown, r.subdirs = r.shown-shown, r.subdirs-subdirs
		shown, subdirs = w.shows()
		r.shown, r.subdirs = r.shown+shown, r.subdirs+subdirs
		level[name] = w
	}
	r.entries = d.past.With(level)
	d.past, d.pastShown, d.pastSubdirs, d.noted = r.entries, r.shown, r.subdirs, nil
}

// inode returns the inode of a number, nil if there is none. mu is held.
func (f *FS) inode(id uint64) node {
	// Directories first, those above before those below. A guest can make a tree that is deeper
	// than Go's stack may become.
	for way := []uint64{id}; len(way) > 0; {
		at := way[len(way)-1]
		r := f.unmade(at)
		if r == nil {
			way = way[:len(way)-1]
			continue
		}
		i := slices.IndexFunc(r.names, func(p place) bool { return f.unmade(p.dir) != nil })
		if i >= 0 {
			way = append(way, r.names[i].dir)
			continue
		}
		f.revive(at, r)
	}
	return f.known[id]
}

// unmade returns the record that an inode can be made of; nil if there is none, or the inode. mu is
// held.
func (f *FS) unmade(id uint64) *record {
	if f.known[id] != nil {
		return nil
	}
	r, _ := f.past.inodes.Get(id)
	return r
}

// revive makes an inode of a record, whose directories are known. mu is held.
func (f *FS) revive(id uint64, r *record) node {
	n := f.newNode(r.typ, nil, nil)
	n.in().recall(r)
	n.in().id = id
	f.known[id] = n
	if s, _ := f.past.shared.Get(r.from); s == id {
		f.shared[r.from] = n
	}
	for _, p := range r.names {
		d, ok := f.known[p.dir].(*dir)
		if !ok {
			continue
		}
		if e := d.entry(p.name); e != nil && e.id == id && e.node == nil {
			e.node = n
			d.cached++
			n.in().names = append(n.in().names, location{d, e.name})
		}
	}
	return n
}

// recall makes an inode what was written down. FS.mu is held.
func (n *inode) recall(r *record) {
	n.ino, n.hasLower, n.hasUpper, n.lowerPath, n.from = r.ino, r.hasLower, r.hasUpper, r.lowerPath, r.from
	n.stash, n.nlink, n.pinned, n.set = r.stash, r.nlink, r.pinned, r.set
	switch s := n.self.(type) {
	case *file:
		s.copied = r.copied
		s.settled.Store(r.settled)
	case *dir:
		s.past, s.partial = r.entries, len(r.entries) > 0
		s.shown, s.subdirs, s.pastShown, s.pastSubdirs = r.shown, r.subdirs, r.shown, r.subdirs
		s.upperKnown, s.changed = r.upperKnown, r.changed
		s.order.Continue(r.seq)
	}
}

// entry returns the entry of a name, nil if none is known. FS.mu is held.
func (d *dir) entry(name string) *entry {
	if e := d.names[name]; e != nil || !d.partial {
		return e
	}
	return d.recallName(name)
}

// recallName makes the entry that was written down for a name, nil if none was. FS.mu is held.
func (d *dir) recallName(name string) *entry {
	if _, newer := d.noted[name]; newer {
		return nil
	}
	w, _ := d.past.Get(name)
	return d.recallEntry(strings.Clone(name), w)
}

// recallEntry makes the entry that was written down for a name. FS.mu is held.
func (d *dir) recallEntry(name string, w written) *entry {
	if w == (written{}) {
		return nil
	}
	e := &entry{name: name, typ: w.typ, ino: w.ino, id: w.id, white: w.white, inUpper: w.inUpper, low: w.low}
	if d.names == nil {
		d.names = make(map[string]*entry)
	}
	d.names[name] = e
	if !w.white && !w.low {
		d.order.Restore(e, w.cookie)
	}
	return e
}

// recallAll sees to it that names has all that was written down. FS.mu is held.
func (d *dir) recallAll() {
	if !d.partial {
		return
	}
	for name, w := range d.past.All() {
		if _, newer := d.noted[name]; !newer && d.names[name] == nil {
			d.recallEntry(name, w)
		}
	}
	d.partial = false
}

// several returns the node of a layer's file that has, or had, several names there; nil if it is
// not known. mu is held.
func (f *FS) several(key layerIno) node {
	if n := f.shared[key]; n != nil {
		return n
	}
	id, _ := f.past.shared.Get(key)
	if id == 0 || f.known[id] != nil {
		return nil // which is not in shared any more
	}
	return f.inode(id)
}
