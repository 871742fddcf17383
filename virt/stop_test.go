package virt_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/virt"
)

// stopRounds is how often each way of hanging is stopped.
func stopRounds() int {
	switch {
	case testing.Short(), raceDetector:
		return 20
	case full:
		return 1000
	default:
		return 100
	}
}

// hangs are the ways in which a guest does not end. waits says that the scheduler sees it wait.
var hangs = []struct {
	name  string
	how   uint64
	waits bool
}{
	{"busy loop", hangSpin, false},
	{"endless recursion", hangRecurse, false},
	{"yields", hangYield, false},
	{"atomic wait", hangWait, true},
	{"sleep", hangSleep, true},
	{"blocked read", hangRead, true},
	{"blocked accept", hangAccept, true},
}

// TestStop cancels guests that do what never ends, on their first thread and on others, and shows
// with -v how long it took until they were closed.
func TestStop(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		p := sched.NewParallel(sched.Limits{})
		host := newHost(t, engine, virt.WithScheduler(p), virt.WithMaxThreads(8))
		m := compiled(t, host, threadsGuest(t))
		network := netmem.New(clock.Real())
		for _, hang := range hangs {
			for _, threads := range []int{0, 4} {
				before := measure()
				var slowest, sum time.Duration
				rounds := stopRounds()
				for range rounds {
					d := stopOne(t, p, host, m, network, hang.how, threads, hang.waits)
					slowest, sum = max(slowest, d), sum+d
				}
				t.Logf("%-18s on %d further threads: slowest of %d %v, mean %v", hang.name, threads, rounds, slowest, sum/time.Duration(rounds))
				expectNothingLeft(t, before, 64<<20)
			}
		}
	})
}

// stopOne lets one guest hang, cancels it, and returns how long it took until it was closed.
func stopOne(t *testing.T, p *sched.Parallel, host *virt.Host, m *virt.Module, network *netmem.Network, how uint64, threads int, waits bool) time.Duration {
	t.Helper()
	in, typing := pipe.New(0)
	listener, err := network.Listen("server:80", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer typing.Close()
	g, err := host.Instantiate(t.Context(), m, virt.WithStream(0, in), virt.WithPreopened(listener))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		var err error
		if threads == 0 {
			_, err = g.Call(ctx, "hang", how, 4)
		} else {
			_, err = g.Call(ctx, "hang_in_threads", how, uint64(threads), 4)
		}
		ended <- err
	}()
	reached(t, p, func(s sched.Stats) bool {
		if s.Alive != threads+1 {
			return false
		}
		if waits {
			return s.Waiting == threads+1
		}
		return s.Waiting == min(threads, 1) // the first waits for the others
	})
	start := time.Now()
	cancel()
	err = <-ended
	if e := g.Close(t.Context()); e != nil {
		t.Error(e)
	}
	d := time.Since(start)
	if exit, ok := errors.AsType[*virt.ExitError](err); !ok || exit.Result.Outcome != virt.Canceled || !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want the cancellation", err)
	}
	return d
}

// reached waits until the scheduler's threads are as expected.
func reached(t *testing.T, p *sched.Parallel, as func(sched.Stats) bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !as(p.Stats()); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("the threads are %+v", p.Stats())
		}
	}
}

// TestStopManyAtOnce cancels many guests that compute without end at the same time.
func TestStopManyAtOnce(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		p := sched.NewParallel(sched.Limits{})
		host := newHost(t, engine, virt.WithScheduler(p))
		m := compiled(t, host, threadsGuest(t))
		before := measure()
		ctx, cancel := context.WithCancel(t.Context())
		n := stopRounds()
		var mu sync.Mutex
		var told time.Time
		var slowest time.Duration
		var group sync.WaitGroup
		guests := make([]*virt.Guest, n) // all are made before any computes, and none waits for a processor meanwhile
		for i := range guests {
			g, err := host.Instantiate(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			guests[i] = g
		}
		for _, g := range guests {
			group.Go(func() {
				_, err := g.Call(ctx, "hang", hangSpin, 0)
				if exit, ok := errors.AsType[*virt.ExitError](err); !ok || exit.Result.Outcome != virt.Canceled {
					t.Errorf("%v, want the cancellation", err)
				}
				if err := g.Close(context.Background()); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				slowest = max(slowest, time.Since(told))
			})
		}
		reached(t, p, func(s sched.Stats) bool { return s.Running == n })
		mu.Lock()
		told = time.Now()
		mu.Unlock()
		cancel()
		group.Wait()
		t.Logf("the slowest of %d guests that computed at once was closed after %v, on %d processors", n, slowest, runtime.GOMAXPROCS(0))
		expectNothingLeft(t, before, 64<<20)
	})
}

// TestCollectorBesideAGuest shows with -v how long Go's garbage collector takes beside a guest that
// computes without end.
func TestCollectorBesideAGuest(t *testing.T) {
	p := sched.NewParallel(sched.Limits{})
	host := newHost(t, virt.WithScheduler(p))
	m := compiled(t, host, threadsGuest(t))
	alone := slowestCollection()
	for _, how := range []uint64{hangSpin, hangRecurse} {
		ctx, cancel := context.WithCancel(t.Context())
		g := newGuest(t, host, m)
		var group sync.WaitGroup
		group.Go(func() { _, _ = g.Call(ctx, "hang", how, 0) }) // ends with ctx
		reached(t, p, func(s sched.Stats) bool { return s.Running == 1 })
		beside := slowestCollection()
		cancel()
		group.Wait()
		t.Logf("the slowest of %d collections took %v beside a guest, %v alone", collections(), beside, alone)
	}
}

// collections is how many are compared. With one processor each waits for a turn beside the guest
// once for every few spans of the heap.
func collections() int {
	if full {
		return 20
	}
	return 4
}

func slowestCollection() (slowest time.Duration) {
	for range collections() {
		start := time.Now()
		runtime.GC()
		slowest = max(slowest, time.Since(start))
	}
	return slowest
}

// TestTimeout ends guests that hang by their budget of wall time.
func TestTimeout(t *testing.T) {
	host := newHost(t, virt.WithMaxThreads(8))
	m := compiled(t, host, threadsGuest(t))
	for _, hang := range hangs {
		if hang.how == hangRead || hang.how == hangAccept {
			continue
		}
		// On a machine with much to do the time may be over before the guest is there.
		g, err := host.Instantiate(t.Context(), m, virt.WithTimeout(5*time.Millisecond))
		if err == nil {
			_, err = g.Call(t.Context(), "hang_in_threads", hang.how, 2, 0)
			g.Close(t.Context())
		}
		if exit, ok := errors.AsType[*virt.ExitError](err); !ok || exit.Result.Outcome != virt.Exhausted || exit.Result.Budget != virt.BudgetWallTime {
			t.Errorf("%s: %v, want the end of the wall time", hang.name, err)
		}
	}
}
