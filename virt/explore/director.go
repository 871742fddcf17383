package explore

import (
	"encoding/binary"
	"slices"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt/trace"
)

// director lets the threads of one run take their steps in an order that begins as given, and notes
// what each step did. It is the strategy, its picker and the observer of a scheduler, and observes
// the guest's accesses.
type director struct {
	begin []uint32 // the threads of the first steps
	sleep sleepers // before the last of them

	steps []step
	cut   int  // how many steps there were when all that could run slept: what follows is explored elsewhere; -1 for none
	over  bool // the guest has ended
	lost  bool // a thread that was to run could not

	ready   []uint32 // could run, but for the thread that has the turn
	running bool     // the last step is under way
	woken   map[uint32]wake
	spins   map[uint32]*spin
}

// wake tells how a thread became ready.
type wake struct {
	after int
	idle  bool
}

// spin finds out whether a thread waits in a loop.
type spin struct {
	seen    map[look]bool // loads since it last changed something
	repeats int           // steps since then that looked at nothing new
	yields  int           // of those, the ones that ended in a yield
	stores  []stored      // of the step that is under way
	idle    bool          // it has to let others run
}

// look is a load and what it found.
type look struct{ at, addr, value uint64 }

// stored is what memory held before a store.
type stored struct {
	trace.Access
	value uint64
}

// silent reports whether none of the stores of a step has changed anything. The guest has not
// ended.
func (s *spin) silent() bool {
	for _, w := range s.stores {
		if w.Size > 8 || valueOf(&w.Access) != w.value {
			return false
		}
	}
	return true
}

// A thread that has not changed anything lets others run when it has yielded twice, or looked at
// the same values so often. A loop that waits for another thread would else have schedules without
// end.
const (
	maxYields  = 2
	maxRepeats = 24
)

// maxSteps is how many steps of a run are noted.
const maxSteps = 100_000

func newDirector(begin []uint32, sleep sleepers) *director {
	return &director{begin: begin, sleep: sleep, cut: -1, woken: map[uint32]wake{}, spins: map[uint32]*spin{}}
}

// New implements [sched.Strategy].
func (d *director) New(uint64) sched.Picker { return d }

// Pick implements [sched.Picker].
func (d *director) Pick(c *sched.Choice) int {
	if d.over || len(d.steps) >= maxSteps {
		return firstChoice(c)
	}
	want, found := d.next()
	if !found {
		return firstChoice(c)
	}
	for i, t := range c.Threads {
		if t.ID() == want {
			return i
		}
	}
	d.lost = true
	return firstChoice(c)
}

// firstChoice lets a thread run until it waits or yields.
func firstChoice(c *sched.Choice) int {
	if c.Current && (c.Point == sched.PointYield || c.Point == sched.PointFuel) {
		return 1
	}
	return 0
}

// next decides which thread takes the next step.
func (d *director) next() (thread uint32, found bool) {
	at := len(d.steps)
	if at < len(d.begin) {
		return d.begin[at], true
	}
	if d.cut >= 0 {
		return 0, false
	}
	sleep := d.asleep()
	choices := d.lively()
	if at > 0 {
		// Who ran goes on, unless it has nothing to do.
		last := &d.steps[at-1]
		if slices.Contains(choices, last.thread) && sleep[last.thread] == nil && last.stop != sched.PointYield && last.stop != sched.PointFuel {
			return last.thread, true
		}
	}
	for _, t := range choices {
		if sleep[t] == nil && (at == 0 || t != d.steps[at-1].thread || len(choices) == 1) {
			return t, true
		}
	}
	for _, t := range choices {
		if sleep[t] == nil {
			return t, true
		}
	}
	d.cut = at
	return 0, false
}

// asleep are the sleepers before the next step.
func (d *director) asleep() sleepers {
	at := len(d.steps)
	switch {
	case at == len(d.begin)-1:
		return d.sleep
	case at < len(d.begin) || at == 0:
		return nil
	}
	last := &d.steps[at-1]
	return last.sleep.without(last.thread, &last.footprint)
}

// lively are the threads that can run and do not merely wait in a loop, or if there are none all
// that can run.
func (d *director) lively() []uint32 {
	var some []uint32
	for _, t := range d.ready {
		if s := d.spins[t]; s == nil || !s.idle {
			some = append(some, t)
		}
	}
	if some == nil {
		return slices.Clone(d.ready)
	}
	return some
}

