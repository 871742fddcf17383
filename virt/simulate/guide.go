package simulate

import (
	"context"
	"math/rand/v2"
	"slices"

	"golang.org/x/sync/errgroup"
)

// guide is a search in which every second run varies one that did something new.
type guide struct {
	*Runner
	*bounds
	rng   *rand.Rand
	next  uint64 // of the seeds
	left  uint64 // runs
	made  uint64
	seen  map[feature]int // how many runs did it
	pool  []*varied
	deeds []*varied // those of the pool that did a deed first
}

// varied is a run that is varied.
type varied struct {
	seed    uint64
	plan    Plan
	moments [][]moment // of all that it did; those of one group together
	fresh   []moment   // of what no run before it had done
	new     []feature  // which that was
	tries   int
}

// The bounds of what is kept, and how many runs are made before what they did is looked at. The
// last one is no option, because the search depends on it.
const (
	maxPool   = 512 // runs
	maxFresh  = 32  // moments of each
	maxSeen   = 1 << 18
	recent    = 16
	batchSize = 16
)

// trial is a run of a guided search.
type trial struct {
	seed   uint64
	plan   Plan
	sig    *signature
	result *Result
}

// findGuided is Find with every second run varied.
func (r *Runner) findGuided(ctx context.Context, first, last uint64, workers int) (failed *Result, runs int, err error) {
	g := &guide{
		Runner: r, bounds: r.sim.Nemesis.bounds(r.sim.Length, r.names), rng: rand.New(rand.NewPCG(first, 0x6775_6964)),
		next: first, left: last - first + 1, seen: map[feature]int{},
	}
	for g.left > 0 {
		batch := make([]*trial, min(batchSize, g.left))
		for i := range batch {
			batch[i] = g.draw()
		}
		g.left -= uint64(len(batch))
		if err := g.run(ctx, batch, workers); err != nil {
			return nil, runs, err
		}
		for _, t := range batch {
			runs++
			if t.result.Failure != nil {
				return t.result, runs, nil
			}
			g.learn(t)
		}
	}
	return nil, runs, nil
}

// draw says what is run next.
func (g *guide) draw() *trial {
	g.made++
	if g.made%2 == 0 && len(g.pool) > 0 && len(g.kinds) > 0 {
		of := g.choose()
		of.tries++
		t := &trial{seed: of.seed, plan: g.vary(g.rng, of, g.pool[g.rng.IntN(len(g.pool))].plan), sig: newSignature()}
		if g.rng.IntN(8) == 0 {
			t.seed = g.rng.Uint64()
		}
		return t
	}
	t := &trial{seed: g.next, plan: g.Plan(g.next), sig: newSignature()}
	g.next++
	return t
}

// choose returns the run that is varied: of several, the one whose doings are rarest for how often
// it was varied. Half of the time it is one that did a deed first, a quarter one of those that came
// last, because they came farthest.
func (g *guide) choose() *varied {
	from := g.pool
	switch g.rng.IntN(4) {
	case 0, 1:
		if len(g.deeds) > 0 {
			from = g.deeds
		}
	case 2:
		from = g.pool[max(0, len(g.pool)-recent):]
	}
	var best *varied
	var least int
	for range 3 {
		v := from[g.rng.IntN(len(from))]
		if n := g.rarity(v) * (1 + v.tries); best == nil || n < least {
			best, least = v, n
		}
	}
	return best
}

// rarity is how many runs did what the fewest did of what was new with a run.
func (g *guide) rarity(v *varied) int {
	least := g.seen[v.new[0]]
	for _, f := range v.new[1:] {
		least = min(least, g.seen[f])
	}
	return least
}

// run makes the runs of a batch.
func (g *guide) run(ctx context.Context, batch []*trial, workers int) error {
	runs, within := errgroup.WithContext(ctx)
	runs.SetLimit(workers)
	for _, t := range batch {
		runs.Go(func() (err error) {
			t.result, err = g.runPlan(within, t.seed, t.plan, t.sig)
			return err
		})
	}
	return runs.Wait()
}

// learn keeps a run that did something new.
func (g *guide) learn(t *trial) {
	v := &varied{seed: t.seed, plan: t.plan, moments: make([][]moment, t.sig.groups)}
	var fresh []moment // of deeds
	for _, f := range t.sig.features {
		v.moments[f.group] = append(v.moments[f.group], f.moment)
		if g.seen[f.feature] == 0 && len(g.seen) == maxSeen {
			continue
		}
		g.seen[f.feature]++
		if g.seen[f.feature] == 1 && len(v.new) < maxFresh {
			v.new = append(v.new, f.feature)
			v.fresh = append(v.fresh, f.moment)
			if f.deed() {
				fresh = append(fresh, f.moment)
			}
		}
	}
	if len(v.new) == 0 {
		return
	}
	if len(fresh) > 0 {
		v.fresh = fresh
		g.deeds = keep(g.deeds, v)
	}
	g.pool = keep(g.pool, v)
}

// keep adds a run to a pool. Where that is full, the one that was varied most has had its chance.
func keep(pool []*varied, v *varied) []*varied {
	if len(pool) == maxPool {
		most := 0
		for i, v := range pool {
			if v.tries > pool[most].tries {
				most = i
			}
		}
		pool = slices.Delete(pool, most, most+1)
	}
	return append(pool, v)
}
