package sched

import (
	"context"
	"sync"

	"github.com/wasivirt/wasivirt/poll"
)

// Thread is a thread of a guest.
type Thread struct {
	group *Group
	sched Scheduler // the group's
	id    uint32
	main  bool
	turn  chan struct{} // gets one for each Resume
	wake  func()        // Wake, made once

	mu     sync.Mutex
	state  State
	permit bool      // woken while it ran
	woken  bool      // in Ready: by a Wake, and so about to look at what it waited for
	wait   poll.Wait // what it waits for, in Waiting and Outside
	runs   string    // the function of the guest's that it runs
	call   string    // that it is in, where that is noted
	on     uint64    // the call's first parameter

	ceding ceding // the thread's own

	began  int64 // monotonic when it began
	waited int64 // nanoseconds spent without a turn, until idle
	idle   int64 // monotonic since when it has no turn; 0 while it has one

	inGroup links // under the group's lock
	inSched links // under the scheduler's, as all below
	stuck   poll.Reach
	rank    int64 // of the PCT strategy; 0: none yet
}

func newThread(g *Group) *Thread {
	t := &Thread{group: g, sched: g.sched, turn: make(chan struct{}, 1)}
	t.wake = t.Wake
	return t
}

// start makes a thread that the scheduler has admitted ready. It holds time from now on.
func (t *Thread) start(now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began, t.waited, t.idle = now, 0, now
	t.permit, t.woken = false, false
	t.state = Ready
	t.hold()
	t.sched.Ready(t)
}

// Run runs fn as this thread, which [Group.Main] made, and ends it.
func (t *Thread) Run(fn func(t *Thread)) {
	defer t.end()
	t.takeTurn()
	fn(t)
}

// end ends the thread, which has the turn.
func (t *Thread) end() {
	t.mu.Lock()
	t.state = Ended
	t.mu.Unlock()
	// All that others can see of the end happens before they get the turn. Each step follows
	// whatever a clock of the embedder's does to the one before.
	s := t.sched
	defer t.group.finish(t)
	defer s.Next(t)
	defer t.letGo()
	defer s.End(t)
	t.group.leave(t)
}

// ID returns the thread's number: 0 for main threads, else 1 to MaxThreadID, not used again in
// its group.
func (t *Thread) ID() uint32 { return t.id }

// Main reports whether it is a main thread.
func (t *Thread) Main() bool { return t.main }

// Group returns the thread's group.
func (t *Thread) Group() *Group { return t.group }

// Context returns the group's context.
func (t *Thread) Context() context.Context { return t.group.ctx }

// Ended returns nil while the thread may go on, then the cause of its group's end. It costs one
// atomic load.
func (t *Thread) Ended() error {
	if t.group.ended.Load() {
		return t.cause()
	}
	return nil
}

// Over reports whether Ended returns an error. It costs one atomic load.
func (t *Thread) Over() bool { return t.group.ended.Load() }

// cause is apart so that Ended can be inlined.
func (t *Thread) cause() error { return context.Cause(t.group.ctx) }

// Yield is a switch point: other threads may get the turn. When it returns, this thread has the
// turn again. It returns the cause if the group has ended. Only the thread itself calls it.
func (t *Thread) Yield(p Point) error {
	switch {
	case t.sched.Yield(t, p):
		t.awaitTurn()
	case p == PointFuel:
		t.cede()
	}
	return t.Ended()
}

// Park implements [poll.Task].
func (t *Thread) Park(w poll.Wait) error {
	if err := t.Ended(); err != nil {
		return err
	}
	if w.Timed() {
		if w.Due() {
			return nil
		}
		// The timer may fire at once: the permit keeps that. It is set while this thread still
		// holds time, so that no deadline is passed by.
		defer w.Clock.AfterFunc(w.Deadline, t.wake).Stop()
	}
	now := t.group.now()
	t.mu.Lock()
	if t.permit {
		t.permit = false
		t.mu.Unlock()
		return t.Ended()
	}
	// Once more: who ended the group after this sees the thread waiting.
	if err := t.Ended(); err != nil {
		t.mu.Unlock()
		return err
	}
	t.block(Waiting, w, now)
	t.mu.Unlock()
	t.rest()
	t.takeTurn()
	return t.Ended()
}

