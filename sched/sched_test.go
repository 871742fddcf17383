package sched_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/wasip1"
)

// schedulers are those that every test of the mechanism runs on.
func schedulers(t *testing.T, f func(t *testing.T, s sched.Scheduler)) {
	for _, row := range []struct {
		name string
		make func() sched.Scheduler
	}{
		{"parallel", func() sched.Scheduler { return &sched.Parallel{} }},
		{"parallel one at a time", func() sched.Scheduler { return sched.NewParallel(sched.Limits{Running: 1}) }},
		{"the embedder's", func() sched.Scheduler { return &lifo{} }},
		{"uniform", func() sched.Scheduler { return sched.NewSeeded(sched.SeededConfig{Seed: 1}) }},
		{"pct", func() sched.Scheduler {
			return sched.NewSeeded(sched.SeededConfig{Seed: 2, Strategy: sched.PCT(3, 100)})
		}},
		{"run to block", func() sched.Scheduler {
			return sched.NewSeeded(sched.SeededConfig{Seed: 3, Strategy: sched.RunToBlock(0.1)})
		}},
		{"round robin", func() sched.Scheduler {
			return sched.NewSeeded(sched.SeededConfig{Strategy: sched.RoundRobin()})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			checkGoroutines(t)
			f(t, row.make())
		})
	}
}

// checkGoroutines fails the test if it leaves goroutines behind. Those that have done all their
// work may still be about to return, so that it looks more than once.
func checkGoroutines(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 1000 {
			if runtime.NumGoroutine() <= before {
				return
			}
			runtime.Gosched()
			time.Sleep(time.Millisecond)
		}
		t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
	})
}

func group(t *testing.T, s sched.Scheduler, c clock.Clock) *sched.Group {
	t.Helper()
	g := sched.NewGroup(t.Context(), s, sched.Config{Name: "guest", Clock: c})
	t.Cleanup(g.Close)
	return g
}

func sleep(t *sched.Thread, d time.Duration) error {
	c := t.Group().Clock()
	at := c.Monotonic() + int64(d)
	for c.Monotonic() < at {
		if err := t.Park(poll.Wait{Op: "sleep", Clock: c, Deadline: at}); err != nil {
			return err
		}
	}
	return nil
}

