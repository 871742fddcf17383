package virt_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// The budgets of what a guest takes without a call of preview1: memory, instructions, threads,
// time.

// budgeted has one guest and many try to pass a budget, with one for each and with one for all.
// What guests that have been closed gave back, the next ones may take: they try twice.
func budgeted(t *testing.T, wasm []byte, own virt.Option, shared func(guests int) virt.Limits, opts []virt.Option, try func(t *testing.T, guests []*virt.Guest, shared bool)) {
	for _, n := range []int{1, manyGuests} {
		for name, limit := range map[string]virt.Option{"each its own": own, "shared": virt.WithSharedLimits(func(l *virt.Limits) { *l = shared(n) })} {
			t.Run(fmt.Sprintf("%d guests, %s", n, name), func(t *testing.T) {
				host := newHost(t, append(opts[:len(opts):len(opts)], limit)...)
				m := compiled(t, host, wasm)
				for range 2 {
					guests := make([]*virt.Guest, n)
					for i := range guests {
						var err error
						if guests[i], err = host.Instantiate(context.Background(), m); err != nil {
							t.Fatal(err)
						}
					}
					try(t, guests, name == "shared")
					for _, g := range guests {
						if err := g.Close(context.Background()); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
	}
}

// atOnce calls f with each guest, and waits.
func atOnce(guests []*virt.Guest, f func(g *virt.Guest)) {
	var all sync.WaitGroup
	for _, g := range guests {
		all.Go(func() { f(g) })
	}
	all.Wait()
}

// endsBy calls an export whose end is to be that of a budget.
func endsBy(t *testing.T, g *virt.Guest, budget virt.Budget, export string, params ...uint64) {
	t.Helper()
	_, err := g.Call(context.Background(), export, params...)
	if exit, ok := errors.AsType[*virt.ExitError](err); !ok || exit.Result.Outcome != virt.Exhausted || exit.Result.Budget != budget {
		t.Errorf("%v, want the end of %v", err, budget)
	}
}

func TestMemoryBudgetHolds(t *testing.T) {
	const page = 1 << 16
	for _, tc := range []struct {
		module string
		least  uint64 // pages that it starts with
		grow   func(g *virt.Guest) error
	}{
		{"traps", 1, func(g *virt.Guest) error {
			for {
				if old, err := callI32(context.Background(), g, "grow", 1); err != nil || old < 0 {
					return err
				}
			}
		}},
		// Eight threads on one memory.
		{"threads", 5, func(g *virt.Guest) error { _, err := g.Call(context.Background(), "grow_together", 10); return err }},
	} {
		t.Run(tc.module, func(t *testing.T) {
			// Half a page more than whole ones is of no use.
			own := (tc.least+7)*page + page/2
			shared := func(guests int) virt.Limits { return virt.Limits{Memory: (uint64(guests)*tc.least+7)*page + page/2} }
			budgeted(t, bareGuest(t, tc.module), virt.WithMemoryLimit(own), shared, []virt.Option{virt.WithMaxThreads(8)},
				func(t *testing.T, guests []*virt.Guest, together bool) {
					atOnce(guests, func(g *virt.Guest) {
						if err := tc.grow(g); err != nil {
							t.Error(err)
						}
					})
					var sum uint64
					for _, g := range guests {
						size := g.Usage().PeakMemory
						if sum += size; !together && size != own/page*page {
							t.Errorf("a guest has %d bytes, allowed are %d", size, own)
						}
					}
					if want := shared(len(guests)).Memory / page * page; together && sum != want {
						t.Errorf("the guests have %d bytes, allowed are %d", sum, want)
					}
				})
		})
	}
}

// TestGuestsThatStartWithTooMuchMemory: those that there is room for are made.
func TestGuestsThatStartWithTooMuchMemory(t *testing.T) {
	host := newHost(t, virt.WithSharedLimits(func(l *virt.Limits) { l.Memory = 10 << 16 }))
	m := compiled(t, host, bareGuest(t, "traps"))
	for range 3 {
		var guests []*virt.Guest
		var mu sync.Mutex
		atOnce(make([]*virt.Guest, manyGuests), func(*virt.Guest) {
			if g, err := host.Instantiate(context.Background(), m); err == nil {
				mu.Lock()
				defer mu.Unlock()
				guests = append(guests, g)
			}
		})
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

// TestThreadBudgetHolds has guests start threads that wait for ever, more than they may.
func TestThreadBudgetHolds(t *testing.T) {
	const own, together = 3, 100
	var started gotten
	budgeted(t, bareGuest(t, "threads"), virt.WithMaxThreads(own), func(int) virt.Limits { return virt.Limits{Threads: together} },
		[]virt.Option{virt.WithMaxThreads(8), started.count("thread-spawn", each)},
		func(t *testing.T, guests []*virt.Guest, shared bool) {
			before := started.calls.Load()
			atOnce(guests, func(g *virt.Guest) {
				if _, err := g.Call(context.Background(), "leave_threads", hangWait, 8, 0); err != nil {
					t.Error(err)
				}
				if n := g.Usage().Spawned; !shared && n != own {
					t.Errorf("a guest started %d threads, allowed are %d", n, own)
				}
			})
			want := min(together, 8*len(guests))
			if !shared {
				want = own * len(guests)
			}
			if n := started.calls.Load() - before; n != int64(want) {
				t.Errorf("%d threads, allowed are %d", n, want)
			}
		})
}

// TestARefusedThreadTakesNothing: a guest that has as many threads as it may takes nothing of what
// others share, not even for a moment.
func TestARefusedThreadTakesNothing(t *testing.T) {
	host := newHost(t, virt.WithSharedLimits(func(l *virt.Limits) { l.Threads = 2 }))
	m := compiled(t, host, bareGuest(t, "threads"))
	full, other := newGuest(t, host, m, virt.WithMaxThreads(1)), newGuest(t, host, m, virt.WithMaxThreads(1))
	if id, err := callI32(t.Context(), full, "leave_threads", hangWait, 1, 0); err != nil || id <= 0 {
		t.Fatalf("%d, %v", id, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			if _, err := full.Call(context.Background(), "spawn"); err != nil {
				t.Error(err)
			}
		}
	})
	// Threads that end at once, one after the other.
	for range 2000 {
		if id, err := callI32(t.Context(), other, "churn", 1); err != nil || id <= 0 {
			t.Errorf("%d, %v", id, err)
			break
		}
		for other.Usage().Threads > 0 {
			time.Sleep(time.Microsecond) // the last one is on its way out
		}
	}
	stop()
	all.Wait()
}

// onFirst is a Handler that calls f at the first call.
func onFirst(f func()) virt.Handler {
	var once sync.Once
	return func(c *virt.Call) wasip1.Errno {
		once.Do(f)
		return c.Next()
	}
}

// TestRefusedRandomnessTakesNothing is the same for random bytes: what is left is exactly what
// another guest asks for.
func TestRefusedRandomnessTakesNothing(t *testing.T) {
	wasm := loop(abi.ModuleName, texts(), nil, []call{{"random_get", []any{bufferAt, 1000}}})
	runtime := newHost(t).Runtime()
	for range 300 {
		host := hostOf(t, virt.WithRuntime(runtime), virt.WithSharedLimits(func(l *virt.Limits) { l.RandomBytes = 1000 }))
		m := compiled(t, host, wasm)
		var begin sync.WaitGroup
		begin.Add(1)
		full := newGuest(t, host, m, virt.WithLimits(func(l *virt.Limits) { l.RandomBytes = 1 }), virt.WithMiddleware("random_get", onFirst(begin.Done)))
		other := newGuest(t, host, m)
		var all sync.WaitGroup
		all.Go(func() {
			if got, err := callI32(context.Background(), full, "run", 2000); err != nil || got != int32(wasip1.EDQUOT) {
				t.Errorf("%d, %v", got, err)
			}
		})
		begin.Wait()
		if got, err := callI32(t.Context(), other, "run", 1); err != nil || got != 0 {
			t.Errorf("errno %d, %v", got, err)
		}
		all.Wait()
	}
}

// TestFuelBudgetHolds lets guests count for ever, at fuelPerTurn instructions a turn: what is left
// when they end is less than a turn of each.
func TestFuelBudgetHolds(t *testing.T) {
	for _, tc := range []struct {
		name   string
		guests int
		limit  virt.Option
		fuel   uint64 // of each, or of all
		shared bool
	}{
		{"1 guest, its own", 1, virt.WithFuel(350_003), 350_003, false},
		{"1 guest, shared", 1, virt.WithSharedLimits(func(l *virt.Limits) { l.Fuel = 350_003 }), 350_003, true},
		{"64 guests, each its own", manyGuests, virt.WithFuel(350_003), 350_003, false},
		{"64 guests, shared", manyGuests, virt.WithSharedLimits(func(l *virt.Limits) { l.Fuel = 9_000_011 }), 9_000_011, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			host := newHost(t, tc.limit, (&embedder{silent}).modules())
			m := compiled(t, host, counting(false))
			guests := make([]*virt.Guest, tc.guests)
			for i := range guests {
				guests[i] = newGuest(t, host, m)
			}
			atOnce(guests, func(g *virt.Guest) { endsBy(t, g, virt.BudgetFuel, "count") })
			var sum uint64
			for _, g := range guests {
				turns := uint64(counted(t, g))
				if sum += turns; !tc.shared && turns != tc.fuel/fuelPerTurn {
					t.Errorf("%d instructions: %d turns, want %d", tc.fuel, turns, tc.fuel/fuelPerTurn)
				}
			}
			n := uint64(tc.guests)
			if got := sum * fuelPerTurn; tc.shared && (got > tc.fuel || got+n*fuelPerTurn <= tc.fuel) {
				t.Errorf("%d instructions were run, allowed are %d", got, tc.fuel)
			}
			if used := host.Usage().Fuel; tc.shared && used != tc.fuel || !tc.shared && used != n*tc.fuel {
				t.Errorf("used %d of %d", used, tc.fuel)
			}
		})
	}
}

// TestWallTimeBudgetHolds: no guest ends before its time, and every one ends, one that computes as
// well as one that sleeps an hour over and over, be it an hour of a virtual clock.
func TestWallTimeBudgetHolds(t *testing.T) {
	const limit = 20 * time.Millisecond
	data := texts()
	hour := wasip1.Subscription{Clock: wasip1.SubscriptionClock{ID: wasip1.ClockMonotonic, Timeout: uint64(time.Hour)}}
	hour.Encode(data[subAt:])
	sleeping := loop(abi.ModuleName, data, nil, []call{{"poll_oneoff", []any{subAt, eventAt, 1, resultAt}}})
	clocks := map[string]func() clock.Clock{"real": clock.Real, "virtual": func() clock.Clock { return clock.NewVirtual(clock.WithAutoAdvance()) }}
	for name, newClock := range clocks {
		for _, n := range []int{1, manyGuests} {
			for kind, budget := range map[string]virt.Option{"each its own": virt.WithTimeout(limit), "shared": virt.WithSharedLimits(func(l *virt.Limits) { l.WallTime = limit })} {
				t.Run(fmt.Sprintf("%s clock, %d guests, %s", name, n, kind), func(t *testing.T) {
					begin := time.Now()
					host := newHost(t, budget, virt.WithClock(newClock()), (&embedder{silent}).modules())
					computes, sleeps := compiled(t, host, counting(false)), compiled(t, host, sleeping)
					var all sync.WaitGroup
					for i := range 2 * n {
						all.Go(func() {
							m, export, params := computes, "count", []uint64(nil)
							if i%2 == 1 {
								m, export, params = sleeps, "run", []uint64{1 << 31}
							}
							began := time.Now()
							if kind == "shared" {
								began = begin
							}
							g, err := host.Instantiate(context.Background(), m)
							if err == nil {
								defer g.Close(context.Background())
								_, err = g.Call(context.Background(), export, params...)
							}
							if exit, ok := errors.AsType[*virt.ExitError](err); !ok || exit.Result.Budget != virt.BudgetWallTime {
								t.Errorf("%v, want the end of wall time", err)
							}
							if took := time.Since(began); took < limit {
								t.Errorf("ended after %v, allowed are %v", took, limit)
							}
						})
					}
					all.Wait()
				})
			}
		}
	}
}
