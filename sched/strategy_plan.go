package sched

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Decision is one choice of a Plan: which thread goes on when a thread reaches a switch point. It
// names the thread and counts that thread's own switch points, so that it keeps its meaning if
// other decisions are removed.
type Decision struct {
	Thread uint32 // that had the turn
	Stop   uint64 // which of its switch points it is, from 1; waits and its end count too
	To     uint32 // the thread that gets the turn
}

// String returns the form "1@5>2": when thread 1 reaches its fifth switch point, thread 2 goes on.
func (d Decision) String() string { return fmt.Sprintf("%d@%d>%d", d.Thread, d.Stop, d.To) }

// Plan is a schedule of one guest's threads, and a Strategy. A thread runs until it waits, yields
// or uses up its slice of fuel, or until a decision takes the turn away. If no decision says which
// thread is next, it is the one that became ready first. A decision for a thread that cannot run is
// ignored.
type Plan []Decision

// String returns the decisions with commas between them.
func (p Plan) String() string {
	words := make([]string, len(p))
	for i, d := range p {
		words[i] = d.String()
	}
	return strings.Join(words, ",")
}

// ParsePlan reads what [Plan.String] writes.
func ParsePlan(s string) (Plan, error) {
	plan := Plan{}
	if s == "" {
		return plan, nil
	}
	for word := range strings.SplitSeq(s, ",") {
		thread, rest, _ := strings.Cut(word, "@")
		stop, to, _ := strings.Cut(rest, ">")
		a, err := strconv.ParseUint(thread, 10, 32)
		n, e := strconv.ParseUint(stop, 10, 64)
		b, f := strconv.ParseUint(to, 10, 32)
		if err = cmp.Or(err, e, f); err != nil {
			return nil, fmt.Errorf("plan %q: %q: want THREAD@STOP>THREAD, such as 1@5>2", s, word)
		}
		plan = append(plan, Decision{uint32(a), n, uint32(b)})
	}
	return plan, nil
}

// New implements [Strategy].
func (p Plan) New(uint64) Picker {
	k := &planPicker{plan: make(map[stop]uint32, len(p))}
	for _, d := range p {
		k.plan[stop{d.Thread, d.Stop}] = d.To
	}
	return k
}

// stop is a switch point of a thread.
type stop struct {
	thread uint32
	n      uint64
}

// stops counts the switch points of each thread. It implements [Observer].
type stops struct {
	counts []uint64
	last   uint32 // the thread that came to one last
}

func (s *stops) Stop(t *Thread, _ Point) {
	s.last = t.ID()
	for uint32(len(s.counts)) <= s.last && s.last < 1<<16 {
		s.counts = append(s.counts, 0)
	}
	if s.last < uint32(len(s.counts)) {
		s.counts[s.last]++
	}
}

func (s *stops) Ready(_, _ *Thread) {}
func (s *stops) Turn(*Thread)       {}

// at is the switch point that was come to last.
func (s *stops) at() stop {
	if s.last >= uint32(len(s.counts)) {
		return stop{}
	}
	return stop{s.last, s.counts[s.last]}
}

type planPicker struct {
	stops
	plan map[stop]uint32
}

func (p *planPicker) Pick(c *Choice) int {
	if to, ok := p.plan[p.at()]; ok {
		for i, t := range c.Threads {
			if t.ID() == to {
				return i
			}
		}
	}
	return unplanned(c)
}

// unplanned is who goes on where no decision says it.
func unplanned(c *Choice) int {
	if c.Current && (c.Point == PointYield || c.Point == PointFuel) {
		return 1
	}
	return 0
}

// Noted returns a strategy that chooses as s does and calls note with each choice.
func Noted(s Strategy, note func(Note)) Strategy { return noted{s, note} }

// Note describes a choice in the form of a Plan's decision.
type Note struct {
	Decision
	// Needed is true if a plan needs this decision to choose so.
	Needed bool
	// Others are the threads that could have got the turn as well.
	Others []uint32
}

type noted struct {
	of   Strategy
	note func(Note)
}

func (s noted) New(seed uint64) Picker {
	k := &notedPicker{of: s.of.New(seed), note: s.note}
	k.observer, _ = k.of.(Observer)
	return k
}

type notedPicker struct {
	stops
	of       Picker
	observer Observer // of, where it is one
	note     func(Note)
}

func (p *notedPicker) Stop(t *Thread, at Point) {
	p.stops.Stop(t, at)
	if p.observer != nil {
		p.observer.Stop(t, at)
	}
}

func (p *notedPicker) Ready(t, by *Thread) {
	if p.observer != nil {
		p.observer.Ready(t, by)
	}
}

func (p *notedPicker) Turn(t *Thread) {
	if p.observer != nil {
		p.observer.Turn(t)
	}
}

func (p *notedPicker) Pick(c *Choice) int {
	i := min(max(p.of.Pick(c), 0), len(c.Threads)-1)
	if at := p.at(); at.n > 0 {
		n := Note{Decision: Decision{at.thread, at.n, c.Threads[i].ID()}, Needed: i != unplanned(c)}
		for k, t := range c.Threads {
			if k != i {
				n.Others = append(n.Others, t.ID())
			}
		}
		p.note(n)
	}
	return i
}
