package explore

import (
	"context"
	"fmt"
	"slices"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
)

// Schedule is an order in which threads get their turns.
type Schedule struct {
	// Seed and Plan repeat the schedule: run that seed with the Plan as strategy.
	Seed uint64
	Plan sched.Plan
	// Punctual is set if the run needs no late timers.
	Punctual bool
	// Switches lists the switches of the run in order.
	Switches []Switch
	// Before is the number of switches before shortening. Runs is the number of runs that
	// shortening took.
	Before, Runs int
	// Story tells what happens.
	Story *Story
	// Threads is the number of threads, Choices the number of choices among several threads. With
	// the number of the Plan's decisions they give the probability that strategy PCT finds the
	// schedule.
	Threads, Choices int
	// Minimal is true if leaving out any one of the Plan's decisions changes the outcome.
	Minimal bool
}

// Switch is a moment at which the turn went from one thread to another.
type Switch struct {
	// Step is the number of the run's choice, or of the next choice if there was none here.
	Step uint64
	// From stopped at Point, and To went on. 0 is the first thread.
	From, To uint32
	Point    sched.Point
	// Forced is true if From could have gone on.
	Forced bool
}

// String returns "thread 1 stops before an access, thread 2 goes on".
func (s Switch) String() string {
	return fmt.Sprintf("thread %d %s, thread %d goes on", s.From, stopped(s.Point), s.To)
}

// stopped says where a thread stops.
func stopped(p sched.Point) string {
	switch p {
	case sched.PointCall:
		return "is stopped after a call"
	case sched.PointYield:
		return "yields"
	case sched.PointFuel:
		return "is stopped while it computes"
	case sched.PointNotify:
		return "is stopped after a notify"
	case sched.PointSpawn:
		return "is stopped after a spawn"
	case sched.PointAccess:
		return "is stopped before an access to memory"
	case sched.PointWait:
		return "waits"
	case sched.PointEnd:
		return "ends"
	}
	return "has not begun"
}

// shrinker looks for a shorter schedule of one outcome.
type shrinker struct {
	*explorer
	ctx      context.Context
	of       *Outcome
	punctual bool
	runs     int
	left     int
	err      error
}

// fuelOfRun is how much fuel a run of the budget of shrinking pays for: one that takes more counts
// as several.
const fuelOfRun = 2_000_000

// leads reports whether a plan leads to the outcome, and takes the run from the budget.
func (s *shrinker) leads(plan sched.Plan, punctual bool) bool {
	if s.left <= 0 || s.err != nil {
		return false
	}
	r, err := s.runTimed(s.ctx, s.of.Seed, sched.SeededConfig{Strategy: plan}, punctual)
	if err != nil {
		s.err = err
		return false
	}
	s.runs++
	s.left -= 1 + int(r.fuel/fuelOfRun)
	return r.what == s.of.What && r.output == s.of.Output
}

