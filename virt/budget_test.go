package virt_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// gotten is what guests got of something: how much, and with how many calls that were answered with
// ESUCCESS.
type gotten struct {
	amount, calls atomic.Int64
}

func newMem() (vfs.FS, error) { return memfs.New(), nil }

// count counts successful calls in middleware.
func (r *gotten) count(match string, amount func(c *virt.Call) int64) virt.GuestOption {
	return virt.WithMiddleware(match, func(c *virt.Call) wasip1.Errno {
		errno := c.Next()
		if errno == wasip1.ESUCCESS {
			r.calls.Add(1)
			r.amount.Add(amount(c))
		}
		return errno
	})
}

// hostile is a guest that tries to get more of something than it may.
type hostile struct {
	name   string
	limit  int64
	limits virt.Option // the guest's own
	shared virt.Limits // of all guests together
	// calls are made over and over; before once.
	before, calls []call
	turns         uint64
	data          []byte
	match         string
	amount        func(c *virt.Call) int64
	// ends is the budget that ends the guest; "" where an errno answers.
	ends virt.Budget
	errs wasip1.Errno
}

func result(name string) func(c *virt.Call) int64 {
	return func(c *virt.Call) int64 {
		n, _ := c.Result(name)
		return int64(n)
	}
}

func each(*virt.Call) int64 { return 1 }

// directories makes n directories, named by the first letters of text 1.
func directories(n int) (calls []call) {
	for i := range n {
		calls = append(calls, call{"path_create_directory", []any{3, textAt(1), i + 1}})
	}
	return calls
}

func hostiles() []hostile {
	much := uint64(10_007)
	if testing.Short() {
		much = 1009
	}
	data := texts("f", "0123456789abc")
	s := wasip1.Subscription{Clock: wasip1.SubscriptionClock{ID: wasip1.ClockMonotonic, Timeout: 7_000_000}}
	s.Encode(data[subAt:])
	create := openText(0, 1, int(wasip1.OCreat), resultAt)
	return []hostile{
		{name: "host calls", limit: int64(much), limits: virt.WithLimits(func(l *virt.Limits) { l.HostCalls = much }), shared: virt.Limits{HostCalls: much},
			calls: []call{{"sched_yield", nil}}, match: "*", amount: each, ends: virt.BudgetHostCalls},
		{name: "output", limit: int64(much), limits: virt.WithLimits(func(l *virt.Limits) { l.OutputBytes = much }), shared: virt.Limits{OutputBytes: much},
			calls: []call{writeText(1, 1)}, match: "fd_write", amount: result("nwritten"), ends: virt.BudgetOutput},
		{name: "disk", limit: int64(much), limits: virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = much }), shared: virt.Limits{DiskBytes: much},
			before: []call{create}, calls: []call{writeText(from(resultAt), 1)}, match: "fd_write", amount: result("nwritten"), errs: wasip1.EDQUOT},
		{name: "inodes", limit: 10, limits: virt.WithLimits(func(l *virt.Limits) { l.Inodes = 10 }), shared: virt.Limits{Inodes: 10},
			calls: directories(13), turns: 1, match: "path_create_directory", amount: each, errs: wasip1.EDQUOT},
		{name: "random", limit: int64(much), limits: virt.WithLimits(func(l *virt.Limits) { l.RandomBytes = much }), shared: virt.Limits{RandomBytes: much},
			calls: []call{{"random_get", []any{bufferAt, 1}}}, match: "random_get", amount: each, errs: wasip1.EDQUOT},
		{name: "descriptors", limit: 200, limits: virt.WithLimits(func(l *virt.Limits) { l.Descriptors = 204 }), shared: virt.Limits{Descriptors: 400},
			before: []call{create}, calls: []call{openText(0, 1, 0, resultAt)}, match: "path_open", amount: each, errs: wasip1.EMFILE},
		{name: "sleep", limit: int64(50 * time.Millisecond), limits: virt.WithLimits(func(l *virt.Limits) { l.Sleep = 50 * time.Millisecond }), shared: virt.Limits{Sleep: 50 * time.Millisecond},
			data: data, calls: []call{{"poll_oneoff", []any{subAt, eventAt, 1, resultAt}}}, match: "poll_oneoff",
			amount: func(*virt.Call) int64 { return int64(7 * time.Millisecond) }, ends: virt.BudgetSleep},
	}
}

