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

// Handler handles a call: it passes it on with [Call.Next], changed or not, or answers it itself.
// The errno that it returns is the guest's result.
//
// A Handler runs on the goroutine of the guest's thread. Several threads and guests may run it at
// the same time.
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
}

// WithMiddleware calls handle around each call of the functions that match selects. match is a
// function's name, a pattern as in path.Match ("fd_*"), a subsystem ("vfs"), "*" for all functions,
// or several of these separated by commas. "thread-spawn" is among the functions. A name with a
// dot, such as "env.log" or "env.*", stands for functions of [WithFunctions]. "!" before one of
// them leaves out what it stands for: "fd_*,!fd_read", or "!clock" for all functions but the
// clock's.
//
// Middleware that was given first is outermost; a Builder's is outside of a guest's. Functions that
// no middleware selects cost nothing more.
func WithMiddleware(match string, handle Handler) GuestOption {
	return guestOption("WithMiddleware", func(c *config) error {
		m, err := newMiddleware(match, handle)
		if err == nil {
			c.control.middleware = append(c.control.middleware[:len(c.control.middleware):len(c.control.middleware)], m)
		}
		return err
	})
}

// WithReplacement makes handle answer the functions that match selects (see [WithMiddleware])
// instead of the Host, below all middleware. In handle, [Call.Next] calls what was replaced. If
// several match, the last one answers.
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

// WithPoller sets the implementation of poll_oneoff. Default: [poll.Set.Poll].
func WithPoller(p poll.Poller) GuestOption {
	return guestOption("WithPoller", func(c *config) error {
		c.control.poller = p
		return nil
	})
}

// rows is how many functions can be wrapped: those of preview1, thread-spawn, and those of the
// extension.
const rows = firstSocketRow + socketRows

const (
	spawnRow       = 46
	firstSocketRow = spawnRow + 1
)

// threadSpawn is wasi.thread-spawn as a row. What it answers besides the errno is in
// thread.spawned.
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

// selection says which functions are meant.
type selection struct {
	rows   [rows]bool
	hosted []string // patterns of functions of the embedder's, as module.name
}

// has reports whether f, which is row i if it is the Host's own, is meant.
func (s *selection) has(i int, f *function) bool {
	if f.hosted == nil {
		return s.rows[i]
	}
	meant := false
	for _, pattern := range s.hosted {
		pattern, out := strings.CutPrefix(pattern, "!")
		if ok, _ := path.Match(pattern, f.Name); ok {
			meant = !out
		}
	}
	return meant
}

// none reports whether no function is meant.
func (s *selection) none() bool { return s.rows == [rows]bool{} && s.hosted == nil }

