package virt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/virt"
)

// TestPipeline moves a lot through four guests and the pipes between them, and prints how much
// memory that takes.
func TestPipeline(t *testing.T) {
	mib := sized(128, 1024)
	if testing.Short() {
		mib = 16
	}
	// Garbage counts as heap until it is collected.
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	host := newHost(t, shared, virt.WithScheduler(sched.NewParallel(sched.Limits{}).DetectDeadlock()))
	tools := compiled(t, host, goGuest(t, "tools"))
	stages := [][]string{{"zeros", fmt.Sprint(mib)}, {"cat"}, {"invert"}, {"count"}}
	var out bytes.Buffer
	guests := make([]*virt.Guest, len(stages))
	var in vfs.Stream
	for i, args := range stages {
		opts := []virt.GuestOption{virt.WithArgs(args...)}
		if in != nil {
			opts = append(opts, virt.WithStream(0, in))
		}
		if i < len(stages)-1 {
			r, w := pipe.New(0)
			opts = append(opts, virt.WithStream(1, w))
			in = r
		} else {
			opts = append(opts, virt.WithStdout(&out))
		}
		g, err := host.Instantiate(t.Context(), tools, opts...)
		if err != nil {
			t.Fatal(err)
		}
		guests[i] = g
	}
	before := measure().heap
	var peak uint64
	watch := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-watch:
				return
			default:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
				runtime.Gosched()
			}
		}
	}()
	var all sync.WaitGroup
	for i, g := range guests {
		all.Go(func() {
			result, err := g.Run(t.Context())
			if err != nil || !result.Success() {
				t.Errorf("%v: %v, %v", stages[i], result, err)
			}
			// The next stage reads to the end only when this one has closed its descriptors.
			if err := g.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(watch)
	<-watched
	if want := fmt.Sprintf("%d true\n", mib<<20); out.String() != want {
		t.Errorf("the last stage printed %q, want %q", out.String(), want)
	}
	t.Logf("%d MiB: the heap grew by %d MiB at most", mib, (peak-min(peak, before))>>20)
	if peak > before+32<<20 {
		t.Errorf("%d MiB of heap, %d before", peak>>20, before>>20)
	}
}

// TestPipesThatWaitForEachOther has two guests read what the other never writes.
func TestPipesThatWaitForEachOther(t *testing.T) {
	schedulers := map[string]func() sched.Scheduler{
		"parallel": func() sched.Scheduler { return sched.NewParallel(sched.Limits{}).DetectDeadlock() },
		"seeded":   func() sched.Scheduler { return sched.NewSeeded(sched.SeededConfig{Seed: 1}) },
	}
	for name, scheduler := range schedulers {
		t.Run(name, func(t *testing.T) {
			host := newHost(t, virt.WithScheduler(scheduler()), virt.WithClock(clock.NewVirtual(clock.WithAutoAdvance())))
			m := compiled(t, host, waiterModule(false))
			r1, w1 := pipe.New(0)
			r2, w2 := pipe.New(0)
			var all sync.WaitGroup
			for _, ends := range [][]vfs.Stream{{r1, w2}, {r2, w1}} {
				g, err := host.Instantiate(t.Context(), m, virt.WithStream(0, ends[0]), virt.WithStream(1, ends[1]))
				if err != nil {
					t.Fatal(err)
				}
				prepare(g, blocked{})
				all.Go(func() {
					_, err := g.Call(t.Context(), "fd_read", 0, cancelIovAt, 1, cancelResultAt)
					exit, ok := errors.AsType[*virt.ExitError](err)
					if !ok || exit.Result.Outcome != virt.Deadlocked {
						t.Errorf("fd_read: %v, want a deadlock", err)
						return
					}
					dead, ok := errors.AsType[*sched.DeadlockError](err)
					if !ok || len(dead.Threads) != 2 {
						t.Errorf("%v, want two threads", err)
					}
				})
			}
			all.Wait()
		})
	}
}

// TestPipesOfGuestsThatEnd has the guest at one end of a pipe end before it has been closed, and
// before the other begins or while it waits: no deadlock, because the host closes it.
func TestPipesOfGuestsThatEnd(t *testing.T) {
	times := sized(30, 300)
	host := newHost(t, virt.WithScheduler(sched.NewParallel(sched.Limits{}).DetectDeadlock()))
	m := compiled(t, host, waiterModule(false))
	for range times {
		r, w := pipe.New(0)
		reader, err := host.Instantiate(t.Context(), m, virt.WithStream(0, r))
		if err != nil {
			t.Fatal(err)
		}
		prepare(reader, blocked{})
		writer, err := host.Instantiate(t.Context(), m, virt.WithStream(1, w))
		if err != nil {
			t.Fatal(err)
		}
		prepare(writer, blocked{})
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := reader.Call(t.Context(), "fd_read", 0, cancelIovAt, 1, cancelResultAt); err != nil {
				t.Errorf("fd_read: %v", err)
			}
		})
		all.Go(func() {
			if _, err := writer.Call(t.Context(), "fd_write", 1, cancelIovAt, 0, cancelResultAt); err != nil {
				t.Errorf("fd_write: %v", err)
			}
			if err := writer.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		if err := reader.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// TestPipeWithTheHost has a guest wait for a pipe whose other end the host has.
func TestPipeWithTheHost(t *testing.T) {
	scheduler := sched.NewParallel(sched.Limits{}).DetectDeadlock()
	host := newHost(t, virt.WithScheduler(scheduler))
	r, w := pipe.New(0)
	g, err := host.Instantiate(t.Context(), compiled(t, host, waiterModule(false)), virt.WithStream(0, r))
	if err != nil {
		t.Fatal(err)
	}
	prepare(g, blocked{})
	go func() {
		for scheduler.Stats().Waiting == 0 {
			runtime.Gosched()
		}
		_, err := io.WriteString(pipe.NewHost(context.Background(), w, nil), "hi")
		if err != nil {
			t.Error(err)
		}
	}()
	if _, err := g.Call(t.Context(), "fd_read", 0, cancelIovAt, 1, cancelResultAt); err != nil {
		t.Errorf("fd_read: %v", err)
	}
	if n, _ := g.Instance().Memory().ReadUint32Le(cancelResultAt); n != 2 {
		t.Errorf("read %d bytes, want 2", n)
	}
}
