package virt

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/internal/vfslink"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/memory/wazeromem"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/process"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// thread is one thread of a guest: an instance of its module, and all that a call from there needs.
// It is the outermost context of every call into the instance, so that a host function finds it
// with one type assertion.
type thread struct {
	call callContext

	mod    api.Module
	module *Module // of mod
	guest  *Guest
	plug   *plug   // whose instance it is, else nil
	world  *Guest  // of a library with its own; else nil
	root   *thread // that calls the instance of a library, which this one is for; else nil
	task   *sched.Thread
	// waiting is task as calls wait with it.
	waiting poll.Task
	lin     *linear // the instance's memory where the Host allocated it, else nil
	view    memory.View

	files  vfs.Caller
	poller poll.Set
	fuel   api.MutableGlobal // nil where the module counts none
	fueled bool              // it has got fuel
	// reserve is fuel that the thread has beside what is in the cell.
	reserve int64
	ownFuel *allowance // of a library; nil for the guest's
	stack   stackUse
	grown   int64  // bytes by which tables of the instance have grown
	growing int64  // of these those for the last table.grow, until it is known whether it failed
	nested  int    // calls of exports within others
	typed   any    // the innermost call of package plugin
	meter   *meter // nil where computing time is not counted
	times   clock.Times
	args    *process.Strings
	env     *process.Strings

	// calls, where not nil, is what calls go through: middleware, switch points, counters.
	calls *threadCalls
	// active is the innermost call that middleware is at work for, spare one to use again.
	active, spare *Call
	met           metFault   // for the trace
	judged        *judgement // what policy is about to decide
	spawned       uint32     // the thread that thread-spawn has started
	record        *recordState
	exports       idleExports  // of the instance, by host code
	visited       *visit       // of a module that the embedder instantiated itself, else nil
	stores        *storeBuffer // nil until it is needed
	points        uint64       // switch points that it has come to
}

// descriptors is a table as poll_oneoff looks into it.
type descriptors struct{ table *vfs.Table }

func (d descriptors) LookupPoll(fd uint32, want poll.Events) (poll.Pollable, wasip1.Errno) {
	return d.table.Pollable(fd, want)
}

// newThread makes a thread of the guest without an instance or a place in the scheduler.
func (g *Guest) newThread(args, env *process.Strings) *thread {
	t := &thread{guest: g, module: g.module, args: args, env: env, stack: stackUse{taken: stackAtStart}, record: new(recordState)}
	t.files.View, t.files.Table, t.files.Clock = &t.view, g.files, g.host.clock
	t.poller.Clock, t.poller.Lookup, t.poller.Charge = g.host.clock, descriptors{g.files}, t.chargePoll
	vfslink.Alone(&t.files, g.module.info != nil && sharedMemory(g.module.info) == nil)
	t.times.Clock, t.times.Process = g.host.clock, g.group
	if p := g.config.control.poller; p != nil {
		t.poller.Poller = attachingPoller{p, t}
	}
	t.calls = g.threadCalls()
	if g.metered() {
		t.meter = new(meter)
	}
	if g.config.control.guarded() {
		t.files.SetGuard(t.guard)
	}
	return t
}

// first returns the thread itself, or that which calls the library.
func (t *thread) first() *thread {
	if t.root != nil {
		return t.root
	}
	return t
}

// observer is the guest's, if it sees what the thread does. It sees calls that plugs answer, and
// not how.
func (t *thread) observer() observer {
	if t.plug != nil {
		return nil
	}
	return t.guest.observer
}

// random is where the thread's random numbers come from.
func (t *thread) random() random.Source {
	if t.world != nil {
		return t.world.random
	}
	return t.guest.random
}

// fuelBudget is what the thread's code is charged to; nil is no limit.
func (t *thread) fuelBudget() *allowance {
	if t.ownFuel != nil {
		return t.ownFuel
	}
	return t.guest.budgets.fuel
}

// bind makes task what the thread waits with.
func (t *thread) bind(task *sched.Thread) {
	t.task, t.times.Thread = task, task
	t.wait(task)
}

