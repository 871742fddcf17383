package sched_test

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
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

// page returns an aligned piece of memory, as guests have it.
func page() []byte {
	words := make([]uint64, 512)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words))
}

func TestFutexAnswers(t *testing.T) {
	c := clock.NewVirtual(clock.WithAutoAdvance())
	mem := page()
	binary.LittleEndian.PutUint32(mem[8:], 7)
	binary.LittleEndian.PutUint64(mem[16:], 1<<40)
	end := uint64(len(mem))
	for _, row := range []struct {
		name     string
		wide     bool
		addr     uint64
		expected uint64
		timeout  int64
		want     uint32
		err      error
	}{
		{"not equal", false, 8, 8, -1, sched.WaitNotEqual, nil},
		{"not equal before timeout 0", false, 8, 8, 0, sched.WaitNotEqual, nil},
		{"timeout 0", false, 8, 7, 0, sched.WaitTimedOut, nil},
		{"timeout", false, 8, 7, 1000, sched.WaitTimedOut, nil},
		{"wide not equal", true, 16, 1 << 41, -1, sched.WaitNotEqual, nil},
		{"wide timeout", true, 16, 1 << 40, 1, sched.WaitTimedOut, nil},
		{"last word", false, end - 4, 0, 0, sched.WaitTimedOut, nil},
		{"unaligned", false, 10, 0, 0, 0, sched.TrapUnaligned},
		{"wide unaligned", true, 12, 0, 0, 0, sched.TrapUnaligned},
		{"past the end", false, end, 0, 0, 0, sched.TrapOutOfBounds},
		{"wide past the end", true, end, 0, 0, 0, sched.TrapOutOfBounds},
		{"far away", false, 1<<33 - 4, 0, 0, 0, sched.TrapOutOfBounds},
		{"overflow", true, 1<<64 - 8, 0, 0, 0, sched.TrapOutOfBounds},
	} {
		t.Run(row.name, func(t *testing.T) {
			var f sched.Futex
			task := poll.NewTask(t.Context())
			var got uint32
			var err error
			if row.wide {
				got, err = f.Wait64(task, c, mem, row.addr, row.expected, row.timeout)
			} else {
				got, err = f.Wait32(task, c, mem, row.addr, uint32(row.expected), row.timeout)
			}
			if got != row.want || err != row.err {
				t.Errorf("%d, %v; want %d, %v", got, err, row.want, row.err)
			}
			if f.Waiting(row.addr) != 0 {
				t.Error("it still waits")
			}
			if row.err != nil && (!row.wide || row.addr%4 != 0) {
				if n, err := f.Notify(mem, row.addr, 1); n != 0 || err != row.err {
					t.Errorf("Notify %d, %v; want %v", n, err, row.err)
				}
			}
		})
	}
}

// TestFutexOrder checks that the longest waiting is woken first, and no more than asked for.
func TestFutexOrder(t *testing.T) {
	schedulers(t, func(t *testing.T, s sched.Scheduler) {
		c := clock.NewVirtual(clock.WithAutoAdvance())
		g := group(t, s, c)
		mem := page()
		var f sched.Futex
		var mu sync.Mutex
		var got []int
		_ = g.Run(func(main *sched.Thread) {
			for i := range 6 {
				_, _ = g.Go(func(th *sched.Thread) {
					_ = sleep(th, time.Duration(i+1)*time.Second)
					timeout := int64(-1)
					if i == 2 {
						timeout = 1 // gives up before anybody is woken
					}
					r, err := f.Wait32(th, c, mem, 4, 0, timeout)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if r != sched.WaitOK {
						i = -i
					}
					got = append(got, i)
				})
			}
			_ = sleep(main, time.Minute)
			for _, row := range []struct{ count, want uint32 }{{0, 0}, {1, 1}, {2, 2}, {1 << 31, 2}, {1, 0}} {
				if n, _ := f.Notify(mem, 4, row.count); n != row.want {
					t.Errorf("Notify(%d) woke %d, want %d", row.count, n, row.want)
				}
				_ = sleep(main, time.Second)
			}
		})
		g.Wait()
		// Those woken by the same notify may come in any order.
		if len(got) == 6 {
			for _, i := range []int{2, 4} {
				if got[i] > got[i+1] {
					got[i], got[i+1] = got[i+1], got[i]
				}
			}
		}
		if d := cmp.Diff([]int{-2, 0, 1, 3, 4, 5}, got); d != "" {
			t.Error(d)
		}
	})
}

