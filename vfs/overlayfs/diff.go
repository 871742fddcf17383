package overlayfs

import (
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Kind says how a path differs from the lower layer.
type Kind uint8

const (
	Added    Kind = iota + 1 // the lower has nothing there
	Modified                 // the lower has it, with other content, another type or other attributes
	Removed                  // only the lower has it
)

// String returns "added", "modified" or "removed".
func (k Kind) String() string {
	switch k {
	case Added:
		return "added"
	case Modified:
		return "modified"
	case Removed:
		return "removed"
	}
	return "unknown"
}

// Change is one path that differs from the lower layer.
type Change struct {
	// Path is the path from the root on, without a slash at its start.
	Path string
	Kind Kind
	// Type is what is there now; of what was removed, what was there.
	Type wasip1.Filetype
	// Replaced says of a Modified path that another file has taken the place of the lower's.
	// Nothing that the lower has below it is seen any more.
	Replaced bool
	// Attributes says of a Modified path that only times or permissions were changed.
	Attributes bool
}

// delta is a Change with what it is made of.
type delta struct {
	Change
	node    node // not of what was removed
	wasType wasip1.Filetype
}

// Diff returns what differs from the lower layer, sorted by path. A directory that was removed
// stands for all that was in it; of one that was added or moved everything is listed. A directory
// whose names alone were changed is not listed for its times. A file with several names is listed
// under each. Renames are told as what was removed and what was added. Errors: ENAMETOOLONG where a
// path is longer than [vfs.MaxPath].
func (f *FS) Diff() ([]Change, error) {
	deltas, err := f.deltas()
	if err != nil {
		return nil, err
	}
	changes := make([]Change, len(deltas))
	for i, d := range deltas {
		changes[i] = d.Change
	}
	return changes, nil
}

func (f *FS) deltas() ([]delta, error) {
	f.mu.Lock()
	defer f.unlock()
	var c collector
	for key := range f.past.shared.All() {
		f.several(key)
	}
	for _, n := range f.shared {
		if in := n.in(); in.nlink > 0 && len(in.names) == 0 && (in.hasUpper || in.set.explicit) {
			c.links(in) // it was opened by a path, and none of its names was met
		}
	}
	if err := c.merged(f.root, ""); err != nil {
		return nil, err
	}
	if c.unmet != nil {
		// A file that was changed has names in the lower that nobody has asked for yet.
		if err := f.root.meet(c.unmet); err != nil {
			return nil, err
		}
		c = collector{}
		if err := c.merged(f.root, ""); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(c.deltas, func(a, b delta) int { return strings.Compare(a.Path, b.Path) })
	return c.deltas, nil
}

// collector gathers what differs. FS.mu is held during its work.
type collector struct {
	deltas []delta
	unmet  map[uint64]bool // changed files with names that are not known
}

func (c *collector) add(n node, ch Change, was wasip1.Filetype) {
	c.deltas = append(c.deltas, delta{Change: ch, node: n, wasType: was})
}

func childPath(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// merged goes through a directory that stands where the lower has the same.
func (c *collector) merged(d *dir, path string) error {
	if d.hasUpper {
		if err := d.list(); err != nil {
			return err
		}
	}
	for _, e := range d.known() {
		p := childPath(path, e.name)
		if e.white {
			l, err := d.lowerDir().Lookup(e.name)
			if err != nil {
				return err
			}
			c.add(nil, Change{Path: p, Kind: Removed, Type: l.Type()}, l.Type())
			wrapfs.Release(l)
			continue
		}
		if e.node == nil && !e.inUpper {
			continue
		}
		if _, err := d.resolve(e.name); err != nil {
			return err
		}
		l, err := find(d.lowerDir(), e.name)
		if err != nil {
			return err
		}
		if l == nil {
			err = c.added(e.node, p)
		} else {
			err = c.compare(e.node, l, p)
			wrapfs.Release(l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// known returns the entries there are, in an order that does not matter.
func (d *dir) known() []*entry {
	d.recallAll()
	all := make([]*entry, 0, len(d.names))
	for _, e := range d.names {
		if e.node == nil && e.id != 0 {
			d.fs.inode(e.id)
		}
		all = append(all, e)
	}
	return all
}

// compare finds out whether n differs from what the lower has in its place.
func (c *collector) compare(n node, l vfs.Node, path string) error {
	in := n.in()
	a, err := l.Attr()
	if err != nil {
		return err
	}
	ch := Change{Path: path, Kind: Modified, Type: in.typ}
	same := in.from == layerIno{ino: a.Ino}
	d, isDir := n.(*dir)
	switch {
	case !same:
		ch.Replaced = true
		c.add(n, ch, a.Type)
		if isDir {
			return c.below(d, path)
		}
	case isDir:
		if d.set.explicit {
			ch.Attributes = true
			c.add(n, ch, a.Type)
		}
		return c.merged(d, path)
	case in.hasUpper:
		c.add(n, ch, a.Type)
		c.links(in)
	case in.set.explicit:
		ch.Attributes = true
		c.add(n, ch, a.Type)
		c.links(in)
	}
	return nil
}

// links notes a changed file some of whose names are not known.
func (c *collector) links(in *inode) {
	if in.nlink > uint64(len(in.names)) {
		if c.unmet == nil {
			c.unmet = make(map[uint64]bool)
		}
		c.unmet[in.ino] = true
	}
}

// added adds n, and everything below it, as new. A guest can make a tree that is deeper than a path
// leads, the names of which together are as large as the square of its depth.
func (c *collector) added(n node, path string) error {
	if len(path) > vfs.MaxPath {
		return wasip1.ENAMETOOLONG
	}
	c.add(n, Change{Path: path, Kind: Added, Type: n.Type()}, wasip1.FiletypeUnknown)
	if d, ok := n.(*dir); ok {
		return c.below(d, path)
	}
	return nil
}

func (c *collector) below(d *dir, path string) error {
	if err := d.list(); err != nil {
		return err
	}
	for _, e := range d.known() {
		if e.white {
			continue
		}
		if _, err := d.resolve(e.name); err != nil {
			return err
		}
		if err := c.added(e.node, childPath(path, e.name)); err != nil {
			return err
		}
	}
	return nil
}

// meet looks for further names of files, by their numbers, in all that is seen below d.
func (d *dir) meet(wanted map[uint64]bool) error {
	if err := d.list(); err != nil {
		return err
	}
	for _, e := range d.known() {
		if e.white || e.node == nil && e.typ != wasip1.FiletypeDirectory && !wanted[e.ino] {
			continue
		}
		if _, err := d.resolve(e.name); err != nil {
			return err
		}
		if sub, ok := e.node.(*dir); ok {
			if err := sub.meet(wanted); err != nil {
				return err
			}
			if d.fs.releases {
				sub.want()
			}
		}
	}
	return nil
}

// Discard throws all changes away: it empties the upper and shows the lower as it is. Files that
// are open stay usable, with the content they have, and are found under no name any more; so is
// what was made or moved.
func (f *FS) Discard() error {
	f.mu.Lock()
	defer f.unlock()
	var err error
	if u := f.root.upperDir(); u != nil {
		err = removeBelow(u)
	}
	f.root.reset()
	f.changes.Add(1)
	return err
}

// removeBelow removes everything in a directory of a layer. It goes through the tree with a stack
// of its own: a guest can make one that is deeper than Go's stack may become.
func removeBelow(top vfs.Directory) error {
	type level struct {
		dir  vfs.Directory
		rest []vfs.DirEntry // what is still in it
	}
	enter := func(d vfs.Directory) (level, error) {
		l := level{dir: d}
		err := each(d, func(e vfs.DirEntry) error {
			e.Name = strings.Clone(e.Name)
			l.rest = append(l.rest, e)
			return nil
		})
		return l, err
	}
	first, err := enter(top)
	way := []level{first}
	defer func() {
		for _, l := range way[1:] {
			wrapfs.Release(l.dir)
		}
	}()
	for err == nil {
		l := &way[len(way)-1]
		if len(l.rest) == 0 {
			if len(way) == 1 {
				return nil
			}
			wrapfs.Release(l.dir)
			way = way[:len(way)-1]
			l = &way[len(way)-1]
			err = l.dir.Rmdir(l.rest[0].Name)
			l.rest = l.rest[1:]
			continue
		}
		e := l.rest[0]
		if e.Type != wasip1.FiletypeDirectory {
			err = l.dir.Unlink(e.Name)
			l.rest = l.rest[1:]
			continue
		}
		var n vfs.Node
		if n, err = l.dir.Lookup(e.Name); err != nil {
			break
		}
		sub, ok := n.(vfs.Directory)
		if !ok {
			wrapfs.Release(n)
			return wasip1.ENOTDIR
		}
		var below level
		below, err = enter(sub)
		way = append(way, below)
	}
	return err
}

// removeAll removes a name in a directory of a layer, and all that is below it.
func removeAll(d vfs.Directory, name string, isDir bool) error {
	if !isDir {
		return d.Unlink(name)
	}
	n, err := d.Lookup(name)
	if err != nil {
		return err
	}
	defer wrapfs.Release(n)
	if sub, ok := n.(vfs.Directory); ok {
		if err := removeBelow(sub); err != nil {
			return err
		}
	}
	return d.Rmdir(name)
}

// reset makes a directory, and what is below it, what the lower has. FS.mu is held.
func (d *dir) reset() {
	for _, e := range d.known() {
		switch {
		case e.white:
			delete(d.names, e.name)
			d.note(e.name)
		case e.node == nil:
			d.hide(e, false)
		case d.unmoved(e):
			e.inUpper = false
			d.note(e.name)
			if sub, ok := e.node.(*dir); ok {
				sub.reset()
			}
		default:
			n := e.node
			d.hide(e, false)
			n.in().detach()
		}
	}
	d.listed, d.changed = false, false
	d.set = override{}
	d.dirty()
	if d != d.fs.root {
		if d.upper != nil {
			wrapfs.Release(d.upper)
		}
		d.upper, d.hasUpper, d.upperKnown, d.pinned = nil, false, false, false
	}
}

// unmoved reports whether an entry is what the lower has there, with its content. It takes back
// what was changed of the attributes. FS.mu is held.
func (d *dir) unmoved(e *entry) bool {
	in := e.node.in()
	if in.from.upper || !in.hasLower || in.typ != wasip1.FiletypeDirectory && in.hasUpper {
		return false
	}
	l, err := find(d.lowerDir(), e.name)
	if err != nil || l == nil {
		return false
	}
	defer wrapfs.Release(l)
	a, err := l.Attr()
	if err != nil || in.from != (layerIno{ino: a.Ino}) {
		return false
	}
	in.set, in.nlink = override{}, a.Nlink
	in.dirty()
	return true
}

// detach makes an inode one without names, and so all that is below it alone. FS.mu is held.
func (n *inode) detach() {
	for rest := []*inode{n}; len(rest) > 0; {
		n, rest = rest[len(rest)-1], rest[:len(rest)-1]
		if len(n.names) > 0 {
			continue
		}
		delete(n.fs.shared, n.from)
		n.nlink, n.stash = 0, ""
		if f, ok := n.self.(*file); ok {
			f.nameless()
		}
		n.dirty()
		d, ok := n.self.(*dir)
		if !ok {
			continue
		}
		d.leave()
		for _, e := range d.known() {
			if e.white {
				continue
			}
			c := e.node
			d.hide(e, false)
			if c != nil {
				rest = append(rest, c.in())
			}
		}
	}
}
