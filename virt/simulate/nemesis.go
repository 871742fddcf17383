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
	// Kinds are what may happen; nil is nothing. Each seed uses some of them only, because a fault
	// that always happens hides what needs its absence.
	Kinds []Kind
	// Faults is how many there are at most in a run; 0 is 6.
	Faults int
	// Longest is how long a fault lasts at most; 0 is a quarter of the run.
	Longest time.Duration
	// Rules are what Disk draws from; nil is EIO and ENOSPC of writes and syncs, and slow syncs.
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
	longest := n.Longest
	if longest == 0 {
		longest = length / 4
	}
	rules := n.Rules
	if rules == nil {
		rules = defaultRules()
	}
	most := n.Faults
	if most == 0 {
		most = 6
	}
	var plan Plan
	for range 1 + rng.IntN(most) {
		f := Fault{
			Kind: kinds[rng.IntN(len(kinds))],
			Node: nodes[rng.IntN(len(nodes))],
			At:   milliseconds(rng, length),
			For:  milliseconds(rng, longest),
		}
		switch f.Kind {
		case Jump:
			f.For, f.By = 0, milliseconds(rng, 10*time.Second)
			if rng.IntN(2) == 0 {
				f.By = -f.By
			}
		case Disk:
			f.Rule = rules[rng.IntN(len(rules))]
		case Cut, Slow, Reset:
			if len(nodes) < 2 {
				continue
			}
			for f.Peer = f.Node; f.Peer == f.Node; {
				f.Peer = nodes[rng.IntN(len(nodes))]
			}
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
					for _, other := range nodes {
						if other != f.Node && other != f.Peer {
							g := f
							g.Peer = other
							plan = append(plan, g)
						}
					}
				}
			}
		}
		plan = append(plan, f)
	}
	plan.sort()
	return plan
}

// milliseconds draws a time of at least 1 ms and at most most.
func milliseconds(rng *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(1+rng.Int64N(max(int64(most/time.Millisecond), 1))) * time.Millisecond
}
