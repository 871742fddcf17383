package sched

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Seeded runs one thread at a time among all its groups and draws the next one from a seed. If the
// groups share a virtual clock and nothing outside wakes their threads, all runs with the same seed
// are the same.
//
// If all threads wait for each other without a deadline, Seeded ends their guests with a
// DeadlockError, unless host code may end a wait; see poll.Reach and Group.External.
type Seeded struct {
	config   SeededConfig
	picker   Picker
	observer Observer // the picker, where it is one

	mu       sync.Mutex
	waits    waitTable
	spawned  int
	current  *Thread   // has the turn
	leaving  *Thread   // has blocked or ended but not called Next; nobody has the turn
	last     Point     // how the last turn ended
	from     *Thread   // who had it
	ready    []*Thread // can run, in the order in which they became ready
	queued   atomic.Int32
	paused   int
	settlers []settler // the clocks of the groups
	step     uint64
	threads  []*Thread // room for Choice.Threads
	choice   Choice    // handed to the picker, here so that it is not allocated
	choices  []byte    // as encode says
	kept     uint64    // zeros not in choices yet
}

// SeededConfig describes a Seeded.
type SeededConfig struct {
	Seed uint64
	// Strategy is how to choose; nil is Uniform.
	Strategy Strategy
	// Choices replace the first choices of the strategy, so that the choices of a run repeat it.
	// The strategy is asked nevertheless. A number that is too large means the largest possible.
	Choices []uint32
	// Keep makes Seeded.Choices return the choices. It costs about a byte for each choice that is
	// not 0.
	Keep bool
	// MaxThreads is how many threads besides main threads may be alive, in all groups; 0 is no
	// limit.
	MaxThreads int
	// OnSwitch, if not nil, is called for every choice, and each time that the turn goes to another
	// thread, before that one runs. It must not call the scheduler, threads or groups.
	OnSwitch func(Switch)
	// IgnoreDeadlock turns off the search for deadlocks: such threads wait until their guest is
	// ended.
	IgnoreDeadlock bool
}

// Switch describes how the turn went from one thread to another.
type Switch struct {
	Step   uint64  // how many choices came before
	Point  Point   // where From was
	From   *Thread // nil if nobody had the turn yet
	To     *Thread // From if it kept the turn
	Of     int     // among how many To was chosen; no choice if it is 1
	Choice uint32  // the number of the choice; 0 keeps the turn where From can
}

// Observer is implemented by a Picker that follows everything that the threads of a Seeded do, not
// only the choices: which thread has the turn, and which can run. The methods are called one at a
// time. They may call accessors of threads and groups, nothing else of them or of the scheduler.
type Observer interface {
	// Stop says that t, which had the turn, is at a switch point.
	Stop(t *Thread, p Point)
	// Ready says that t, new or woken, can run. by is the thread that has the turn, nil if there is
	// none: then time, or host code, has woken it.
	Ready(t, by *Thread)
	// Turn says that t gets or keeps the turn.
	Turn(t *Thread)
}

// NewSeeded returns a Seeded.
func NewSeeded(c SeededConfig) *Seeded {
	if c.Strategy == nil {
		c.Strategy = Uniform()
	}
	s := &Seeded{config: c, picker: c.Strategy.New(c.Seed), last: PointIdle}
	s.observer, _ = s.picker.(Observer)
	return s
}

// Pause gives no thread the turn until resume is called. A thread that has the turn runs to its
// next switch point. Pause before you start several guests, so that all of them exist when the
// first choice is made. Calls are counted.
func (s *Seeded) Pause() (resume func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused++
	var once sync.Once
	return func() {
		once.Do(func() {
			s.mu.Lock()
			s.paused--
			s.mu.Unlock()
			s.Next(nil)
		})
	}
}

// Steps returns how many choices were made.
func (s *Seeded) Steps() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.step
}

// Choices returns the choices that were made. It is empty unless SeededConfig.Keep is set.
func (s *Seeded) Choices() []uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []uint32
	zeros := func(n uint64) {
		for range n {
			list = append(list, 0)
		}
	}
	for b := s.choices; len(b) > 0; {
		n, size := binary.Uvarint(b)
		choice, more := binary.Uvarint(b[size:])
		b = b[size+more:]
		zeros(n)
		list = append(list, uint32(choice))
	}
	zeros(s.kept)
	return list
}

// encode keeps a choice. Most are 0 with most strategies, so that what is stored is pairs of
// varints: how many zeros, then what is not.
func (s *Seeded) encode(choice uint32) {
	if choice == 0 {
		s.kept++
		return
	}
	s.choices = binary.AppendUvarint(s.choices, s.kept)
	s.choices = binary.AppendUvarint(s.choices, uint64(choice))
	s.kept = 0
}

// TakesTurns implements [TurnTaker]: one thread runs at a time.
func (s *Seeded) TakesTurns() bool { return true }

