package simulate

import (
	"sync"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
)

// turns is the scheduler of a world: a [sched.Seeded] that starts guests in the turn of one of the
// world's own threads, tells when they have ended, and can stop them.
//
// It has no Pause, so that Host.RunAll does not put off choices.
type turns struct {
	seeded *sched.Seeded
	clock  *clock.Virtual

	mu     sync.Mutex
	aside  bool // threads that start now take no turns: they belong to the thread that has one
	asides map[*sched.Thread]bool
	comes  *guestThreads // whose first thread is about to start
	begun  chan struct{} // closed when it is there
	guests map[*sched.Group]*guestThreads
}

// guestThreads are the threads of a node's guest.
type guestThreads struct {
	group   *sched.Group
	alive   int
	ran     bool   // one had the turn
	gone    func() // called in the turn of the last, when it has ended
	paused  bool
	stopped []*sched.Thread // at a switch point, while paused
}

func newTurns(c *clock.Virtual, config sched.SeededConfig) *turns {
	t := &turns{clock: c, asides: map[*sched.Thread]bool{}, guests: map[*sched.Group]*guestThreads{}}
	config.OnSwitch = t.switched
	t.seeded = sched.NewSeeded(config)
	return t
}

// switched notes that a guest has had the turn.
func (s *turns) switched(w sched.Switch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.guests[w.To.Group()]; g != nil {
		g.ran = true
	}
}

// within calls f, which makes a guest, in the turn of the caller.
func (s *turns) within(f func()) {
	s.setAside(true)
	defer s.setAside(false)
	f()
}

func (s *turns) setAside(on bool) {
	s.mu.Lock()
	s.aside = on
	s.mu.Unlock()
}

// expect returns a channel that is closed when the next thread is ready: the first of g.
func (s *turns) expect(g *guestThreads) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.comes, s.begun = g, make(chan struct{})
	return s.begun
}

// hasRun reports whether a guest has had the turn.
func (s *turns) hasRun(g *guestThreads) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.ran
}

// pause keeps a guest at its next switch point.
func (s *turns) pause(g *guestThreads) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.paused = true
}

// unpause lets a guest go on. The caller has the turn.
func (s *turns) unpause(g *guestThreads) {
	s.mu.Lock()
	stopped := g.stopped
	g.paused, g.stopped = false, nil
	s.mu.Unlock()
	for _, t := range stopped {
		s.clock.Hold()
		s.seeded.Ready(t)
	}
}

// Start implements [sched.Scheduler].
func (s *turns) Start(t *sched.Thread) error {
	s.mu.Lock()
	if s.aside {
		s.asides[t] = true
		s.mu.Unlock()
		return nil
	}
	g := s.guests[t.Group()]
	if g == nil && s.comes != nil {
		g, s.comes = s.comes, nil
		g.group = t.Group()
		s.guests[g.group] = g
	}
	s.mu.Unlock()
	if err := s.seeded.Start(t); err != nil {
		return err
	}
	if g != nil {
		s.mu.Lock()
		g.alive++
		s.mu.Unlock()
	}
	return nil
}

// Ready implements [sched.Scheduler].
func (s *turns) Ready(t *sched.Thread) {
	s.mu.Lock()
	if s.asides[t] {
		s.mu.Unlock()
		t.Resume()
		return
	}
	begun := s.begun
	if g := s.guests[t.Group()]; g == nil || s.comes != nil {
		begun = nil // another thread
	} else if begun != nil {
		s.begun = nil
	}
	s.mu.Unlock()
	s.seeded.Ready(t)
	if begun != nil {
		close(begun)
	}
}

// Block implements [sched.Scheduler].
func (s *turns) Block(t *sched.Thread, w *poll.Wait) { s.seeded.Block(t, w) }

// Yield implements [sched.Scheduler].
func (s *turns) Yield(t *sched.Thread, p sched.Point) bool {
	s.mu.Lock()
	if s.asides[t] {
		s.mu.Unlock()
		return false
	}
	g := s.guests[t.Group()]
	if g == nil || !g.paused {
		s.mu.Unlock()
		return s.seeded.Yield(t, p)
	}
	g.stopped = append(g.stopped, t)
	s.mu.Unlock()
	// It waits, and lets time pass, until unpause.
	s.seeded.Block(t, &poll.Wait{Op: "paused", Deadline: poll.NoDeadline, By: poll.ByAnyone})
	s.clock.Release()
	s.seeded.Next(t)
	return true
}

// End implements [sched.Scheduler].
func (s *turns) End(t *sched.Thread) {
	s.mu.Lock()
	if s.asides[t] {
		s.mu.Unlock()
		return
	}
	var gone func()
	if g := s.guests[t.Group()]; g != nil {
		if g.alive--; g.alive == 0 {
			delete(s.guests, g.group)
			gone = g.gone
		}
	}
	s.mu.Unlock()
	s.seeded.End(t)
	if gone != nil {
		gone()
	}
}

// Next implements [sched.Scheduler].
func (s *turns) Next(t *sched.Thread) {
	s.mu.Lock()
	aside := s.asides[t]
	delete(s.asides, t)
	s.mu.Unlock()
	if !aside {
		s.seeded.Next(t)
	}
}

// TakesTurns implements [sched.TurnTaker].
func (s *turns) TakesTurns() bool { return true }

var (
	_ sched.Scheduler = (*turns)(nil)
	_ sched.TurnTaker = (*turns)(nil)
)
