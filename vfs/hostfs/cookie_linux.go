package hostfs

import "slices"

// cookieFar is where the cookies of positions that are kept in a table begin.
//
// Kernels give any 64 bits as a position in a directory: ext4's is a hash of 63 bits. Of a cookie a
// C program keeps 31 bits (wasi-libc: telldir), so only positions that are small are their own
// cookies. The others are numbered.
const cookieFar = 1 << 29

// cookieStray is how many positions the index of a cookieTable holds.
const cookieStray = 1 << 16

// cookieTable maps positions to cookies and back, each position to one cookie as long as it is
// known.
//
// File systems that hash give positions in rising order: those are appended, and found by binary
// search when the directory is read again. Only names that came later go through the index. A guest
// that makes and removes names for ever fills the index; then a new generation begins, and the one
// before the last is forgotten.
type cookieTable struct {
	base   uint64 // number of the first of cur
	cur    []int64
	sorted int           // how many of cur rise
	next   int           // place that is asked for next if reading goes on in order
	index  map[int64]int // of the others
	old    []int64       // the generation before, whose numbers end at base
}

// cookie returns the cookie of the position off.
func (t *cookieTable) cookie(off int64) uint64 {
	if off > 0 && off < cookieFar {
		return uint64(off)
	}
	place := t.place(off)
	return cookieFar + t.base + uint64(place)
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
		*t = cookieTable{base: t.base + uint64(n), old: t.cur}
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
	number := cookie - cookieFar
	switch {
	case number < t.base-uint64(len(t.old)):
		return 0, false
	case number < t.base:
		return t.old[number-(t.base-uint64(len(t.old)))], true
	case number-t.base < uint64(len(t.cur)):
		return t.cur[number-t.base], true
	}
	return 0, false
}