// unknown returns a name of a function of the embedder's that is meant and does not exist, or "".
func (s *selection) unknown(hosted hostFunctions) string {
	for _, name := range s.hosted {
		name = strings.TrimPrefix(name, "!")
		module, function, _ := strings.Cut(name, ".")
		if !strings.ContainsAny(name, `*?[\`) && hosted.find(module, function) == nil {
			return name
		}
	}
	return ""
}

// selects reads what WithMiddleware describes.
func selects(match string) (s selection, err error) {
	for at, one := range strings.Split(match, ",") {
		pattern := one
		one, out := strings.CutPrefix(one, "!")
		if out && at == 0 {
			for i := range s.rows {
				s.rows[i] = true
			}
		}
		found := strings.Contains(one, ".")
		if found {
			s.hosted = append(s.hosted, pattern)
			if _, err := path.Match(one, ""); err != nil {
				return s, fmt.Errorf("%q: %w", one, err)
			}
		}
		for i := range s.rows {
			f := row(i)
			ok, err := path.Match(one, f.Name)
			if err != nil {
				return s, fmt.Errorf("%q: %w", one, err)
			}
			if ok || one == string(f.Subsystem) {
				s.rows[i], found = !out, true
			}
		}
		if !found {
			return s, fmt.Errorf("%q is no function or subsystem of preview1 or its extension, and matches none", one)
		}
	}
	return s, nil
}

// selections are those of all options about calls.
func (c *control) selections() (all []*selection) {
	for i := range c.middleware {
		all = append(all, &c.middleware[i].match)
	}
	for i := range c.replaced {
		all = append(all, &c.replaced[i].match)
	}
	for i := range c.policy {
		all = append(all, &c.policy[i].match)
	}
	for i := range c.faults {
		all = append(all, &c.faults[i].match)
	}
	for _, tr := range c.traces {
		all = append(all, &tr.match)
	}
	return all
}

// checkSelections reports options about functions of the embedder's that do not exist.
func (h *Host) checkSelections(c *config) error {
	if h.replay != nil {
		return nil
	}
	for _, s := range c.control.selections() {
		if name := s.unknown(h.config.hosted); name != "" {
			return fmt.Errorf("%q is no function of WithFunctions", name)
		}
	}
	return nil
}

// callFunc is a call of f with all that surrounds it.
type callFunc func(t *thread, f *function, p []uint64) wasip1.Errno

// plain is a call that nothing surrounds.
func plain(t *thread, f *function, p []uint64) wasip1.Errno { return f.call(t, p) }

// layer puts something around the calls of f, which is row i if it is the Host's own. It returns
// nil if it has nothing to do with the function.
type layer func(g *Guest, i int, f *function, next callFunc) callFunc

// layers of a guest, the innermost first. Replay and recording see a call as the guest does, faults
// and all, and a trace shows what they show.
var layers = [...]struct {
	// wanted reports whether a guest may have something for the layer to do: most have not, and
	// asking for each function would cost more than all else that making a guest does with its
	// calls.
	wanted func(*Guest) bool
	put    layer
}{
	{func(g *Guest) bool { return g.config.control.fallbacks != nil }, foreign},
	{func(g *Guest) bool { return g.config.control.handled() }, chained},
	{func(g *Guest) bool { return g.budgets.calls != nil || g.host.budgets.calls != nil }, countedCalls},
	{func(g *Guest) bool { return g.host.config.hosted != nil }, refusable},
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

// compose makes what the guest's calls go through, once: nil if that is the functions themselves.
// hosted is the same for functions of the embedder's, by hostFunction.at.
func (g *Guest) compose() (all *chains, hosted []callFunc) {
	var wanted [len(layers)]layer
	n := 0
	for _, l := range layers {
		if l.wanted(g) {
			wanted[n] = l.put
			n++
		}
	}
	if n == 0 {
		return nil, nil
	}
	around := func(i int, f *function) (all callFunc) {
		next := callFunc(plain)
		for _, put := range wanted[:n] {
			if a := put(g, i, f, next); a != nil {
				next, all = a, a
			}
		}
		return all
	}
	all = new(chains)
	some := false
	for i := range all {
		all[i] = around(i, row(i))
		some = some || all[i] != nil
	}
	hosted = make([]callFunc, g.host.config.hosted.count())
	for _, functions := range g.host.config.hosted {
		for _, f := range functions {
			hosted[f.at] = around(rows, &f.row)
			some = some || hosted[f.at] != nil
		}
	}
	if !some {
		return nil, nil
	}
	return all, hosted
}

// threadCalls are what the calls of one thread go through, where they go through anything.
type threadCalls struct {
	calls    *chains      // nil: the functions themselves
	hosted   []callFunc   // the embedder's functions, by hostFunction.at
	usage    *threadUsage // nil: nothing is counted
	observer observer     // the guest's
}

// threadCalls makes what the calls of a thread go through, or nil.
func (g *Guest) threadCalls() *threadCalls {
	if g.chains == nil && !g.config.control.usage {
		return nil
	}
	s := &threadCalls{calls: g.chains, hosted: g.hosted, observer: g.observer}
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
func turns(g *Guest, _ int, f *function, next callFunc) callFunc {
	if !g.host.takesTurns() || f.Subsystem == abi.SubsystemSched {
		return nil
	}
	return func(t *thread, f *function, p []uint64) wasip1.Errno {
		errno := next(t, f, p)
		t.yield(sched.PointCall)
		return errno
	}
}

// chained is the layer of what works on the decoded call: faults, then policy, then middleware,
// then replacements.
func chained(g *Guest, i int, f *function, next callFunc) callFunc {
	c := &g.config.control
	var chain []Handler
	for n := range c.faults {
		if fault := &c.faults[n]; fault.match.has(i, f) {
			chain = append(chain, fault.handler(g, n))
		}
	}
	if rules := rulesFor(c.policy, i, f); rules != nil {
		chain = append(chain, judge(rules))
	}
	for _, m := range c.middleware {
		if m.match.has(i, f) {
			chain = append(chain, m.handle)
		}
	}
	for n := len(c.replaced) - 1; n >= 0; n-- {
		if m := c.replaced[n]; m.match.has(i, f) {
			chain = append(chain, m.handle)
		}
	}
	if chain == nil {
		return nil
	}
	return through(chain, next)
}

// through is a call that goes through Handlers, the outermost first.
func through(chain []Handler, next callFunc) callFunc {
	return func(t *thread, f *function, p []uint64) wasip1.Errno {
		c := t.enter(f, p, chain, next)
		if c == nil {
			return wasip1.ECANCELED // the guest has ended
		}
		defer t.leave(c)
		return c.Next()
	}
}
