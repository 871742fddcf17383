package sched_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
)

var strategies = map[string]sched.Strategy{
	"uniform":      sched.Uniform(),
	"pct":          sched.PCT(3, 200),
	"run to block": sched.RunToBlock(0.2),
	"round robin":  sched.RoundRobin(),
}

// ref names a thread in a trace.
func ref(t *sched.Thread) string {
	if t == nil {
		return "-"
	}
	return fmt.Sprintf("%s/%d", t.Group().Name(), t.ID())
}

// world runs two guests with threads that sleep, wait for each other, yield and spawn, and
// returns what happened in which order.
func world(t *testing.T, config sched.SeededConfig) (trace []string, choices []uint32) {
	t.Helper()
	note := func(format string, args ...any) { trace = append(trace, fmt.Sprintf(format, args...)) }
	config.Keep = true
	config.OnSwitch = func(s sched.Switch) {
		note("%d %v %s -> %s %d/%d", s.Step, s.Point, ref(s.From), ref(s.To), s.Choice, s.Of)
	}
	s := sched.NewSeeded(config)
	c := clock.NewVirtual(clock.WithAutoAdvance())
	resume := s.Pause()
	var mains []func()
	for _, name := range []string{"a", "b"} {
		g := sched.NewGroup(t.Context(), s, sched.Config{Name: name, Clock: c})
		defer g.Close()
		mem := page()
		word := (*uint32)(unsafe.Pointer(&mem[0]))
		var f sched.Futex
		work := func(th *sched.Thread) {
			for k := range 5 {
				_ = sleep(th, time.Duration(k%2)*time.Second)
				note("%s at %v", ref(th), c.Elapsed())
				_ = th.Yield(sched.PointCall)
				if atomic.CompareAndSwapUint32(word, 0, 1) {
					_ = th.Yield(sched.PointFuel)
					atomic.StoreUint32(word, 0)
					_, _ = f.Notify(mem, 0, 2)
					_ = th.Yield(sched.PointNotify)
				} else {
					r, err := f.Wait32(th, c, mem, 0, 1, 3e9)
					note("%s waited: %d %v", ref(th), r, err)
				}
			}
		}
		main, err := g.Main()
		if err != nil {
			t.Fatal(err)
		}
		mains = append(mains, func() {
			main.Run(func(th *sched.Thread) {
				for range 3 {
					spawn(th, func(th *sched.Thread) { work(th) })
				}
				work(th)
			})
			g.Wait()
		})
	}
	var wg sync.WaitGroup
	for _, m := range mains {
		wg.Go(m)
	}
	resume()
	wg.Wait()
	return trace, s.Choices()
}

func TestSameSeedSameRun(t *testing.T) {
	for name, strategy := range strategies {
		t.Run(name, func(t *testing.T) {
			checkGoroutines(t)
			traces := make(map[string]bool)
			for seed := range uint64(10) {
				config := sched.SeededConfig{Seed: seed, Strategy: strategy}
				first, choices := world(t, config)
				for i := range 5 {
					procs := runtime.GOMAXPROCS(1 + i%2)
					again, _ := world(t, config)
					runtime.GOMAXPROCS(procs)
					if d := cmp.Diff(first, again); d != "" {
						t.Fatalf("seed %d: %s", seed, d)
					}
				}
				// The same choices, by another strategy with another seed.
				config = sched.SeededConfig{Seed: seed + 1000, Choices: choices}
				again, _ := world(t, config)
				if d := cmp.Diff(first, again); d != "" {
					t.Fatalf("seed %d replayed: %s", seed, d)
				}
				traces[strings.Join(first, "\n")] = true
			}
			if name != "round robin" && len(traces) < 2 {
				t.Error("all seeds gave the same run")
			}
		})
	}
}