// Wake implements [poll.Task].
func (t *Thread) Wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch t.state {
	case Waiting:
		t.unblock()
		t.woken = true
	case Running, Outside:
		t.permit = true
	case Ready:
		t.permit = t.permit || !t.woken
	}
}

// Outside runs fn, which may wait in ways that the scheduler cannot see: in the machine's calls, or
// for a guest that this one called. Meanwhile the thread has no turn and does not hold time. It
// counts as waiting for host code; w describes the wait in reports.
func (t *Thread) Outside(w poll.Wait, fn func()) {
	w.Deadline, w.By = poll.NoDeadline, poll.ByAnyone
	now := t.group.now()
	t.mu.Lock()
	t.block(Outside, w, now)
	t.mu.Unlock()
	t.rest()
	defer func() {
		t.mu.Lock()
		t.unblock()
		t.mu.Unlock()
		t.takeTurn()
	}()
	fn()
}

// block ends the thread's turn at the time now. mu is held.
func (t *Thread) block(s State, w poll.Wait, now int64) {
	t.idle = now
	t.state, t.wait = s, w
	t.sched.Block(t, &t.wait)
}

// rest follows block, without mu: it lets time pass if nobody else holds it, and somebody else run.
func (t *Thread) rest() {
	t.letGo()
	t.sched.Next(t)
}

// unblock makes the thread ready. mu is held.
func (t *Thread) unblock() {
	t.hold()
	t.state, t.wait, t.woken = Ready, poll.Wait{}, false
	t.sched.Ready(t)
}

// takeTurn waits until the scheduler gives a thread that is ready the turn.
func (t *Thread) takeTurn() {
	t.awaitTurn()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = Running
	t.waited += t.group.now() - t.idle
	t.idle = 0
}

// Resume gives the thread the turn. Only its Scheduler calls it.
func (t *Thread) Resume() { t.turn <- struct{}{} }

func (t *Thread) hold() {
	if h := t.group.holder; h != nil {
		h.Hold()
	}
}

func (t *Thread) letGo() {
	if h := t.group.holder; h != nil {
		h.Release()
	}
}

// CPUTime returns the time, in nanoseconds of the group's monotonic clock, that the thread has
// existed without waiting. It implements clock.CPU.
func (t *Thread) CPUTime() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	until := t.idle
	if until == 0 {
		until = t.group.now()
	}
	return until - t.began - t.waited
}

// Info tells what the thread does.
func (t *Thread) Info() Info {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Info{Group: t.group.name, Thread: t.id, State: t.state, Op: t.wait.Op, On: t.wait.On}
}

// Enter notes the function of the guest's that the thread runs from now on, for [Group.Status], and
// returns the one before.
func (t *Thread) Enter(name string) (before string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, t.runs, t.call = t.runs, name, ""
	return before
}

// Note notes the call that the thread is in, and its first parameter, for [Group.Status]; "" is
// none.
func (t *Thread) Note(call string, on uint64) {
	t.mu.Lock()
	t.call, t.on = call, on
	t.mu.Unlock()
}

// status tells what the thread does, and since when.
func (t *Thread) status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Status{Info: Info{Group: t.group.name, Thread: t.id, State: t.state, Op: t.wait.Op, On: t.wait.On},
		Runs: t.runs, Fds: t.wait.Fds, Since: t.idle, Until: poll.NoDeadline}
	switch {
	case t.state == Ready || t.state == Running:
		s.Op, s.On = t.call, t.on
	case t.wait.Timed():
		s.Until = t.wait.Deadline
	}
	return s
}

// links are a thread's neighbours in a threadList.
type links struct{ prev, next *Thread }

func inGroup(t *Thread) *links { return &t.inGroup }
func inSched(t *Thread) *links { return &t.inSched }

// threadList is a list of threads by age.
type threadList struct {
	head, tail *Thread
	len        int
}

func (r *threadList) add(t *Thread, of func(*Thread) *links) {
	l := of(t)
	l.prev, l.next = r.tail, nil
	if r.tail != nil {
		of(r.tail).next = t
	} else {
		r.head = t
	}
	r.tail = t
	r.len++
}

func (r *threadList) remove(t *Thread, of func(*Thread) *links) {
	l := of(t)
	if l.prev != nil {
		of(l.prev).next = l.next
	} else {
		r.head = l.next
	}
	if l.next != nil {
		of(l.next).prev = l.prev
	} else {
		r.tail = l.prev
	}
	l.prev, l.next = nil, nil
	r.len--
}
