package explore

import (
	"cmp"
	"slices"

	"github.com/wasivirt/wasivirt/sched"
)

// race is a pair of steps of different threads that conflict and could as well have come in the
// other order: nothing between them orders them.
type race struct{ first, second int }

// history is the steps of a run with the order that conflicts give them: its Mazurkiewicz trace.
type history struct {
	steps  []step
	place  []int          // of each step among those of its thread, from 1
	clocks [][]int        // of each step: how many steps of each thread happen before it, itself included
	index  map[uint32]int // of a thread in the clocks
}

// newHistory orders the steps of a run, and finds its races: those whose second step is not before
// from.
func newHistory(steps []step, from int) (*history, []race) {
	h := &history{steps: steps, place: make([]int, len(steps)), clocks: make([][]int, len(steps)), index: map[uint32]int{}}
	for i := range steps {
		if _, ok := h.index[steps[i].thread]; !ok {
			h.index[steps[i].thread] = len(h.index)
		}
	}
	n := len(h.index)
	counts, last := make([]int, n), make([]int, n)
	for i := range last {
		last[i] = -1
	}
	seen := newSeen()
	all := make([]int, n*len(steps))
	var races []race
	var candidates []int
	for j := range steps {
		s := &steps[j]
		me := h.index[s.thread]
		clock := all[j*n : (j+1)*n : (j+1)*n]
		if p := last[me]; p >= 0 {
			copy(clock, h.clocks[p])
		}
		if s.idle && s.after > 0 {
			for t := range clock {
				clock[t] = max(clock[t], seen.before(h, t, s.after))
			}
		} else if s.after > 0 {
			join(clock, h.clocks[s.after-1])
		}
		// The latest step of each other thread that conflicts, the latest first: one that is
		// ordered by then is no race.
		candidates = seen.conflicts(candidates[:0], h, j)
		for _, i := range candidates {
			t := h.index[steps[i].thread]
			if clock[t] >= h.place[i] {
				continue
			}
			if j >= from {
				races = append(races, race{i, j})
			}
			join(clock, h.clocks[i])
		}
		counts[me]++
		h.place[j], clock[me] = counts[me], counts[me]
		h.clocks[j], last[me] = clock, j
		seen.add(h, j)
	}
	return h, races
}

func join(clock, other []int) {
	for i, n := range other {
		clock[i] = max(clock[i], n)
	}
}

// before reports whether step i happens before step j, or is it.
func (h *history) before(i, j int) bool {
	return h.clocks[j][h.index[h.steps[i].thread]] >= h.place[i]
}

// initials are the threads that can begin, where the first step of a race was taken, a way to what
// the second did: those whose first step among the steps that do not happen after it depends on no
// other of them.
func (h *history) initials(r race) (threads []uint32) {
	first := make([]int, len(h.index)) // place of the first such step of each thread
	var heads []int
	for k := r.first + 1; k <= r.second; k++ {
		if h.before(r.first, k) && k != r.second {
			continue
		}
		t := h.index[h.steps[k].thread]
		if first[t] == 0 {
			first[t] = h.place[k]
			heads = append(heads, k)
		}
	}
	for _, k := range heads {
		free := true
		for _, o := range heads {
			if o != k && h.before(o, k) {
				free = false
			}
		}
		if free {
			threads = append(threads, h.steps[k].thread)
		}
	}
	return threads
}

// seen finds the steps that a step may conflict with.
type seen struct {
	memory map[uint64][]last // by 8 bytes
	wide   []int             // steps that accessed so much that they are looked through
	queues map[uint64][]int
	calls  []int
	ticks  []int
	marked map[int]bool
}

// last is a step's access to some bytes.
type last struct {
	step int
	span
}

// wideSpan is from how many bytes on an access is not noted by its places.
const wideSpan = 512

func newSeen() *seen {
	return &seen{memory: map[uint64][]last{}, queues: map[uint64][]int{}, marked: map[int]bool{}}
}

// add notes step j.
func (s *seen) add(h *history, j int) {
	f := &h.steps[j].footprint
	thread := h.steps[j].thread
	wide := false
	for _, p := range f.Spans {
		if p.High-p.Low >= wideSpan {
			wide = true
			continue
		}
		for at := p.Low / 8; at <= (p.High-1)/8; at++ {
			list := s.memory[at]
			kept := list[:0]
			for _, l := range list {
				// What conflicts with the earlier access conflicts with the later one, which comes
				// after it.
				if covered := p.Low <= l.Low && l.High <= p.High && (p.Write || !l.Write); !covered || h.steps[l.step].thread != thread {
					kept = append(kept, l)
				}
			}
			s.memory[at] = append(kept, last{j, p})
		}
	}
	if wide {
		s.wide = append(s.wide, j)
	}
	for _, q := range f.Queue {
		s.queues[q.Addr] = append(s.queues[q.Addr], j)
	}
	if f.Call {
		s.calls = append(s.calls, j)
	}
	if f.Tick {
		s.ticks = append(s.ticks, j)
	}
}

// conflicts returns the steps of other threads that step j conflicts with, the latest of each
// thread among them, the latest first.
func (s *seen) conflicts(to []int, h *history, j int) []int {
	me := &h.steps[j]
	clear(s.marked)
	note := func(i int) {
		if h.steps[i].thread != me.thread && !s.marked[i] {
			s.marked[i] = true
			if me.conflicts(&h.steps[i].footprint) {
				to = append(to, i)
			}
		}
	}
	some := func(list []int) {
		for _, i := range list {
			note(i)
		}
	}
	for _, p := range me.Spans {
		if p.High-p.Low >= wideSpan {
			for i := range j {
				note(i)
			}
			continue
		}
		for at := p.Low / 8; at <= (p.High-1)/8; at++ {
			for _, l := range s.memory[at] {
				if l.Write || p.Write {
					note(l.step)
				}
			}
		}
	}
	if len(me.Spans) > 0 {
		some(s.wide)
	}
	for _, q := range me.Queue {
		some(s.queues[q.Addr])
	}
	if me.Call {
		some(s.calls[max(0, len(s.calls)-1):]) // which the others happen before
	}
	if me.Timed {
		some(s.ticks)
	}
	if me.Tick {
		some(s.calls)
	}
	slices.SortFunc(to, func(a, b int) int { return cmp.Compare(b, a) })
	return to
}

// before is how many steps thread t of the clocks had taken before step number after.
func (s *seen) before(h *history, t, after int) int {
	for i := after - 1; i >= 0; i-- {
		if h.index[h.steps[i].thread] == t {
			return h.place[i]
		}
	}
	return 0
}

// preempts reports whether taking a step by thread at a state is a preemption.
func preempts(before *move, enabled []uint32, thread uint32) bool {
	return before != nil && before.thread != thread && slices.Contains(enabled, before.thread) &&
		before.stop != sched.PointYield && before.stop != sched.PointFuel
}
