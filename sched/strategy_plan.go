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
func (p Plan) New(uint64) Picker { return &planPicker{plan: p.decisions()} }

// decisions are those of a plan, by the switch point.
type decisions map[stop]uint32

func (p Plan) decisions() decisions {
	all := make(decisions, len(p))
	for _, d := range p {
		all[stop{d.Thread, d.Stop}] = d.To
	}
	return all
}

func (d decisions) pick(at stop, c *Choice) int {
	if to, ok := d[at]; ok {
		for i, t := range c.Threads {
			if t.ID() == to {
				return i
			}
		}
	}
	return unplanned(c)
}

// Then is a strategy that follows the plan until it has come to all of its decisions, and then
// chooses as s does.
func (p Plan) Then(s Strategy) Strategy { return planThen{p, s} }

type planThen struct {
	plan Plan
	then Strategy
}

func (s planThen) New(seed uint64) Picker {
	return &thenPicker{newForwarding(s.then.New(seed)), s.plan.decisions()}
}

type thenPicker struct {
	forwarding
	plan decisions
}

func (p *thenPicker) Pick(c *Choice) int {
	if len(p.plan) == 0 {
		return p.to.Pick(c)
	}
	i := p.plan.pick(p.at(), c)
	delete(p.plan, p.at())
	return i
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
	plan decisions
}

func (p *planPicker) Pick(c *Choice) int { return p.plan.pick(p.at(), c) }

// forwarding counts switch points, and passes on to a picker what it is told.
type forwarding struct {
	stops
	to       Picker
	observer Observer // to, where it is one
}

func newForwarding(to Picker) forwarding {
	f := forwarding{to: to}
	f.observer, _ = to.(Observer)
	return f
}

func (f *forwarding) Stop(t *Thread, at Point) {
	f.stops.Stop(t, at)
	if f.observer != nil {
		f.observer.Stop(t, at)
	}
}

func (f *forwarding) Ready(t, by *Thread) {
	if f.observer != nil {
		f.observer.Ready(t, by)
	}
}

func (f *forwarding) Turn(t *Thread) {
	if f.observer != nil {
		f.observer.Turn(t)
	}
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

func (s noted) New(seed uint64) Picker { return &notedPicker{newForwarding(s.of.New(seed)), s.note} }

type notedPicker struct {
	forwarding
	note func(Note)
}

func (p *notedPicker) Pick(c *Choice) int {
	i := min(max(p.to.Pick(c), 0), len(c.Threads)-1)
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
