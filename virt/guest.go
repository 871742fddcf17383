package virt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/process"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
)

// Guest is a process of a Host: an instance of a module with descriptors, arguments and an end.
type Guest struct {
	host   *Host
	title  string // argument 0
	serial uint64 // among those of the Host
	module *Module
	config *config // the Host's where the guest has no options of its own; nobody changes it

	files       *vfs.Table
	source      random.Source // without budgets
	random      random.Source
	hooks       *process.Hooks
	main        *thread
	group       *sched.Group
	base        context.Context // for what is not part of a call: its values are those of Instantiate's
	plugs       []*plug
	libraries   []*library // in the order in which they are made
	shared      *shared    // nil where the module has no shared memory
	adopted     bool       // the embedder instantiated the module itself
	visitors    visitors   // of such a module
	streams     [3]vfs.Stream
	unread      keptOutput // of descriptor 2
	lent        []lender   // of the streams that it was given
	ns          *vfs.Namespace
	chains      *chains
	hosted      []callFunc
	observer    observer      // nil where nothing is recorded or replayed
	stores      *storeBuffers // nil where threads see stores at once
	finished    sync.Once
	observerErr error // of finishing observer
	left        sync.Once
	leftErr     error // of closing descriptors
	faulted     faultCounts
	budgets     budgets
	sharedDisk  *quotafs.Quota // what its own file systems take of the Host's budget, nil where that has no end
	family      family
	charged     uint64 // bytes of memory taken from the Host's budget
	usage       guestUsage
	timer       *time.Timer
	deadline    time.Time // of the budget of wall time; zero where there is none

	forks    forks
	home     *Snapshot       // what Reset goes back to, where it is not origin
	origin   *Snapshot       // what it began as, nil where it began as its module does
	given    map[Budget]bool // budgets that Snapshot.Start was given
	atPoint  *checkpoint     // where a command's snapshot is to be taken
	reserved bool            // the first thread's part of the budget of stacks was taken
	copies   atomic.Int64    // bytes that its instances take besides the memory
	grown    atomic.Int64    // those by which their tables have grown
	calls    chan struct{}   // holds one token while an export runs
	ended    atomic.Bool
	noting   atomic.Bool // threads note their calls for Threads
	uses     gate        // calls and whatever else needs what Close frees
	ran      atomic.Bool // Run was called
	admitted bool        // it has one of the places of WithMaxGuests

	mu     sync.Mutex
	result *Result // but for what ends tell
	ends   []ThreadEnd
	// endsMixed is set where ends are not in order.
	endsMixed bool

	closing   closing
	abandoned atomic.Bool // no goroutine begins a Write any more
	instance  instance
}

// Instantiate makes a guest of a module. It runs the start function and a reactor's _initialize. A
// command waits for [Guest.Run].
//
// The guest keeps the values of ctx but not its end, so a guest may outlive the request that made
// it. If ctx has ended before, Instantiate fails. If ctx ends while the start function or
// _initialize runs, the guest ends.
func (h *Host) Instantiate(ctx context.Context, m *Module, opts ...GuestOption) (*Guest, error) {
	if m.host.first() != h.first() {
		return nil, fmt.Errorf("make a guest: the module: %w", ErrOtherHost)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("make a guest: %w", context.Cause(ctx))
	}
	if err := h.admit(ctx); err != nil {
		return nil, err
	}
	admitted := true
	defer func() {
		if admitted {
			h.dismiss() // the guest could not be made
		}
	}()
	if !h.uses.enter() {
		return nil, fmt.Errorf("make a guest: the Host is %w", ErrClosed)
	}
	defer h.uses.leave()
	if !m.uses.enter() {
		return nil, fmt.Errorf("make a guest: the module is %w", ErrClosed)
	}
	g, err := h.newGuest(ctx, m, opts)
	if err != nil {
		m.uses.leave()
		return nil, fmt.Errorf("make a guest: %w", err)
	}
	g.admitted, admitted = true, false
	g.uses.enter()
	err = g.begin(ctx)
	g.uses.leave()
	if err != nil {
		return nil, errors.Join(err, g.close(context.WithoutCancel(ctx)))
	}
	return g, nil
}

// begin makes the guest's instance and runs what runs before it is handed out.
func (g *Guest) begin(ctx context.Context) error {
	if err := g.host.add(g); err != nil {
		return err
	}
	g.startTimer()
	if err := contained(func() error { return g.instantiate(ctx) }); err != nil {
		return err
	}
	if g.origin != nil {
		return g.reseed(ctx)
	}
	if m := g.module; !m.Command() && m.exportsFunc("_initialize") {
		if _, err := g.Call(ctx, "_initialize"); err != nil {
			return fmt.Errorf("_initialize: %w", err)
		}
	}
	return nil
}

