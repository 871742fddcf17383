package pipe

import (
	"slices"

	"github.com/wasivirt/wasivirt/poll"
)

// Lend says that until the next Lend only threads of one scheduler, for which to stands, use this end: a
// guest runs that has it. nil takes it back: host code may use it, or give it to whom it likes. It is what makes
// a deadlock of guests that wait for each other's pipes one that a scheduler can see; virt lends the ends that
// a guest was started with while it runs. to must be comparable.
func (r *Reader) Lend(to any) {
	p := r.p
	p.mu.Lock()
	defer p.mu.Unlock()
	r.lent = to
	p.toRead.Wake() // those who wait tell anew who can help
	p.toWrite.Wake()
}

// Lend is [Reader.Lend].
func (w *Writer) Lend(to any) {
	p := w.p
	p.mu.Lock()
	defer p.mu.Unlock()
	w.lent = to
	p.toRead.Wake()
	p.toWrite.Wake()
}

// Reach implements [poll.Reacher]: ByThreads while all ends for writing are lent to those to whom this end is.
func (r *Reader) Reach() poll.Reach {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	for _, w := range r.p.writers {
		if r.lent == nil || w.lent != r.lent {
			return poll.ByAnyone
		}
	}
	return poll.ByThreads
}

// Reach implements [poll.Reacher]: ByThreads while all ends for reading are lent to those to whom this end is.
func (w *Writer) Reach() poll.Reach {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	for _, r := range w.p.readers {
		if w.lent == nil || r.lent != w.lent {
			return poll.ByAnyone
		}
	}
	return poll.ByThreads
}

func remove[T comparable](ends []T, end T) []T {
	return slices.DeleteFunc(ends, func(e T) bool { return e == end })
}