// TestFutexMutex locks and unlocks as a libc does, with as much contention as there can be.
func TestFutexMutex(t *testing.T) {
	schedulers(t, func(t *testing.T, s sched.Scheduler) {
		g := group(t, s, clock.Real())
		mem := page()
		word := (*uint32)(unsafe.Pointer(&mem[0]))
		var f sched.Futex
		count := 0
		for range 8 {
			_, _ = g.Go(func(th *sched.Thread) {
				for range 200 {
					for !atomic.CompareAndSwapUint32(word, 0, 1) {
						if _, err := f.Wait32(th, th.Group().Clock(), mem, 0, 1, -1); err != nil {
							t.Error(err)
							return
						}
					}
					count++
					_ = th.Yield(sched.PointAccess)
					atomic.StoreUint32(word, 0)
					_, _ = f.Notify(mem, 0, 1)
					_ = th.Yield(sched.PointNotify)
				}
			})
		}
		g.Wait()
		if count != 1600 {
			t.Errorf("count %d, want 1600", count)
		}
	})
}

func FuzzFutex(f *testing.F) {
	f.Add(uint64(0), uint64(0), int64(-1), uint32(1), false)
	f.Add(uint64(4092), uint64(1), int64(5), uint32(0), true)
	f.Add(uint64(1<<33), uint64(0), int64(1<<62), uint32(1<<31), true)
	f.Fuzz(func(t *testing.T, addr, expected uint64, timeout int64, count uint32, wide bool) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		task, c, mem := poll.NewTask(ctx), clock.NewVirtual(clock.WithAutoAdvance()), page()
		var fx sched.Futex
		size := uint64(4)
		var err error
		if wide {
			size = 8
			_, err = fx.Wait64(task, c, mem, addr, expected, timeout)
		} else {
			_, err = fx.Wait32(task, c, mem, addr, uint32(expected), timeout)
		}
		if bad := addr%size != 0 || addr > uint64(len(mem))-size; bad != (err == sched.TrapUnaligned || err == sched.TrapOutOfBounds) {
			t.Errorf("address %#x: %v", addr, err)
		}
		if n, _ := fx.Notify(mem, addr, count); n != 0 || fx.Waiting(addr) != 0 {
			t.Error("something waits still")
		}
	})
}

func TestFutexEnd(t *testing.T) {
	schedulers(t, func(t *testing.T, s sched.Scheduler) {
		g := group(t, s, clock.Real())
		mem := page()
		var f sched.Futex
		waiting := make(chan struct{})
		_, _ = g.Go(func(th *sched.Thread) {
			close(waiting)
			if _, err := f.Wait64(th, th.Group().Clock(), mem, 0, 0, -1); !errors.Is(err, sched.ErrClosed) {
				t.Errorf("wait: %v", err)
			}
		})
		<-waiting
		g.Close()
		if f.Waiting(0) != 0 {
			t.Error("it still waits")
		}
	})
}

