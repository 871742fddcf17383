package virt

import (
	"fmt"
	"path"
	"strings"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Handler looks at a call, and refuses it with an errno, answers it, changes it, or goes on with [Call.Next].
//
// A Handler runs on the goroutine of the guest's thread; those of several threads and guests run at once.
type Handler func(c *Call) wasip1.Errno

// middleware is one Handler and the functions it is for.
type middleware struct {
	match  selection
	handle Handler
}

// control is what options say about calls.
type control struct {
	middleware []middleware // outermost first
	replaced   []middleware // innermost first
	fallbacks  []fallback
	policy     []Rule
	faults     []Fault
	traces     []*tracing
	poller     poll.Poller
	usage      bool
	sealed     bool
	grants     []string
	limits     Limits // of one guest, as far as config has no field for them
	shared     Limits // of all guests of the Host together
}

// WithMiddleware has handle called around each call of a function that match names: by its name, by a pattern as
// in [path.Match] ("fd_*"), by its subsystem ("vfs"), by "*" for all, or by several of these with commas between
// them. "thread-spawn" is among the functions.
//
// Middleware that was given first is outermost; a Builder's is outside of a guest's. A function that no
// middleware is for is called as if there were none.
func WithMiddleware(match string, handle Handler) GuestOption {
	return guestOption("WithMiddleware", func(c *config) error {
		m, err := newMiddleware(match, handle)
		if err == nil {
			c.control.middleware = append(c.control.middleware[:len(c.control.middleware):len(c.control.middleware)], m)
		}
		return err
	})
}

// WithReplacement has handle answer the functions that match names (see [WithMiddleware]) in the place of the Host, below all
// middleware. In it, [Call.Next] is what was replaced. Of several the last one answers.
func WithReplacement(match string, handle Handler) GuestOption {
	return guestOption("WithReplacement", func(c *config) error {
		m, err := newMiddleware(match, handle)
		if err == nil {
			c.control.replaced = append(c.control.replaced[:len(c.control.replaced):len(c.control.replaced)], m)
		}
		return err
	})
}

func newMiddleware(match string, handle Handler) (middleware, error) {
	if handle == nil {
		return middleware{}, fmt.Errorf("%q: the Handler is nil", match)
	}
	s, err := selects(match)
	return middleware{s, handle}, err
}

// WithPoller sets who waits for the guest in poll_oneoff. Default: [poll.Set.Poll].
func WithPoller(p poll.Poller) GuestOption {
	return guestOption("WithPoller", func(c *config) error {
		c.control.poller = p
		return nil
	})
}

// rows is how many functions can be wrapped: those of preview1, thread-spawn, and those of the extension.
const rows = firstSocketRow + socketRows

const (
	spawnRow       = 46
	firstSocketRow = spawnRow + 1
)

// threadSpawn is wasi.thread-spawn as a row. What it answers besides the errno is in thread.spawned.
var threadSpawn = function{
	Function: abi.ThreadSpawn(),
	call: func(t *thread, p []uint64) wasip1.Errno {
		t.spawn(p)
		if id := int32(p[0]); id < 0 {
			return wasip1.Errno(-id)
		}
		t.spawned = uint32(p[0])
		return wasip1.ESUCCESS
	},
}

// row is the i-th function that can be wrapped.
func row(i int) *function {
	switch {
	case i < spawnRow:
		return &preview1[i]
	case i == spawnRow:
		return &threadSpawn
	}
	return &extension[i-firstSocketRow]
}

// selection says of each row whether it is meant.
type selection [rows]bool

// selects reads what WithMiddleware describes.
func selects(match string) (s selection, err error) {
	for _, one := range strings.Split(match, ",") {
		found := false
		for i := range s {
			f := row(i)
			ok, err := path.Match(one, f.Name)
			if err != nil {
				return s, fmt.Errorf("%q: %w", one, err)
			}
			if ok || one == string(f.Subsystem) {
				s[i], found = true, true
			}
		}
		if !found {
			return s, fmt.Errorf("%q is no function or subsystem of preview1 or its extension, and matches none", one)
		}
	}
	return s, nil
}

// callFunc is a call of f with all that surrounds it.
type callFunc func(t *thread, f *function, p []uint64) wasip1.Errno

// plain is a call that nothing surrounds.
func plain(t *thread, f *function, p []uint64) wasip1.Errno { return f.call(t, p) }

// layer puts something around the calls of row i. It returns nil where it has nothing to do with the function.
type layer func(g *Guest, i int, next callFunc) callFunc

// layers of a guest, the innermost first. Replay and recording see a call as the guest does, faults and all, and
// a trace shows what they show.
var layers = [...]struct {
	// wanted reports whether a guest may have something for the layer to do: most have not, and asking for each function would
	// cost more than all else that making a guest does with its calls.
	wanted func(*Guest) bool
	put    layer
}{
	{func(g *Guest) bool { return g.config.control.fallbacks != nil }, foreign},
	{func(g *Guest) bool { return g.config.control.handled() }, chained},
	{func(g *Guest) bool { return g.budgets.calls != nil || g.host.budgets.calls != nil }, countedCalls},
	{func(g *Guest) bool { return g.observer != nil }, recordedCalls},
	{func(g *Guest) bool { return g.config.control.traces != nil }, traced},
	{(*Guest).metered, meteredCalls},
	{func(g *Guest) bool { return g.config.accesses != nil }, watched},
	{func(g *Guest) bool { return g.stores != nil }, drained},
	{func(g *Guest) bool { return g.host.takesTurns() }, turns},
}

// handled reports whether there is anything that works on decoded calls.
func (c *control) handled() bool {
	return c.faults != nil || c.policy != nil || c.middleware != nil || c.replaced != nil
}

// chains are what the calls of a guest go through, by row; nil is the function itself.
type chains [rows]callFunc

// compose makes what the guest's calls go through, once; nil where that is the functions themselves.
func (g *Guest) compose() *chains {
	var wanted [len(layers)]layer
	n := 0
	for _, l := range layers {
		if l.wanted(g) {
			wanted[n] = l.put
			n++
		}
	}
	if n == 0 {
		return nil
	}
	all, some := new(chains), false
	for i := range all {
		next := callFunc(plain)
		for _, put := range wanted[:n] {
			if a := put(g, i, next); a != nil {
				next, all[i], some = a, a, true
			}
		}
	}
	if !some {
		return nil
	}
	return all
}

// threadCalls are what the calls of one thread go through, where they go through anything.
type threadCalls struct {
	calls    *chains      // nil: the functions themselves
	usage    *threadUsage // nil: nothing is counted
	observer observer     // the guest's
}

// threadCalls makes what the calls of a thread go through, or nil.
func (g *Guest) threadCalls() *threadCalls {
	if g.chains == nil && !g.config.control.usage {
		return nil
	}
	s := &threadCalls{calls: g.chains, observer: g.observer}
	if g.config.control.usage {
		s.usage = g.usage.thread()
	}
	return s
}

// spawnThrough is thread-spawn with what surrounds it.
func (t *thread) spawnThrough(p []uint64) {
	if t.calls == nil {
		t.spawn(p)
		return
	}
	t.spawned = 0
	s := t.calls
	if s.usage != nil {
		s.usage.functions[spawnRow].calls++
	}
	spawn := plain
	if s.calls != nil && s.calls[spawnRow] != nil {
		spawn = s.calls[spawnRow]
	}
	errno := spawn(t, &threadSpawn, p)
	if errno == wasip1.ESUCCESS && t.spawned == 0 {
		errno = wasip1.ENOTSUP // a Handler that answers has no thread to show
	}
	if p[0] = uint64(t.spawned); errno != wasip1.ESUCCESS {
		p[0] = spawnErrno(errno)
		if s.usage != nil {
			s.usage.failed(spawnRow)
		}
	}
}

// turns gives the turn to others after a call, where threads take turns.
func turns(g *Guest, i int, next callFunc) callFunc {
	if !g.host.takesTurns() || row(i).Subsystem == abi.SubsystemSched {
		return nil
	}
	return func(t *thread, f *function, p []uint64) wasip1.Errno {
		errno := next(t, f, p)
		t.yield(sched.PointCall)
		return errno
	}
}

// chained is the layer of what works on the decoded call: faults, then policy, then middleware, then replacements.
func chained(g *Guest, i int, next callFunc) callFunc {
	c := &g.config.control
	var chain []Handler
	for n := range c.faults {
		if f := &c.faults[n]; f.match[i] {
			chain = append(chain, f.handler(g, n))
		}
	}
	if rules := rulesFor(c.policy, i); rules != nil {
		chain = append(chain, judge(rules))
	}
	for _, m := range c.middleware {
		if m.match[i] {
			chain = append(chain, m.handle)
		}
	}
	for n := len(c.replaced) - 1; n >= 0; n-- {
		if m := c.replaced[n]; m.match[i] {
			chain = append(chain, m.handle)
		}
	}
	if chain == nil {
		return nil
	}
	return func(t *thread, f *function, p []uint64) wasip1.Errno {
		c := t.enter(f, p, chain, next)
		if c == nil {
			return wasip1.ECANCELED // the guest has ended
		}
		defer t.leave(c)
		return c.Next()
	}
}
