package explore

import (
	"slices"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt/trace"
)

// footprint is what one step of a thread did to what threads share. Two steps whose footprints do
// not conflict can be exchanged without a difference.
type footprint struct {
	Spans []span   `json:",omitempty"`
	Queue []waiter `json:",omitempty"`
	Call  bool     `json:",omitempty"` // it called the Host
	Timed bool     `json:",omitempty"` // by a call that may look at the clock
	Tick  bool     `json:",omitempty"` // the clock has moved on
}

// span is memory that was accessed, to before High.
type span struct {
	Low, High uint64
	Write     bool `json:",omitempty"`
}

// waiter is a queue of those who wait at an address.
type waiter struct {
	Addr    uint64
	Changed bool `json:",omitempty"` // somebody was put there or woken
}

// untimed are the calls that neither tell the time nor note it.
var untimed = []string{"args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "proc_exit", "proc_raise", "random_get", "thread-spawn", "memory.grow"}

// add notes an access.
func (f *footprint) add(a *trace.Access) {
	switch a.Op {
	case trace.AccessCall:
		f.Call = true
		f.Timed = f.Timed || !slices.Contains(untimed, a.Call)
	case trace.AccessTick:
		f.Tick = true
	case trace.AccessNotify:
		f.Queue = append(f.Queue, waiter{Addr: a.Addr})
	default:
		if a.Op == trace.AccessWait {
			f.Queue = append(f.Queue, waiter{Addr: a.Addr})
		}
		if a.Size > 0 {
			f.Spans = append(f.Spans, span{a.Addr, a.Addr + a.Size, a.Op.Writes()})
		}
	}
}

// conflicts reports whether the order of two steps matters.
func (f *footprint) conflicts(o *footprint) bool {
	if f.Call && o.Call || f.Tick && o.Timed || f.Timed && o.Tick {
		return true
	}
	for _, a := range f.Spans {
		for _, b := range o.Spans {
			if a.Low < b.High && b.Low < a.High && (a.Write || b.Write) {
				return true
			}
		}
	}
	for _, a := range f.Queue {
		for _, b := range o.Queue {
			if a.Addr == b.Addr && (a.Changed || b.Changed) {
				return true
			}
		}
	}
	return false
}

// step is what a thread did from one switch point to the next.
type step struct {
	footprint
	thread  uint32
	enabled []uint32 // those that could run, it among them, in the order in which they became ready
	sleep   sleepers // before the step
	stop    sched.Point
	wakes   []uint32 // threads that it made ready
	// after is the step that has woken the thread, plus one; everything before where nobody has; 0
	// where it was not woken.
	after int
	idle  bool // the thread was woken by time
	keeps bool // the thread that ran before could have gone on
}

// sleepers are threads whose next step need not be explored, because schedules that begin with it
// are explored elsewhere and nothing has happened since that conflicts with it.
type sleepers map[uint32]*footprint

// without returns those that a step does not wake.
func (s sleepers) without(thread uint32, f *footprint) sleepers {
	if len(s) == 0 {
		return nil
	}
	left := sleepers{}
	for t, next := range s {
		if t != thread && !next.conflicts(f) {
			left[t] = next
		}
	}
	return left
}
