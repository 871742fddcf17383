package virt_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// gotten is what guests got of something: how much, and with how many calls that were answered with ESUCCESS.
type gotten struct {
	amount, calls atomic.Int64
}

func newMem() (vfs.FS, error) { return memfs.New(), nil }

// count counts successful calls in middleware.
func (r *gotten) count(match string, amount func(c *virt.Call) int64) virt.Option {
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
	name  string
	limit int64
	own   virt.Option // the guest's own limit
	// shared is the same limit for all guests together.
	shared virt.Limits
	// calls are made over and over; before once.
	before, calls []call
	data          []byte
	match         string
	amount        func(c *virt.Call) int64
	// ends is the budget that ends the guest; "" where an errno answers.
	ends virt.Budget
	errs wasip1.Errno // with its own limit
}

func result(name string) func(c *virt.Call) int64 {
	return func(c *virt.Call) int64 {
		n, _ := c.Result(name)
		return int64(n)
	}
}

func each(*virt.Call) int64 { return 1 }

func hostiles() []hostile {
	data := texts("f", "0123456789abc")
	s := wasip1.Subscription{Clock: wasip1.SubscriptionClock{ID: wasip1.ClockMonotonic, Timeout: 7_000_000}}
	s.Encode(data[subAt:])
	create := openText(0, 1, int(wasip1.OCreat), resultAt)
	return []hostile{
		{name: "host calls", limit: 10_007, own: virt.WithMaxHostCalls(10_007), shared: virt.Limits{HostCalls: 10_007},
			calls: []call{{"sched_yield", nil}}, match: "*", amount: each, ends: virt.HostCalls},
		{name: "output", limit: 10_007, own: virt.WithMaxOutput(10_007), shared: virt.Limits{OutputBytes: 10_007},
			calls: []call{writeText(1, 1)}, match: "fd_write", amount: result("nwritten"), ends: virt.OutputBytes},
		{name: "disk", limit: 10_007, own: virt.WithDiskLimit(10_007), shared: virt.Limits{DiskBytes: 10_007},
			before: []call{create}, calls: []call{writeText(from(resultAt), 1)}, match: "fd_write", amount: result("nwritten"), errs: wasip1.EDQUOT},
		{name: "inodes", limit: 3, own: virt.WithMaxInodes(3), shared: virt.Limits{Inodes: 3},
			calls: []call{{"path_create_directory", []any{3, textAt(1), 4}}, {"path_create_directory", []any{3, textAt(1), 5}},
				{"path_create_directory", []any{3, textAt(1), 6}}, {"path_create_directory", []any{3, textAt(1), 7}}},
			match: "path_create_directory", amount: each, errs: wasip1.EDQUOT},
		{name: "random", limit: 10_007, own: virt.WithMaxRandom(10_007), shared: virt.Limits{RandomBytes: 10_007},
			calls: []call{{"random_get", []any{bufferAt, 1}}}, match: "random_get", amount: each, errs: wasip1.EDQUOT},
		{name: "descriptors", limit: 200, own: virt.WithMaxDescriptors(204), shared: virt.Limits{Descriptors: 400},
			before: []call{create}, calls: []call{openText(0, 1, 0, resultAt)}, match: "path_open", amount: each, errs: wasip1.EMFILE},
		{name: "sleep", limit: int64(50 * time.Millisecond), own: virt.WithMaxSleep(50 * time.Millisecond), shared: virt.Limits{Sleep: 50 * time.Millisecond},
			data: data, calls: []call{{"poll_oneoff", []any{subAt, eventAt, 1, resultAt}}}, match: "poll_oneoff",
			amount: func(*virt.Call) int64 { return int64(7 * time.Millisecond) }, ends: virt.Sleep},
	}
}

// attack runs a hostile guest as often as it can, and returns how it ended.
func attack(t *testing.T, g *virt.Guest) (*virt.Result, wasip1.Errno) {
	results, err := g.Call(context.Background(), "run", 12_000)
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

func TestBudgetsHoldAgainstOneGuest(t *testing.T) {
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			var got gotten
			var out bytes.Buffer
			host := newHost(t, virt.WithClock(clock.NewVirtual(clock.AutoAdvance())), virt.WithMount("/", memfs.New()), h.own,
				got.count(h.match, h.amount), virt.WithStdout(&out))
			data := h.data
			if data == nil {
				data = texts("f", "0123456789abc")
			}
			r, errno := attack(t, newGuest(t, host, compiled(t, host, loop(virt.ModuleName, data, h.before, h.calls))))
			h.check(t, &got, 1, r, errno)
			if h.ends == virt.OutputBytes && int64(out.Len()) != h.limit {
				t.Errorf("%d bytes came out", out.Len())
			}
		})
	}
}

// check compares what was reached with what is allowed.
func (h *hostile) check(t *testing.T, got *gotten, guests int64, r *virt.Result, errno wasip1.Errno) {
	t.Helper()
	amount := got.amount.Load()
	switch h.name {
	case "sleep": // what does not fit is slept as far as it goes, and not answered
		if amount > h.limit || amount < h.limit-guests*int64(7*time.Millisecond) {
			t.Errorf("slept %v of %v", time.Duration(amount), time.Duration(h.limit))
		}
	default:
		if amount != h.limit {
			t.Errorf("reached %d, allowed are %d", amount, h.limit)
		}
	}
	if h.ends != "" && (r.Outcome != virt.Exhausted || r.Budget != h.ends) {
		t.Errorf("%v, want the end of %v", r, h.ends)
	}
	if h.ends == "" && (r.Outcome != virt.Running || errno == wasip1.ESUCCESS) {
		t.Errorf("%v, %v, want an errno", r, errno)
	}
	if h.ends == "" && guests == 1 && h.name != "inodes" && errno != h.errs {
		t.Errorf("answers were %v, want %v", errno, h.errs)
	}
}