// Stop implements [sched.Observer].
func (d *director) Stop(t *sched.Thread, p sched.Point) {
	if !d.follows(t) {
		return
	}
	d.finish(p)
	if p != sched.PointWait && p != sched.PointEnd {
		d.ready = append(d.ready, t.ID())
	}
}

// Ready implements [sched.Observer].
func (d *director) Ready(t, by *sched.Thread) {
	if !d.follows(t) {
		return
	}
	d.ready = append(d.ready, t.ID())
	w := wake{after: len(d.steps), idle: by == nil}
	if by != nil && d.running {
		last := &d.steps[len(d.steps)-1]
		last.wakes = append(last.wakes, t.ID())
	}
	d.woken[t.ID()] = w
}

// Turn implements [sched.Observer].
func (d *director) Turn(t *sched.Thread) {
	if !d.follows(t) || len(d.steps) >= maxSteps {
		return
	}
	id := t.ID()
	s := step{thread: id, enabled: d.lively(), sleep: d.asleep()}
	if !slices.Contains(s.enabled, id) {
		s.enabled = append(s.enabled, id)
	}
	if n := len(d.steps); n > 0 && d.steps[n-1].thread != id {
		last := &d.steps[n-1]
		s.keeps = slices.Contains(s.enabled, last.thread) && last.stop != sched.PointYield && last.stop != sched.PointFuel
		for other, spin := range d.spins {
			if other != id {
				spin.idle = false
			}
		}
	}
	if w, ok := d.woken[id]; ok {
		s.after, s.idle = w.after, w.idle
		delete(d.woken, id)
		if w.idle { // it may still stand in the queue that it waited in
			for i := len(d.steps) - 1; i >= 0; i-- {
				if d.steps[i].thread == id {
					for _, q := range d.steps[i].Queue {
						s.Queue = append(s.Queue, waiter{q.Addr, true})
					}
					break
				}
			}
		}
	}
	d.ready = slices.DeleteFunc(d.ready, func(t uint32) bool { return t == id })
	d.steps, d.running = append(d.steps, s), true
}

// follows reports whether what t does still belongs to the run.
func (d *director) follows(t *sched.Thread) bool {
	if !d.over && t.Ended() != nil {
		d.end()
	}
	return !d.over
}

// end notes that the guest has ended.
func (d *director) end() {
	if !d.over {
		d.finish(sched.PointEnd)
		d.over = true
	}
}

// finish ends the step that is under way.
func (d *director) finish(p sched.Point) {
	if !d.running {
		return
	}
	d.running = false
	s := &d.steps[len(d.steps)-1]
	s.stop = p
	for i := range s.Queue {
		s.Queue[i].Changed = s.Queue[i].Changed || p == sched.PointWait || len(s.wakes) > 0
	}
	state := d.spin(s.thread)
	switch {
	case p == sched.PointWait || p == sched.PointEnd || s.Call || len(s.Queue) > 0 || !state.silent():
		*state = spin{seen: map[look]bool{}}
		return
	case p == sched.PointYield || p == sched.PointFuel:
		state.yields++
	}
	state.stores = state.stores[:0]
	if state.yields >= maxYields || state.repeats >= maxRepeats {
		state.idle = true
	}
}

func (d *director) spin(thread uint32) *spin {
	s := d.spins[thread]
	if s == nil {
		s = &spin{seen: map[look]bool{}}
		d.spins[thread] = s
	}
	return s
}

// access is told of the guest's accesses.
func (d *director) access(a *trace.Access) {
	if !d.running {
		return
	}
	s := &d.steps[len(d.steps)-1]
	if s.thread != a.Thread {
		return
	}
	s.add(a)
	if a.Op.Writes() {
		state := d.spin(a.Thread)
		state.stores = append(state.stores, stored{*a, valueOf(a)})
	}
	if a.Op == trace.AccessLoad || a.Op == trace.AccessAtomic || a.Op == trace.AccessUpdate {
		l := look{uint64(a.At), a.Addr, valueOf(a)}
		if state := d.spin(a.Thread); state.seen[l] {
			state.repeats++
		} else {
			state.seen[l], state.repeats = true, 0
		}
	}
}

// valueOf is what lies in memory where an access goes to, up to 8 bytes of it.
func valueOf(a *trace.Access) uint64 {
	var b [8]byte
	if end := a.Addr + a.Size; end <= uint64(len(a.Memory)) {
		copy(b[:min(a.Size, 8)], a.Memory[a.Addr:end])
	}
	return binary.LittleEndian.Uint64(b[:])
}
