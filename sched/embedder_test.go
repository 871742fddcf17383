package sched_test

import (
	"sync"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
)

// lifo is a Scheduler as an embedder might write it: one thread runs at a time, and the last to
// have become ready is next, but those that yielded come after all others.
type lifo struct {
	mu    sync.Mutex
	busy  bool // somebody has the turn
	ready []*sched.Thread
}

func (s *lifo) Start(*sched.Thread) error { return nil }

func (s *lifo) Ready(t *sched.Thread) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, t)
	s.next()
}

func (s *lifo) Block(*sched.Thread, *poll.Wait) {}

func (s *lifo) End(*sched.Thread) {}

// Next takes the turn away here and not in Block: by now time has passed if it could, and whom
// that woke is ready.
func (s *lifo) Next(t *sched.Thread) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t != nil {
		s.busy = false
	}
	s.next()
}

func (s *lifo) Yield(t *sched.Thread, _ sched.Point) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		return false
	}
	s.busy = false
	s.next()
	s.ready = append([]*sched.Thread{t}, s.ready...)
	return true
}

func (s *lifo) next() {
	if s.busy || len(s.ready) == 0 {
		return
	}
	last := len(s.ready) - 1
	t := s.ready[last]
	s.ready = s.ready[:last]
	s.busy = true
	t.Resume()
}
