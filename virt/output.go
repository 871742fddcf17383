package virt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/wasip1"
)

// allowance is an amount of something that several take from. A nil allowance has no end.
type allowance struct{ left atomic.Int64 }

// take takes up to n out of the allowance, and returns how much it got.
func (a *allowance) take(n int64) int64 {
	if a == nil {
		return n
	}
	for {
		left := a.left.Load()
		got := min(n, max(left, 0))
		if a.left.CompareAndSwap(left, left-got) {
			return got
		}
	}
}

// giveBack undoes the taking of n.
func (a *allowance) giveBack(n int64) {
	if a != nil && n != 0 {
		a.left.Add(n)
	}
}

// wrappedOutput is a standard stream with what the streams of descriptors 1 and 2 can do.
type wrappedOutput struct{ vfs.Stream }

// recordedOutput is a standard stream whose guest's recorder gets what is written to it.
type recordedOutput struct {
	wrappedOutput
	guest *Guest
	index int // 0 for standard output, 1 for standard error
}

func (o recordedOutput) Write(p []byte) (int, error) {
	n, err := o.wrappedOutput.Write(p)
	if r, ok := o.guest.observer.(*recorder); ok && n > 0 {
		r.notePrinted(o.index, p[:n])
	}
	return n, err
}

// limitedOutput is a standard stream that ends its guest when the budget of output is used up. What
// fits is written.
type limitedOutput struct {
	wrappedOutput
	guest *Guest
}

func (o limitedOutput) Write(p []byte) (int, error) {
	own, shared := o.guest.budgets.output, o.guest.host.budgets.output
	n := takeBoth(own, shared, int64(len(p)))
	if n == 0 && len(p) > 0 {
		o.guest.decide(&Result{Outcome: Exhausted, Budget: BudgetOutput})
		return 0, wasip1.ENOSPC
	}
	written, err := o.Stream.Write(p[:n])
	own.giveBack(n - int64(written))
	shared.giveBack(n - int64(written))
	return written, err
}

// Type implements [vfs.Typed].
func (o wrappedOutput) Type() wasip1.Filetype {
	if stdio.IsTerminal(o.Stream) {
		return wasip1.FiletypeCharacterDevice
	}
	return wasip1.FiletypeUnknown
}

// Reach implements [poll.Reacher].
func (o wrappedOutput) Reach() poll.Reach { return poll.ReachOf(o.Stream) }

// Flush implements [stdio.Flusher].
func (o wrappedOutput) Flush(t poll.Task) error { return stdio.Flush(t, o.Stream) }

// Abandon implements [stdio.Abandoner].
func (o limitedOutput) Abandon(t poll.Task) error { return stdio.Abandon(t, o.Stream) }

// Busy reports whether a goroutine of the stream is at work.
func (o limitedOutput) Busy() bool { return busy(o.Stream) }

// busy reports whether a goroutine of s is in code of the embedder's, or about to be.
func busy(s vfs.Stream) bool {
	b, ok := s.(interface{ Busy() bool })
	return ok && b.Busy()
}

// OutputError means that output of a guest was lost: its writer returned an error that could no
// longer be reported to the guest.
type OutputError struct {
	// Descriptor is 1 for standard output and 2 for standard error.
	Descriptor uint32
	Err        error
}

func (e *OutputError) Error() string {
	return fmt.Sprintf("write descriptor %d: %v", e.Descriptor, e.Err)
}

// Unwrap returns what the writer answered.
func (e *OutputError) Unwrap() error { return e.Err }

const (
	// lastWords is how long the output of a guest that did not end by itself may take to be
	// written.
	lastWords = 100 * time.Millisecond
	// lastWrite is how long a Write that is under way then may take.
	lastWrite = time.Second
)

// flush waits until what the guest wrote to its standard streams has been written, as far as
// writers that may never come back allow: no longer than ctx and the guest's budget of time, and
// where the guest has not ended by itself but a moment. The error is what writers answered and the
// guest was not told at its next write.
func (g *Guest) flush(ctx context.Context) error {
	if !g.buffered() || g.abandoned.Load() {
		return nil
	}
	errs := []error{g.flushWorlds(ctx)}
	if g.Result().Outcome == Running {
		both, cancel := context.WithCancel(ctx)
		defer context.AfterFunc(g.group.Context(), cancel)()
		err, all := g.flushWithin(both)
		cancel()
		errs = append(errs, err)
		if all || g.Result().Outcome == Running {
			return errors.Join(errs...)
		}
	}
	deadline := g.deadline
	switch r := g.Result(); {
	case r.Err == ErrClosed:
		deadline = time.Now().Add(lastWrite)
	case r.Outcome != Exited:
		deadline = time.Now().Add(lastWords)
	}
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	err, _ := g.flushWithin(ctx)
	return errors.Join(append(errs, err)...)
}

// flushWithin waits for writers until ctx ends, and reports whether all of them have come to the
// end.
func (g *Guest) flushWithin(ctx context.Context) (err error, all bool) {
	task := poll.NewTask(ctx)
	var errs []error
	for i, s := range g.streams[1:] {
		if err := stdio.Flush(task, s); err != nil && (ctx.Err() == nil || err != context.Cause(ctx)) {
			errs = append(errs, &OutputError{uint32(i + 1), err})
		}
	}
	return errors.Join(errs...), !g.writing()
}

// abandon makes sure that no goroutine of the guest's writes to the embedder's writers any more. It
// waits a moment for writes that are under way; the Result names those that do not come back.
func (g *Guest) abandon() error {
	if !g.buffered() || g.abandoned.Swap(true) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastWrite)
	defer cancel()
	task := poll.NewTask(ctx)
	stuck := false
	for i, s := range g.streams {
		if i > 0 && g.config.streams[i] == nil { // else it is the embedder's own
			stuck = stdio.Abandon(task, s) != nil || stuck
		}
	}
	if stuck {
		all := g.Lingering()
		g.mu.Lock()
		g.result.Lingering = all
		g.mu.Unlock()
	}
	return nil
}

// writing reports whether a goroutine of the guest's may be in a Write of the embedder's.
func (g *Guest) writing() bool { return busy(g.streams[1]) || busy(g.streams[2]) }

// buffered reports whether what the guest wrote may not have been written yet.
func (g *Guest) buffered() bool {
	for _, s := range g.streams[1:] {
		if _, ok := s.(stdio.Flusher); ok {
			return true
		}
	}
	return slices.ContainsFunc(g.libraries, func(l *library) bool { return l.world != nil && l.world.buffered() })
}
