package sched_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
)

// TestThreadsLetOtherGoroutinesRun: on one processor, another goroutine runs now and then while
// threads start, wake and yield to each other, and while one computes. It would run at the end of
// Go's time slices of 10 ms too: the rounds take about as long.
func TestThreadsLetOtherGoroutinesRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const rounds = 4000
	wait := poll.Wait{Deadline: poll.NoDeadline}
	for _, row := range []struct {
		name string
		run  func(main *sched.Thread) error
		want int64 // how often the goroutine runs at least
	}{
		{"start and join", func(main *sched.Thread) error {
			for range rounds {
				var over atomic.Bool
				_, err := main.Group().Go(func(*sched.Thread) {
					over.Store(true)
					main.Wake()
				})
				for err == nil && !over.Load() {
					err = main.Park(wait)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}, rounds / 200},
		{"wake", func(main *sched.Thread) error {
			var round atomic.Int64 // odd ones are the other thread's
			var other atomic.Pointer[sched.Thread]
			other.Store(main)
			play := func(t, partner *sched.Thread, mine int64) error {
				for i := mine; i < rounds; i += 2 {
					for round.Load() != i {
						if err := t.Park(wait); err != nil {
							return err
						}
					}
					round.Add(1)
					partner.Wake()
				}
				return nil
			}
			if _, err := main.Group().Go(func(th *sched.Thread) {
				other.Store(th)
				main.Wake()
				_ = play(th, main, 1)
			}); err != nil {
				return err
			}
			for other.Load() == main {
				if err := main.Park(wait); err != nil {
					return err
				}
			}
			return play(main, other.Load(), 0)
		}, rounds / 200},
		{"yield", func(main *sched.Thread) error {
			yield := func(th *sched.Thread) {
				for range rounds {
					_ = th.Yield(sched.PointYield)
				}
			}
			_, err := main.Group().Go(yield)
			yield(main)
			return err
		}, rounds / 200},
		{"compute", func(main *sched.Thread) error {
			for range 100 {
				if err := main.Yield(sched.PointFuel); err != nil {
					return err
				}
			}
			return nil
		}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			schedulers(t, func(t *testing.T, s sched.Scheduler) {
				var over atomic.Bool
				var ran atomic.Int64
				begun, ended := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(ended)
					close(begun)
					for !over.Load() {
						ran.Add(1)
						runtime.Gosched()
					}
				}()
				<-begun
				g := group(t, s, clock.Real())
				var err error
				before := ran.Load()
				runs := g.Run(func(main *sched.Thread) { err = row.run(main) })
				during := ran.Load() - before
				over.Store(true)
				<-ended
				g.Wait()
				if runs != nil || err != nil {
					t.Fatal(runs, err)
				}
				if during < row.want {
					t.Errorf("another goroutine ran %d times, want %d or more", during, row.want)
				}
			})
		})
	}
}

// TestBusyGoroutinesLeaveThreadsTheirShare: on one processor, a goroutine that computes for the
// whole of each time slice does not run after each slice of a thread's fuel.
func TestBusyGoroutinesLeaveThreadsTheirShare(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const rounds = 100
	compute := func(th *sched.Thread, looks *atomic.Int64) {
		for range rounds {
			looks.Add(1)
			_ = th.Yield(sched.PointFuel)
		}
	}
	for name, other := range map[string]func(th *sched.Thread, looks *atomic.Int64){
		"beside a thread that waits":    func(th *sched.Thread, _ *atomic.Int64) { _ = th.Park(poll.Wait{Deadline: poll.NoDeadline}) },
		"beside a thread that computes": compute,
	} {
		t.Run(name, func(t *testing.T) {
			g := group(t, &sched.Parallel{}, clock.Real())
			var looks atomic.Int64
			var over atomic.Bool
			begun, interrupted := make(chan struct{}), make(chan int)
			go func() {
				close(begun)
				n := 0
				for last := int64(0); !over.Load(); {
					if now := looks.Load(); now != last {
						last = now
						n++
					}
				}
				interrupted <- n
			}()
			<-begun
			if err := g.Run(func(main *sched.Thread) {
				if _, err := g.Go(func(th *sched.Thread) { other(th, &looks) }); err != nil {
					t.Error(err)
				}
				_ = main.Yield(sched.PointYield)
				compute(main, &looks)
			}); err != nil {
				t.Fatal(err)
			}
			over.Store(true)
			if n := <-interrupted; n > rounds/2 {
				t.Errorf("the goroutine ran %d times during %d slices of fuel", n, rounds)
			}
		})
	}
}
