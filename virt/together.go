package virt

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/wasivirt/wasivirt/sched"
)

// RunAll runs commands of h at the same time, each to its end as [Guest.Run] does. It returns their
// Results in the order of guests. If threads take turns, the guests begin together, in that order.
// A deterministic Host therefore repeats runs of several guests that talk to each other.
//
// The error joins the errors of the runs. RunAll does not close the guests.
func (h *Host) RunAll(ctx context.Context, guests ...*Guest) ([]*Result, error) {
	for _, g := range guests {
		if g.host != h {
			return nil, fmt.Errorf("run guests together: %w", ErrOtherHost)
		}
	}
	mains := make([]*sched.Thread, len(guests))
	resume := func() {}
	if s, ok := h.scheduler.(interface{ Pause() (resume func()) }); ok {
		resume = s.Pause()
	}
	for i, g := range guests {
		// A guest that has ended has none, which Run tells.
		mains[i], _ = g.group.Main()
	}
	resume()
	results, errs := make([]*Result, len(guests)), make([]error, len(guests))
	var running sync.WaitGroup
	for i, g := range guests {
		running.Go(func() { results[i], errs[i] = g.run(ctx, mains[i]) })
	}
	running.Wait()
	return results, errors.Join(errs...)
}

// leaveInTurn ends what others can see of the guest, which has ended, while its main thread has the
// turn. Its other threads leave when they get theirs, and change nothing any more.
func (g *Guest) leaveInTurn(ctx context.Context) {
	// Both errors are those of Close.
	_ = g.finishObserver(ctx)
	_ = g.closeFiles()
	g.usage.stop(g)
}

// closeFiles closes the guest's descriptors, once.
func (g *Guest) closeFiles() error {
	g.left.Do(func() { g.leftErr = g.files.Close() })
	return g.leftErr
}
