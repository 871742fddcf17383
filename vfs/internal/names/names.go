// Package names is what file systems have in common that keep the names of a directory beside a
// store: an order that gives each name a lasting cookie, and the rules of rename(2).
package names

import (
	"cmp"
	"iter"
	"slices"
	"sort"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Mark is embedded in the entries of an Order.
type Mark struct {
	seq  uint64
	dead bool
}

// Cookie returns the cookie with which reading goes on after the entry.
func (m *Mark) Cookie() uint64 { return m.seq }

func (m *Mark) mark() *Mark { return m }

// Entry is an entry of an Order: a pointer to what embeds a [Mark].
type Entry interface{ mark() *Mark }

// Order keeps entries in the order of their cookies, which only grow. The zero value is empty.
type Order[E Entry] struct {
	all    []E // those that are dead are left in place until they are the most
	dead   int
	seq    uint64
	unsure bool // all is not sorted
}

// Len returns the number of entries.
func (o *Order[E]) Len() int { return len(o.all) - o.dead }

// Add adds an entry at the end.
func (o *Order[E]) Add(e E) {
	o.seq++
	e.mark().seq = o.seq
	o.all = append(o.all, e)
}

// Last returns the last cookie that was given out.
func (o *Order[E]) Last() uint64 { return o.seq }

// Continue makes the cookies of an empty Order follow one that was the last of another.
func (o *Order[E]) Continue(last uint64) { o.seq = last }

// Restore adds an entry with the cookie that it had in another Order.
func (o *Order[E]) Restore(e E, cookie uint64) {
	e.mark().seq = cookie
	o.all = append(o.all, e)
	o.unsure = true
}

// sort brings restored entries to their places.
func (o *Order[E]) sort() {
	if o.unsure {
		slices.SortFunc(o.all, func(a, b E) int { return cmp.Compare(a.mark().seq, b.mark().seq) })
		o.unsure = false
	}
}

// KeepPlace gives the newest entry the place of one that it replaced and that may have been removed
// already, so that who is reading the directory meets the name once.
func (o *Order[E]) KeepPlace(e, old E) {
	seq := old.mark().seq
	o.all = o.all[:len(o.all)-1]
	o.sort()
	e.mark().seq = seq
	i, found := slices.BinarySearchFunc(o.all, seq, func(e E, seq uint64) int { return cmp.Compare(e.mark().seq, seq) })
	if found {
		o.all[i] = e
		o.dead--
		return
	}
	o.all = slices.Insert(o.all, i, e)
}

// Remove takes an entry out and reports whether it was in.
func (o *Order[E]) Remove(e E) bool {
	m := e.mark()
	if m.dead {
		return false
	}
	m.dead = true
	o.dead++
	if o.dead > 32 && o.dead > len(o.all)/2 {
		live := make([]E, 0, o.Len())
		for _, e := range o.all {
			if !e.mark().dead {
				live = append(live, e)
			}
		}
		o.all, o.dead = live, 0
	}
	return true
}

// After returns the entries that follow a cookie; 0 is the start.
func (o *Order[E]) After(cookie uint64) iter.Seq[E] {
	o.sort()
	first := sort.Search(len(o.all), func(i int) bool { return o.all[i].mark().seq > cookie })
	return func(yield func(E) bool) {
		for _, e := range o.all[first:] {
			if !e.mark().dead && !yield(e) {
				return
			}
		}
	}
}

// Replaceable applies the rules of rename(2) to what stands at the new name already. empty tells
// whether that, a directory, has no names. Errors: ENOTDIR for a directory onto a file, EISDIR for
// a file onto a directory, ENOTEMPTY.
func Replaceable(dir, ontoDir bool, empty func() (bool, error)) error {
	switch {
	case dir && !ontoDir:
		return wasip1.ENOTDIR
	case !dir && ontoDir:
		return wasip1.EISDIR
	case dir:
		return Empty(empty())
	}
	return nil
}

// Empty returns ENOTEMPTY for a directory that is not.
func Empty(empty bool, err error) error {
	if err == nil && !empty {
		return wasip1.ENOTEMPTY
	}
	return err
}
