package simulate

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Nemesis draws a [Plan] from a seed.
type Nemesis struct {
	// Kinds are the kinds of faults; nil is none. Each seed uses some of them only, because a fault
	// that happens in every run hides bugs that need its absence.
	Kinds []Kind
	// Faults is the largest number of faults in a run; 0 is 6.
	Faults int
	// Longest is the longest duration of a fault; 0 is a quarter of the run.
	Longest time.Duration
	// Rules are the rules that Disk faults are drawn from. Default: EIO and ENOSPC of writes and
	// syncs, and slow syncs.
	Rules []faultfs.Rule
}

// defaultRules are what goes wrong with a disk.
func defaultRules() []faultfs.Rule {
	return []faultfs.Rule{
		{Op: "sync", Path: "/data/**", Nth: 1, Errno: wasip1.EIO},
		{Op: "write", Path: "/data/**", Nth: 1, Errno: wasip1.ENOSPC},
		{Op: "write", Path: "/data/**", Nth: 1, Short: 1},
		{Op: "sync", Path: "/data/**", Delay: 20 * time.Millisecond},
	}
}

// Draw returns the plan of a seed for a run of that length with these nodes.
func (n Nemesis) Draw(seed uint64, length time.Duration, nodes []string) Plan {
	rng := rand.New(rand.NewPCG(seed, 0x6e656d65736973))
	kinds := slices.DeleteFunc(slices.Clone(n.Kinds), func(Kind) bool { return rng.IntN(2) == 0 })
	if len(kinds) == 0 || len(nodes) == 0 {
		return nil
	}
	b := n.bounds(length, nodes)
	var plan Plan
	for range 1 + rng.IntN(b.most) {
		plan = append(plan, b.draw(rng, kinds)...)
	}
	plan.sort()
	return plan
}

// bounds are what the faults of a plan are drawn from.
type bounds struct {
	kinds           []Kind
	nodes           []string
	rules           []faultfs.Rule
	length, longest time.Duration
	most            int
}

func (n Nemesis) bounds(length time.Duration, nodes []string) *bounds {
	b := &bounds{kinds: n.Kinds, nodes: nodes, rules: n.Rules, length: length, longest: n.Longest, most: n.Faults}
	if b.longest == 0 {
		b.longest = length / 4
	}
	if b.rules == nil {
		b.rules = defaultRules()
	}
	if b.most == 0 {
		b.most = 6
	}
	return b
}

// draw returns a fault of one of some kinds, or several that come together, or none.
func (b *bounds) draw(rng *rand.Rand, kinds []Kind) Plan {
	f := Fault{
		Kind: kinds[rng.IntN(len(kinds))],
		Node: b.nodes[rng.IntN(len(b.nodes))],
		At:   milliseconds(rng, b.length),
		For:  milliseconds(rng, b.longest),
	}
	switch f.Kind {
	case Jump:
		f.For, f.By = 0, milliseconds(rng, 10*time.Second)
		if rng.IntN(2) == 0 {
			f.By = -f.By
		}
	case Disk:
		f.Rule = b.rules[rng.IntN(len(b.rules))]
	case Cut, Slow, Reset:
		if len(b.nodes) < 2 {
			return nil
		}
		for f.Peer = f.Node; f.Peer == f.Node; {
			f.Peer = b.nodes[rng.IntN(len(b.nodes))]
		}
		return b.drawLink(rng, f)
	}
	return Plan{f}
}

// drawLink draws what else there is to a fault of a link.
func (b *bounds) drawLink(rng *rand.Rand, f Fault) (faults Plan) {
	switch f.Kind {
	case Reset:
		f.For = 0
	case Slow:
		f.Latency, f.Jitter = milliseconds(rng, 100*time.Millisecond), milliseconds(rng, 50*time.Millisecond)
		f.Loss = float64(rng.IntN(4)) / 10
	case Cut:
		f.OneWay = rng.IntN(3) == 0
		// Often the whole node is alone: the cut of its other links is drawn with this one.
		if !f.OneWay && rng.IntN(2) == 0 {
			for _, other := range b.nodes {
				if other != f.Node && other != f.Peer {
					g := f
					g.Peer = other
					faults = append(faults, g)
				}
			}
		}
	}
	return append(faults, f)
}

// milliseconds draws a time of at least 1 ms and at most most.
func milliseconds(rng *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(1+rng.Int64N(max(int64(most/time.Millisecond), 1))) * time.Millisecond
}