// attack lets a hostile guest try, and returns how it ended, or all that it was answered.
func attack(t *testing.T, g *virt.Guest, turns uint64) (*virt.Result, wasip1.Errno) {
	results, err := g.Call(context.Background(), "run", turns)
	if exit := (*virt.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
	r := g.Result()
	var errno wasip1.Errno
	if err == nil {
		errno = wasip1.Errno(results[0])
	}
	return r, errno
}

// manyGuests is how many guests try together.
const manyGuests = 64

// TestBudgetsHold lets hostile guests try to pass each budget, their own and the Host's, alone and
// together: what they reach is what is allowed, to the last byte.
func TestBudgetsHold(t *testing.T) {
	for _, h := range hostiles() {
		for _, guests := range []int{1, manyGuests} {
			t.Run(fmt.Sprintf("%s, %d guests, each its own", h.name, guests), func(t *testing.T) { h.own(t, guests) })
			t.Run(fmt.Sprintf("%s, %d guests, shared", h.name, guests), func(t *testing.T) { h.together(t, guests) })
		}
	}
}

// world is a Host for hostile guests, and their module.
func (h *hostile) world(t *testing.T, opts ...virt.Option) (*virt.Host, *virt.Module) {
	opts = append(opts, virt.WithClock(clock.NewVirtual(clock.WithAutoAdvance())), virt.WithMountFunc("/", func(context.Context) (vfs.FS, error) { return newMem() }))
	host := newHost(t, opts...)
	data := h.data
	if data == nil {
		data = texts("f", "0123456789abc")
	}
	return host, compiled(t, host, loop(abi.ModuleName, data, h.before, h.calls))
}

// own gives each guest a budget of its own.
func (h *hostile) own(t *testing.T, guests int) {
	host, m := h.world(t, h.limits)
	var all sync.WaitGroup
	for range guests {
		var got gotten
		var out bytes.Buffer
		g := newGuest(t, host, m, got.count(h.match, h.amount), virt.WithStdout(&out))
		all.Go(func() {
			r, errno := attack(t, g, cmp.Or(h.turns, 12_000))
			h.check(t, got.amount.Load(), h.limit, 1)
			h.ended(t, r, errno)
			if h.ends == virt.BudgetOutput && int64(out.Len()) != h.limit {
				t.Errorf("%d bytes came out", out.Len())
			}
		})
	}
	all.Wait()
}

// together gives all guests one budget.
func (h *hostile) together(t *testing.T, guests int) {
	var got gotten
	host, m := h.world(t, virt.WithSharedLimits(func(l *virt.Limits) { *l = h.shared }), got.count(h.match, h.amount))
	var ready []*virt.Guest
	limit := h.limit
	if h.shared.Descriptors != 0 {
		limit = int64(h.shared.Descriptors)
	}
	for range guests {
		g := newGuest(t, host, m)
		if h.shared.Descriptors != 0 {
			limit -= int64(g.Files().Len()) // those that it begins with
		}
		ready = append(ready, g)
	}
	var all sync.WaitGroup
	for _, g := range ready {
		all.Go(func() {
			r, errno := attack(t, g, cmp.Or(h.turns, 12_000))
			if guests > 1 {
				errno = h.errs // how it ended differs: the others may have taken all before
			} else if h.shared.Descriptors != 0 && errno == wasip1.ENFILE {
				errno = h.errs
			}
			h.ended(t, r, errno)
		})
	}
	all.Wait()
	h.check(t, got.amount.Load(), limit, int64(guests))
}

// check compares what was reached with what is allowed.
func (h *hostile) check(t *testing.T, reached, allowed, guests int64) {
	t.Helper()
	if h.ends != virt.BudgetSleep && reached != allowed {
		t.Errorf("reached %d, allowed are %d", reached, allowed)
	}
	// A sleep that does not fit is slept as far as it goes, and not answered.
	if h.ends == virt.BudgetSleep && (reached > allowed || reached < allowed-guests*int64(7*time.Millisecond)) {
		t.Errorf("slept %v of %v", time.Duration(reached), time.Duration(allowed))
	}
}

// ended looks at how a guest ended whose last call answered errno.
func (h *hostile) ended(t *testing.T, r *virt.Result, errno wasip1.Errno) {
	t.Helper()
	switch {
	case h.ends != "":
		if r.Outcome != virt.Exhausted || r.Budget != h.ends {
			t.Errorf("%v, want the end of %v", r, h.ends)
		}
	case r.Outcome != virt.Running:
		t.Errorf("%v, want an errno", r)
	case errno != h.errs:
		t.Errorf("answers were %v, want %v", errno, h.errs)
	}
}

func TestFuelThatWasNotUsedGoesBack(t *testing.T) {
	host := newHost(t, virt.WithSharedLimits(func(l *virt.Limits) { l.Fuel = 150_000 }))
	m := compiled(t, host, loop(abi.ModuleName, nil, nil, []call{{"sched_yield", nil}}))
	for range 20 { // each takes a slice of 100,000 to begin with
		g := newGuest(t, host, m)
		if _, err := g.Call(t.Context(), "run", 10); err != nil {
			t.Fatal(err)
		}
	}
}