func TestDeadlock(t *testing.T) {
	for name, newSched := range map[string]func() sched.Scheduler{
		"parallel": func() sched.Scheduler { return new(sched.Parallel).DetectDeadlock() },
		"seeded":   func() sched.Scheduler { return sched.NewSeeded(sched.SeededConfig{Seed: 5}) },
	} {
		t.Run(name, func(t *testing.T) {
			checkGoroutines(t)
			s, c := newSched(), clock.NewVirtual(clock.WithAutoAdvance())
			g, other := group(t, s, c), group(t, s, c)
			mem := page()
			var f sched.Futex
			// Another guest that is alive and well changes nothing.
			stop := poll.NewTask(t.Context())
			_, _ = other.Go(func(th *sched.Thread) {
				th.Outside(poll.Wait{Op: "stop"}, func() { _ = stop.Park(poll.Wait{Deadline: poll.NoDeadline}) })
			})
			wait := func(th *sched.Thread) {
				_ = sleep(th, time.Duration(th.ID())*time.Second)
				_, err := f.Wait32(th, c, mem, uint64(4*th.ID()), 0, -1)
				var dead *sched.DeadlockError
				if !errors.As(err, &dead) {
					t.Errorf("thread %d: %v, want a DeadlockError", th.ID(), err)
				}
			}
			_ = g.Run(func(main *sched.Thread) {
				_, _ = g.Go(wait)
				_, _ = g.Go(wait)
				wait(main)
			})
			g.Wait()
			var dead *sched.DeadlockError
			if !errors.As(context.Cause(g.Context()), &dead) {
				t.Fatalf("cause %v", context.Cause(g.Context()))
			}
			want := []sched.Info{
				{Group: "guest", Thread: 0, State: sched.Waiting, Op: "memory.atomic.wait32", On: 0},
				{Group: "guest", Thread: 1, State: sched.Waiting, Op: "memory.atomic.wait32", On: 4},
				{Group: "guest", Thread: 2, State: sched.Waiting, Op: "memory.atomic.wait32", On: 8},
			}
			if d := cmp.Diff(want, dead.Threads); d != "" {
				t.Error(d)
			}
			if other.Context().Err() != nil {
				t.Error("the other guest was ended too")
			}
			stop.Wake()
			other.Wait()
		})
	}
}

// TestNoDeadlock has threads that wait without a deadline though somebody can help them.
func TestNoDeadlock(t *testing.T) {
	for name, newSched := range map[string]func() sched.Scheduler{
		"parallel": func() sched.Scheduler { return new(sched.Parallel).DetectDeadlock() },
		"seeded":   func() sched.Scheduler { return sched.NewSeeded(sched.SeededConfig{Seed: 5}) },
	} {
		inside := poll.Wait{Op: "fd_read", Deadline: poll.NoDeadline, By: poll.ByThreads}
		for helper, help := range map[string]func(t *testing.T, s sched.Scheduler, c *clock.Virtual, g *sched.Group) (poll.Wait, func(*sched.Thread)){
			"host code": func(t *testing.T, s sched.Scheduler, c *clock.Virtual, g *sched.Group) (poll.Wait, func(*sched.Thread)) {
				return poll.Wait{Op: "fd_read", Deadline: poll.NoDeadline}, (*sched.Thread).Wake
			},
			"host code that said so": func(t *testing.T, s sched.Scheduler, c *clock.Virtual, g *sched.Group) (poll.Wait, func(*sched.Thread)) {
				done := g.External()
				return inside, func(th *sched.Thread) { th.Wake(); done() }
			},
			"a timer": func(t *testing.T, s sched.Scheduler, c *clock.Virtual, g *sched.Group) (poll.Wait, func(*sched.Thread)) {
				return inside, func(th *sched.Thread) {
					c.AfterFunc(c.Monotonic()+10, th.Wake)
					c.Advance(10)
				}
			},
			"host code that holds time": func(t *testing.T, s sched.Scheduler, c *clock.Virtual, g *sched.Group) (poll.Wait, func(*sched.Thread)) {
				c.Hold()
				return inside, func(th *sched.Thread) { th.Wake(); c.Release() }
			},
		} {
			t.Run(name+"/"+helper, func(t *testing.T) {
				s, c := newSched(), clock.NewVirtual()
				g := group(t, s, c)
				if helper == "a timer" {
					c.AfterFunc(c.Monotonic()+5, func() {})
				}
				wait, wake := help(t, s, c, g)
				th, err := g.Main()
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					th.Run(func(th *sched.Thread) {
						if err := th.Park(wait); err != nil {
							t.Error(err)
						}
					})
				}()
				for th.Info().State != sched.Waiting {
					runtime.Gosched()
				}
				wake(th)
				<-done
			})
		}
	}
}
