package faultfs

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// tracker knows what is not durable yet: contents, and changes of names. A nil tracker does
// nothing.
type tracker struct {
	fs     vfs.FS
	strict bool

	mu     sync.Mutex
	root   *inode
	inodes map[uint64]*inode // those with a name
	log    []*change         // of names that are not durable, oldest first
}

// inode is a file that was met.
type inode struct {
	ino     uint64
	typ     wasip1.Filetype
	names   []spot    // those that are known
	content *unsynced // nil if all of it is durable
	saved   *saved    // once the last name has gone
}

// spot is a name in a directory.
type spot struct {
	dir  *inode
	name string
}

// change is a change of a name.
type change struct {
	kind kind
	f    *inode
	at   spot
	to   spot // of one that was moved
}

type kind uint8

const (
	made  kind = iota // f has the name at
	gone              // f has lost the name at
	moved             // f has the name to instead of at
)

func (c *change) String() string {
	switch c.kind {
	case made:
		return fmt.Sprintf("the making of %q", c.at.name)
	case moved:
		return fmt.Sprintf("the renaming of %q to %q", c.at.name, c.to.name)
	}
	return fmt.Sprintf("the removal of %q", c.at.name)
}

// touches reports whether a change is about a name, in reports whether it is about one in a
// directory.
func (c *change) touches(s spot) bool { return c.at == s || c.kind == moved && c.to == s }
func (c *change) in(d *inode) bool    { return c.at.dir == d || c.kind == moved && c.to.dir == d }

func newTracker(fsys vfs.FS) *tracker {
	t := &tracker{fs: fsys, inodes: make(map[uint64]*inode), root: &inode{typ: wasip1.FiletypeDirectory}}
	if a, err := fsys.Root().Attr(); err == nil {
		t.root.ino, t.root.typ = a.Ino, a.Type
	}
	t.inodes[t.root.ino] = t.root
	return t
}

func (t *tracker) lock() {
	if t != nil {
		t.mu.Lock()
	}
}

func (t *tracker) unlock() {
	if t != nil {
		t.mu.Unlock()
	}
}

// inode returns what is known of an inode.
func (t *tracker) inode(a vfs.Attr) *inode {
	f := t.inodes[a.Ino]
	if f == nil || f.typ != a.Type {
		f = &inode{ino: a.Ino, typ: a.Type}
		t.inodes[a.Ino] = f
	}
	return f
}

func (t *tracker) add(f *inode, s spot) {
	if f.typ == wasip1.FiletypeDirectory {
		f.names = nil // it has one name
	}
	if !slices.Contains(f.names, s) {
		f.names = append(f.names, s)
	}
}

func (t *tracker) del(f *inode, s spot) {
	f.names = slices.DeleteFunc(f.names, func(o spot) bool { return o == s })
}

// maxDepth is how deep a directory can be without its place being forgotten.
const maxDepth = 10_000

// path returns the path of a name, "" if it is not known where its directory is.
func (s spot) path(root *inode) string {
	path := "/" + s.name
	for range maxDepth {
		if s.dir == root {
			return path
		}
		if len(s.dir.names) == 0 {
			return ""
		}
		s = s.dir.names[0]
		path = "/" + s.name + path
	}
	return ""
}

// meet notes where a node was found. The caller does not hold mu.
func (t *tracker) meet(d *dir, name string, n *node) error {
	if t == nil {
		return nil
	}
	a, err := n.Below.Attr()
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n.known = t.inode(a)
	t.add(n.known, spot{d.known, strings.Clone(name)})
	return nil
}

// made notes a new file.
func (t *tracker) made(d *dir, name string, n *node) error {
	if t == nil {
		return nil
	}
	a, err := n.Below.Attr()
	if err != nil {
		return err
	}
	delete(t.inodes, a.Ino) // one that had the number before
	n.known = t.inode(a)
	if a.Type == wasip1.FiletypeRegularFile {
		n.known.content = new(unsynced)
	}
	t.linked(d, name, n)
	return nil
}

// linked notes a further name.
func (t *tracker) linked(d *dir, name string, n *node) {
	if t == nil {
		return
	}
	s := spot{d.known, strings.Clone(name)}
	t.add(n.known, s)
	t.log = append(t.log, &change{kind: made, f: n.known, at: s})
}

// loss is a name that is about to go.
type loss struct {
	f    *inode
	at   spot
	last *saved // if it is the last
}

// losing finds out what it takes to bring a name back; nil if nothing is there.
func (t *tracker) losing(d *dir, name string) *loss {
	if t == nil {
		return nil
	}
	n, err := d.d.Lookup(name)
	if err != nil {
		return nil
	}
	defer wrapfs.Release(n)
	a, err := n.Attr()
	if err != nil {
		return nil
	}
	l := &loss{f: t.inode(a), at: spot{d.known, strings.Clone(name)}}
	t.add(l.f, l.at)
	if a.Nlink <= 1 || a.Type == wasip1.FiletypeDirectory {
		l.last = l.f.keep(n, a)
	}
	return l
}

// removed notes that a name has gone.
func (t *tracker) removed(l *loss) {
	if t == nil || l == nil {
		return
	}
	t.log = append(t.log, &change{kind: gone, f: l.f, at: l.at})
	t.del(l.f, l.at)
	if l.last != nil {
		l.f.saved, l.f.content = l.last, nil
		delete(t.inodes, l.f.ino)
	}
}

// renamed notes that what is moved stands at a new name, and that lost, if not nil, has gone from
// there.
func (t *tracker) renamed(from, lost *loss, d *dir, name string) {
	if t == nil || from == nil || lost != nil && lost.f == from.f {
		return
	}
	t.removed(lost)
	f := from.f
	c := &change{kind: moved, f: f, at: from.at, to: spot{d.known, strings.Clone(name)}}
	t.log = append(t.log, c)
	t.del(f, c.at)
	t.add(f, c.to)
	if !t.strict && f.typ == wasip1.FiletypeRegularFile && f.content == nil {
		t.commit(func(o *change) bool { return o == c })
	}
}

// syncedDir makes the names in a directory durable, and where names follow what is synced its own.
func (t *tracker) syncedDir(d *dir) {
	if t != nil {
		t.mu.Lock()
		t.commit(func(c *change) bool { return c.in(d.known) || !t.strict && c.f == d.known })
		t.mu.Unlock()
	}
}

// commit makes changes of names durable, and with them those without which they could not be:
// earlier ones of the same names, those that gave the directories above the names that they have,
// and all in directories that are removed. mu is held.
func (t *tracker) commit(want func(*change) bool) {
	durable := make([]bool, len(t.log))
	var todo []int
	also := func(i int, needed bool) {
		if needed && !durable[i] {
			durable[i] = true
			todo = append(todo, i)
		}
	}
	for i, c := range t.log {
		also(i, want(c))
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		c := t.log[i]
		for j, o := range t.log {
			also(j, j < i && (o.touches(c.at) || c.kind == moved && o.touches(c.to)))
			also(j, o.kind != gone && o.f != c.f && c.in(o.f))
			also(j, c.kind == gone && o.in(c.f))
		}
	}
	if slices.Contains(durable, true) {
		rest := t.log[:0]
		for i, c := range t.log {
			if !durable[i] {
				rest = append(rest, c)
			}
		}
		clear(t.log[len(rest):])
		t.log = rest
	}
}
