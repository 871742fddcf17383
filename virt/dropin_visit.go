package virt

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero/sys"

	"github.com/wasivirt/wasivirt/poll"
)

// visitors are the threads, besides the main one, by which calls from several goroutines of a
// module that the embedder instantiated itself are made. Each call has one alone.
type visitors struct {
	busy atomic.Bool // the main thread

	mu   sync.Mutex
	idle []*thread
}

// take returns a thread that makes no call.
func (v *visitors) take(g *Guest) *thread {
	if v.busy.CompareAndSwap(false, true) {
		return g.main
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if last := len(v.idle) - 1; last >= 0 {
		t := v.idle[last]
		v.idle = v.idle[:last]
		return t
	}
	t := g.newThread(g.main.args, g.main.env)
	t.mod = g.main.mod
	t.receive()
	return t
}

// give takes back a thread whose call has ended.
func (v *visitors) give(t *thread) {
	t.call.set(t.guest.base)
	if t == t.guest.main {
		v.busy.Store(false)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.idle = append(v.idle, t)
}

// receive prepares a thread for visits.
func (t *thread) receive() {
	t.visited = &visit{}
	t.wait(waiting{poll.NewTask(t.guest.group.Context()), t})
}

// visit is the call that a thread is for.
type visit struct {
	mu   sync.Mutex
	ctx  context.Context // of the call; nil between two
	both context.Context // ends with ctx and with the guest; nil until it is asked for
	stop func()
}

func (v *visit) begin(ctx context.Context) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ctx = ctx
}

func (v *visit) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.both != nil {
		v.stop()
	}
	v.ctx, v.both, v.stop = nil, nil, nil
}

// context returns what ends with the call and with its guest.
func (v *visit) context(g *Guest) context.Context {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch ctx := v.ctx; {
	case ctx == nil || ctx.Done() == nil:
		return g.group.Context()
	case v.both == nil:
		both, cancel := context.WithCancelCause(g.group.Context())
		stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
		v.both, v.stop = both, func() { stop(); cancel(nil) }
	}
	return v.both
}

// visit makes a call of the Host's by a module that the embedder instantiated itself. The end of
// ctx ends the call. Others of the module, from other goroutines, go on.
func (g *Guest) visit(ctx context.Context, call func(t *thread)) {
	if !g.uses.enter() {
		panic(sys.NewExitError(g.Result().sysExitCode()))
	}
	defer g.uses.leave()
	t := g.visitors.take(g)
	defer g.visitors.give(t)
	t.call.set(ctx)
	t.visited.begin(ctx)
	defer t.visited.end()
	leaveEnded(ctx)
	g.mark(func() { call(t) })
	leaveEnded(ctx)
}

// leaveEnded leaves the module's code if the context of the call has ended.
func leaveEnded(ctx context.Context) {
	switch err := ctx.Err(); {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded):
		panic(sys.NewExitError(sys.ExitCodeDeadlineExceeded))
	default:
		panic(sys.NewExitError(sys.ExitCodeContextCanceled))
	}
}

// waiting is the Task of a module that the embedder instantiated itself: its waits end with the
// context of the call, and when the module is closed.
type waiting struct {
	poll.Task
	t *thread
}

// Context implements [poll.Task].
func (w waiting) Context() context.Context { return w.t.visited.context(w.t.guest) }

// closedPeriod is how often a wait looks whether the module has been closed, which wazero does not
// tell.
const closedPeriod = 20 * time.Millisecond

// Park implements [poll.Task].
func (w waiting) Park(x poll.Wait) error {
	g, ctx := w.t.guest, w.t.call.get()
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, w.Wake)()
	}
	over := make(chan struct{})
	defer close(over)
	go func() {
		tick := time.NewTicker(closedPeriod)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				if w.t.mod.IsClosed() {
					g.decide(&Result{Outcome: Canceled, Err: ErrClosed})
					return
				}
			}
		}
	}()
	if err := w.Task.Park(x); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
