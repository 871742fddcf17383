package explore

import (
	"context"
	"fmt"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/wasivirt/wasivirt/sched"
)

// Proof tells how far a systematic exploration came.
type Proof struct {
	// Complete is set if every schedule of the program was run: none has another outcome, in this world. A schedule
	// says who is next at each switch point; a thread that yields, or has used up its slice of fuel, does not go on if
	// another can.
	Complete bool
	// Schedules is how many were run.
	Schedules int
	// Preemptions is the bound up to which all schedules were run: all in which threads that could go on were stopped so
	// often or less. -1 if not even those without preemptions were.
	Preemptions int
}

// String returns "all 32 schedules explored" or how far it came.
func (p *Proof) String() string {
	switch {
	case p.Complete:
		return fmt.Sprintf("all %d schedules explored", p.Schedules)
	case p.Preemptions < 0:
		return fmt.Sprintf("%d schedules explored, not all of those without a preemption", p.Schedules)
	}
	return fmt.Sprintf("%d schedules explored: all with up to %d preemptions, and some with more", p.Schedules, p.Preemptions)
}

// schedule is the beginning of one: threads then run until they wait, and the first that can goes on.
type schedule []uint32

// turn is a choice that a run made.
type turn struct {
	choice uint32
	of     int
	keeps  bool // the thread that had the turn could go on, so that another choice than 0 preempts it
	yields bool // it has nothing to do, or has run for long: it gives the turn away, whoever gets it
}

const (
	maxQueued = 1 << 26 // choices that are kept in schedules to be run
	batchSize = 64      // schedules that are run together; the report does not depend on how many workers there are
)

// search runs schedules in the order of their preemptions.
func (e *explorer) search(ctx context.Context) error {
	e.proof = &Proof{Preemptions: -1}
	levels, queued, dropped := [][]schedule{{nil}}, 0, math.MaxInt
	for level := 0; level < len(levels); level++ {
		for len(levels[level]) > 0 {
			if e.over(ctx) || e.proof.Schedules >= e.MaxSchedules {
				return nil
			}
			// The last first, so that few are kept.
			queue := levels[level]
			n := min(len(queue), batchSize, e.MaxSchedules-e.proof.Schedules)
			batch := queue[len(queue)-n:]
			levels[level] = queue[:len(queue)-n]
			turns, err := e.batch(ctx, batch)
			if err != nil || ctx.Err() != nil {
				return err
			}
			for i, begun := range batch {
				queued -= len(begun)
				for cost, next := range branches(begun, turns[i]) {
					if queued += len(next); queued > maxQueued {
						queued -= len(next)
						dropped = min(dropped, level+cost)
						continue
					}
					for len(levels) <= level+cost {
						levels = append(levels, nil)
					}
					levels[level+cost] = append(levels[level+cost], next)
				}
			}
		}
		if level < dropped {
			e.proof.Preemptions = level
		}
	}
	e.proof.Complete = dropped == math.MaxInt
	return nil
}

// branches are the schedules that part from a run behind the beginning it was given, with the preemptions that each has
// more. Each schedule of a program comes from exactly one run.
func branches(begun schedule, turns []turn) func(yield func(cost int, s schedule) bool) {
	return func(yield func(cost int, s schedule) bool) {
		for at := len(begun); at < len(turns); at++ {
			for k := range uint32(turns[at].of) {
				if k == turns[at].choice || k == 0 && turns[at].yields {
					continue
				}
				next := make(schedule, at+1)
				for i, t := range turns[:at] {
					next[i] = t.choice
				}
				next[at] = k
				cost := 0
				if turns[at].keeps && !turns[at].yields {
					cost = 1
				}
				if !yield(cost, next) {
					return
				}
			}
		}
	}
}

// batch runs some schedules and notes their outcomes in their order.
func (e *explorer) batch(ctx context.Context, batch []schedule) ([][]turn, error) {
	seed, _ := e.seed(0)
	turns, runs := make([][]turn, len(batch)), make([]*ran, len(batch))
	workers, within := errgroup.WithContext(ctx)
	workers.SetLimit(e.Workers)
	for i, s := range batch {
		workers.Go(func() (err error) {
			runs[i], err = e.run(within, seed, sched.SeededConfig{Strategy: sched.RunToBlock(0), Choices: s, OnSwitch: func(w sched.Switch) {
				if w.Of > 1 {
					keeps := w.Point != sched.PointWait && w.Point != sched.PointEnd && w.Point != sched.PointIdle
					turns[i] = append(turns[i], turn{w.Choice, w.Of, keeps, keeps && (w.Point == sched.PointYield || w.Point == sched.PointFuel)})
				}
			}})
			if err != nil && within.Err() == nil {
				return fmt.Errorf("explore: a schedule of %d choices: %w", len(s), err)
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil || ctx.Err() != nil {
		return nil, err
	}
	for i, r := range runs {
		e.note(seed, r)
		o := e.outcomes[r.key]
		if o.Choices == nil {
			o.Choices = make([]uint32, len(turns[i])) // never nil
			for n, t := range turns[i] {
				o.Choices[n] = t.choice
			}
		}
		e.proof.Schedules++
	}
	return turns, nil
}
