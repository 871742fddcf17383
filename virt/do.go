package virt

import (
	"context"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/virt/internal/link"
	"github.com/wasivirt/wasivirt/virt/internal/recording"
)

func init() {
	link.Nest = func(c any) *any { return &c.(*HostCall).t.first().typed }
}

// Do calls f and keeps out other calls of the guest's exports until f returns. Use it for several
// calls that belong together: allocate memory, call an export, read the result. What f writes to
// the guest's memory by [HostCall.View] is recorded. Each export that f calls counts as one
// [Guest.Call] with ctx.
//
// Called from a host function of the guest with the context of its call, Do runs f within that
// call.
//
// The error is f's. Errors of Do itself: [ErrBusy]; an [*ExitError] where the guest has ended or f
// panics.
func (g *Guest) Do(ctx context.Context, f func(c *HostCall) error) (err error) {
	if !g.uses.enter() {
		return &ExitError{Result: g.Result()}
	}
	defer g.uses.leave()
	t, err := g.enter(ctx)
	if err != nil {
		return err
	}
	if t != nil {
		defer t.aside()()
		return f(&HostCall{t: t})
	}
	defer func() { <-g.calls }()
	if g.ended.Load() {
		return &ExitError{Result: g.Result()}
	}
	if ctx.Done() != nil {
		defer g.watch(ctx)()
	}
	a := &alone{ctx: ctx}
	defer a.end(g.main)
	defer func() {
		if v := recover(); v != nil {
			err = g.fail(v, 0)
		}
	}()
	return f(&HostCall{t: g.main, alone: a})
}

// alone is what a HostCall has that is not within a call of the guest's code.
type alone struct {
	ctx context.Context
	log memory.Log
}

// begin notes what host code writes from now on.
func (a *alone) begin(t *thread) {
	if t.guest.observer != nil {
		t.view.SetLog(&a.log)
	}
}

// end tells the guest's observer what host code has written.
func (a *alone) end(t *thread) {
	b := t.guest.observer
	if b == nil {
		return
	}
	t.view.SetLog(nil)
	mem := t.view.Bytes()
	for _, r := range recording.Union(a.log.Writes) {
		if end := uint64(r.Ptr) + uint64(r.Len); end <= uint64(len(mem)) {
			b.wrote(r.Ptr, mem[r.Ptr:end])
		}
	}
	a.log.Reset()
}
