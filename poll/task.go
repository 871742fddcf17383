package poll

import (
	"context"
	"sync"

	"github.com/wasivirt/wasivirt/clock"
)

// NewTask returns a Task without a scheduler, for host code and tests: it waits on a channel.
// It does not hold time (see package clock). One goroutine at a time may Park it.
func NewTask(ctx context.Context) Task { return newTask(ctx, nil) }

// NewHoldingTask returns a Task for host code that holds h while it runs: it releases h while it
// waits, and whoever wakes it holds h for it. Its user calls Hold when it begins, and Release at
// the end.
func NewHoldingTask(ctx context.Context, h clock.Holder) Task { return newTask(ctx, h) }

func newTask(ctx context.Context, h clock.Holder) *task {
	t := &task{ctx: ctx, holder: h, wakeup: make(chan struct{}, 1)}
	t.wake = t.Wake
	return t
}

type task struct {
	ctx    context.Context
	holder clock.Holder
	wake   func() // Wake, made once
	wakeup chan struct{}

	mu      sync.Mutex
	waiting bool // in Park, not woken yet
	permit  bool // woken while it ran
}

func (t *task) Context() context.Context { return t.ctx }

func (t *task) Wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.waiting {
		t.permit = true
		return
	}
	t.waiting = false
	if t.holder != nil {
		t.holder.Hold()
	}
	t.wakeup <- struct{}{}
}

func (t *task) Park(w Wait) error {
	if t.ctx.Err() != nil {
		return context.Cause(t.ctx)
	}
	if w.Timed() {
		if w.Due() {
			return nil
		}
		// The timer may fire at once: the permit keeps that.
		defer w.Clock.AfterFunc(w.Deadline, t.wake).Stop()
	}
	t.mu.Lock()
	if t.permit {
		t.permit = false
		t.mu.Unlock()
		return nil
	}
	t.waiting = true
	t.mu.Unlock()
	if t.holder != nil {
		t.holder.Release()
	}
	select {
	case <-t.wakeup:
		return nil
	case <-t.ctx.Done():
		t.Wake() // unless somebody else does at this moment
		<-t.wakeup
		t.mu.Lock()
		t.permit = false
		t.mu.Unlock()
		return context.Cause(t.ctx)
	}
}
