package pipe

import (
	"slices"
	"sync"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// core is what the ends of a pipe share.
type core struct {
	mu          sync.Mutex
	ring        Ring
	read, write side
}

// side is the ends for one direction that are open, and who waits for it. core.mu guards the ends.
type side struct {
	ends    []*end
	waiters poll.Queue
}

// end is what an end for reading and one for writing have in common.
type end struct {
	p          *core
	own, other *side
	closed     bool // guarded by p.mu, as lent
	lent       any
}

// add makes e an end of p. p.mu is held, or nobody else knows p.
func (p *core) add(e *end, own, other *side) {
	e.p, e.own, e.other = p, own, other
	own.ends = append(own.ends, e)
}

// another makes next an end like e.
func (e *end) another(next *end) error {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	if e.closed {
		return wasip1.EBADF
	}
	e.p.add(next, e.own, e.other)
	e.other.waiters.Wake() // Reach
	return nil
}

// Subscribe adds w to those that are woken when the end may have become ready.
func (e *end) Subscribe(w *poll.Waiter) { e.own.waiters.Subscribe(w) }

// Unsubscribe takes w away again.
func (e *end) Unsubscribe(w *poll.Waiter) { e.own.waiters.Unsubscribe(w) }

// Close closes this end. Closing it again does nothing.
func (e *end) Close() error {
	p := e.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	e.own.ends = slices.DeleteFunc(e.own.ends, func(o *end) bool { return o == e })
	if len(p.read.ends) == 0 {
		p.ring.Drop()
	}
	e.own.waiters.Wake()
	e.other.waiters.Wake()
	return nil
}

// Lend says that until the next Lend only threads of one scheduler, for which to stands, use this
// end: a guest runs that has it. nil takes it back: host code may use it, or give it to whom it
// likes. It is what makes a deadlock of guests that wait for each other's pipes one that a
// scheduler can see; virt lends the ends that a guest was started with while it runs. to must be
// comparable.
func (e *end) Lend(to any) {
	p := e.p
	p.mu.Lock()
	defer p.mu.Unlock()
	e.lent = to
	p.read.waiters.Wake() // those who wait tell anew who can help
	p.write.waiters.Wake()
}

// Reach implements [poll.Reacher]: ByThreads while all ends of the other side are lent to those to
// whom this end is.
func (e *end) Reach() poll.Reach {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	for _, o := range e.other.ends {
		if e.lent == nil || o.lent != e.lent {
			return poll.ByAnyone
		}
	}
	return poll.ByThreads
}
