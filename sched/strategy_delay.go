package sched

import (
	"math"
	"math/rand/v2"
)

// POS is partial-order sampling in its basic form (Yuan and others, CAV 2018): each step that a
// thread is about to take has a random priority, and the highest runs. A thread gets a new priority
// with each step; the others keep theirs. POS draws orders of events more evenly than Uniform,
// which favours orders that many interleavings have.
func POS() Strategy { return pos{} }

type pos struct{}

func (pos) New(seed uint64) Picker {
	return &posPicker{rng: stream(seed), priority: map[threadKey]int64{}}
}

type posPicker struct {
	rng      *rand.Rand
	priority map[threadKey]int64
	lowest   int64 // the priority of the thread that yielded last: below that of those that did before
}

// threadKey names a thread for a Picker, which keeps no threads.
type threadKey struct {
	group *Group
	id    uint32
}

func keyOf(t *Thread) threadKey { return threadKey{t.Group(), t.ID()} }

func (p *posPicker) Pick(c *Choice) int {
	best, highest := 0, int64(math.MinInt64)
	for i, t := range c.Threads {
		k := keyOf(t)
		priority := p.priority[k]
		if priority == 0 || i == 0 && c.Current {
			priority = 1 + p.rng.Int64N(1<<62)
			if i == 0 && c.Current && (c.Point == PointYield || c.Point == PointFuel) {
				p.lowest-- // it has nothing to do, or has run for long
				priority = p.lowest
			}
			p.priority[k] = priority
		}
		if priority > highest {
			best, highest = i, priority
		}
	}
	delete(p.priority, keyOf(c.Threads[best])) // its next step is another
	return best
}

// Delayed applies base to all threads except one, which it draws from the seed. That thread does
// not run for a number of choices, drawn up to steps, as long as another can run. With steps of 0
// it is delayed for the whole run. Delayed finds bugs that need one thread to be slow at one place.
// A thread that yields or uses up its fuel sometimes gives the turn to the delayed thread, because
// it may wait for it in a loop.
func Delayed(base Strategy, steps uint64) Strategy { return delayed{base, steps} }

type delayed struct {
	base  Strategy
	steps uint64
}

func (s delayed) New(seed uint64) Picker {
	p := &delayedPicker{base: s.base.New(seed), rng: rand.New(rand.NewPCG(seed, 0xde1a_7ed)), until: ^uint64(0)}
	p.victim = p.rng.Uint32N(4)
	if s.steps > 0 {
		// Short delays as often as long ones: what matters is seldom as long as the run.
		p.from = scaled(p.rng, s.steps) - 1
		p.until = p.from + scaled(p.rng, s.steps)
	}
	return p
}

// scaled draws from 1 to most, with each power of two as likely as the next.
func scaled(rng *rand.Rand, most uint64) uint64 {
	high := uint64(1)
	for high < most && rng.IntN(4) > 0 {
		high *= 2
	}
	return 1 + rng.Uint64N(min(high, most))
}

type delayedPicker struct {
	base        Picker
	rng         *rand.Rand
	victim      uint32
	from, until uint64
	others      Choice
	places      []int
}

func (p *delayedPicker) Pick(c *Choice) int {
	if c.Step < p.from || c.Step >= p.until || c.Current && (c.Point == PointYield || c.Point == PointFuel) && p.rng.IntN(2) == 0 {
		return p.base.Pick(c)
	}
	p.others = Choice{Step: c.Step, Point: c.Point, Threads: p.others.Threads[:0], Current: c.Current}
	p.places = p.places[:0]
	for i, t := range c.Threads {
		if t.ID() != p.victim {
			p.others.Threads = append(p.others.Threads, t)
			p.places = append(p.places, i)
		} else if i == 0 {
			p.others.Current = false
		}
	}
	switch len(p.places) {
	case 0:
		return p.base.Pick(c)
	case 1:
		return p.places[0]
	}
	return p.places[p.base.Pick(&p.others)]
}

// Scaled is PCT of a depth for runs of unknown length. It draws steps from the seed among the
// powers of two from 8 to most, all equally likely.
func Scaled(depth int, most uint64) Strategy { return scaledPCT{depth, most} }

type scaledPCT struct {
	depth int
	most  uint64
}

func (s scaledPCT) New(seed uint64) Picker {
	steps := uint64(8)
	for rng := rand.New(rand.NewPCG(seed, 0x5ca1ed)); steps < s.most && rng.IntN(8) > 0; {
		steps *= 2
	}
	return PCT(s.depth, steps).New(seed)
}
