package memfs

import (
	"strings"
	"sync/atomic"
)

// nameCache remembers names that were looked up, so that looking them up again takes no lock.
//
// Whoever takes an entry out of its directory empties its slot while FS.mu is held for writing;
// slots are filled while it is held, usually for reading. So a slot never outlives its entry, and
// whoever misses a name in the midst of a rename waits for its end.
//
// It begins small, because many file systems are forks that live for a moment, and is replaced by a
// larger one when names keep displacing each other. Who is still reading the one before may find a
// name there that is being taken away now, as if it had come a moment earlier.
type nameCache struct {
	slots []cacheSlot // a power of two
	fills atomic.Int64
}

// cacheSlot says what a name in a directory stands for. Its parts belong together if turn is even
// and the same before and after reading them.
type cacheSlot struct {
	turn atomic.Uint64
	dir  atomic.Uint64
	name atomic.Pointer[string]
	node atomic.Pointer[node]
}

const (
	minCache = 1 << 5
	maxCache = 1 << 18
	// cacheGrowth is the factor by which a cache grows when its slots have been filled once on
	// average.
	cacheGrowth = 4
	// slotsPerInode bounds the growth: names that a small file system uses all the time must not
	// displace each other.
	slotsPerInode = 16
)

func newNameCache(size int) *nameCache { return &nameCache{slots: make([]cacheSlot, size)} }

// slot returns where a name with that hash stands. The golden ratio spreads directories.
func (c *nameCache) slot(hash, dir uint64) *cacheSlot {
	return &c.slots[(hash^dir*0x9e3779b97f4a7c15>>32)&uint64(len(c.slots)-1)]
}

// lookup returns the node of name in the directory, or nil if it is not known.
func (c *nameCache) lookup(hash, dir uint64, name string) *node {
	s := c.slot(hash, dir)
	turn := s.turn.Load()
	known := s.name.Load()
	if known == nil || s.dir.Load() != dir || *known != name {
		return nil
	}
	if n := s.node.Load(); turn%2 == 0 && s.turn.Load() == turn {
		return n
	}
	return nil
}

// empty empties the slot. Nobody is filling it.
func (s *cacheSlot) empty() {
	s.name.Store(nil)
	s.node.Store(nil)
}

// put fills the slot, or leaves that to whoever is doing it at this moment.
func (s *cacheSlot) put(dir uint64, name *string, n *node) {
	turn := s.turn.Load()
	if turn%2 != 0 || !s.turn.CompareAndSwap(turn, turn+1) {
		return
	}
	if s.dir.Load() != dir {
		s.dir.Store(dir)
	}
	s.name.Store(name)
	s.node.Store(n)
	s.turn.Store(turn + 2)
}

// remember fills the slot of e, whose name has that hash. FS.mu is held.
func (f *FS) remember(dir, hash uint64, e *entry, n *node) {
	c := f.cache.Load()
	if c == nil {
		f.cache.CompareAndSwap(nil, newNameCache(minCache))
		c = f.cache.Load()
	} else if size := int64(len(c.slots)); size < maxCache && c.fills.Add(1) > size {
		if size < slotsPerInode*f.inodes {
			f.cache.CompareAndSwap(c, newNameCache(cacheGrowth*len(c.slots)))
			c = f.cache.Load()
		} else {
			c.fills.Store(0)
		}
	}
	c.slot(hash, dir).put(dir, e.name, n)
}

// unremember empties the slot of e. FS.mu is held for writing, so that nobody is filling it.
func (f *FS) unremember(dir, hash uint64, e *entry) {
	if c := f.cache.Load(); c != nil {
		if s := c.slot(hash, dir); s.name.Load() == e.name && s.dir.Load() == dir {
			s.empty()
		}
	}
}

// recentNames holds the names that were taken away last: they tend to come back, where a file is
// written beside the one it then replaces, or logs are rotated, and need no memory of their own
// then.
type recentNames struct {
	names [8]recentName
	next  int
}

type recentName struct {
	hash uint64
	name *string
}

// find returns name if it is there, else nil.
func (r *recentNames) find(hash uint64, name string) *string {
	for i := range r.names {
		if n := &r.names[i]; n.hash == hash && n.name != nil && *n.name == name {
			return n.name
		}
	}
	return nil
}

// get returns name to be kept, which the caller's is not.
func (r *recentNames) get(hash uint64, name string) *string {
	if n := r.find(hash, name); n != nil {
		return n
	}
	n := strings.Clone(name)
	return &n
}

// keep puts name in, in the place of the one that is there for longest.
func (r *recentNames) keep(hash uint64, name *string) {
	if r.find(hash, *name) == nil {
		r.names[r.next] = recentName{hash, name}
		r.next = (r.next + 1) % len(r.names)
	}
}
