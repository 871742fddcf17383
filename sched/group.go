package sched

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// MaxThreadID is the largest id of a thread (wasi-threads: ids are 1 to 2^29-1).
const MaxThreadID = 1<<29 - 1

// ErrClosed is the cause of the end of a group that was closed.
var ErrClosed = errors.New("closed")

// Config describes a Group.
type Config struct {
	// Name stands for the guest in reports.
	Name string
	// Clock is the guest's clock. Threads hold it while they run if it is a clock.Holder, and
	// their CPU time is counted on it.
	Clock clock.Clock
	// MaxThreads is how many threads besides the main one may be alive; 0: no limit of the
	// group's own.
	MaxThreads int
	// Shared, if not nil, limits the threads besides the main one together with those of other
	// groups.
	Shared Semaphore
}

// Semaphore is a number of places that the threads of several groups share. Its methods may be
// called from any goroutine, with locks of a Group held. A Group is a Semaphore for others.
type Semaphore interface {
	// Take takes one and reports whether there was one. It does not wait.
	Take() bool
	// Give gives one back.
	Give()
}

// Group is the threads of one guest.
type Group struct {
	name    string
	sched   Scheduler
	clock   clock.Clock
	holder  clock.Holder // nil if the clock is none
	settler settler      // nil if the clock is none
	limit   int
	shared  Semaphore // nil: none

	ctx    context.Context
	cancel context.CancelCauseFunc
	ended  atomic.Bool

	unwatch func() bool   // stops watching the context that this one comes from
	watched chan struct{} // closed when nothing watches it any more; nil where nothing ever does

	mu      sync.Mutex
	gone    sync.Cond  // a thread has ended
	threads threadList // those alive
	spawned int        // of those, the ones besides main threads
	ending  int        // threads between leave and finish
	lastID  uint32
	spare   *Thread // a main thread to use again
	cpu     int64   // of those that ended

	external atomic.Int64
	turns    atomic.Uint32 // taken by the threads

	tally tally // the scheduler's, under its lock
}

// settler is a clock that tells when it has fired all timers of a moment; see clock.Virtual.
type settler interface {
	Firing() bool
	OnSettle(func())
}

// NewGroup returns a group without threads, run by s. The end of ctx ends it. Call Close when you
// have finished with it.
func NewGroup(ctx context.Context, s Scheduler, c Config) *Group {
	g := &Group{name: c.Name, sched: s, clock: c.Clock, limit: c.MaxThreads, shared: c.Shared}
	g.holder, _ = c.Clock.(clock.Holder)
	g.settler, _ = clock.As[settler](c.Clock)
	g.gone.L = &g.mu
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	if ctx.Done() == nil {
		g.unwatch = func() bool { return false }
		return g
	}
	g.watched = make(chan struct{})
	g.unwatch = context.AfterFunc(ctx, func() {
		defer close(g.watched)
		g.cancel(context.Cause(ctx))
		g.end()
	})
	return g
}

// Name returns the name given at the start.
func (g *Group) Name() string { return g.name }

// Context is done when the group has to end; its cause says why.
func (g *Group) Context() context.Context { return g.ctx }

// Clock returns the group's clock.
func (g *Group) Clock() clock.Clock { return g.clock }

// Scheduler returns who decides which threads run.
func (g *Group) Scheduler() Scheduler { return g.sched }

// now is the time that threads are charged by. Whoever asks may be in the middle of a change that
// has to be finished, so that a clock that panics is taken to say 0 here: it will panic for the
// guest as well, which ends by it. One that ends the goroutine cannot be held up: it is asked where
// nothing is half done, or where the rest is deferred.
func (g *Group) now() (now int64) {
	defer func() { _ = recover() }()
	return g.clock.Monotonic()
}

// Run runs fn as a main thread, number 0, on the calling goroutine as soon as the scheduler gives
// it a turn. It returns when fn has returned. An error means that fn was not called: it is the
// cause if the group has ended, otherwise the scheduler's error. A panic of fn passes through.
//
// Several main threads may run at the same time.
func (g *Group) Run(fn func(t *Thread)) error {
	t, err := g.Main()
	if err != nil {
		return err
	}
	t.Run(fn)
	return nil
}

// Main makes a main thread without running it. Call Thread.Run once, on any goroutine, to run it.
// To make the order of threads independent of the order of goroutines, make the main threads of
// several guests one after the other, then run them.
func (g *Group) Main() (*Thread, error) { return g.start(true) }

// Go starts a thread and returns its id. fn runs on a new goroutine as soon as the scheduler gives
// it a turn. fn is called even if the group has ended meanwhile.
//
// Errors: EAGAIN if there are too many threads, the cause if the group has ended. If fn
// panics, the group is ended with a [PanicError].
func (g *Group) Go(fn func(t *Thread)) (uint32, error) {
	t, err := g.start(false)
	if err != nil {
		return 0, err
	}
	id := t.id
	go func() {
		defer func() {
			if v := recover(); v != nil {
				g.End(&PanicError{Thread: id, Value: v, Stack: debug.Stack()})
			}
			t.end()
		}()
		t.takeTurn()
		fn(t)
	}()
	return id, nil
}

