// Package poll is about waiting. A Pollable can be waited for, a Task waits, Block is the one loop
// in which everything waits, and Oneoff waits for any of several things: it is poll_oneoff.
//
// # The seam
//
// A Pollable says what it can do now (Poll) and wakes its Queue when that may have changed. It
// knows nothing of threads. A Task is parked and woken. It knows what it waits for only to show it
// in reports. A scheduler makes Tasks and sees every wait begin and end. That is how virtual time
// knows that everybody waits, how threads run one at a time, and how cancellation reaches a wait.
// NewTask makes a Task without a scheduler, for host code.
//
// Nothing polls in a loop and nothing asks the operating system: a Pollable that becomes ready says
// so.
//
// # Lost wake-ups and locks
//
// No wake-up is lost: a Wake before Park makes that Park return at once, and a Task calls Poll
// again after each Park. Wake is called with the lock of the Pollable held. The lock order is
// therefore: the Pollable, its Queue, the Task, its scheduler, the clock.
package poll

import (
	"context"
	"math"
	"os"
	"sync"

	"github.com/wasivirt/wasivirt/clock"
)

// Events is a set of directions that can be waited for.
type Events uint8

const (
	// Readable: a read would not wait. The end of a stream and an error count as readable.
	Readable Events = 1 << iota
	// Writable: a write would not wait. A broken pipe counts as writable.
	Writable
)

// State is what a Pollable can do at one moment.
type State struct {
	// Ready holds those of the wanted directions in which an operation would not wait.
	Ready Events
	// Bytes is how many bytes could be read (or, where only Writable was asked for, written)
	// at once, as far as is known; 0 where it is not.
	Bytes uint64
	// Hangup says that the peer has gone: what is left can be read, nothing more will come.
	Hangup bool
	// Err, where not nil, is what an operation would answer; it is reported in the event's errno.
	Err error
}

// Pollable is anything that can be waited for.
//
// An implementation embeds a [Queue], which provides Subscribe and Unsubscribe, and calls
// Queue.Wake after every change that may have made something ready.
type Pollable interface {
	// Poll tells what of want is ready now. It never waits.
	Poll(want Events) State
	// Subscribe adds w to those that are woken when something may have become ready.
	Subscribe(w *Waiter)
	// Unsubscribe takes w away again; w may not be subscribed.
	Unsubscribe(w *Waiter)
}

// Waker is woken when what it waits for may have happened.
type Waker interface {
	// Wake never blocks and may be called with locks held, from any goroutine, and more
	// often than needed.
	Wake()
}

// Task is a thread as seen by whatever makes it wait. A scheduler provides it.
//
// Waiting has one form, everywhere, and loses no wake-up because a wake that comes
// before Park makes that Park return at once:
//
//	p.Subscribe(w)
//	defer p.Unsubscribe(w)
//	for p.Poll(want).Ready == 0 {
//		if err := task.Park(wait); err != nil {
//			return err
//		}
//	}
type Task interface {
	Waker

	// Context is done when the task has to end.
	Context() context.Context

	// Park makes the task wait until it is woken, the deadline of w is reached or its context is
	// done, and tells its scheduler before and after. Only the task itself calls it. It returns nil
	// for a wake-up, spurious ones included, and for the deadline, which the caller reads off the
	// clock; else the cause of the context's end.
	Park(w Wait) error
}

// NoDeadline is the deadline of a wait that only a wake-up ends.
const NoDeadline = math.MaxInt64

// Wait describes one wait to the scheduler.
type Wait struct {
	// Op names what waits, for reports: "fd_read", "memory.atomic.wait32".
	Op string
	// On says what it waits for: a descriptor's or address's number.
	On uint64
	// Fds is how many descriptors a poll_oneoff waits for, of which On is the first.
	Fds int
	// Clock measures the deadline. It may be nil where there is none.
	Clock clock.Clock
	// Deadline is the reading of Clock.Monotonic at which the wait ends; [NoDeadline], or no Clock,
	// for none.
	Deadline int64
	// By says who can end it otherwise. Block and Set fill it in.
	By Reach
}

// Timed reports whether the wait has a deadline.
func (w *Wait) Timed() bool { return w.Clock != nil && w.Deadline != NoDeadline }

// Due reports whether the wait has a deadline and it has come.
func (w *Wait) Due() bool { return w.Timed() && w.Clock.Monotonic() >= w.Deadline }

// Reach says who can end a wait. A scheduler that looks for deadlocks needs it: waiting threads are
// deadlocked only if nobody else can end their waits.
type Reach uint8

const (
	// ByAnyone: host code, or the machine, may end the wait.
	ByAnyone Reach = iota
	// ByThreads: only threads of the same scheduler can.
	ByThreads
	// ByGroup: only threads of the same guest can.
	ByGroup
)

// Reacher is implemented by a Pollable that knows who can make it ready. Others are ByAnyone. A
// pipe with both ends in guests is ByThreads. Reach is called before each Park. If its answer
// changes, the Pollable wakes those who wait.
type Reacher interface {
	Reach() Reach
}

// ReachOf returns who can make p ready.
func ReachOf(p Pollable) Reach {
	if r, ok := p.(Reacher); ok {
		return r.Reach()
	}
	return ByAnyone
}

// Block waits until p is ready in a direction of want, and returns its state then. It fills in
// w.By. Errors: the cause of the end of t's context; os.ErrDeadlineExceeded at the deadline of w.
func Block(t Task, p Pollable, want Events, w Wait) (State, error) {
	s := p.Poll(want)
	if s.Ready != 0 {
		return s, nil
	}
	waiter := Waiter{Waker: t}
	p.Subscribe(&waiter)
	defer p.Unsubscribe(&waiter)
	for {
		w.By = ReachOf(p)
		if s = p.Poll(want); s.Ready != 0 {
			return s, nil
		}
		if w.Due() {
			return State{}, os.ErrDeadlineExceeded
		}
		if err := t.Park(w); err != nil {
			return State{}, err
		}
	}
}

// Waiter is one place in a [Queue]. It is in at most one queue at a time and is
// not copied while it is in one.
type Waiter struct {
	Waker Waker

	queue      *Queue
	next, prev *Waiter
}

// Queue is the list of those waiting for one thing, first come first. The zero value is empty
// and ready to use.
type Queue struct {
	mu   sync.Mutex
	head *Waiter
	tail *Waiter
}

// Subscribe adds w at the end. It does nothing if w is in this queue already.
func (q *Queue) Subscribe(w *Waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.queue == q {
		return
	}
	w.queue, w.prev, w.next = q, q.tail, nil
	if q.tail != nil {
		q.tail.next = w
	} else {
		q.head = w
	}
	q.tail = w
}

// Unsubscribe takes w out. It does nothing if w is not in this queue.
func (q *Queue) Unsubscribe(w *Waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.queue != q {
		return
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		q.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		q.tail = w.prev
	}
	w.queue, w.next, w.prev = nil, nil, nil
}

// Wake wakes all that are subscribed, in the order in which they came. They stay subscribed.
// It may be called with locks of the thing waited for held; a Waker takes none of those.
func (q *Queue) Wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for w := q.head; w != nil; w = w.next {
		w.Waker.Wake()
	}
}

// Always is a Pollable that is ready in both directions at all times, as regular files are.
type Always struct{}

// Poll says that all of want is ready.
func (Always) Poll(want Events) State { return State{Ready: want} }

// Subscribe does nothing: nobody ever waits.
func (Always) Subscribe(*Waiter) {}

// Unsubscribe does nothing.
func (Always) Unsubscribe(*Waiter) {}