// TestChoicesPrefix gives back a part of the choices: what follows is as the strategy, which went
// along, has it.
func TestChoicesPrefix(t *testing.T) {
	config := sched.SeededConfig{Seed: 4}
	want, choices := world(t, config)
	config.Choices = choices[:len(choices)/2]
	got, _ := world(t, config)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestChoicesAreKept compares with what OnSwitch tells.
func TestChoicesAreKept(t *testing.T) {
	for name, strategy := range strategies {
		trace, choices := world(t, sched.SeededConfig{Seed: 11, Strategy: strategy})
		var want []uint32
		for _, line := range trace {
			var step uint64
			var point, from, to string
			var choice uint32
			var of int
			n, _ := fmt.Sscanf(line, "%d %s %s -> %s %d/%d", &step, &point, &from, &to, &choice, &of)
			if n == 6 && of > 1 {
				want = append(want, choice)
			}
		}
		if !slices.Equal(want, choices) {
			t.Errorf("%s: kept %v, want %v", name, choices, want)
		}
	}
}

// TestOneAtATime has threads change a variable that nothing else guards.
func TestOneAtATime(t *testing.T) {
	for name, strategy := range strategies {
		t.Run(name, func(t *testing.T) {
			s := sched.NewSeeded(sched.SeededConfig{Seed: 1, Strategy: strategy})
			count := 0
			var wg sync.WaitGroup
			for range 4 {
				g := group(t, s, clock.Real())
				for range 5 {
					wg.Add(1)
					_, _ = g.Go(func(th *sched.Thread) {
						defer wg.Done()
						for range 200 {
							count++
							_ = th.Yield(sched.PointCall)
						}
					})
				}
			}
			wg.Wait()
			if count != 4000 {
				t.Errorf("count %d, want 4000", count)
			}
		})
	}
}

// lostUpdate reports whether two threads that increment a counter in two steps lose one.
func lostUpdate(config sched.SeededConfig) bool {
	s := sched.NewSeeded(config)
	g := sched.NewGroup(context.Background(), s, sched.Config{Clock: clock.NewVirtual()})
	defer g.Close()
	count := 0
	_ = g.Run(func(main *sched.Thread) {
		for range 2 {
			spawn(main, func(th *sched.Thread) {
				for range 20 { // something else
					_ = th.Yield(sched.PointCall)
				}
				old := count
				_ = th.Yield(sched.PointAccess)
				count = old + 1
			})
		}
	})
	g.Wait()
	return count != 2
}

func TestExploration(t *testing.T) {
	for _, name := range []string{"uniform", "pct", "run to block"} {
		found := 0
		for seed := range uint64(200) {
			if lostUpdate(sched.SeededConfig{Seed: seed, Strategy: strategies[name]}) {
				found++
			}
		}
		t.Logf("%s: found by %d of 200 seeds", name, found)
		if found == 0 || found == 200 {
			t.Errorf("%s: the lost update was found by %d of 200 seeds", name, found)
		}
	}
	// Without choices of its own, no switch but where a thread waits or ends.
	if lostUpdate(sched.SeededConfig{Strategy: sched.RunToBlock(0)}) {
		t.Error("found without a switch")
	}
}

func TestRoundRobin(t *testing.T) {
	var got []string
	s := sched.NewSeeded(sched.SeededConfig{Strategy: sched.RoundRobin()})
	g := group(t, s, clock.Real())
	resume := s.Pause()
	for i := range 3 {
		_, _ = g.Go(func(th *sched.Thread) {
			for k := range 3 {
				got = append(got, fmt.Sprint(i, ".", k))
				_ = th.Yield(sched.PointCall)
			}
		})
	}
	resume()
	g.Wait()
	want := []string{"0.0", "1.0", "2.0", "0.1", "1.1", "2.1", "0.2", "1.2", "2.2"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestSpinnersGiveWay has a thread that yields until another has done something: no strategy
// may let it spin for ever.
func TestSpinnersGiveWay(t *testing.T) {
	for name, strategy := range strategies {
		for seed := range uint64(20) {
			for _, point := range []sched.Point{sched.PointYield, sched.PointFuel} {
				s := sched.NewSeeded(sched.SeededConfig{Seed: seed, Strategy: strategy})
				g := group(t, s, clock.Real())
				done, turns := false, 0
				resume := s.Pause()
				for range 3 {
					_, _ = g.Go(func(th *sched.Thread) {
						for !done && turns < 10000 {
							turns++
							_ = th.Yield(point)
						}
					})
				}
				_, _ = g.Go(func(*sched.Thread) { done = true })
				resume()
				g.Wait()
				if turns == 10000 {
					t.Errorf("%s, seed %d: the spinners were never interrupted", name, seed)
				}
			}
		}
	}
}

// TestSameInstant has many timers fire at one moment while nobody runs, moved by host code.
func TestSameInstant(t *testing.T) {
	run := func(seed uint64) (got []uint32) {
		s := sched.NewSeeded(sched.SeededConfig{Seed: seed})
		c := clock.NewVirtual()
		g := group(t, s, c)
		resume := s.Pause()
		for range 8 {
			_, _ = g.Go(func(th *sched.Thread) {
				_ = sleep(th, time.Second)
				got = append(got, th.ID())
			})
		}
		resume()
		if err := c.BlockUntilIdle(t.Context(), 8); err != nil {
			t.Error(err)
		}
		c.Advance(time.Second)
		g.Wait()
		return got
	}
	for seed := range uint64(20) {
		first := run(seed)
		for range 10 {
			if d := cmp.Diff(first, run(seed)); d != "" {
				t.Fatalf("seed %d: %s", seed, d)
			}
		}
	}
}

// TestDeadlockAcrossGuests has two guests wait for each other, as for the ends of pipes.
func TestDeadlockAcrossGuests(t *testing.T) {
	s := sched.NewSeeded(sched.SeededConfig{})
	c := clock.NewVirtual(clock.WithAutoAdvance())
	resume := s.Pause()
	var wg sync.WaitGroup
	for range 2 {
		g := group(t, s, c)
		th, err := g.Main()
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			th.Run(func(th *sched.Thread) {
				err := th.Park(poll.Wait{Op: "fd_read", On: 5, Deadline: poll.NoDeadline, By: poll.ByThreads})
				var dead *sched.DeadlockError
				if !errors.As(err, &dead) || len(dead.Threads) != 2 {
					t.Errorf("%v, want a DeadlockError of 2 threads", err)
				}
			})
		})
	}
	resume()
	wg.Wait()
}

// TestReactorWaits has threads wait for each other while the host is not inside: it may call.
func TestReactorWaits(t *testing.T) {
	s := sched.NewSeeded(sched.SeededConfig{})
	g := group(t, s, clock.NewVirtual())
	mem := page()
	var f sched.Futex
	_ = g.Run(func(main *sched.Thread) {
		spawn(main, func(th *sched.Thread) {
			if r, err := f.Wait32(th, g.Clock(), mem, 0, 0, -1); r != sched.WaitOK || err != nil {
				t.Errorf("%d, %v", r, err)
			}
		})
	})
	for f.Waiting(0) == 0 {
		runtime.Gosched()
	}
	_ = g.Run(func(*sched.Thread) { _, _ = f.Notify(mem, 0, 1) })
	g.Wait()
	if err := g.Context().Err(); err != nil {
		t.Error(context.Cause(g.Context()))
	}
}

func ExampleSeeded() {
	for _, seed := range []uint64{1, 1, 2} {
		s := sched.NewSeeded(sched.SeededConfig{Seed: seed})
		g := sched.NewGroup(context.Background(), s, sched.Config{Clock: clock.NewVirtual()})
		var order []uint32
		resume := s.Pause()
		for range 4 {
			_, _ = g.Go(func(t *sched.Thread) { order = append(order, t.ID()) })
		}
		resume()
		g.Wait()
		g.Close()
		fmt.Println(order)
	}
	// Output:
	// [1 2 4 3]
	// [1 2 4 3]
	// [3 4 2 1]
}

func BenchmarkYield(b *testing.B) {
	for _, row := range []struct {
		name    string
		s       sched.Scheduler
		threads int
		point   sched.Point
	}{
		{"parallel/alone/call", &sched.Parallel{}, 1, sched.PointCall},
		{"parallel/alone/yield", &sched.Parallel{}, 1, sched.PointYield},
		{"parallel/2/yield", &sched.Parallel{}, 2, sched.PointYield},
		{"seeded/alone", sched.NewSeeded(sched.SeededConfig{}), 1, sched.PointCall},
		{"seeded/2/stay", sched.NewSeeded(sched.SeededConfig{Strategy: sched.RunToBlock(0)}), 2, sched.PointCall},
		{"seeded/2/switch", sched.NewSeeded(sched.SeededConfig{Strategy: sched.RoundRobin()}), 2, sched.PointCall},
	} {
		b.Run(row.name, func(b *testing.B) {
			g := sched.NewGroup(b.Context(), row.s, sched.Config{Clock: clock.NewVirtual()})
			defer g.Close()
			_ = g.Run(func(main *sched.Thread) {
				for range row.threads - 1 {
					_, _ = g.Go(func(th *sched.Thread) {
						for th.Ended() == nil {
							_ = th.Yield(row.point)
						}
					})
				}
				b.ReportAllocs()
				for b.Loop() {
					_ = main.Yield(row.point)
				}
				g.End(nil)
			})
		})
	}
}

func BenchmarkPark(b *testing.B) {
	for name, s := range map[string]sched.Scheduler{"parallel": &sched.Parallel{}, "seeded": sched.NewSeeded(sched.SeededConfig{})} {
		b.Run(name+"/sleep", func(b *testing.B) {
			g := sched.NewGroup(b.Context(), s, sched.Config{Clock: clock.NewVirtual(clock.WithAutoAdvance())})
			defer g.Close()
			_ = g.Run(func(th *sched.Thread) {
				b.ReportAllocs()
				for b.Loop() {
					_ = sleep(th, time.Second)
				}
			})
		})
		b.Run(name+"/ping-pong", func(b *testing.B) {
			g := sched.NewGroup(b.Context(), s, sched.Config{Clock: clock.NewVirtual()})
			defer g.Close()
			_ = g.Run(func(main *sched.Thread) {
				other := make(chan *sched.Thread, 1)
				_, _ = g.Go(func(th *sched.Thread) {
					other <- th
					for th.Park(poll.Wait{Deadline: poll.NoDeadline}) == nil {
						main.Wake()
					}
				})
				_ = main.Yield(sched.PointSpawn)
				main.Outside(poll.Wait{}, func() { other <- <-other })
				th := <-other
				b.ReportAllocs()
				for b.Loop() {
					th.Wake()
					_ = main.Park(poll.Wait{Deadline: poll.NoDeadline})
				}
				g.End(nil)
			})
		})
		b.Run(name+"/run", func(b *testing.B) {
			g := sched.NewGroup(b.Context(), s, sched.Config{Clock: clock.NewVirtual()})
			defer g.Close()
			b.ReportAllocs()
			for b.Loop() {
				_ = g.Run(func(*sched.Thread) {})
			}
		})
		b.Run(name+"/group", func(b *testing.B) {
			c := clock.NewVirtual()
			b.ReportAllocs()
			for b.Loop() {
				g := sched.NewGroup(b.Context(), s, sched.Config{Clock: c})
				_ = g.Run(func(*sched.Thread) {})
				g.Close()
			}
		})
	}
}

// spawn starts a thread of t's group, and gives the turn on as a Host does.
func spawn(t *sched.Thread, fn func(t *sched.Thread)) {
	if _, err := t.Group().Go(fn); err == nil {
		_ = t.Yield(sched.PointSpawn)
	}
}
