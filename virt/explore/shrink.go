package explore

import (
	"context"
	"fmt"
	"slices"

	"github.com/wasivirt/wasivirt/sched"
)

// Schedule is a way to give threads their turns.
type Schedule struct {
	// Seed and Choices bring it about: a scheduler of that seed that runs threads until they wait
	// (sched.RunToBlock(0)) and whose first choices are these.
	Seed    uint64
	Choices []uint32
	// Switches are those that happen, of the run's main thread to its last, in order.
	Switches []Switch
	// Before is how many switches the run had that was shrunk.
	Before int
}

// Switch is a moment at which the turn went from one thread to another.
type Switch struct {
	// Step counts the choices of the run; where there was no choice it is that of the next.
	Step uint64
	// From stopped at Point, and To went on. 0 is the first thread.
	From, To uint32
	Point    sched.Point
	// Forced is set where From could have gone on.
	Forced bool
}

// String returns "thread 1 stops before an access, thread 2 goes on".
func (s Switch) String() string {
	why := map[sched.Point]string{
		sched.PointCall: "is stopped after a call", sched.PointYield: "yields", sched.PointFuel: "is stopped while it computes",
		sched.PointNotify: "is stopped after a notify", sched.PointSpawn: "is stopped after a spawn",
		sched.PointAccess: "is stopped before an access to memory", sched.PointWait: "waits", sched.PointEnd: "ends",
	}[s.Point]
	return fmt.Sprintf("thread %d %s, thread %d goes on", s.From, why, s.To)
}

// lines tells the schedule for people.
func (s *Schedule) lines() []string {
	lines := []string{fmt.Sprintf("%d switches, from %d:", len(s.Switches), s.Before)}
	const most = 60
	for i, sw := range s.Switches {
		if i == most {
			return append(lines, fmt.Sprintf("… and %d more", len(s.Switches)-most))
		}
		lines = append(lines, fmt.Sprintf("%6d  %v", sw.Step, sw))
	}
	return lines
}

// shrinker looks for a shorter schedule of one outcome.
type shrinker struct {
	*explorer
	ctx  context.Context
	of   *Outcome
	left int
	err  error
}

// fuelOfRun is how much fuel a run of the budget of shrinking pays for: one that takes more counts as several.
const fuelOfRun = 2_000_000

// try makes a run and takes it from the budget.
func (s *shrinker) try(c sched.SeededConfig) *ran {
	if s.left <= 0 || s.err != nil {
		return nil
	}
	r, err := s.run(s.ctx, s.of.Seed, c)
	if err != nil {
		s.err = err
		return nil
	}
	s.left -= 1 + int(r.fuel/fuelOfRun)
	return r
}

// shrink looks for the schedule with the fewest choices that leads to the outcome when after them threads run until
// they wait. It tries no choice, one, and two, in order; with what is left of the runs it shortens the
// schedule that the lowest seed had. A few choices tell more than many, however they were found.
func (e *explorer) shrink(ctx context.Context, o *Outcome) (*Schedule, error) {
	found := sched.SeededConfig{Strategy: e.Strategy}
	if o.Choices != nil {
		found = sched.SeededConfig{Strategy: sched.RunToBlock(0), Choices: o.Choices}
	}
	before, choices, err := e.trace(ctx, o, found)
	if err != nil {
		return nil, err
	}
	s := &shrinker{explorer: e, ctx: ctx, of: o, left: e.ShrinkRuns / 2}
	few, short := s.few()
	if !short {
		s.left += e.ShrinkRuns / 2
		// The choices are complete, so that what follows them decides nothing: they all lead to the outcome.
		few = s.withoutSome(s.prefix(choices))
	}
	if s.err != nil {
		return nil, s.err
	}
	after, _, err := e.trace(ctx, o, sched.SeededConfig{Strategy: sched.RunToBlock(0), Choices: few})
	if err != nil {
		return nil, err
	}
	return &Schedule{Seed: o.Seed, Choices: few, Switches: after, Before: len(before)}, nil
}