// Take implements [Semaphore]: a thread of another group gets one of this one's places, and of what
// this one shares.
func (g *Group) Take() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limit > 0 && g.spawned >= g.limit || g.shared != nil && !g.shared.Take() {
		return false
	}
	g.spawned++
	return true
}

// Give implements [Semaphore].
func (g *Group) Give() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spawned--
	if g.shared != nil {
		g.shared.Give()
	}
}

// start adds a thread, which is ready when it returns.
func (g *Group) start(main bool) (*Thread, error) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended.Load() || g.ctx.Err() != nil {
		return nil, context.Cause(g.ctx)
	}
	if !main && (g.limit > 0 && g.spawned >= g.limit || g.lastID == MaxThreadID) {
		return nil, wasip1.EAGAIN
	}
	pooled := !main && g.shared != nil
	if pooled && !g.shared.Take() {
		return nil, wasip1.EAGAIN
	}
	t := g.spare
	if main && t != nil {
		g.spare = nil
	} else {
		t = newThread(g)
	}
	t.main = main
	if !main {
		t.id = g.lastID + 1
	}
	if err := g.sched.Start(t); err != nil {
		if pooled {
			g.shared.Give()
		}
		return nil, err
	}
	if !main {
		g.lastID++
		g.spawned++
	}
	g.threads.add(t, inGroup)
	t.start(now)
	return t, nil
}

// leave takes t, which is about to end, out. finish follows when it has ended.
func (g *Group) leave(t *Thread) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.threads.remove(t, inGroup)
	if !t.main {
		g.spawned--
		if g.shared != nil {
			g.shared.Give()
		}
	}
	g.ending++
	g.cpu += t.CPUTime()
}

// finish is the last that t, which has ended, does.
func (g *Group) finish(t *Thread) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.main {
		g.spare = t
	}
	g.ending--
	if g.ending == 0 && g.threads.len == 0 {
		g.gone.Broadcast()
	}
}

// End ends the group. Its context is done with cause, waits return, and no more threads can be
// started. If the group has ended before, the first cause stays. A nil cause means
// context.Canceled. End does not wait for the threads. Do not hold a lock that a waker of threads
// might take.
func (g *Group) End(cause error) {
	// The goroutine that watches the context would come late: what it does is done here.
	stopped := g.unwatch()
	g.cancel(cause)
	g.end()
	if stopped {
		close(g.watched)
	}
}

// end tells all threads that the context is done, the oldest first.
func (g *Group) end() {
	g.ended.Store(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	for t := g.threads.head; t != nil; t = t.inGroup.next {
		t.Wake()
	}
}

// Wait waits until no thread of the group is alive.
func (g *Group) Wait() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.threads.len > 0 || g.ending > 0 {
		g.gone.Wait()
	}
}

// Alive returns how many threads there are that have not ended.
func (g *Group) Alive() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.threads.len + g.ending
}

// Close ends the group, with ErrClosed as the cause unless it has ended before, and waits until
// nothing of it runs. It must not be called by one of its threads.
func (g *Group) Close() {
	g.End(ErrClosed)
	g.Wait()
	if g.watched != nil {
		<-g.watched
	}
}

// External declares that host code may end waits that look as if only threads could end them, for
// example by notifying an address. Such waits are then no deadlock. Calls are counted; each done
// undoes one.
func (g *Group) External() (done func()) {
	g.external.Add(1)
	var once sync.Once
	return func() {
		once.Do(func() {
			g.external.Add(-1)
			g.sched.Next(nil)
		})
	}
}

// Threads lists the threads alive, the oldest first.
func (g *Group) Threads() []Info {
	g.mu.Lock()
	defer g.mu.Unlock()
	infos := make([]Info, 0, g.threads.len)
	for t := g.threads.head; t != nil; t = t.inGroup.next {
		infos = append(infos, t.Info())
	}
	return infos
}

// Status lists the threads alive, the oldest first, and since when each waits.
func (g *Group) Status() []Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]Status, 0, g.threads.len)
	for t := g.threads.head; t != nil; t = t.inGroup.next {
		all = append(all, t.status())
	}
	return all
}

// CPUTime returns the CPU time of all threads, those that ended included, in nanoseconds. It
// implements clock.CPU.
func (g *Group) CPUTime() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := g.cpu
	for t := g.threads.head; t != nil; t = t.inGroup.next {
		sum += t.CPUTime()
	}
	return sum
}

// tally counts the threads of a group, for its scheduler.
type tally struct {
	alive, mains int
	stuck        int // wait for others of the group, without a deadline
}

var _ clock.CPU = (*Group)(nil)
var _ poll.Task = (*Thread)(nil)
