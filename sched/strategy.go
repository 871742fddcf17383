package sched

import "math/rand/v2"

// Choice is a moment at which the turn can go to one of several threads.
type Choice struct {
	// Step counts the choices of the run, from 0.
	Step uint64
	// Point is where the thread that has, or had, the turn is.
	Point Point
	// Threads are those that can run, at least two. If Current is true, Threads[0] has the turn and
	// can keep it. The others come in the order in which they became ready.
	Threads []*Thread
	Current bool
}

// Strategy is a way to choose.
type Strategy interface {
	// New returns the Picker for one run. Its choices must depend only on the seed and on the
	// calls.
	New(seed uint64) Picker
}

// Picker makes the choices of one run.
type Picker interface {
	// Pick returns an index into c.Threads. It must not keep c.Threads, nor call threads other
	// than for their ID and Group.
	Pick(c *Choice) int
}

// stream returns the random numbers of a strategy. They are the same on all machines.
func stream(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5ced_a110_c8ed)) }

// Uniform chooses every thread with the same probability, at every switch point.
func Uniform() Strategy { return uniform{} }

type uniform struct{}

func (uniform) New(seed uint64) Picker { return &uniformPicker{stream(seed)} }

type uniformPicker struct{ rng *rand.Rand }

func (p *uniformPicker) Pick(c *Choice) int { return p.rng.IntN(len(c.Threads)) }

// RoundRobin gives every thread its turn in a circle, one switch point each.
func RoundRobin() Strategy { return roundRobin{} }

type roundRobin struct{}

func (roundRobin) New(uint64) Picker { return roundRobin{} }

func (roundRobin) Pick(c *Choice) int {
	if c.Current {
		return 1
	}
	return 0
}

// RunToBlock lets a thread run until it waits, yields or uses up its fuel. At each other switch
// point it takes the turn away with probability p, and chooses the next thread uniformly. Few
// switches find most bugs and are easier to understand.
func RunToBlock(p float64) Strategy { return runToBlock(p) }

type runToBlock float64

func (p runToBlock) New(seed uint64) Picker { return &runToBlockPicker{float64(p), stream(seed)} }

type runToBlockPicker struct {
	p   float64
	rng *rand.Rand
}

func (p *runToBlockPicker) Pick(c *Choice) int {
	if !c.Current {
		return p.rng.IntN(len(c.Threads))
	}
	if c.Point != PointYield && c.Point != PointFuel && p.rng.Float64() >= p.p {
		return 0
	}
	return 1 + p.rng.IntN(len(c.Threads)-1)
}

// PCT is probabilistic concurrency testing (Burckhardt and others, ASPLOS 2010): each thread has a
// random priority, the highest that can run does, and at depth-1 random ones of the first steps
// choices the running thread falls below all others. A bug that needs depth ordered events is found
// with a probability of at least 1/(threads × steps^(depth-1)). A thread that yields or uses up its
// fuel falls as well, because it may wait for another in a loop.
func PCT(depth int, steps uint64) Strategy { return pct{depth, max(1, steps)} }

type pct struct {
	depth int
	steps uint64
}

func (s pct) New(seed uint64) Picker {
	p := &pctPicker{rng: stream(seed), lowest: -1, falls: make(map[uint64]bool)}
	for i := 1; i < s.depth && uint64(len(p.falls)) < s.steps; {
		if at := p.rng.Uint64N(s.steps); !p.falls[at] {
			p.falls[at] = true
			i++
		}
	}
	return p
}

type pctPicker struct {
	rng    *rand.Rand
	falls  map[uint64]bool // steps at which the running thread falls
	lowest int64           // the rank of the next to fall
}

func (p *pctPicker) Pick(c *Choice) int {
	for _, t := range c.Threads {
		if t.rank == 0 {
			t.rank = 1 + p.rng.Int64N(1<<62)
		}
	}
	if c.Current && (c.Point == PointYield || c.Point == PointFuel) {
		p.fall(c.Threads[0])
	}
	best := highest(c.Threads)
	if p.falls[c.Step] {
		p.fall(c.Threads[best])
		best = highest(c.Threads)
	}
	return best
}

func (p *pctPicker) fall(t *Thread) {
	t.rank = p.lowest
	p.lowest--
}

func highest(threads []*Thread) int {
	best := 0
	for i, t := range threads {
		if t.rank > threads[best].rank {
			best = i
		}
	}
	return best
}
