package explore

import "github.com/wasivirt/wasivirt/sched"

// Portfolio uses another strategy for each seed in turn, because each strategy finds other bugs.
// Seed n is run by member n modulo the number of members. A seed is the same run in every
// exploration.
func Portfolio() sched.Strategy { return portfolio{} }

type portfolio struct{}

// New implements [sched.Strategy].
func (portfolio) New(seed uint64) sched.Picker {
	return members[seed%uint64(len(members))].strategy.New(seed)
}

// StrategyOf names the member of the Portfolio that runs a seed.
func StrategyOf(seed uint64) string { return members[seed%uint64(len(members))].name }

// mostSteps is the longest run, in choices, that members which need a length think of.
const mostSteps = 1 << 14

// members are the strategies of the Portfolio. Those that find most come several times.
//
// What each is for: block finds bugs of one or two switches; pct-d those of depth d, with a
// probability of at least 1/(threads × steps^(d-1)) where it thinks of the right number of steps;
// uniform and pos those that need many switches; delayed and starved those that need one thread to
// be slow.
var members = []struct {
	name     string
	strategy sched.Strategy
}{
	{"block:0.25", sched.RunToBlock(1.0 / 4)},
	{"pct:2", sched.Scaled(2, mostSteps)},
	{"delayed", sched.Delayed(sched.RunToBlock(1.0/8), mostSteps)},
	{"pos", sched.POS()},
	{"block:0.25", sched.RunToBlock(1.0 / 4)},
	{"pct:3", sched.Scaled(3, mostSteps)},
	{"uniform", sched.Uniform()},
	{"block:0.0625", sched.RunToBlock(1.0 / 16)},
	{"block:0.25", sched.RunToBlock(1.0 / 4)},
	{"pct:4", sched.Scaled(4, mostSteps)},
	{"delayed", sched.Delayed(sched.RunToBlock(1.0/64), mostSteps)},
	{"starved", sched.Delayed(sched.RunToBlock(1.0/4), 0)},
	{"block:0.25", sched.RunToBlock(1.0 / 4)},
	{"pct:5", sched.Scaled(5, mostSteps)},
	{"pct:1", sched.PCT(1, 1)},
	{"block:0.01", sched.RunToBlock(1.0 / 100)},
}
