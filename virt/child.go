package virt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/process"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// ChildConfig says how [Guest.StartChild] starts a guest.
type ChildConfig struct {
	// Args are the arguments, the name first, at least one.
	Args []string
	// Env is the environment, "K=V" each.
	Env []string
	// Descriptors are the child's first descriptors, by their numbers there, each with the number
	// of one of the parent's, which it shares. Numbers of 0, 1 and 2 that are missing are empty
	// streams. The preopened directories have the numbers that are free, in their order.
	Descriptors map[uint32]uint32
	// MaxChildren is how many children the parent may have that have not ended or been waited for.
	// MaxDepth is how many guests, from the first one that was started by host code, may stand
	// above the child.
	MaxChildren, MaxDepth int
}

// Child is a guest that another guest started. As a [poll.Pollable] it is readable when the child
// has ended.
type Child struct {
	poll.Queue
	guest *Guest

	mu     sync.Mutex
	result *Result // nil until it has ended
}

// PID returns the child's number among all guests of the Host.
func (c *Child) PID() uint32 { return uint32(c.guest.usage.number) }

// Poll implements [poll.Pollable].
func (c *Child) Poll(want poll.Events) poll.State {
	if c.Result() == nil {
		return poll.State{}
	}
	return poll.State{Ready: want}
}

// Reach implements [poll.Reacher].
func (c *Child) Reach() poll.Reach { return poll.ByThreads }

// Result returns how the child ended, or nil if it has not.
func (c *Child) Result() *Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.result
}

// Kill ends the child as the default action of a signal does.
func (c *Child) Kill(sig wasip1.Signal) {
	c.guest.decide(&Result{Outcome: Signaled, Signal: sig})
}

// end tells those who wait. Where threads take turns, the caller has the turn.
func (c *Child) end() {
	c.mu.Lock()
	if c.result == nil {
		c.result = c.guest.Result()
	}
	c.mu.Unlock()
	c.Wake()
}

// family is what a guest knows of the guests that it started and of its own place among guests.
type family struct {
	depth  int
	budget *allowance   // bytes of memory of the guest that host code made and all below it; nil without limit
	root   *family      // of the guest that host code made; nil where it is that one
	alive  atomic.Int64 // guests below the root, in the root's family
	copies atomic.Int64 // bytes by which tables have grown, and of instances of more than leastCopies, in the root's family

	mu       sync.Mutex
	children []*Child // in the order in which they were started
	starting int      // children that are being made
}

// begin takes a place for one more child, unless there are limit.
func (f *family) begin(limit int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.children)+f.starting >= limit {
		return false
	}
	f.starting++
	return true
}

// begun gives the place to c, or to nobody if that is nil.
func (f *family) begun(c *Child) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starting--
	if c != nil {
		f.children = append(f.children, c)
	}
}

// maxFamily is how many guests that other guests started may exist below one that host code made:
// if each may start some, their number grows with the power of the depth.
const maxFamily = 256

// top is the family of the guest that host code made.
func (f *family) top() *family {
	if f.root != nil {
		return f.root
	}
	return f
}

// join counts one more guest below the root, unless there are too many.
func (f *family) join() bool {
	if f.top().alive.Add(1) > maxFamily {
		f.quit()
		return false
	}
	return true
}

// quit undoes join.
func (f *family) quit() { f.top().alive.Add(-1) }

// Children returns the guests that g has started and not forgotten, in the order in which they were
// started.
func (g *Guest) Children() []*Child {
	g.family.mu.Lock()
	defer g.family.mu.Unlock()
	return append([]*Child(nil), g.family.children...)
}

// Forget takes a child out of [Guest.Children].
func (g *Guest) Forget(c *Child) {
	g.family.mu.Lock()
	defer g.family.mu.Unlock()
	for i, other := range g.family.children {
		if other == c {
			g.family.children = append(g.family.children[:i:i], g.family.children[i+1:]...)
			return
		}
	}
}

// StartChild starts a command as a guest beside g, and returns while it runs. The child sees the
// mounts of g, and has the options of g but for arguments, environment, standard streams, preopened
// streams, libraries and recordings. It ends when g ends; [Guest.Close] of g waits for it. The Host
// closes it. It is for host functions, which a guest calls to start others: see package spawn.
//
// What the child uses counts as g's: memory, fuel, host calls, disk, output, random bytes, sleep,
// processor time, descriptors and threads. Wall time is what g has left.
//
// Errors: EAGAIN if g has MaxChildren, for a guest deeper than MaxDepth, if 256 guests exist below
// the guest that host code made, and if the Host has no place (WithMaxGuests); ENFILE if g's limit
// has no descriptors left; EBADF for a descriptor that g does not have; ENOEXEC for a module that
// is no command; those of making a guest.
func (g *Guest) StartChild(m *Module, cfg ChildConfig) (c *Child, err error) {
	switch {
	case m.host.first() != g.host.first():
		return nil, fmt.Errorf("start a child: the module: %w", ErrOtherHost)
	case !m.Command():
		return nil, fmt.Errorf("start a child: %w: %w", ErrNotCommand, wasip1.ENOEXEC)
	case len(cfg.Args) == 0:
		return nil, fmt.Errorf("start a child: it has no arguments, not even a name: %w", wasip1.EINVAL)
	case g.family.depth >= cfg.MaxDepth:
		return nil, fmt.Errorf("start a child: there are %d guests above it: %w", g.family.depth+1, wasip1.EAGAIN)
	case !g.family.begin(cfg.MaxChildren):
		return nil, fmt.Errorf("start a child: there are %d already: %w", cfg.MaxChildren, wasip1.EAGAIN)
	}
	defer func() {
		if err != nil {
			g.family.begun(nil)
		}
	}()
	child, err := g.newChild(m, cfg)
	if err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	if !g.uses.enter() { // Close waits for the child
		return nil, errors.Join(fmt.Errorf("start a child: the guest is %w", ErrClosed), child.close(context.Background()))
	}
	main, err := child.group.Main()
	if err != nil {
		g.uses.leave()
		return nil, errors.Join(err, child.close(context.Background()))
	}
	c = &Child{guest: child}
	g.family.begun(c)
	go func() {
		defer g.uses.leave()
		ctx := g.group.Context()
		defer child.watch(ctx)()
		child.runChild(main, c)
		// Nobody is left who could be told of an error of closing; output that was lost was the
		// parent's.
		_ = child.close(context.Background())
	}()
	return c, nil
}

