package memfs

import "sync/atomic"

// nodeTable has the nodes of one file system by inode number. It is read without a lock and changed under
// FS.tableMu. Unlike the inode table it is never shared: a fork starts with an empty one and fills
// it with what is looked up there.
type nodeTable struct {
	top atomic.Pointer[[]*nodeMid]
	// The page of the highest numbers stays when it becomes empty, and serves the next ones then, lest
	// a file made and removed over and over costs a page each time.
	newest uint64
	spare  *nodeLeaf
}

const nodePage = 64

// nodeMid and nodeLeaf count what is in them, so that numbers long past cost nothing.
type (
	nodeMid struct {
		n    int
		kids [nodePage]atomic.Pointer[nodeLeaf]
	}
	nodeLeaf struct {
		n    int
		kids [nodePage]atomic.Pointer[node]
	}
)

func (t *nodeTable) get(ino uint64) *node {
	leaf := t.leaf(ino)
	if leaf == nil {
		return nil
	}
	n := leaf.kids[ino%nodePage].Load()
	if n == nil || n.ino != ino { // the page may serve other numbers by now
		return nil
	}
	return n
}

func (t *nodeTable) leaf(ino uint64) *nodeLeaf {
	top := t.top.Load()
	i := ino / (nodePage * nodePage)
	if top == nil || i >= uint64(len(*top)) {
		return nil
	}
	mid := (*top)[i]
	if mid == nil {
		return nil
	}
	return mid.kids[ino/nodePage%nodePage].Load()
}

// set enters n, where there is none.
func (t *nodeTable) set(ino uint64, n *node) {
	leaf := t.leaf(ino)
	if leaf == nil {
		if ino > t.newest && t.spare != nil && t.spare.n == 0 {
			leaf = t.spare
			t.drop(t.newest)
		} else {
			leaf = new(nodeLeaf)
		}
		mid := t.mid(ino)
		mid.kids[ino/nodePage%nodePage].Store(leaf)
		mid.n++
		if ino > t.newest {
			t.newest, t.spare = ino, leaf
		}
	}
	leaf.kids[ino%nodePage].Store(n)
	leaf.n++
}

// mid returns the page of pages for ino, made where there is none.
func (t *nodeTable) mid(ino uint64) *nodeMid {
	i := int(ino / (nodePage * nodePage))
	var top []*nodeMid
	if p := t.top.Load(); p != nil {
		top = *p
	}
	if i < len(top) && top[i] != nil {
		return top[i]
	}
	// Readers may be in the old one.
	size := len(top)
	if i >= size {
		size = max(i+1, 2*size)
	}
	grown := make([]*nodeMid, size)
	copy(grown, top)
	grown[i] = new(nodeMid)
	t.top.Store(&grown)
	return grown[i]
}

// del takes out what stands at ino, if anything.
func (t *nodeTable) del(ino uint64) {
	if t.get(ino) == nil {
		return
	}
	leaf := t.leaf(ino)
	leaf.kids[ino%nodePage].Store(nil)
	if leaf.n--; leaf.n == 0 && leaf != t.spare {
		t.drop(ino)
	}
}

// drop takes the page of ino out, which is empty.
func (t *nodeTable) drop(ino uint64) {
	old := *t.top.Load()
	i := ino / (nodePage * nodePage)
	mid := old[i]
	mid.kids[ino/nodePage%nodePage].Store(nil)
	if mid.n--; mid.n > 0 {
		return
	}
	top := append([]*nodeMid(nil), old...)
	top[i] = nil
	t.top.Store(&top)
}

// nameCache remembers names that were looked up, so that looking them up again takes no lock. A slot is
// read in two steps without one, and good if both parts fit: the entry, which does not
// change, says which inode it means, and of an inode there is one node.
//
// Whoever takes an entry out of its directory empties its slot while FS.mu is held for writing; slots are
// filled while it is held for reading. So a slot never outlives its entry, and whoever
// misses a name in the midst of a rename waits for its end.
//
// It begins small, because many file systems are forks that live for a moment, and is replaced by a
// larger one when names keep displacing each other. Who is still reading the one before may find a name there that is
// being taken away now, as if it had come a moment earlier.
type nameCache struct {
	slots []cacheSlot // a power of two
	fills atomic.Int64
}

type cacheSlot struct {
	entry atomic.Pointer[entry]
	node  atomic.Pointer[node]
}

const (
	minCache = 1 << 6
	maxCache = 1 << 18
	// cacheGrowth is the factor by which a cache grows when its slots have been filled once on average.
	cacheGrowth = 4
)

func newNameCache(size int) *nameCache { return &nameCache{slots: make([]cacheSlot, size)} }

// slot returns where a name with that hash stands. The golden ratio spreads directories.
func (c *nameCache) slot(hash, dir uint64) *cacheSlot {
	return &c.slots[(hash^dir*0x9e3779b97f4a7c15>>32)&uint64(len(c.slots)-1)]
}

// lookup returns the node of name in the directory, or nil if it is not known.
func (c *nameCache) lookup(hash, dir uint64, name string) *node {
	s := c.slot(hash, dir)
	e := s.entry.Load()
	if e == nil || e.parent != dir || e.name != name {
		return nil
	}
	if n := s.node.Load(); n != nil && n.ino == e.ino {
		return n
	}
	return nil
}

// remember fills the slot of e. FS.mu is held for reading.
func (f *FS) remember(e *entry, n *node) {
	c := f.cache.Load()
	if c == nil {
		f.cache.CompareAndSwap(nil, newNameCache(minCache))
		c = f.cache.Load()
	} else if size := int64(len(c.slots)); c.fills.Add(1) > size && size < min(maxCache, 2*f.inodes.Load()) {
		f.cache.CompareAndSwap(c, newNameCache(cacheGrowth*len(c.slots)))
		c = f.cache.Load()
	}
	s := c.slot(e.hash, e.parent)
	s.entry.Store(e)
	s.node.Store(n)
}

// unremember empties the slot of e. FS.mu is held for writing.
func (f *FS) unremember(e *entry) {
	if c := f.cache.Load(); c != nil {
		if s := c.slot(e.hash, e.parent); s.entry.Load() == e {
			s.entry.Store(nil)
			s.node.Store(nil)
		}
	}
}
