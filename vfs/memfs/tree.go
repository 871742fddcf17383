package memfs

import (
	"math/bits"
	"slices"
)

// owner is the tag of what a file system may change in place. Tags are compared by address.
type owner struct{ _ byte }

const (
	fanBits = 6
	fan     = 1 << fanBits
	// maxHeight is the height of a tree that has all keys of 64 bits.
	maxHeight = (64 + fanBits - 1) / fanBits
)

// tree maps numbers to values. It copies on write: pages without the tag of the writer are
// copied, and shared with whoever else has them until then. Copying a tree is copying the struct.
// The zero value is empty.
type tree[V any] struct {
	root   *page[V]
	height int // 0 without a root
	// edge is the lowest page at the right edge, if that is known: nil is not. It has the keys from
	// edgeAt<<fanBits on. Where keys are counted most of what comes and goes does so there, and
	// need not be walked to.
	edge   *page[V]
	edgeAt uint64
}

// page is one page of a tree. Those at the bottom have vals, the others kids. Both are only as
// long as they need to be, so that a small tree is small.
type page[V any] struct {
	owner *owner
	used  uint64 // bit i is set if slot i is not nil
	kids  []*page[V]
	vals  []*V
}

// get returns the value of key, or nil.
func (t *tree[V]) get(key uint64) *V {
	if p := t.edge; p != nil && key>>fanBits == t.edgeAt {
		if i := key % fan; i < uint64(len(p.vals)) {
			return p.vals[i]
		}
		return nil
	}
	return t.find(key)
}

// find is get, from the root on.
func (t *tree[V]) find(key uint64) *V {
	if key>>(fanBits*t.height) != 0 || t.root == nil {
		return nil
	}
	p := t.root
	for s := fanBits * (t.height - 1); s > 0; s -= fanBits {
		i := key >> s % fan
		if i >= uint64(len(p.kids)) {
			return nil
		}
		if p = p.kids[i]; p == nil {
			return nil
		}
	}
	if i := key % fan; i < uint64(len(p.vals)) {
		return p.vals[i]
	}
	return nil
}

// set gives key the value v, which is not nil.
func (t *tree[V]) set(o *owner, key uint64, v *V) {
	if p := t.edge; p != nil && key>>fanBits == t.edgeAt && p.owner == o {
		p.put(key, v)
		return
	}
	t.insert(o, key, v)
}

// insert is set, from the root on.
func (t *tree[V]) insert(o *owner, key uint64, v *V) {
	if p := t.edge; p != nil && p.used == 0 && key>>fanBits > t.edgeAt && key>>(2*fanBits) != t.edgeAt>>fanBits {
		t.take(o, t.edgeAt<<fanBits, false) // reuse sees only what is in one page with it
	}
	if t.root == nil {
		t.root, t.height = &page[V]{owner: o}, 1
		for key>>(fanBits*t.height) != 0 {
			t.height++
		}
	}
	for key>>(fanBits*t.height) != 0 {
		t.root = &page[V]{owner: o, used: 1, kids: []*page[V]{t.root}}
		t.height++
	}
	at := &t.root
	edge := true
	for s := fanBits * (t.height - 1); s > 0; s -= fanBits {
		p := own(at, o)
		i := int(key >> s % fan)
		p.kids = extend(p.kids, i)
		at = &p.kids[i]
		if *at == nil {
			*at = p.reuse(o, i, s == fanBits)
			p.used |= 1 << i
		}
		edge = edge && p.used>>i == 1
	}
	p := own(at, o)
	if edge {
		t.edge, t.edgeAt = p, key>>fanBits
	}
	p.put(key, v)
}

// put gives key the value v in p, which is of the lowest level.
func (p *page[V]) put(key uint64, v *V) {
	i := int(key % fan)
	if i >= len(p.vals) {
		p.vals = extend(p.vals, i)
	}
	p.vals[i] = v
	p.used |= 1 << i
}

// reuse returns a page for slot i of p, empty until now. If the page before it is the empty one
// that del left at the right edge, that goes, or is taken where the new one is of the lowest level
// too.
func (p *page[V]) reuse(o *owner, i int, lowest bool) *page[V] {
	if before := p.used & (1<<i - 1); before != 0 {
		j := bits.Len64(before) - 1
		if old := p.kids[j]; old.hollow() {
			p.kids[j] = nil
			p.used &^= 1 << j
			if lowest && old.owner == o {
				return old
			}
		}
	}
	return &page[V]{owner: o}
}

// hollow reports whether there is nothing below p.
func (p *page[V]) hollow() bool {
	for p.kids != nil && p.used&(p.used-1) == 0 && p.used != 0 {
		p = p.kids[bits.TrailingZeros64(p.used)]
	}
	return p.used == 0
}

// own makes the page that at points to one of o's.
func own[V any](at **page[V], o *owner) *page[V] {
	p := *at
	if p.owner != o {
		p = &page[V]{owner: o, used: p.used, kids: slices.Clone(p.kids), vals: slices.Clone(p.vals)}
		*at = p
	}
	return p
}

