package explore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trace"
)

// guide is a sweep of seeds in which every second run varies one that did something new.
type guide struct {
	*explorer
	rng  *rand.Rand
	next uint64 // of the seeds
	runs uint64
	seen map[feature]bool
	pool []*varied
}

// varied is a run that is varied.
type varied struct {
	seed   uint64
	plan   sched.Plan
	others []alternative
	tries  int
}

// alternative is a decision that the run could have taken after some of its own.
type alternative struct {
	after int
	sched.Decision
}

// The bounds of what is kept.
const (
	maxPool   = 512  // runs
	maxOthers = 2048 // alternatives of each
	recent    = 16
	guidedBy  = "varied"
)

// feature is something that a run does: two instructions in a row of one thread, of a write and the
// access of another thread that sees it, or of two threads at a switch.
type feature struct {
	kind     uint8
	from, to uint64
}

const (
	featurePath uint8 = iota
	featureFrom
	featureValue
	featureSwitch
)

// trial is a run of a guided sweep.
type trial struct {
	seed     uint64
	of       *varied // nil of a seed by itself
	strategy sched.Strategy

	features map[feature]bool
	plan     sched.Plan
	others   []alternative
	ran      *ran

	last    map[uint32]uint64 // where each thread was
	saw     map[uint32]uint64 // what each has read last, and where
	writers map[uint64]writer // by address
	thread  uint32            // that ran last
	at      uint64            // where
}

type writer struct {
	thread uint32
	at     uint64
}

