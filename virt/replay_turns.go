package virt

import (
	"errors"
	"sync"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
)

// replayScheduler is the scheduler of a replay: a thread has the turn until it passes it to
// another, and none ever waits.
type replayScheduler struct {
	over func() bool // the guest has ended: whoever is left may leave, in any order

	mu      sync.Mutex
	moved   sync.Cond // the turn has been given, or could not be
	ready   map[uint32]*sched.Thread
	current *sched.Thread
	called  bool   // host code is inside a call of an export: the main thread is there, and host code does nothing else
	passing bool   // the next Yield passes the turn
	to      uint32 // who gets the turn next
}

func newReplayScheduler() *replayScheduler {
	s := &replayScheduler{ready: map[uint32]*sched.Thread{}}
	s.moved.L = &s.mu
	return s
}

// pass gives the turn of t to another thread, and waits until it comes back.
func (s *replayScheduler) pass(t *sched.Thread, to uint32) {
	s.mu.Lock()
	s.passing, s.to = true, to
	s.mu.Unlock()
	_ = t.Yield(sched.PointCall) // that the guest has ended, the caller looks at
}

// has reports whether a thread can be given the turn. If host code is not inside a call of an
// export, the main thread can: host code starts it.
func (s *replayScheduler) has(to uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return to == 0 && !s.called || s.ready[to] != nil
}

// calling says whether host code is inside a call of an export.
func (s *replayScheduler) calling(inside bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.called = inside
}

// direct says who gets the turn when the thread that has it ends.
func (s *replayScheduler) direct(to uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = to
}

// rest waits until no thread has the turn and host code has to act. The error says that it cannot.
func (s *replayScheduler) rest() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.current != nil {
		s.moved.Wait()
	}
	if s.to != 0 && !s.over() {
		return errors.New("the turn goes to a thread that is not there")
	}
	return nil
}

// TakesTurns implements [sched.TurnTaker].
func (*replayScheduler) TakesTurns() bool { return true }

// Start implements [sched.Scheduler].
func (s *replayScheduler) Start(*sched.Thread) error { return nil }

// Ready implements [sched.Scheduler].
func (s *replayScheduler) Ready(t *sched.Thread) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready[t.ID()] = t
	s.dispatch()
}

// Block implements [sched.Scheduler].
func (s *replayScheduler) Block(t *sched.Thread, _ *poll.Wait) { s.leave(t) }

// End implements [sched.Scheduler]. When the main thread ends, the call is over, though host code
// has not heard of it yet: a thread that gets the turn may give it to the next call.
func (s *replayScheduler) End(t *sched.Thread) {
	if t.Main() {
		s.calling(false)
	}
	s.leave(t)
}

func (s *replayScheduler) leave(t *sched.Thread) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == t {
		s.current = nil
	}
}

// Next implements [sched.Scheduler].
func (s *replayScheduler) Next(*sched.Thread) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dispatch()
}

// Yield implements [sched.Scheduler].
func (s *replayScheduler) Yield(t *sched.Thread, _ sched.Point) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.passing {
		return false
	}
	s.passing = false
	s.current = nil
	s.ready[t.ID()] = t
	s.dispatch()
	return true
}

// dispatch gives the turn to who is to have it, if nobody has it.
func (s *replayScheduler) dispatch() {
	defer s.moved.Broadcast()
	if s.current != nil {
		return
	}
	t := s.ready[s.to]
	if t == nil && s.over != nil && s.over() {
		// Nobody looks at the recording any more: all leave, in any order.
		for _, t = range s.ready {
			break
		}
	}
	if t == nil {
		return
	}
	delete(s.ready, t.ID())
	s.current, s.to = t, 0
	t.Resume()
}

var _ sched.Scheduler = (*replayScheduler)(nil)