// startTimer begins the budget of wall time.
func (g *Guest) startTimer() {
	if d, limited := g.wallTime(); limited {
		g.deadline = time.Now().Add(d)
		g.timer = time.AfterFunc(d, func() { g.decide(&Result{Outcome: Exhausted, Budget: BudgetWallTime, Err: g.standing()}) })
	}
}

// rest stops the budget of wall time while the guest waits in a pool for work.
func (g *Guest) rest() {
	if g.timer != nil {
		g.timer.Stop()
	}
}

// resume begins the budget of wall time anew, and reports whether the guest has not ended.
func (g *Guest) resume() bool {
	if d, limited := g.wallTime(); limited && g.timer != nil {
		g.deadline = time.Now().Add(d)
		g.timer.Reset(d)
	}
	return !g.ended.Load()
}

// errClockStands says why a guest waited until its wall time was used up.
var errClockStands = errors.New("it waited for the virtual clock, which nothing moved: make it with clock.WithAutoAdvance, or call Advance")

// standing is errClockStands if all threads wait, some of them for a time that does not come by
// itself, else nil.
func (g *Guest) standing() error {
	k, ok := clock.As[*clock.Virtual](g.host.clock)
	if !ok || k.AutoAdvances() {
		return nil
	}
	timed := false
	for _, s := range g.group.Status() {
		if s.State != sched.Waiting {
			return nil
		}
		timed = timed || s.Until != poll.NoDeadline
	}
	if !timed {
		return nil
	}
	return errClockStands
}

// reserve takes what the guest's instance needs.
func (g *Guest) reserve() error {
	if err := g.checkMemory(g.module); err != nil {
		return err
	}
	if err := g.chargeInstance(g.module); err != nil {
		return err
	}
	if err := g.reserveStack(); err != nil {
		return err
	}
	g.reserved = true
	if err := g.reserveLinear(g.main); err != nil {
		return err
	}
	if m := sharedMemory(g.module.info); m != nil {
		return g.share(g.base, m)
	}
	return nil
}

// instantiate makes the WebAssembly instance of the first thread.
func (g *Guest) instantiate(ctx context.Context) error {
	if err := g.reserve(); err != nil {
		return err
	}
	var err error
	if ctx.Done() != nil {
		defer g.watch(ctx)()
	}
	// The module's start function runs now, as the first thread.
	started := g.group.Run(func(task *sched.Thread) {
		g.main.bind(task)
		defer g.main.compute()()
		if g.observer != nil {
			g.observer.back(g.main)
			defer g.observer.end(g.main)
		}
		g.mark(func() {
			if err = g.instantiateLibraries(ctx, task); err == nil {
				err = g.instantiateThread(ctx, g.main)
			}
			if err == nil && g.origin != nil {
				err = g.origin.become(ctx, g)
			}
		})
	})
	if err = errors.Join(started, err); err == nil {
		g.instance.Module = g.main.mod
		g.host.instantiated(g)
		return nil
	}
	if r := g.module.resultOf(err); r.Outcome != Failed {
		g.decide(r)
		return &ExitError{Result: g.Result()}
	}
	return fmt.Errorf("instantiate the module: %w", err)
}

// Run calls _start, waits for all threads, and flushes standard output and error. A guest runs
// once: when _start returns, it has ended. To call other exports of a command afterwards, call
// _start with [Guest.Call] instead. If ctx ends, the guest ends with outcome Canceled. If the guest
// did not end by itself, its writers have 100 ms to take its output; the rest is lost.
//
// If threads take turns, Run closes the guest's descriptors before other guests continue, so that
// readers of its pipes see the end at the same moment in every run. Otherwise [Guest.Close] closes
// them.
func (g *Guest) Run(ctx context.Context) (*Result, error) { return g.run(ctx, nil) }