// few tries schedules with at most two choices that are not 0, the early ones first.
func (s *shrinker) few() (choices []uint32, found bool) {
	if s.leads(nil) {
		return nil, true
	}
	base := s.alternatives(nil)
	var tried [][]uint32
	for at, of := range base {
		for k := uint32(1); k < of; k++ {
			one := append(make([]uint32, at), k)
			if s.leads(one) {
				return one, true
			}
			tried = append(tried, one)
		}
	}
	for _, one := range tried {
		all := s.alternatives(one)
		for at := len(one); at < len(all) && s.left > 0; at++ {
			for k := uint32(1); k < all[at]; k++ {
				two := append(append(slices.Clone(one), make([]uint32, at-len(one))...), k)
				if s.leads(two) {
					return two, true
				}
			}
		}
	}
	return nil, false
}

// alternatives returns among how many threads each choice was, in a run that begins with choices and else has zeros.
func (s *shrinker) alternatives(choices []uint32) (of []uint32) {
	s.try(sched.SeededConfig{Strategy: sched.RunToBlock(0), Choices: choices, OnSwitch: func(w sched.Switch) {
		if w.Of > 1 {
			of = append(of, uint32(w.Of))
		}
	}})
	return of
}

// trace runs the outcome's seed and returns the switches and choices.
func (e *explorer) trace(ctx context.Context, o *Outcome, c sched.SeededConfig) ([]Switch, []uint32, error) {
	var switches []Switch
	c.Keep = true
	c.OnSwitch = func(s sched.Switch) {
		if s.From != nil && s.From != s.To && s.To.Ended() == nil {
			forced := s.Choice > 0 && s.Point != sched.PointWait && s.Point != sched.PointEnd && s.Point != sched.PointIdle
			switches = append(switches, Switch{Step: s.Step, From: s.From.ID(), To: s.To.ID(), Point: s.Point, Forced: forced})
		}
	}
	r, err := e.run(ctx, o.Seed, c)
	if err == nil && (r.what != o.What || r.output != o.Output) {
		err = fmt.Errorf("explore: seed %d ended with %s the first time and with %s the second: the guest's world is not deterministic", o.Seed, o.What, r.what)
	}
	if err != nil {
		return nil, nil, err
	}
	return switches, r.scheduler.Choices(), nil
}

// leads reports whether choices lead to the outcome.
func (s *shrinker) leads(choices []uint32) bool {
	r := s.try(sched.SeededConfig{Strategy: sched.RunToBlock(0), Choices: choices})
	return r != nil && r.what == s.of.What && r.output == s.of.Output
}

// prefix returns the shortest beginning that leads to the outcome. A longer one nearly always does as well, which
// bisection takes for granted; all that it returns was tried.
func (s *shrinker) prefix(choices []uint32) []uint32 {
	low, high := 0, len(choices)
	for low < high {
		if mid := (low + high) / 2; s.leads(choices[:mid]) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return choices[:high]
}

// withoutSome makes choices keep the thread that has the turn, by halves, quarters and so on, as long as that leads to
// the outcome.
func (s *shrinker) withoutSome(choices []uint32) []uint32 {
	best := slices.Clone(choices)
	var set []int
	for i, c := range best {
		if c != 0 {
			set = append(set, i)
		}
	}
	for size := (len(set) + 1) / 2; size > 0 && len(set) > 0; {
		removed := false
		for at := 0; at < len(set); {
			group := set[at:min(at+size, len(set))]
			try := slices.Clone(best)
			for _, i := range group {
				try[i] = 0
			}
			if s.leads(try) {
				best, removed = try, true
				set = slices.Delete(set, at, at+len(group))
			} else {
				at += size
			}
		}
		if size == 1 && !removed {
			break
		}
		size = max(1, size/2)
	}
	return s.prefix(best)
}
