package virt

import (
	"context"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/internal/memlink"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Call is a call of a function by a guest, as middleware sees it: with its parameters by name,
// decoded by the table of [abi.Functions]. It is valid until the [Handler] returns. One Call goes
// through all Handlers around a function, so that what one changes the next ones see.
//
// A name of no parameter, or of a parameter of another kind, is a mistake in the Handler. The
// method panics, and the guest ends with outcome [Failed].
type Call struct {
	t     *thread
	f     *function
	p     []uint64
	chain []Handler
	next  callFunc
	outer *Call // the call during which the guest made this one

	at      int  // in chain
	inside  bool // the function itself runs
	changed bool // what the function is given differs from what the guest gave
	full    int  // what the guest is told where all of given.Data was written
	given   memlink.Given
	scratch memory.Scratch
}

// ReentryError ends a guest if a Handler for a function makes the guest call the same function
// again before the Handler has returned.
type ReentryError struct {
	// Chain are the functions whose calls had not returned, the outermost first, and last the one
	// that came again.
	Chain []string
}

func (e *ReentryError) Error() string {
	return "re-entry: " + strings.Join(e.Chain, " → ") + ": a Handler made the guest call the function that it handles"
}

// enter begins a call with middleware around it. It returns nil where that is a call of f below
// another.
func (t *thread) enter(f *function, p []uint64, chain []Handler, next callFunc) *Call {
	for a := t.active; a != nil; a = a.outer {
		if a.f == f && !(f.hosted != nil && a.inside) {
			t.reentered(f)
			return nil
		}
	}
	c := t.spare
	if c == nil {
		c = new(Call)
	} else {
		t.spare = nil
	}
	c.t, c.f, c.p, c.chain, c.next, c.outer = t, f, p, chain, next, t.active
	c.at, c.inside, c.changed, c.given = 0, false, false, memlink.Given{}
	t.active = c
	return c
}

// leave ends a call, also where a panic does.
func (t *thread) leave(c *Call) {
	t.active = c.outer
	memlink.SetGiven(&t.view, nil)
	c.p, c.chain, c.next, c.outer, c.given.Data = nil, nil, nil, nil, nil
	c.scratch.Release()
	t.spare = c
}

// reentered ends the guest because of a second call of f below the first.
func (t *thread) reentered(f *function) {
	chain := []string{f.Name}
	for a := t.active; a != nil; a = a.outer {
		chain = append([]string{a.f.Name}, chain...)
	}
	t.guest.decide(&Result{Outcome: Failed, Err: &ReentryError{chain}, Thread: t.id()})
}

// aside keeps what a call in progress is given from calls that the guest makes meanwhile. The
// returned function undoes it.
func (t *thread) aside() func() {
	c, judged := t.active, t.judged
	memlink.SetGiven(&t.view, nil)
	t.judged = nil
	return func() {
		t.attach()
		t.judged = judged
		if c != nil && c.at == len(c.chain) {
			memlink.SetGiven(&t.view, &c.given)
		}
	}
}

// Next passes the call on to the next Handler, or to the Host, and returns its answer. A Handler
// may call Next several times, to try again, or not at all.
func (c *Call) Next() wasip1.Errno {
	at := c.at
	if at == len(c.chain) {
		return c.innermost()
	}
	c.at++
	errno := c.chain[at](c)
	c.at = at
	return errno
}

// innermost makes the call with what Handlers looked at and changed.
func (c *Call) innermost() wasip1.Errno {
	if c.next == nil {
		panic("Call.Next after the call: a Call is valid until its Handler returns")
	}
	t := c.t
	t.attach()
	memlink.SetGiven(&t.view, &c.given)
	c.inside = true
	errno := c.next(t, c.f, c.p)
	c.inside = false
	memlink.SetGiven(&t.view, nil)
	if c.given.Data != nil && len(c.given.Data) != c.full && errno == wasip1.ESUCCESS {
		c.tellLength()
	}
	return errno
}

// tellLength tells the guest of a write in terms of what it gave.
func (c *Call) tellLength() {
	if p, i := c.f.Only(abi.KindOutSize); p != nil {
		ptr := uint32(c.p[i])
		n, errno := c.View().Uint32(ptr)
		if errno != wasip1.ESUCCESS {
			return
		}
		if int(n) >= len(c.given.Data) {
			n = uint32(c.full)
		}
		// The function has just stored a number there.
		_ = c.View().PutUint32(ptr, min(n, uint32(c.full)))
	}
}

// Name is the function's name.
func (c *Call) Name() string { return c.f.Name }

// Function is the function's row in the table.
func (c *Call) Function() abi.Function { return c.f.Function }

// Guest is the guest that made the call.
func (c *Call) Guest() *Guest { return c.t.guest }

// Thread is the number of the guest's thread; 0 is the first.
func (c *Call) Thread() uint32 { return c.t.id() }

// Context is that of the export's call, and knows the thread: an export that is called with it runs
// within this call.
func (c *Call) Context() context.Context { return c.t }

// Raw are the WebAssembly parameters, which may be changed. Those of a [HostFunction] are followed
// by room for its results, which take the parameters' place.
func (c *Call) Raw() []uint64 {
	if c.f.hosted != nil {
		return c.p
	}
	return c.p[:c.f.Width()]
}

// View is the guest's memory at the moment.
func (c *Call) View() *memory.View {
	c.t.attach()
	return &c.t.view
}

// Trap stops the guest. The Result says [Trapped], of kind [trap.Host], with err's text and, as
// Trap.Err, err itself. Trap does not return.
func (c *Call) Trap(err error) { panic(hostTrap(err)) }

// Sleep makes the thread wait for d on the Host's clock. It returns early, with the cause, when the
// guest has to end.
func (c *Call) Sleep(d time.Duration) error {
	w := poll.Wait{Op: c.f.Name, Clock: c.t.guest.host.clock, By: poll.ByGroup}
	if d <= 0 {
		return nil
	}
	if w.Deadline = w.Clock.Monotonic() + int64(d); w.Deadline < 0 {
		w.Deadline = poll.NoDeadline
	}
	for !w.Due() {
		if err := c.t.files.Task.Park(w); err != nil {
			return err
		}
	}
	return nil
}
