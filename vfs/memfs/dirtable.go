package memfs

import (
	"math/bits"
	"slices"

	"github.com/wasivirt/wasivirt/wasip1"
)

// entry is one name in a directory. It is read and, by a rename in the file system whose tag it
// bears, changed under FS.mu. The name is behind a pointer since nameCache reads that without a
// lock: it never changes.
type entry struct {
	owner *owner
	name  *string
	hash  uint64 // of name
	seq   uint64 // its place in the order of the directory
	ino   uint64
	typ   wasip1.Filetype
}

// dirTable is what a directory has in it: its entries by name and by age. It belongs to its inode
// and is copied with it.
//
// By name it is a linear hash table: buckets are added one at a time, each by splitting one, so
// that no insertion ever moves more than a bucket and a fork shares all others.
type dirTable struct {
	parent   uint64 // the inode number of the directory that it is in
	len      int
	lastSeq  uint64 // the last place given away; places are not used again
	nbuckets uint64
	buckets  tree[bucket]
	order    tree[entry]
	target   string // of a symbolic link, which has nothing else of this
}

// bucketLoad is how many entries a bucket has on average before another is added.
const bucketLoad = 6

// bucket has the entries of one remainder of the hash.
type bucket struct {
	owner *owner
	slots []*entry
}

// bucketOf returns the number of the bucket for hash; there is at least one.
func (t *dirTable) bucketOf(hash uint64) uint64 {
	// Those buckets that were split in this round are told apart by one bit more.
	m := uint64(1) << (bits.Len64(t.nbuckets) - 1)
	if i := hash & (2*m - 1); i < t.nbuckets {
		return i
	}
	return hash & (m - 1)
}

// find returns the entry of name, or nil.
func (t *dirTable) find(hash uint64, name string) *entry {
	if t.nbuckets == 0 {
		return nil
	}
	b := t.buckets.get(t.bucketOf(hash))
	if b == nil {
		return nil
	}
	for i := range b.slots {
		if e := b.slots[i]; e.hash == hash && *e.name == name {
			return e
		}
	}
	return nil
}

// ownBucket returns bucket i as one that o may change, made where there is none.
func (t *dirTable) ownBucket(o *owner, i uint64) *bucket {
	b := t.buckets.get(i)
	switch {
	case b == nil:
		b = &bucket{owner: o}
	case b.owner != o:
		b = &bucket{owner: o, slots: slices.Clone(b.slots)}
	default:
		return b
	}
	t.buckets.set(o, i, b)
	return b
}

// insert adds e, whose name is new and has that hash. It gets the next place in the order.
func (t *dirTable) insert(o *owner, hash uint64, e *entry) {
	t.lastSeq++
	e.seq, e.hash = t.lastSeq, hash
	t.order.set(o, e.seq, e)
	if t.nbuckets == 0 {
		t.nbuckets = 1
	}
	b := t.ownBucket(o, t.bucketOf(hash))
	b.slots = append(b.slots, e)
	t.len++
	if uint64(t.len) > bucketLoad*t.nbuckets {
		t.split(o)
	}
}

// split adds a bucket.
func (t *dirTable) split(o *owner) {
	m := uint64(1) << (bits.Len64(t.nbuckets) - 1)
	i := t.nbuckets
	t.nbuckets++
	if t.buckets.get(i-m) == nil {
		return
	}
	from := t.ownBucket(o, i-m)
	var stay, move []*entry
	stay = from.slots[:0]
	for _, s := range from.slots {
		if s.hash&(2*m-1) == i {
			move = append(move, s)
		} else {
			stay = append(stay, s)
		}
	}
	clear(from.slots[len(stay):])
	from.slots = stay
	if len(move) > 0 {
		t.buckets.set(o, i, &bucket{owner: o, slots: move})
	}
}

// replace puts e in the place of old, which has the same name. The place in the order stays, so
// that a reader of the directory meets the name once.
func (t *dirTable) replace(o *owner, hash uint64, old, e *entry) {
	e.seq, e.hash = old.seq, hash
	t.order.set(o, e.seq, e)
	b := t.ownBucket(o, t.bucketOf(hash))
	for i := range b.slots {
		if b.slots[i] == old {
			b.slots[i] = e
			return
		}
	}
}

// rename gives e, which is o's own, the last place in the order and a name with the hash to in
// place of one with the hash from.
func (t *dirTable) rename(o *owner, from, to uint64, e *entry) {
	t.order.del(o, e.seq)
	t.lastSeq++
	e.seq, e.hash = t.lastSeq, to
	t.order.set(o, e.seq, e)
	i, j := t.bucketOf(from), t.bucketOf(to)
	if i == j {
		return // e is o's own, so the bucket is
	}
	t.ownBucket(o, i).remove(e)
	b := t.ownBucket(o, j)
	b.slots = append(b.slots, e)
}

// remove takes e out, whose name has that hash.
func (t *dirTable) remove(o *owner, hash uint64, e *entry) {
	t.order.del(o, e.seq)
	t.len--
	if t.len == 0 && t.nbuckets > 1 {
		// What a directory needed when it was large is given back at the latest now.
		t.buckets, t.nbuckets = tree[bucket]{}, 0
		return
	}
	t.ownBucket(o, t.bucketOf(hash)).remove(e)
}

// remove takes e out.
func (b *bucket) remove(e *entry) {
	for i := range b.slots {
		if b.slots[i] == e {
			last := len(b.slots) - 1
			b.slots[i] = b.slots[last]
			b.slots[last] = nil
			b.slots = b.slots[:last]
			return
		}
	}
}
