package hostfs

import "slices"

// Kernels give any 64 bits as a position in a directory: ext4's is a hash of 63 bits. A cookie has 62, of
// which wasi's readers expect no meaning. Positions from 1 to 1<<61-1 are their own cookies; the
// others are kept in a table, and the cookie is their place in it.
const (
	cookieFar     = 1 << 61 // set in cookies that are places in the table
	cookieGenBits = 20
	cookieGen     = 40 // shift of the table's generation, below which is the place
	cookieStray   = 1 << 16
)

// cookieTable maps positions to cookies and back, each position to one cookie as long as it is known.
//
// File systems that hash give positions in rising order: those are appended, and found by binary search
// when the directory is read again. Only names that came later go through the index. A guest that
// makes and removes names for ever fills the index; then a new generation begins, and the one before the
// last is forgotten.
type cookieTable struct {
	gen    uint64
	cur    []int64
	sorted int           // how many of cur rise
	next   int           // place that is asked for next if reading goes on in order
	index  map[int64]int // of the others
	old    []int64       // the generation before
}

// cookie returns the cookie of the position off.
func (t *cookieTable) cookie(off int64) uint64 {
	if off > 0 && off < cookieFar {
		return uint64(off)
	}
	return cookieFar | t.gen%(1<<cookieGenBits)<<cookieGen | uint64(t.place(off))
}

func (t *cookieTable) place(off int64) int {
	n := len(t.cur)
	if n == t.sorted && (n == 0 || off > t.cur[n-1]) {
		t.cur = append(t.cur, off)
		t.sorted++
		return n
	}
	if t.next < t.sorted && t.cur[t.next] == off { // a later reading, in the same order
		t.next++
		return t.next - 1
	}
	if i, ok := slices.BinarySearch(t.cur[:t.sorted], off); ok {
		t.next = i + 1
		return i
	}
	if i, ok := t.index[off]; ok {
		return i
	}
	if len(t.index) == cookieStray {
		*t = cookieTable{gen: t.gen + 1, old: t.cur}
		return t.place(off)
	}
	if t.index == nil {
		t.index = make(map[int64]int)
	}
	t.index[off] = n
	t.cur = append(t.cur, off)
	return n
}

// offset returns the position that cookie stands for.
func (t *cookieTable) offset(cookie uint64) (int64, bool) {
	if cookie < cookieFar {
		return int64(cookie), true
	}
	if cookie >= cookieFar<<1 {
		return 0, false
	}
	places := t.cur
	switch gen := cookie &^ cookieFar >> cookieGen; {
	case gen == t.gen%(1<<cookieGenBits):
	case gen == (t.gen-1)%(1<<cookieGenBits):
		places = t.old
	default:
		return 0, false
	}
	if i := cookie & (1<<cookieGen - 1); i < uint64(len(places)) {
		return places[i], true
	}
	return 0, false
}
