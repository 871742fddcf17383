package poll

import (
	"math"
	"unsafe"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/wasip1"
)

// MaxSubscriptions is the default limit of subscriptions in one poll_oneoff; see Set.Limit.
const MaxSubscriptions = 4096

// Lookup finds what stands behind a guest's descriptors.
type Lookup interface {
	// LookupPoll returns what descriptor fd has to be waited for in the direction want, or the
	// errno that its event gets: EBADF, or ENOTCAPABLE if it has not the right poll_fd_readwrite.
	LookupPoll(fd uint32, want Events) (Pollable, wasip1.Errno)
}

// Poller is the operation behind poll_oneoff: it waits until one of subs comes true. An embedder
// may put its own in place of [Set.Poll], or around it.
type Poller interface {
	// Poll stores an event for each of subs that has come true or is wrong in itself, in their
	// order, at the beginning of events, which is as long as subs, and returns how many there are:
	// at least one if the errno is ESUCCESS. All tags are valid and there is at least one
	// subscription. s is the Set of the calling thread.
	Poll(s *Set, subs []wasip1.Subscription, events []wasip1.Event) (int, wasip1.Errno)
}

// Set holds what poll_oneoff needs, and buffers that it reuses instead of allocating. Each thread
// has its own.
type Set struct {
	Task   Task
	Clock  clock.Clock
	Lookup Lookup // nil: there are no descriptors
	Poller Poller // nil: Set.Poll
	// Limit is how many subscriptions a call may have; 0 stands for MaxSubscriptions.
	Limit uint32
	// Charge is asked before a call with more than 256 subscriptions takes n bytes, and told -n
	// when it gives them back; a call that is refused is ENOMEM. nil: none is.
	Charge func(n int64) bool

	subs   []wasip1.Subscription
	events []wasip1.Event
	waits  []wait

	mono    int64 // the clock, as last read
	real    int64
	useMono bool // some wait is for that clock
	useReal bool
	useFds  bool
}

// wait is a subscription while it is being waited for.
type wait struct {
	kind  kind
	errno wasip1.Errno // of a bad one
	want  Events
	at    int64 // the deadline, on the clock of its kind
	p     Pollable
	// waiter is in p's queue while Poll waits.
	waiter Waiter
}

// keptSubscriptions is for how many subscriptions a Set keeps its buffers between two calls.
const keptSubscriptions = 256

// bufferBytes is what the buffers take for n subscriptions.
func bufferBytes(n uint32) int64 {
	return int64(n) * int64(unsafe.Sizeof(wasip1.Subscription{})+unsafe.Sizeof(wasip1.Event{})+unsafe.Sizeof(wait{}))
}

// charge takes the room for n subscriptions, and reports whether there is some. free gives it back.
func (s *Set) charge(n uint32) (free func(), ok bool) {
	if n <= keptSubscriptions {
		return func() {}, true
	}
	size := bufferBytes(n)
	if s.Charge != nil && !s.Charge(size) {
		return nil, false
	}
	return func() {
		s.subs, s.events, s.waits = nil, nil, nil
		if s.Charge != nil {
			s.Charge(-size)
		}
	}, true
}

type kind uint8

const (
	bad       kind = iota // has come true by being wrong
	due                   // has come true from the start
	monotonic             // waits for a monotonic time
	realtime              // waits for a realtime
	fd                    // waits for a descriptor
)

// Poll waits until one of subs comes true, as [Poller] says: for a clock to reach its time, for a
// descriptor to be ready. Timeouts too long to be expressed never come. The precision is not used.
// A wait for a realtime follows the settings of a clock.Settable; that the machine's clock was set
// is seen when something ends the wait.
//
// A subscription that is wrong in itself is an event with an errno: EINVAL for a clock or flags
// that do not exist, ENOTSUP for CPU-time clocks, EBADF and ENOTCAPABLE by the Lookup, what
// clock.Deny says. ECANCELED is returned if the Task's context ends first.
func (s *Set) Poll(subs []wasip1.Subscription, events []wasip1.Event) (int, wasip1.Errno) {
	if cap(s.waits) < len(subs) {
		s.waits = make([]wait, len(subs))
	}
	s.waits = s.waits[:len(subs)]
	s.useMono, s.useReal, s.useFds = false, false, false
	for i := range subs {
		if sub := &subs[i]; sub.Tag == wasip1.EventtypeClock {
			s.prepareClock(&s.waits[i], &sub.Clock)
		} else {
			s.prepareFd(&s.waits[i], sub)
		}
	}
	n := s.collect(subs, events)
	if n > 0 {
		if s.useFds {
			s.forget()
		}
		return n, wasip1.ESUCCESS
	}
	return s.park(subs, events)
}

func (s *Set) prepareClock(w *wait, c *wasip1.SubscriptionClock) {
	abs := c.Flags&wasip1.SubclockAbstime != 0
	if errno := s.checkClock(c); errno != wasip1.ESUCCESS {
		w.kind, w.errno = bad, errno
		return
	}
	if !abs && c.Timeout == 0 {
		w.kind = due
		return
	}
	timeout := int64(min(c.Timeout, math.MaxInt64))
	if abs && c.ID == wasip1.ClockRealtime {
		if !s.useReal {
			s.useReal, s.real = true, s.Clock.Realtime()
		}
		w.kind, w.at = realtime, timeout
		return
	}
	if !s.useMono {
		s.useMono, s.mono = true, s.Clock.Monotonic()
	}
	w.kind, w.at = monotonic, timeout
	// A duration is the same on both clocks, and setting the realtime does not change it (POSIX:
	// clock_nanosleep).
	if !abs {
		if w.at = s.mono + timeout; w.at < s.mono {
			w.at = NoDeadline
		}
	}
}