func TestSharedBudgetsHoldAgainst64Guests(t *testing.T) {
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			var got gotten
			if h.name == "descriptors" {
				h.limit = int64(h.shared.Descriptors)
			}
			host := newHost(t, virt.WithClock(clock.NewVirtual(clock.AutoAdvance())), virt.WithSharedLimits(h.shared), got.count(h.match, h.amount),
				virt.WithMountFunc("/", newMem))
			data := h.data
			if data == nil {
				data = texts("f", "0123456789abc")
			}
			m := compiled(t, host, loop(virt.ModuleName, data, h.before, h.calls))
			var all sync.WaitGroup
			const guests = 64
			var ready []*virt.Guest
			for range guests {
				ready = append(ready, newGuest(t, host, m))
				if h.name == "descriptors" {
					h.limit -= int64(ready[0].Files().Len())
				}
			}
			for _, g := range ready {
				all.Go(func() {
					r, _ := attack(t, g)
					if h.ends != "" && (r.Outcome != virt.Exhausted || r.Budget != h.ends) {
						t.Errorf("%v, want the end of %v", r, h.ends)
					}
				})
			}
			all.Wait()
			// Sleep that does not fit is slept as far as it goes, and not answered.
			if amount := got.amount.Load(); h.name == "sleep" && (amount > h.limit || amount < h.limit-guests*int64(7*time.Millisecond)) {
				t.Errorf("slept %v of %v", time.Duration(amount), time.Duration(h.limit))
			} else if h.name != "sleep" && amount != h.limit {
				t.Errorf("reached %d, allowed are %d", amount, h.limit)
			}
		})
	}
}

func TestSharedFuelIsUsedUpExactly(t *testing.T) {
	const fuel = 5_000_000
	host := newHost(t, virt.WithSharedLimits(virt.Limits{Fuel: fuel}), virt.WithUsage())
	m := compiled(t, host, loop(virt.ModuleName, nil, nil, []call{{"sched_yield", nil}}))
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			g, err := host.Instantiate(context.Background(), m)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := g.Call(context.Background(), "run", 1<<30); err == nil || g.Result().Budget != virt.Fuel {
				t.Errorf("%v, %v", g.Result(), err)
			}
		})
	}
	all.Wait()
	// What the last instructions before a check overdraw is at most a few.
	if used := host.Usage().Fuel; used < fuel || used > fuel+64*100 {
		t.Errorf("used %d of %d", used, fuel)
	}
}

func TestFuelThatWasNotUsedGoesBack(t *testing.T) {
	host := newHost(t, virt.WithSharedLimits(virt.Limits{Fuel: 150_000}))
	m := compiled(t, host, loop(virt.ModuleName, nil, nil, []call{{"sched_yield", nil}}))
	for range 20 { // each takes a slice of 100,000 to begin with
		g := newGuest(t, host, m)
		if _, err := g.Call(t.Context(), "run", 10); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSharedMemory(t *testing.T) {
	// Each guest of loop starts with 4 pages of 64 KiB.
	host := newHost(t, virt.WithSharedLimits(virt.Limits{Memory: 10 * 4 << 16}))
	m := compiled(t, host, loop(virt.ModuleName, nil, nil, []call{{"sched_yield", nil}}))
	for range 3 {
		var guests []*virt.Guest
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				if g, err := host.Instantiate(context.Background(), m); err == nil {
					mu.Lock()
					defer mu.Unlock()
					guests = append(guests, g)
				}
			})
		}
		all.Wait()
		if len(guests) != 10 {
			t.Errorf("%d guests had room, want 10", len(guests))
		}
		for _, g := range guests {
			if err := g.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestSharedThreads(t *testing.T) {
	host := newHost(t, virt.WithMaxThreads(8), virt.WithSharedLimits(virt.Limits{Threads: 5}))
	var started gotten
	m := compiled(t, host, threadsGuest(t))
	for range 3 {
		g := newGuest(t, host, m, started.count("thread-spawn", each))
		// Threads that wait for ever; they go with their guest.
		if _, err := g.Call(t.Context(), "leave_threads", hangWait, 4, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := started.calls.Load(); n != 5 {
		t.Errorf("%d threads, allowed are 5", n)
	}
}

func TestSharedWallTime(t *testing.T) {
	host := newHost(t, virt.WithSharedLimits(virt.Limits{WallTime: 20 * time.Millisecond}))
	m := compiled(t, host, loop(virt.ModuleName, nil, nil, []call{{"sched_yield", nil}}))
	g := newGuest(t, host, m)
	if _, err := g.Call(t.Context(), "run", 1<<31); err == nil || g.Result().Budget != virt.WallTime {
		t.Errorf("%v, %v", g.Result(), err)
	}
	// One that comes when the time is over ends before it begins, or at its first call.
	g, err := host.Instantiate(t.Context(), m)
	if err == nil {
		defer g.Close(context.Background())
		_, err = g.Call(t.Context(), "run", 1<<31)
	}
	if exit := (*virt.ExitError)(nil); !errors.As(err, &exit) || exit.Result.Budget != virt.WallTime {
		t.Errorf("a guest that came late: %v", err)
	}
}