// guide runs all seeds, and as many runs that are varied.
func (e *explorer) guide(ctx context.Context) error {
	g := &guide{explorer: e, rng: rand.New(rand.NewPCG(e.First, 0x6775_6964)), seen: map[feature]bool{}}
	for !e.over(ctx) {
		var batch []*trial
		for len(batch) < batchSize {
			t, ok := g.draw()
			if !ok {
				break
			}
			batch = append(batch, t)
		}
		if len(batch) == 0 {
			return nil
		}
		if err := g.batch(ctx, batch); err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// draw says what is run next.
func (g *guide) draw() (*trial, bool) {
	_, ok := g.seed(g.runs)
	if !ok {
		return nil, false
	}
	g.runs++
	t := &trial{plan: sched.Plan{}, features: map[feature]bool{}, last: map[uint32]uint64{}, saw: map[uint32]uint64{}, writers: map[uint64]writer{}}
	if g.runs%2 == 0 && len(g.pool) > 0 {
		g.vary(t)
		return t, true
	}
	t.seed, _ = g.seed(g.next)
	t.strategy = g.Strategy
	g.next++
	return t, true
}

// vary makes a trial of a run of the pool.
func (g *guide) vary(t *trial) {
	// Of several, the one that was varied least; every other time of those that came last, because
	// they came farthest.
	from := g.pool
	if g.rng.IntN(2) == 0 {
		from = g.pool[max(0, len(g.pool)-recent):]
	}
	of := from[g.rng.IntN(len(from))]
	for range 2 {
		if other := from[g.rng.IntN(len(from))]; other.tries < of.tries {
			of = other
		}
	}
	of.tries++
	t.of, t.seed = of, of.seed
	plan, rest := slices.Clone(of.plan), sched.Strategy(sched.Plan(nil))
	switch kind := g.rng.IntN(4); {
	case kind == 0 && len(plan) > 0: // without one of its decisions
		i := g.rng.IntN(len(plan))
		plan = slices.Delete(plan, i, i+1)
	case kind <= 2 && len(of.others) > 0: // with one more, and perhaps without those that follow
		other := of.others[g.rng.IntN(len(of.others))]
		rest := plan[other.after:]
		if kind == 1 {
			rest = nil
		} else if len(rest) > 0 && rest[0].Thread == other.Thread && rest[0].Stop == other.Stop {
			rest = rest[1:] // it chose otherwise
		}
		plan = slices.Concat(plan[:other.after], sched.Plan{other.Decision}, rest)
	default: // its beginning, and then anything
		plan = plan[:g.rng.IntN(len(plan)+1)]
		rest = seededBy{[]sched.Strategy{sched.RunToBlock(1.0 / 4), sched.RunToBlock(1.0 / 16), sched.Uniform()}[g.rng.IntN(3)], g.rng.Uint64()}
	}
	t.strategy = plan.Then(rest)
}

// seededBy is a strategy with a seed of its own.
type seededBy struct {
	sched.Strategy
	seed uint64
}

// New implements [sched.Strategy].
func (s seededBy) New(uint64) sched.Picker { return s.Strategy.New(s.seed) }

// batch runs some trials, and learns from them in their order.
func (g *guide) batch(ctx context.Context, batch []*trial) error {
	workers, within := errgroup.WithContext(ctx)
	workers.SetLimit(g.Workers)
	for _, t := range batch {
		workers.Go(func() (err error) {
			strategy := sched.Noted(t.strategy, t.note)
			t.ran, err = g.run(within, t.seed, sched.SeededConfig{Strategy: strategy}, virt.WithAccessObserver(t.access))
			if err != nil && within.Err() == nil {
				return fmt.Errorf("explore: seed %d: %w", t.seed, err)
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil || ctx.Err() != nil {
		return err
	}
	for _, t := range batch {
		if t.of == nil {
			g.note(t.seed, t.ran)
		} else {
			g.noteBy(t.seed, t.plan, guidedBy, t.ran)
		}
		g.learn(t)
	}
	return nil
}

// learn keeps a run that did something new.
func (g *guide) learn(t *trial) {
	before := len(g.seen)
	for f := range t.features {
		g.seen[f] = true
	}
	if len(g.seen) == before {
		return
	}
	if len(g.pool) == maxPool { // the one that was varied most has had its chance
		most := 0
		for i, v := range g.pool {
			if v.tries > g.pool[most].tries {
				most = i
			}
		}
		g.pool = slices.Delete(g.pool, most, most+1)
	}
	g.pool = append(g.pool, &varied{seed: t.seed, plan: t.plan, others: t.others})
}

// note is told of the choices of the run.
func (t *trial) note(n sched.Note) {
	for _, to := range n.Others {
		if len(t.others) < maxOthers {
			t.others = append(t.others, alternative{len(t.plan), sched.Decision{Thread: n.Thread, Stop: n.Stop, To: to}})
		}
	}
	if n.Needed {
		t.plan = append(t.plan, n.Decision)
	}
}

// access is told of its accesses.
func (t *trial) access(a *trace.Access) {
	at := uint64(a.At)
	if a.Op == trace.AccessTick || a.Size > 16 || len(t.writers) > maxSteps {
		return
	}
	if a.Op == trace.AccessCall {
		at = 1 << 32
		for _, c := range []byte(a.Call) {
			at = at*31 + uint64(c)
		}
	}
	t.features[feature{featurePath, t.last[a.Thread], at}] = true
	t.last[a.Thread] = at
	if a.Thread != t.thread {
		t.features[feature{featureSwitch, t.at, at}] = true
	}
	t.thread, t.at = a.Thread, at
	if a.Size == 0 {
		return
	}
	// What the thread sees is who wrote it, and which values it has seen here and before.
	w, written := t.writers[a.Addr]
	if written && w.thread != a.Thread {
		t.features[feature{featureFrom, w.at, at}] = true
	}
	if a.Op.Writes() {
		t.writers[a.Addr] = writer{a.Thread, at}
	}
	if a.Op != trace.AccessStore && a.Op != trace.AccessPut {
		saw := at<<32 ^ valueOf(a)
		t.features[feature{featureValue, t.saw[a.Thread], saw}] = true
		t.saw[a.Thread] = saw
	}
}
