package virt

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/sched"
)

// Stack is where a thread was when the guest ended.
type Stack struct {
	Thread uint32
	// Frames are the WebAssembly functions that were active, innermost first, one a line, as in
	// [Trap.Stack].
	Frames string
}

// gone reports whether the thread has to leave: the guest has ended, or what runs its threads has
// ended them, which then is the guest's end.
func (t *thread) gone() bool {
	return t.guest.ended.Load() || t.task != nil && t.lost()
}

// over is gone for a first look, which is inlined: gone decides where it is true.
func (t *thread) over() bool { return t.guest.ended.Load() || t.task != nil && t.task.Over() }

func (t *thread) lost() bool {
	err := t.task.Ended()
	if err == nil {
		return false
	}
	t.guest.decide(endOf(err))
	return true
}

// endOf is the result that the end of a guest's threads by the scheduler stands for.
func endOf(err error) *Result {
	if _, deadlock := errors.AsType[*sched.DeadlockError](err); deadlock {
		return &Result{Outcome: Deadlocked, Err: err}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, sched.ErrClosed) {
		return &Result{Outcome: Canceled, Err: err}
	}
	r := &Result{Outcome: Failed, Err: err}
	if p, ok := errors.AsType[*sched.PanicError](err); ok {
		r.Thread = p.Thread
	}
	return r
}

// errUnwound makes wazero tell where a thread was that it leaves.
var errUnwound = errors.New("the guest has ended")

// stacked reports whether it is of use to know where threads were at the guest's end.
func (g *Guest) stacked() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.result.Outcome == Deadlocked
}

// noteStack keeps where thread t was when it was made to leave, as err tells.
func (g *Guest) noteStack(t *thread, err error) {
	if !errors.Is(err, errUnwound) {
		return
	}
	_, stack, _ := strings.Cut(err.Error(), stackHeader)
	g.mu.Lock()
	defer g.mu.Unlock()
	at, _ := slices.BinarySearchFunc(g.result.Stacks, t.id(), func(s Stack, id uint32) int { return int(s.Thread) - int(id) })
	g.result.Stacks = slices.Insert(g.result.Stacks, at, Stack{t.id(), g.module.stack(stack)})
}