// newChild makes a child's world.
func (g *Guest) newChild(m *Module, cfg ChildConfig) (*Guest, error) {
	h := g.host
	if h.slots != nil {
		select {
		case h.slots <- struct{}{}:
		default:
			return nil, fmt.Errorf("the Host has as many guests as WithMaxGuests allows: %w", wasip1.EAGAIN)
		}
	}
	admitted := true
	defer func() {
		if admitted {
			h.dismiss() // the child could not be made
		}
	}()
	if !h.uses.enter() {
		return nil, fmt.Errorf("the Host is %w", ErrClosed)
	}
	defer h.uses.leave()
	if !m.uses.enter() {
		return nil, fmt.Errorf("the module is %w", ErrClosed)
	}
	own := *g.config
	own.argv0, own.args, own.argsFn, own.env = cfg.Args[0], cfg.Args[1:], nil, process.Env{}.WithVars(cfg.Env...)
	own.stdin, own.writers, own.streams, own.given = nil, [2]io.Writer{}, [3]vfs.Stream{}, nil
	own.recording, own.hash, own.libraries = nil, false, nil
	if !g.deadline.IsZero() {
		own.limits.WallTime = max(time.Until(g.deadline), 1)
	}
	if !g.family.join() {
		m.uses.leave()
		return nil, fmt.Errorf("%d guests exist that guests of one family started: %w", maxFamily, wasip1.EAGAIN)
	}
	child, err := h.makeGuest(g.base, m, &own, nil, g)
	if err != nil {
		g.family.quit()
		m.uses.leave()
		return nil, err
	}
	child.admitted, admitted = true, false
	for _, at := range slices.Sorted(maps.Keys(cfg.Descriptors)) {
		if err = g.files.Share(cfg.Descriptors[at], child.files, at); err != nil {
			break
		}
	}
	if err == nil {
		err = h.add(child)
	}
	if err == nil {
		child.startTimer()
		err = contained(child.reserve)
	}
	if err != nil {
		return nil, errors.Join(err, child.close(context.Background()))
	}
	return child, nil
}

// runChild runs a child to its end, on a main thread that was made for it. All that others can see
// of it happens while that has the turn.
func (g *Guest) runChild(main *sched.Thread, c *Child) {
	g.uses.enter()
	defer g.uses.leave()
	g.ran.Store(true)
	returned := false
	defer func() {
		if v := recover(); v != nil {
			_ = g.fail(v, 0) // the Result has it
		} else if !returned {
			g.decide(&Result{Outcome: Failed, Err: goexit(0)})
		}
		g.group.Wait()
		_ = g.closeFiles()
		c.end()
	}()
	main.Run(func(task *sched.Thread) {
		g.main.bind(task)
		defer g.main.compute()()
		if err := g.startMain(); err != nil {
			r := g.module.resultOf(err)
			if r == nil {
				r = failure(err, g.main)
			}
			g.decide(r)
		}
		g.main.settleFuel()
		g.decide(&Result{Outcome: Exited})
		// Now, and not when the thread has ended: others wait for its pipes and its end, and would
		// seem to do so for ever.
		_ = contained(func() error { g.leaveInTurn(g.base); return nil })
		c.end()
	})
	returned = true
}

// startMain makes the instance and calls _start, on the main thread.
func (g *Guest) startMain() (err error) {
	ctx := g.group.Context()
	g.mark(func() { err = g.instantiateThread(ctx, g.main) })
	if err != nil {
		return err
	}
	g.instance.Module = g.main.mod
	g.host.instantiated(g)
	defer g.main.call.set(g.main.call.set(ctx))
	name, params := g.entry()
	fn, err := g.main.exported(name, params)
	if err != nil {
		return err
	}
	if _, err = g.invokeExport(g.main, fn, name, params); err != nil {
		return nil // the end has been decided
	}
	if !g.main.settleFuel() {
		g.decide(&Result{Outcome: Exited})
		g.noteEnd(0, nil)
	}
	return nil
}

// Block waits until p is ready in a direction of want, until the deadline of w, or until the
// guest's end. Other threads run meanwhile. The guest's memory may have moved afterwards: call
// [HostCall.View] again. Errors: those of [poll.Block].
func (c *HostCall) Block(p poll.Pollable, want poll.Events, w poll.Wait) (poll.State, error) {
	return poll.Block(c.t.files.Task, p, want, w)
}