func TestSleepsJump(t *testing.T) {
	schedulers(t, func(t *testing.T, s sched.Scheduler) {
		c := clock.NewVirtual(clock.WithAutoAdvance())
		g := group(t, s, c)
		err := g.Run(func(main *sched.Thread) {
			var wg sync.WaitGroup
			for range 9 {
				wg.Add(1)
				if _, err := g.Go(func(th *sched.Thread) {
					defer wg.Done()
					for range 100 {
						if err := sleep(th, 36*time.Second); err != nil {
							t.Error(err)
						}
					}
				}); err != nil {
					t.Error(err)
				}
			}
			for range 100 {
				if err := sleep(main, 36*time.Second); err != nil {
					t.Error(err)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		g.Wait()
		if got := c.Elapsed(); got != time.Hour {
			t.Errorf("elapsed %v, want 1h", got)
		}
		if c.Holds() != 0 || c.Pending() != 0 {
			t.Errorf("%d holds and %d timers left", c.Holds(), c.Pending())
		}
	})
}

func TestTimersInterleave(t *testing.T) {
	schedulers(t, func(t *testing.T, s sched.Scheduler) {
		c := clock.NewVirtual(clock.WithAutoAdvance())
		g := group(t, s, c)
		var mu sync.Mutex
		var got []time.Duration
		_ = g.Run(func(*sched.Thread) {
			for i := 1; i <= 3; i++ {
				_, _ = g.Go(func(th *sched.Thread) {
					for range 4 {
						_ = sleep(th, time.Duration(i)*time.Second)
						mu.Lock()
						got = append(got, c.Elapsed())
						mu.Unlock()
					}
				})
			}
		})
		g.Wait()
		want := []time.Duration{1, 2, 2, 3, 3, 4, 4, 6, 6, 8, 9, 12}
		for i := range want {
			want[i] *= time.Second
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// TestBubble runs guests on the real clock in a bubble of testing/synctest, whose time jumps by
// itself.
func TestBubble(t *testing.T) {
	for name, s := range map[string]func() sched.Scheduler{
		"parallel": func() sched.Scheduler { return &sched.Parallel{} },
		"seeded":   func() sched.Scheduler { return sched.NewSeeded(sched.SeededConfig{}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := group(t, s(), clock.Real())
				begin := time.Now()
				for i := range 5 {
					_, _ = g.Go(func(th *sched.Thread) {
						for range 12 {
							_ = sleep(th, time.Duration(i+1)*time.Minute)
						}
					})
				}
				g.Wait()
				if got := time.Since(begin); got != time.Hour {
					t.Errorf("%v passed, want 1h", got)
				}
			})
		})
	}
}

func TestWakeBeforePark(t *testing.T) {
	schedulers(t, func(t *testing.T, s sched.Scheduler) {
		g := group(t, s, clock.Real())
		if err := g.Run(func(th *sched.Thread) {
			th.Wake()
			th.Wake()
			if err := th.Park(poll.Wait{Deadline: poll.NoDeadline}); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestIDs(t *testing.T) {
	schedulers(t, func(t *testing.T, s sched.Scheduler) {
		g := group(t, s, clock.Real())
		var ids []uint32
		for range 3 {
			if err := g.Run(func(th *sched.Thread) {
				if th.ID() != 0 || !th.Main() {
					t.Errorf("main thread has id %d", th.ID())
				}
				id, err := g.Go(func(th *sched.Thread) {
					if th.Main() {
						t.Error("a spawned thread is main")
					}
				})
				if err != nil {
					t.Error(err)
				}
				ids = append(ids, id)
			}); err != nil {
				t.Fatal(err)
			}
			g.Wait()
		}
		if d := cmp.Diff([]uint32{1, 2, 3}, ids); d != "" {
			t.Error(d)
		}
	})
}

func TestLimits(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) *sched.Group{
		"parallel": func(t *testing.T) *sched.Group {
			return group(t, sched.NewParallel(sched.Limits{Threads: 2}), clock.Real())
		},
		"seeded": func(t *testing.T) *sched.Group {
			return group(t, sched.NewSeeded(sched.SeededConfig{MaxThreads: 2}), clock.Real())
		},
		"group": func(t *testing.T) *sched.Group {
			g := sched.NewGroup(t.Context(), &sched.Parallel{}, sched.Config{Clock: clock.Real(), MaxThreads: 2})
			t.Cleanup(g.Close)
			return g
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := make(t)
			wait := func(th *sched.Thread) { _ = th.Park(poll.Wait{Deadline: poll.NoDeadline}) }
			for range 2 {
				if _, err := g.Go(wait); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := g.Go(wait); err != wasip1.EAGAIN {
				t.Errorf("third thread: %v, want EAGAIN", err)
			}
		})
	}
}

func TestRunningLimit(t *testing.T) {
	p := sched.NewParallel(sched.Limits{Running: 3})
	g := group(t, p, clock.Real())
	var running, most atomic.Int32
	for range 50 {
		_, err := g.Go(func(th *sched.Thread) {
			for range 100 {
				n := running.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				running.Add(-1)
				_ = th.Yield(sched.PointYield)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	g.Wait()
	if most.Load() > 3 {
		t.Errorf("%d ran at once", most.Load())
	}
	if d := cmp.Diff(sched.Stats{Peak: p.Stats().Peak, Started: 50}, p.Stats()); d != "" {
		t.Error(d)
	}
}

func TestLimitsChange(t *testing.T) {
	p := sched.NewParallel(sched.Limits{Running: 1})
	g := group(t, p, clock.Real())
	lower := func(t *testing.T) {
		p := sched.NewParallel(sched.Limits{})
		g := group(t, p, clock.Real())
		arrive, leave := make(chan struct{}), make(chan struct{})
		var running atomic.Int32
		for range 3 {
			if _, err := g.Go(func(th *sched.Thread) {
				arrive <- struct{}{}
				<-leave
				_ = th.Yield(sched.PointYield)
				for range 100 {
					if n := running.Add(1); n > 1 {
						t.Errorf("%d ran at once", n)
					}
					running.Add(-1)
					_ = th.Yield(sched.PointYield)
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			<-arrive
		}
		p.SetLimits(sched.Limits{Running: 1})
		close(leave)
		g.Wait()
	}
	t.Run("lowered", lower)
	turn := make(chan struct{})
	for range 2 {
		if _, err := g.Go(func(*sched.Thread) { turn <- struct{}{}; turn <- struct{}{} }); err != nil {
			t.Fatal(err)
		}
	}
	<-turn
	if s := p.Stats(); s.Running != 1 || s.Ready != 1 {
		t.Errorf("%+v, want 1 running and 1 ready", s)
	}
	p.SetLimits(sched.Limits{Running: 2})
	<-turn
	<-turn
	<-turn
}

func TestEnd(t *testing.T) {
	cause := errors.New("enough")
	schedulers(t, func(t *testing.T, s sched.Scheduler) {
		for _, how := range []string{"End", "context"} {
			ctx, cancel := context.WithCancelCause(t.Context())
			g := sched.NewGroup(ctx, s, sched.Config{Clock: clock.Real()})
			var mu sync.Mutex
			var errs []error
			park := func(th *sched.Thread) {
				err := th.Park(poll.Wait{Deadline: poll.NoDeadline})
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
			for range 5 {
				if _, err := g.Go(park); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := g.Go(func(th *sched.Thread) {
				for th.Yield(sched.PointCall) == nil { // a busy guest
					_ = th.Yield(sched.PointYield)
				}
			}); err != nil {
				t.Fatal(err)
			}
			if how == "End" {
				g.End(cause)
			} else {
				cancel(cause)
			}
			g.Wait()
			if d := cmp.Diff([]error{cause, cause, cause, cause, cause}, errs, cmp.Comparer(errors.Is)); d != "" {
				t.Errorf("%s: %s", how, d)
			}
			if _, err := g.Go(park); !errors.Is(err, cause) {
				t.Errorf("%s: Go after the end: %v", how, err)
			}
			if err := g.Run(park); !errors.Is(err, cause) {
				t.Errorf("%s: Run after the end: %v", how, err)
			}
			g.Close()
			cancel(nil)
		}
	})
}

// TestEndAnywhere ends groups at every stage of a busy life, which their threads' steps count: on
// one processor the threads leave others no turn for many milliseconds.
func TestEndAnywhere(t *testing.T) {
	schedulers(t, func(t *testing.T, s sched.Scheduler) {
		c := clock.NewVirtual(clock.WithAutoAdvance())
		for i := range 200 {
			g := sched.NewGroup(context.Background(), s, sched.Config{Clock: c})
			var f sched.Futex
			mem := make([]byte, 64)
			var steps atomic.Int64
			reached := make(chan struct{})
			for n := range 4 {
				_, _ = g.Go(func(th *sched.Thread) {
					for k := 0; th.Ended() == nil; k++ {
						if steps.Add(1) == int64(1+4*(i%20)) {
							close(reached)
							runtime.Gosched()
						}
						switch (k + n) % 4 {
						case 0:
							_, _ = f.Wait32(th, c, mem, 0, 0, 10)
						case 1:
							_, _ = f.Notify(mem, 0, 1)
						case 2:
							_ = sleep(th, time.Duration(k%3))
						case 3:
							_ = th.Yield(sched.PointYield)
						}
					}
				})
			}
			<-reached
			g.Close()
		}
		if c.Holds() != 0 || c.Pending() != 0 {
			t.Errorf("%d holds and %d timers left", c.Holds(), c.Pending())
		}
	})
}

func TestThousandsOfThreads(t *testing.T) {
	schedulers(t, func(t *testing.T, s sched.Scheduler) {
		c := clock.NewVirtual(clock.WithAutoAdvance())
		g := group(t, s, c)
		var sum atomic.Int64
		if err := g.Run(func(th *sched.Thread) {
			for i := range 3000 {
				if _, err := g.Go(func(th *sched.Thread) {
					_ = th.Yield(sched.PointCall)
					_ = sleep(th, time.Duration(i%7)*time.Second)
					sum.Add(int64(i))
				}); err != nil {
					t.Error(err)
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		g.Wait()
		if sum.Load() != 3000*2999/2 {
			t.Errorf("sum %d", sum.Load())
		}
		if c.Elapsed() != 6*time.Second {
			t.Errorf("elapsed %v", c.Elapsed())
		}
	})
}

func TestPanic(t *testing.T) {
	schedulers(t, func(t *testing.T, s sched.Scheduler) {
		g := group(t, s, clock.Real())
		boom := errors.New("boom")
		id, err := g.Go(func(*sched.Thread) { panic(boom) })
		if err != nil {
			t.Fatal(err)
		}
		g.Wait()
		var p *sched.PanicError
		if err := context.Cause(g.Context()); !errors.As(err, &p) || p.Thread != id || !errors.Is(err, boom) {
			t.Errorf("cause %v", err)
		}

		g = group(t, s, clock.Real())
		func() {
			defer func() {
				if recover() != boom {
					t.Error("the panic of a main thread did not pass")
				}
			}()
			_ = g.Run(func(*sched.Thread) { panic(boom) })
		}()
		g.Wait()
	})
}

func TestOutside(t *testing.T) {
	schedulers(t, func(t *testing.T, s sched.Scheduler) {
		c := clock.NewVirtual(clock.WithAutoAdvance())
		g, inner := group(t, s, c), group(t, s, c)
		if err := g.Run(func(th *sched.Thread) {
			th.Outside(poll.Wait{Op: "run"}, func() {
				if err := inner.Run(func(th *sched.Thread) { _ = sleep(th, time.Second) }); err != nil {
					t.Error(err)
				}
			})
		}); err != nil {
			t.Fatal(err)
		}
		if c.Elapsed() != time.Second {
			t.Errorf("elapsed %v", c.Elapsed())
		}
	})
}

func TestCPUTime(t *testing.T) {
	schedulers(t, func(t *testing.T, s sched.Scheduler) {
		c := clock.NewVirtual(clock.WithAutoAdvance())
		g := group(t, s, c)
		if err := g.Run(func(th *sched.Thread) {
			_ = sleep(th, time.Minute)
			c.Advance(time.Second)
			if got := time.Duration(th.CPUTime()); got != time.Second {
				t.Errorf("thread %v, want 1s", got)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if err := g.Run(func(*sched.Thread) { c.Advance(time.Second) }); err != nil {
			t.Fatal(err)
		}
		if got := time.Duration(g.CPUTime()); got != 2*time.Second {
			t.Errorf("group %v, want 2s", got)
		}
	})
}

func ExampleGroup() {
	c := clock.NewVirtual(clock.WithAutoAdvance())
	g := sched.NewGroup(context.Background(), &sched.Parallel{}, sched.Config{Name: "guest", Clock: c})
	defer g.Close()
	_ = g.Run(func(main *sched.Thread) {
		id, _ := g.Go(func(t *sched.Thread) {
			_ = t.Park(poll.Wait{Op: "sleep", Clock: c, Deadline: c.Monotonic() + int64(time.Hour)})
		})
		fmt.Println("started", id)
	})
	g.Wait()
	fmt.Println("passed", c.Elapsed())
	// Output:
	// started 1
	// passed 1h0m0s
}