func (s *Set) checkClock(c *wasip1.SubscriptionClock) wasip1.Errno {
	if c.ID > wasip1.ClockMonotonic {
		if c.ID.Valid() {
			return wasip1.ENOTSUP
		}
		return wasip1.EINVAL
	}
	if c.Flags&^wasip1.SubclockflagsAll != 0 {
		return wasip1.EINVAL
	}
	return clock.DeniedBy(s.Clock, c.ID)
}

func (s *Set) prepareFd(w *wait, sub *wasip1.Subscription) {
	w.want = Readable
	if sub.Tag == wasip1.EventtypeFdWrite {
		w.want = Writable
	}
	errno := wasip1.EBADF
	if s.Lookup != nil {
		w.p, errno = s.Lookup.LookupPoll(sub.Fd, w.want)
	}
	if errno != wasip1.ESUCCESS {
		w.kind, w.errno, w.p = bad, errno, nil
		return
	}
	w.kind, s.useFds = fd, true
}

// collect stores the events of what has come true by now.
func (s *Set) collect(subs []wasip1.Subscription, events []wasip1.Event) int {
	n := 0
	for i := range s.waits {
		w := &s.waits[i]
		e := &events[n]
		*e = wasip1.Event{Userdata: subs[i].Userdata, Type: subs[i].Tag}
		switch w.kind {
		case bad:
			e.Errno = w.errno
		case monotonic:
			if s.mono < w.at || w.at == NoDeadline {
				continue
			}
		case realtime:
			if s.real < w.at || w.at == NoDeadline {
				continue
			}
		case fd:
			st := w.p.Poll(w.want)
			if st.Ready&w.want == 0 && st.Err == nil {
				continue
			}
			e.NBytes = st.Bytes
			if st.Hangup {
				e.Flags = wasip1.EventFdReadwriteHangup
			}
			if st.Err != nil {
				e.Errno = wasip1.FromError(st.Err)
			}
		}
		n++
	}
	return n
}

// park waits until collect has something to tell.
func (s *Set) park(subs []wasip1.Subscription, events []wasip1.Event) (int, wasip1.Errno) {
	defer s.forget()
	// Nobody moves s.waits from here on: the queues point into it.
	w := Wait{Op: "poll_oneoff", Clock: s.Clock}
	for i := range s.waits {
		if wt := &s.waits[i]; wt.kind == fd {
			if w.Fds == 0 {
				w.On = uint64(subs[i].Fd)
			}
			w.Fds++
		}
	}
	s.subscribe(w.Fds)
	least := ByGroup
	if s.useReal {
		if c, ok := s.Clock.(clock.Settable); ok {
			least = ByAnyone
			defer c.AfterSet(s.Task.Wake).Stop()
		}
	}
	for {
		w.By = s.reach(least)
		if s.useMono || s.useReal {
			s.mono = s.Clock.Monotonic()
		}
		if s.useReal {
			s.real = s.Clock.Realtime()
		}
		if n := s.collect(subs, events); n > 0 {
			return n, wasip1.ESUCCESS
		}
		w.Deadline = s.deadline()
		if err := s.Task.Park(w); err != nil {
			return 0, wasip1.ECANCELED
		}
	}
}

// subscribe enters the queues of what is waited for, of which there are n, each once: who wakes a
// queue holds locks for as long as it is, and subscriptions cost a guest little.
func (s *Set) subscribe(n int) {
	const few = 16 // are compared with each other
	var seen map[[2]unsafe.Pointer]struct{}
	if n > few {
		seen = make(map[[2]unsafe.Pointer]struct{}, n)
	}
	for i := range s.waits {
		w := &s.waits[i]
		if w.kind != fd {
			continue
		}
		again := false
		if n > few {
			_, again = seen[identity(w.p)]
			seen[identity(w.p)] = struct{}{}
		} else {
			for j := range s.waits[:i] {
				again = again || s.waits[j].kind == fd && identity(s.waits[j].p) == identity(w.p)
			}
		}
		if !again {
			w.waiter.Waker = s.Task
			w.p.Subscribe(&w.waiter)
		}
	}
}

// identity is the same for the same Pollable. Types that cannot be compared have one too.
func identity(p Pollable) [2]unsafe.Pointer { return *(*[2]unsafe.Pointer)(unsafe.Pointer(&p)) }

// reach returns who can make a descriptor ready, at most least.
func (s *Set) reach(least Reach) Reach {
	for i := range s.waits {
		if w := &s.waits[i]; w.kind == fd {
			least = min(least, ReachOf(w.p))
		}
	}
	return least
}

// deadline returns the monotonic time at which the first clock comes true.
func (s *Set) deadline() int64 {
	first := int64(NoDeadline)
	for i := range s.waits {
		switch w := &s.waits[i]; w.kind {
		case monotonic:
			first = min(first, w.at)
		case realtime:
			// What is left is above 0. It is counted from the later reading of the two, so
			// that the realtime has come when the deadline has.
			if left := w.at - s.real; w.at != NoDeadline && left > 0 {
				if at := s.mono + left; at > s.mono {
					first = min(first, at)
				}
			}
		}
	}
	return first
}

// forget leaves the queues and lets go of what was waited for.
func (s *Set) forget() {
	for i := range s.waits {
		w := &s.waits[i]
		if w.p != nil {
			if w.waiter.Waker != nil {
				w.p.Unsubscribe(&w.waiter)
				w.waiter.Waker = nil
			}
			w.p = nil
		}
	}
}