// run is Run on a main thread that was made before, if it is not nil. That is ended in any case.
func (g *Guest) run(ctx context.Context, main *sched.Thread) (_ *Result, err error) {
	if !g.module.Command() {
		err = ErrNotCommand
	} else if g.ran.Swap(true) {
		err = ErrAlreadyRun
	} else {
		name, params := g.entry()
		_, err = g.call(ctx, main, true, name, params)
	}
	if exit := (*ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	g.decide(&Result{Outcome: Exited})
	if !g.uses.enter() {
		return g.Result(), nil // Close does the rest
	}
	defer g.uses.leave()
	g.group.Wait()
	err = errors.Join(
		contained(func() error { g.usage.stop(g); return nil }),
		contained(func() error { return g.flush(ctx) }),
		contained(g.abandon),
		g.finishObserver(ctx))
	return g.Result(), err // with the hash
}

// finish ends the guest because of the typed error with which process_exit or proc_raise answered.
func (g *Guest) finish(t *thread, err error) {
	r := &Result{Outcome: Failed, Err: err, Thread: t.id()}
	if exit, ok := errors.AsType[process.Exit](err); ok {
		r = &Result{Outcome: Exited, ExitCode: exit.Code, Thread: t.id()}
	} else if raised, ok := errors.AsType[process.Raised](err); ok {
		r = &Result{Outcome: Signaled, Signal: raised.Signal, Thread: t.id()}
	}
	t.settleFuel() // who owes more than it may has not ended well
	g.decide(r)
}

// decide makes r the guest's end, unless that has been decided, and makes every thread leave.
func (g *Guest) decide(r *Result) {
	g.mu.Lock()
	first := g.result == nil
	if first {
		own := *r // what is noted later goes there
		g.result = &own
	}
	g.mu.Unlock()
	if first {
		g.ended.Store(true)
		g.group.End(&ExitError{Result: r})
		if g.adopted && r.Err != ErrClosed && g.main.mod != nil {
			// What closing answers is for nobody: the caller gets the code.
			_ = g.main.mod.CloseWithExitCode(g.base, r.sysExitCode())
		}
	}
}

// Result tells how the guest ended. Its Outcome is [Running] if the guest has not ended.
func (g *Guest) Result() *Result {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.result == nil {
		return &Result{}
	}
	r := *g.result
	r.Stderr = g.unread.String()
	r.Stacks, r.Threads = slices.Clone(r.Stacks), slices.Clone(g.sortedEnds())
	return &r
}

func (g *Guest) outcome() Outcome {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.result == nil {
		return Running
	}
	return g.result.Outcome
}

// noteEnd keeps how a thread, which had not ended before its guest did, has left the guest's code.
func (g *Guest) noteEnd(thread uint32, err error) {
	if !g.ended.Load() {
		return
	}
	end := ThreadEnd{Thread: thread, Outcome: Canceled}
	if r := g.module.resultOf(err); r == nil {
		end.Outcome = Exited
	} else if !errors.Is(err, errUnwound) && (r.Outcome == Trapped || r.Outcome == Failed) {
		end.Outcome, end.Trap, end.Err = r.Outcome, r.Trap, r.Err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.result.Thread == end.Thread {
		end.Outcome, end.Trap, end.Err = g.result.Outcome, g.result.Trap, g.result.Err
	}
	// Many threads may end in any order: they are sorted when somebody asks, and before there is
	// room for as many again.
	if len(g.ends) == cap(g.ends) {
		g.sortedEnds()
	}
	g.ends, g.endsMixed = append(g.ends, end), true
}

// sortedEnds orders the ends by thread. The last one counts of a thread that was in a call of a
// call. The caller holds g.mu.
func (g *Guest) sortedEnds() []ThreadEnd {
	if !g.endsMixed {
		return g.ends
	}
	slices.SortStableFunc(g.ends, func(a, b ThreadEnd) int { return cmp.Compare(a.Thread, b.Thread) })
	kept := g.ends[:0]
	for _, e := range g.ends {
		if n := len(kept); n > 0 && kept[n-1].Thread == e.Thread {
			kept[n-1] = e
		} else {
			kept = append(kept, e)
		}
	}
	g.ends, g.endsMixed = kept, false
	return kept
}

// Name returns the guest's argument 0.
func (g *Guest) Name() string { return g.title }

// Number returns the guest's number in its Host: 1 for the first one that was made.
func (g *Guest) Number() uint64 { return g.usage.number }

// Threads tells what each of the guest's threads does at this moment: the export that it runs, the
// call that it is in, what it waits for, and since when on the Host's monotonic clock. It may be
// called at any time. From the first time on, the guest's threads note their calls, at some 20 ns
// each; a call that is under way then is told only while it waits.
func (g *Guest) Threads() []sched.Status {
	g.noting.Store(true)
	return g.group.Status()
}

// Files returns the guest's descriptors. Host code may read and change them while the guest runs.
func (g *Guest) Files() *vfs.Table { return g.files }

// Namespace returns the guest's mounts. Host code may read, add and remove mounts while the guest
// runs.
func (g *Guest) Namespace() *vfs.Namespace { return g.ns }

// Instance returns the guest's WebAssembly instance, for its memory and globals, and for helpers
// that call its allocator. Call other exports with [Guest.Call], which applies the guest's budgets
// and rules. Calls of the instance's functions end with their context, which ends the guest, and
// with the guest. Close of the instance is [Guest.Stop].
//
// The instance's memory may be read and written beside [Guest.Close], except by ReadByte and
// WriteByte: everything is out of range once that has begun. What api.Memory.Read returned is the
// guest's memory itself, and must not be used any more then. Functions of wazero that need wazero's
// own instance or memory get it by Unwrap() api.Module and Unwrap() api.Memory. Calls by way of
// these must have returned before the guest is closed.
func (g *Guest) Instance() api.Module {
	if g.instance.Module == nil {
		return g.main.mod
	}
	return &g.instance
}