// wait makes task, or what counts its waits, what calls wait with.
func (t *thread) wait(task poll.Task) {
	t.waiting = t.waits(task)
	t.files.Task, t.poller.Task = t.waiting, t.waiting
}

func (t *thread) id() uint32 {
	if t.task == nil {
		return 0
	}
	return t.task.ID()
}

// Done is closed when the guest has to end: with the context of the call, with a budget, or because
// it is closed. So the end reaches what the guest has called, be it the embedder's.
func (t *thread) Done() <-chan struct{} { return t.ending().Done() }

// Err says whether Done is closed.
func (t *thread) Err() error { return t.ending().Err() }

func (t *thread) ending() context.Context {
	if t.visited != nil {
		return t.visited.context(t.guest)
	}
	return t.guest.group.Context()
}

// AfterFunc calls f when the guest has to end. With it package context needs no goroutine for a
// context that is derived from the thread.
func (t *thread) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(t.ending(), f) }

// Deadline is that of the call.
func (t *thread) Deadline() (deadline time.Time, ok bool) { return t.call.get().Deadline() }

// callContext is the context of the call that a thread is in. Contexts that were derived from the
// thread may ask for it after the call, from goroutines of their own.
type callContext struct {
	mu  sync.Mutex
	ctx context.Context
}

func (c *callContext) get() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ctx
}

// set begins a call and returns the context of the one around it.
func (c *callContext) set(ctx context.Context) (outer context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	outer, c.ctx = c.ctx, ctx
	return outer
}

// threadKey finds the innermost thread in a context that was derived from one.
type threadKey struct{}

func (t *thread) Value(key any) any {
	if key == (threadKey{}) {
		return t
	}
	return t.call.get().Value(key)
}

// attach points the view at the memory as it is now. Where the memory is the Host's it already
// does.
func (t *thread) attach() {
	if t.lin == nil {
		t.attachOther()
	}
}

func (t *thread) attachOther() {
	if s := t.guest.shared; s != nil {
		t.view.Reset(s.mapped.Bytes())
	} else {
		t.view.Reset(wazeromem.FromModule(t.mod.Memory()))
	}
}

// attachingPoller is a Poller during whose work the guest may run and its memory move.
type attachingPoller struct {
	poll.Poller
	t *thread
}

func (p attachingPoller) Poll(s *poll.Set, subs []wasip1.Subscription, events []wasip1.Event) (int, wasip1.Errno) {
	defer p.t.attach()
	return p.Poller.Poll(s, subs, events)
}

// end ends the guest because of err, which is what proc_exit or proc_raise answered; nil does not.
// The errno is for the adapter, which sees that the guest has ended.
func (t *thread) end(err error) wasip1.Errno {
	if err == nil {
		return wasip1.ESUCCESS
	}
	if errno, ok := err.(wasip1.Errno); ok {
		return errno
	}
	t.guest.finish(t, err)
	return wasip1.ECANCELED
}

// entered notes that the thread runs an export, until leave is called.
func (t *thread) entered(name string) (leave func()) {
	task := t.task
	if task == nil {
		return func() {}
	}
	outer := task.Enter(name)
	return func() { task.Enter(outer) }
}

// noteCall notes the call that the thread is in; nil is none.
func (t *thread) noteCall(f *function, stack []uint64) {
	switch {
	case t.task == nil:
	case f == nil:
		t.task.Note("", 0)
	case len(stack) == 0:
		t.task.Note(f.Name, 0)
	default:
		t.task.Note(f.Name, uint64(uint32(stack[0])))
	}
}

// trap stops the guest's code as WebAssembly itself would.
func (t *thread) trap(err error) { panic(err) }

// schedYield is sched_yield.
func (t *thread) schedYield() wasip1.Errno {
	t.drain()
	t.points++
	if t.task == nil {
		runtime.Gosched()
		return wasip1.ESUCCESS
	}
	if l := t.guest.host.late; l != nil {
		l.at(t.guest.host.clock, t.id(), t.points)
	}
	return sched.SchedYield(t.task)
}

// takesTurns reports whether the Host's threads run by turns, which go on at every call.
func (h *Host) takesTurns() bool {
	return sched.TakesTurns(h.scheduler)
}