// extend makes s long enough to have a slot i.
func extend[T any](s []*T, i int) []*T {
	if i < len(s) {
		return s
	}
	if i < cap(s) {
		return s[:i+1]
	}
	n := make([]*T, i+1, max(i+1, min(2*cap(s), fan)))
	copy(n, s)
	return n
}

// del takes key out. Pages that become empty go with it, but for those at the right edge, which
// stay until set goes further: a tree in which one key follows the other, each gone before the next
// comes, would make its pages over and over.
func (t *tree[V]) del(o *owner, key uint64) {
	if p := t.edge; p != nil && key>>fanBits == t.edgeAt && p.owner == o {
		if i := key % fan; i < uint64(len(p.vals)) {
			p.vals[i] = nil
			p.used &^= 1 << i
		}
		return
	}
	t.remove(o, key)
}

// remove is del, from the root on.
func (t *tree[V]) remove(o *owner, key uint64) {
	if t.find(key) != nil {
		t.take(o, key, true)
	}
}

// take takes key out, and the pages that are empty then. keep says that those at the right edge
// stay.
func (t *tree[V]) take(o *owner, key uint64, keep bool) {
	var way [maxHeight]*page[V]
	at := &t.root
	edge := keep
	for h := t.height - 1; ; h-- {
		way[h] = own(at, o)
		if h == 0 {
			break
		}
		i := key >> (fanBits * h) % fan
		edge = edge && way[h].used>>i == 1
		at = &way[h].kids[i]
	}
	if edge {
		t.edge, t.edgeAt = way[0], key>>fanBits
	} else if !keep {
		t.edge = nil
	}
	for h := range t.height {
		p, i := way[h], key>>(fanBits*h)%fan
		if h == 0 {
			p.vals[i] = nil
		} else {
			p.kids[i] = nil
		}
		if p.used &^= 1 << i; p.used != 0 || edge {
			return
		}
	}
	*t = tree[V]{}
}

// next returns the first key from key on, and its value; nil if there is none.
func (t *tree[V]) next(key uint64) (uint64, *V) {
	if t.root == nil || key>>(fanBits*t.height) != 0 {
		return 0, nil
	}
	return t.root.next(key, fanBits*(t.height-1))
}

// next is tree.next below p, whose slots differ in the bits of a key from shift on. Of key only the
// bits below p count; those above are kept.
func (p *page[V]) next(key uint64, shift int) (uint64, *V) {
	for {
		i := key >> shift % fan
		rest := p.used >> i << i
		if rest == 0 {
			return 0, nil
		}
		if j := uint64(bits.TrailingZeros64(rest)); j != i {
			i, key = j, key>>(shift+fanBits)<<(shift+fanBits)|j<<shift
		}
		if shift == 0 {
			return key, p.vals[i]
		}
		if k, v := p.kids[i].next(key, shift-fanBits); v != nil {
			return k, v
		}
		if i == fan-1 {
			return 0, nil
		}
		key = (key>>shift + 1) << shift
	}
}

// cut takes out all keys from key on, and calls f with their values. The page of a small tree
// stays, if it is o's own, lest what grows and is emptied over and over makes one each time.
func (t *tree[V]) cut(o *owner, key uint64, f func(*V)) {
	if t.root == nil || key>>(fanBits*t.height) != 0 {
		return
	}
	t.edge = nil
	if !cutPage(&t.root, o, key, fanBits*(t.height-1), f) {
		return
	}
	if t.height == 1 && t.root.owner == o {
		clear(t.root.vals)
		t.root.used = 0
		return
	}
	*t = tree[V]{}
}

// cutPage is tree.cut below the page at, and reports whether that is empty now.
func cutPage[V any](at **page[V], o *owner, key uint64, shift int, f func(*V)) bool {
	i := int(key >> shift % fan)
	below := key & (1<<shift - 1)
	if i == 0 && below == 0 {
		(*at).each(shift, f)
		return true
	}
	if (*at).used>>i == 0 {
		return false
	}
	p := own(at, o)
	for j := i; j < fan; j++ {
		if p.used>>j&1 == 0 {
			continue
		}
		if shift == 0 {
			f(p.vals[j])
			p.vals[j] = nil
		} else {
			if j == i && below != 0 {
				if !cutPage(&p.kids[j], o, below, shift-fanBits, f) {
					continue
				}
			} else {
				p.kids[j].each(shift-fanBits, f)
			}
			p.kids[j] = nil
		}
		p.used &^= 1 << j
	}
	return p.used == 0
}

// each calls f with all values below p.
func (p *page[V]) each(shift int, f func(*V)) {
	for used := p.used; used != 0; used &= used - 1 {
		i := bits.TrailingZeros64(used)
		if shift == 0 {
			f(p.vals[i])
		} else {
			p.kids[i].each(shift-fanBits, f)
		}
	}
}