// Start implements Scheduler.
func (s *Seeded) Start(t *Thread) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.main {
		if s.config.MaxThreads > 0 && s.spawned >= s.config.MaxThreads {
			return wasip1.EAGAIN
		}
		s.spawned++
	}
	// A clock that fires several timers at one moment wakes threads one after the other. If
	// nobody runs then, the choice is put off until all of them are ready.
	if c := t.group.settler; c != nil && !slices.Contains(s.settlers, c) {
		s.settlers = append(s.settlers, c)
		c.OnSettle(func() { s.Next(nil) })
	}
	t.rank = 0
	s.waits.start(t)
	return nil
}

// Ready implements Scheduler.
func (s *Seeded) Ready(t *Thread) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits.ready(t)
	s.push(t)
	if o := s.observer; o != nil {
		o.Ready(t, s.current)
	}
	s.dispatch()
}

// Block implements Scheduler.
func (s *Seeded) Block(t *Thread, w *poll.Wait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits.block(t, w)
	s.stopped(t, PointWait)
	s.leave(t, PointWait)
}

// End implements Scheduler.
func (s *Seeded) End(t *Thread) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits.end(t)
	if !t.main {
		s.spawned--
	}
	s.stopped(t, PointEnd)
	s.leave(t, PointEnd)
}

// stopped tells the observer.
func (s *Seeded) stopped(t *Thread, p Point) {
	if o := s.observer; o != nil {
		o.Stop(t, p)
	}
}

func (s *Seeded) leave(t *Thread, p Point) {
	s.current, s.leaving, s.from, s.last = nil, t, t, p
}

// Next implements Scheduler.
func (s *Seeded) Next(t *Thread) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving != t && s.leaving != nil {
		return // it calls Next itself, when all that its leaving wakes is ready
	}
	if !s.config.IgnoreDeadlock && s.current == nil && !s.firing() {
		if dead := s.waits.deadlocked(t); dead != nil {
			// All are woken before one is chosen.
			s.paused++
			s.mu.Unlock()
			endDeadlocked(dead)
			s.mu.Lock()
			s.paused--
		}
	}
	s.leaving = nil
	s.dispatch()
}

// Yield implements Scheduler. Every point is a switch point.
func (s *Seeded) Yield(t *Thread, p Point) bool {
	if s.queued.Load() == 0 && s.observer == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped(t, p)
	if len(s.ready) == 0 {
		s.turn(t)
		return false
	}
	if s.paused > 0 {
		s.current, s.from, s.last = nil, t, p
		s.push(t)
		return true
	}
	s.threads = append(append(s.threads[:0], t), s.ready...)
	i := s.choose(p, t, true)
	if i == 0 {
		s.turn(t)
		return false
	}
	next := s.take(i - 1)
	s.push(t)
	s.from, s.last = t, p
	s.give(next)
	return true
}

func (s *Seeded) push(t *Thread) {
	s.ready = append(s.ready, t)
	s.queued.Store(int32(len(s.ready)))
}

// take removes the i-th of those ready.
func (s *Seeded) take(i int) *Thread {
	t := s.ready[i]
	last := len(s.ready) - 1
	copy(s.ready[i:], s.ready[i+1:])
	s.ready[last] = nil
	s.ready = s.ready[:last]
	s.queued.Store(int32(last))
	return t
}

func (s *Seeded) give(t *Thread) {
	s.current = t
	s.turn(t)
	t.Resume()
}

// turn tells the observer.
func (s *Seeded) turn(t *Thread) {
	if o := s.observer; o != nil {
		o.Turn(t)
	}
}

// dispatch gives the turn to one of those ready if nobody has it.
func (s *Seeded) dispatch() {
	if s.current != nil || s.leaving != nil || s.paused > 0 || len(s.ready) == 0 || s.firing() {
		return
	}
	s.threads = append(s.threads[:0], s.ready...)
	s.give(s.take(s.choose(s.last, s.from, false)))
}

// firing reports whether a clock is just waking threads. It calls Next when it has done so.
func (s *Seeded) firing() bool {
	for _, c := range s.settlers {
		if c.Firing() {
			return true
		}
	}
	return false
}

// choose returns an index into s.threads.
func (s *Seeded) choose(p Point, from *Thread, current bool) int {
	i, of := 0, len(s.threads)
	step := s.step
	if of > 1 {
		s.choice = Choice{Step: step, Point: p, Threads: s.threads, Current: current}
		i = s.picker.Pick(&s.choice)
		if step < uint64(len(s.config.Choices)) {
			i = int(min(s.config.Choices[step], math.MaxInt32))
		}
		i = min(max(i, 0), of-1)
		if s.config.Keep {
			s.encode(uint32(i))
		}
		s.step++
	}
	if s.config.OnSwitch != nil && (of > 1 || s.threads[i] != from) {
		s.config.OnSwitch(Switch{Step: step, Point: p, From: from, To: s.threads[i], Of: of, Choice: uint32(i)})
	}
	return i
}

var _ Scheduler = (*Seeded)(nil)
