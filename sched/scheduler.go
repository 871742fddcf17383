package sched

import (
	"fmt"
	"strings"

	"github.com/wasivirt/wasivirt/poll"
)

// Scheduler decides which threads run. An embedder can bring its own; [Parallel] and [Seeded] are
// two. One Scheduler serves all guests of a Host.
//
// A thread is started, made ready, and given turns by [Thread.Resume]. It has the turn until it
// blocks, yields or ends. The methods must not block. Of a Thread or Group they may call only
// accessors and the methods named here. Ready and Block are called with locks held; they may call
// only Resume.
type Scheduler interface {
	// Start admits a new thread, or refuses it: EAGAIN if there are too many. Ready follows.
	Start(t *Thread) error

	// Ready says that t, new or woken, can run. The scheduler calls t.Resume once for that, now or
	// later, from whatever method it likes.
	Ready(t *Thread)

	// Block says that t, which had the turn, waits. Next(t) follows, when t has released time and
	// the timers that this fires have made others ready; until then t still runs in the host.
	Block(t *Thread, w *poll.Wait)

	// Yield says that t, which has the turn, is at a switch point. If it returns true t has lost
	// the turn and waits for the scheduler to call t.Resume once, now or later.
	Yield(t *Thread, p Point) bool

	// End says that t, which had the turn, is gone. Next(t) follows, as after Block.
	End(t *Thread)

	// Next asks the scheduler to look who can run. t has blocked or ended, or is nil if something
	// else has changed. It is called with no lock held, and may call Group.End.
	Next(t *Thread)
}

// TurnTaker is implemented by a Scheduler that tells whether threads take turns. A scheduler that
// embeds or wraps another passes it on.
type TurnTaker interface {
	// TakesTurns reports whether no more than one thread of all groups has the turn at any moment,
	// and the scheduler alone decides which. Its answer never changes.
	TakesTurns() bool
}

// TakesTurns reports whether the threads of s take turns. It returns false if s is no TurnTaker.
func TakesTurns(s Scheduler) bool {
	t, ok := s.(TurnTaker)
	return ok && t.TakesTurns()
}

// Point is a kind of moment at which the turn can go to another thread.
type Point uint8

const (
	PointCall   Point = iota // a WASI call
	PointYield               // sched_yield: the thread has nothing to do
	PointFuel                // its slice of fuel is used up
	PointNotify              // memory.atomic.notify
	PointSpawn               // it has started a thread
	PointAccess              // an access to shared memory
	PointWait                // it waits
	PointEnd                 // it has ended
	PointIdle                // nobody ran
)

var pointNames = [...]string{"call", "yield", "fuel", "notify", "spawn", "access", "wait", "end", "idle"}

// String returns the point's name in lower case.
func (p Point) String() string {
	if int(p) < len(pointNames) {
		return pointNames[p]
	}
	return fmt.Sprintf("Point(%d)", uint8(p))
}

// State is what a thread does.
type State uint8

const (
	Ready   State = iota // could run, and waits for its turn
	Running              // has the turn
	Waiting              // in Park
	Outside              // in Thread.Outside
	Ended                // gone
)

var stateNames = [...]string{"ready", "running", "waiting", "outside", "ended"}

// String returns the state's name in lower case.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Info describes one thread at one moment.
type Info struct {
	Group  string // the name of its group
	Thread uint32 // its id
	State  State
	Op     string // the operation that it waits in, or ""
	On     uint64 // the descriptor or address that it waits for
}

// Status is an Info with more. Of a thread that does not wait, Op and On are the call that it is
// in, where calls are noted ([Thread.Note]).
type Status struct {
	Info
	// Runs is the function of the guest's that the thread runs ([Thread.Enter]), or "".
	Runs string
	// Fds is how many descriptors a poll_oneoff waits for, of which On is the first.
	Fds int
	// Since is the reading of the group's monotonic clock since when the thread has no turn, in
	// nanoseconds; 0 while it runs.
	Since int64
	// Until is the reading at which the wait ends at the latest; poll.NoDeadline for none.
	Until int64
}

// String returns "guest/1 waiting: memory.atomic.wait32 0x400".
func (i Info) String() string {
	s := fmt.Sprintf("%s/%d %s", i.Group, i.Thread, i.State)
	switch {
	case i.Op == "":
		return s
	case strings.HasPrefix(i.Op, "memory."):
		return fmt.Sprintf("%s: %s %#x", s, i.Op, i.On)
	}
	return fmt.Sprintf("%s: %s %d", s, i.Op, i.On)
}

// DeadlockError is the cause with which groups end whose threads all waited for each other.
type DeadlockError struct {
	// Threads are those that waited, of all groups concerned, by the age of the thread.
	Threads []Info
}

func (e *DeadlockError) Error() string {
	var b strings.Builder
	if len(e.Threads) == 1 {
		b.WriteString("deadlock: the only thread waits for what nobody will do")
	} else {
		fmt.Fprintf(&b, "deadlock: %d threads wait for each other", len(e.Threads))
	}
	for i, t := range e.Threads {
		if i == 20 {
			fmt.Fprintf(&b, "; and %d more", len(e.Threads)-i)
			break
		}
		fmt.Fprintf(&b, "; %v", t)
	}
	return b.String()
}

// PanicError is the cause of the end of a group in which the function of a thread panicked.
type PanicError struct {
	Thread uint32
	Value  any
	Stack  []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("thread %d: panic: %v", e.Thread, e.Value) }

// Unwrap returns the value of the panic if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
