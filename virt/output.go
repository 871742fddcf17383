package virt

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/wasip1"
)

// allowance is an amount of something that several take from.
type allowance struct{ left atomic.Int64 }

// take takes up to n out of the allowance, and returns how much it got.
func (a *allowance) take(n int64) int64 {
	for {
		left := a.left.Load()
		got := min(n, left)
		if a.left.CompareAndSwap(left, left-got) {
			return got
		}
	}
}

// giveBack undoes the taking of n.
func (a *allowance) giveBack(n int64) { a.left.Add(n) }

// limitedOutput is a standard stream that ends its guest when the budget of output is used up. What fits is written.
type limitedOutput struct {
	vfs.Stream
	guest *Guest
}

func (o limitedOutput) Write(p []byte) (int, error) {
	n := o.guest.output.take(int64(len(p)))
	if n == 0 && len(p) > 0 {
		o.guest.decide(&Result{Outcome: Exhausted, Budget: OutputBytes})
		return 0, wasip1.ENOSPC
	}
	written, err := o.Stream.Write(p[:n])
	o.guest.output.giveBack(n - int64(written))
	return written, err
}

// Type implements [vfs.Typed].
func (o limitedOutput) Type() wasip1.Filetype {
	if stdio.IsTerminal(o.Stream) {
		return wasip1.FiletypeCharacterDevice
	}
	return wasip1.FiletypeUnknown
}

// Flush implements [stdio.Flusher].
func (o limitedOutput) Flush(t poll.Task) error { return stdio.Flush(t, o.Stream) }

// flush waits until what the guest wrote to its standard streams has been written.
func (g *Guest) flush(ctx context.Context) error {
	task := poll.NewTask(ctx)
	return errors.Join(stdio.Flush(task, g.streams[1]), stdio.Flush(task, g.streams[2]))
}