// shrink looks for the fewest decisions that lead to the outcome when else threads run until they
// wait. Decisions are named by a thread and how far it is, so that taking some away leaves the
// others what they are.
func (e *explorer) shrink(ctx context.Context, o *Outcome) (*Schedule, error) {
	var plan sched.Plan
	found, how := e.found(o)
	found.Strategy = sched.Noted(found.Strategy, func(n sched.Note) {
		if n.Needed {
			plan = append(plan, n.Decision)
		}
	})
	before, err := e.trace(ctx, o, found, e.PunctualTimers, nil, how...)
	if err != nil {
		return nil, err
	}
	s := &shrinker{explorer: e, ctx: ctx, of: o, left: e.ShrinkRuns, punctual: e.PunctualTimers}
	if !s.punctual && s.leads(plan, true) {
		s.punctual = true
	}
	minimal := false
	if s.leads(nil, s.punctual) {
		plan, minimal = nil, true
	} else {
		if plan, minimal = s.fewer(plan); len(plan) > 1 {
			if few := s.few(len(plan) > 2); few != nil {
				plan, minimal = few, true
			}
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	tell := newTeller(e.MemoryModel)
	after, err := e.trace(ctx, o, sched.SeededConfig{Strategy: plan}, s.punctual, tell)
	if err != nil {
		return nil, err
	}
	choices := 0
	if len(after) > 0 {
		choices = int(after[len(after)-1].Step) + 1
	}
	story := tell.tell(newNames(e.Wasm))
	return &Schedule{Story: story, Threads: len(story.Threads), Choices: choices, Seed: o.Seed, Plan: plan, Punctual: s.punctual, Switches: after, Before: len(before), Runs: s.runs, Minimal: minimal}, nil
}

// found says how the run of an outcome is made again.
func (e *explorer) found(o *Outcome) (sched.SeededConfig, []virt.GuestOption) {
	switch {
	case o.Order != nil:
		d := newDirector(o.Order, nil)
		return sched.SeededConfig{Strategy: d}, []virt.GuestOption{virt.WithAccessObserver(d.access)}
	case o.Plan != nil:
		return sched.SeededConfig{Strategy: o.Plan}, nil
	}
	return sched.SeededConfig{Strategy: e.Strategy}, nil
}

// fewer takes decisions away, by halves, quarters and so on, as long as the rest leads to the
// outcome (Zeller's ddmin). It reports whether none of those left can be taken away.
func (s *shrinker) fewer(plan sched.Plan) (_ sched.Plan, minimal bool) {
	for parts := 2; len(plan) > 0; {
		parts = min(parts, len(plan))
		size := (len(plan) + parts - 1) / parts
		smaller := sched.Plan(nil)
		for at := 0; at < len(plan) && smaller == nil; at += size {
			if part := plan[at:min(at+size, len(plan))]; parts > 1 && len(part) < len(plan) && s.leads(part, s.punctual) {
				smaller, parts = slices.Clone(part), 2
			}
		}
		for at := 0; at < len(plan) && smaller == nil; at += size {
			if rest := slices.Concat(plan[:at], plan[min(at+size, len(plan)):]); s.leads(rest, s.punctual) {
				smaller, parts = rest, max(parts-1, 2)
			}
		}
		switch {
		case smaller != nil:
			plan = smaller
		case size == 1:
			return plan, s.left > 0
		case s.left <= 0:
			return plan, false
		default:
			parts *= 2
		}
	}
	return plan, true
}

// few looks for a plan of one decision, or of two, those that come early first.
func (s *shrinker) few(two bool) sched.Plan {
	ones := s.alternatives(nil)
	for _, d := range ones {
		if plan := (sched.Plan{d}); s.leads(plan, s.punctual) {
			return plan
		}
	}
	for i := 0; two && i < len(ones) && s.left > 0; i++ {
		for _, d := range s.alternatives(sched.Plan{ones[i]}) {
			if plan := (sched.Plan{ones[i], d}); s.leads(plan, s.punctual) {
				return plan
			}
		}
	}
	return nil
}

// alternatives are the decisions that a plan can be given more, behind its last.
func (s *shrinker) alternatives(plan sched.Plan) (more []sched.Decision) {
	behind := len(plan) == 0
	strategy := sched.Noted(plan, func(n sched.Note) {
		for _, to := range n.Others {
			if behind {
				more = append(more, sched.Decision{Thread: n.Thread, Stop: n.Stop, To: to})
			}
		}
		behind = behind || n.Decision == plan[len(plan)-1]
	})
	if s.left <= 0 || s.err != nil {
		return nil
	}
	_, s.err = s.runTimed(s.ctx, s.of.Seed, sched.SeededConfig{Strategy: strategy}, s.punctual)
	s.runs++
	s.left--
	return more
}

// trace makes a run that has to end as the outcome did, and returns its switches.
func (e *explorer) trace(ctx context.Context, o *Outcome, c sched.SeededConfig, punctual bool, tell *teller, opts ...virt.GuestOption) ([]Switch, error) {
	if tell != nil {
		opts = append(opts, virt.WithAccessObserver(tell.access))
		c.Strategy = watched{c.Strategy, tell}
	}
	var switches []Switch
	c.OnSwitch = func(s sched.Switch) {
		if s.From != nil && s.From != s.To && s.To.Ended() == nil {
			w := switchOf(s)
			switches = append(switches, w)
			if tell != nil {
				tell.switched(w)
			}
		}
	}
	r, err := e.runTimed(ctx, o.Seed, c, punctual, opts...)
	if err == nil && (r.what != o.What || r.output != o.Output) {
		err = fmt.Errorf("explore: seed %d ended with %s the first time and with %s the second: the guest's world is not deterministic", o.Seed, o.What, r.what)
	}
	if tell != nil && err == nil {
		tell.result = r.result
	}
	return switches, err
}
