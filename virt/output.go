package virt

import (
	"context"
	"errors"
	"fmt"
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

// limitedOutput is a standard stream that ends its guest when the budget of output is used up. What fits is written.
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

// lastWords is how long the output of a guest that did not end by itself may take to be written.
const lastWords = 100 * time.Millisecond

// flush waits until what the guest wrote to its standard streams has been written, as far as writers that may
// never come back allow: no longer than ctx and the guest's budget of time. What a writer answers is the
// guest's matter, which it would have seen at its next write; that one panicked is the error.
func (g *Guest) flush(ctx context.Context) error {
	if !g.buffered() {
		return nil
	}
	deadline := g.deadline
	if g.Result().Outcome != Exited {
		deadline = time.Now().Add(lastWords)
	}
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	task := poll.NewTask(ctx)
	var panics []error
	for i, s := range g.streams[1:] {
		if p, ok := errors.AsType[*stdio.PanicError](stdio.Flush(task, s)); ok {
			panics = append(panics, fmt.Errorf("write descriptor %d: %w", i+1, p))
		}
	}
	return errors.Join(panics...)
}

// buffered reports whether what the guest wrote may not have been written yet.
func (g *Guest) buffered() bool {
	for _, s := range g.streams[1:] {
		if _, ok := s.(stdio.Flusher); ok {
			return true
		}
	}
	return false
}
