// Package explore finds concurrency bugs. It runs a guest with many schedules of its threads,
// groups the runs by how they ended, and explains how each end comes about.
//
// A seed decides in which order the threads run (see virt.Deterministic). A run that fails can
// therefore be repeated, and fails in the same way. Run runs the seeds on all cores, each in a
// world of its own. It groups those that ended alike: same exit code, trap or deadlock, and same
// output. For each [Outcome] it looks for the shortest [Schedule], whose [Story] names the threads,
// functions and lines, what was read and written, and the switches that matter.
//
//	report, err := explore.Run(ctx, explore.Config{Wasm: wasm, Last: 1000})
//	…
//	err = report.Write(os.Stdout, nil) // or WriteHTML
//
// Threads can switch at every load and store of shared memory, unless [Config.CallsOnly] is set.
// Races need a switch between two of them.
//
// Config.Systematic explores schedules instead of seeds, one of each class of equivalent schedules.
// For small guests it proves that there is no other outcome. Config.MemoryModel delays stores. A
// Campaign explores in parts.
package explore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
)

// DefaultFuel is the largest number of instructions that a run may take by default. A run that
// takes more counts as a livelock. See Config.Fuel.
const DefaultFuel = 1_000_000_000

// DefaultThreads is the default limit of threads besides the first.
const DefaultThreads = 64

// DefaultStrategy is the [Portfolio].
func DefaultStrategy() sched.Strategy { return Portfolio() }

// Config says what to explore.
type Config struct {
	// Wasm is the guest, a command.
	Wasm []byte
	// First and Last are the seeds: all from First to Last. Systematic needs no Last.
	First, Last uint64
	// Seeds, if not empty, replaces First and Last.
	Seeds []uint64
	// World returns the options of one run: the mounts, arguments and limits that it has for
	// itself. Nil is the default world. Standard output and error are the explorer's. It is called
	// on several goroutines.
	World func(seed uint64) ([]virt.Option, error)
	// Host holds options for what all runs share, such as the engine.
	Host []virt.Option
	// Strategy chooses the next thread. Nil means DefaultStrategy.
	Strategy sched.Strategy
	// PunctualTimers keeps timers from firing while threads could run: time then passes only as
	// they compute and when all wait. Otherwise time is an adversary; see [virt.Determinism].
	PunctualTimers bool
	// CallsOnly keeps threads from switching at loads and stores. It is faster and misses races
	// between them.
	CallsOnly bool
	// Threads is the limit of threads besides the first; 0 is DefaultThreads.
	Threads int
	// Fuel is the number of instructions that a run may take. A run that takes more counts as a
	// livelock. 0 means 1000 times what the first seed takes if its threads run until they wait, at
	// least 20 million and at most DefaultFuel.
	Fuel uint64
	// AllowMachine lets directories of the machine into the runs' worlds; see [virt.Determinism].
	AllowMachine bool
	// Workers is the number of runs at the same time. 0 means one for each core.
	Workers int
	// Time, if not 0, is the time after which no more runs are started. Runs under way are
	// finished.
	Time time.Duration
	// MemoryModel says when threads see what others have stored.
	MemoryModel sched.MemoryModel
	// Systematic explores schedules instead of seeds: one of each class of equivalent schedules,
	// those with few preemptions first. The world is that of the seed First, with punctual timers
	// and sequential consistency. If there are no more than MaxSchedules, the report's Proof says
	// that all were explored. Otherwise it says how far the search came.
	Systematic bool
	// MaxSchedules is the largest number of schedules that a systematic exploration runs. 0 means
	// 100,000.
	MaxSchedules int
	// State continues an earlier systematic exploration of the same module: it is the State of that
	// exploration's Report. MaxSchedules more schedules are run. The world and the limits must be
	// as before. [SplitState] shares it out.
	State []byte
	// Guided makes every second run vary the schedule of an earlier run that did something new. New
	// is the first run to take a path between two accesses, to see a value, to pass a value from
	// one instruction to another thread's, or to switch between two instructions. The other half of
	// the runs are seeds. The variations depend on First, not on Workers. An [Outcome] has a Plan
	// if only varied runs ended so.
	Guided bool
	// ShrinkRuns is the largest number of runs to shorten the schedule of one outcome. At most
	// [MaxShrunk] outcomes are shortened. 0 means 1000; a negative number means none.
	ShrinkRuns int
}

// Run explores. An error means that a run could not be made. If ctx ends first, the error is its
// cause, and the report holds the runs made until then.
func Run(ctx context.Context, c Config) (_ *Report, err error) {
	k, err := NewCampaign(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, k.Close(context.WithoutCancel(ctx))) }()
	return k.run(ctx, k.config)
}

// Campaign explores one guest in parts. It compiles the module once. Several goroutines may use it.
type Campaign struct {
	config Config
	host   *virt.Host // of which the runs' are siblings
	module *virt.Module
}

// NewCampaign compiles the module and determines how many instructions count as a livelock.
func NewCampaign(ctx context.Context, c Config) (*Campaign, error) {
	k, err := prepare(ctx, c)
	if err != nil {
		return nil, err
	}
	e := k.explorer(k.config)
	if err := e.measure(ctx); err != nil {
		return nil, errors.Join(err, k.Close(context.WithoutCancel(ctx)))
	}
	k.config.Fuel = e.Fuel
	return k, nil
}

// Run explores the seeds from first to last as [Run] does.
func (k *Campaign) Run(ctx context.Context, first, last uint64) (*Report, error) {
	c := k.config
	c.First, c.Last, c.Seeds = first, last, nil
	if last < first {
		return nil, fmt.Errorf("explore: no seeds from %d to %d", first, last)
	}
	return k.run(ctx, c)
}

// Close frees the module. Nothing of the Campaign may run any more.
func (k *Campaign) Close(ctx context.Context) error { return k.host.Close(ctx) }

func (k *Campaign) explorer(c Config) *explorer {
	e := &explorer{Config: c, host: k.host, module: k.module, outcomes: map[key]*Outcome{}}
	if c.Time > 0 {
		e.until = time.Now().Add(c.Time)
	}
	return e
}

func (k *Campaign) run(ctx context.Context, c Config) (_ *Report, err error) {
	e := k.explorer(c)
	switch {
	case e.Systematic:
		err = e.search(ctx)
	case e.Guided:
		err = e.guide(ctx)
	default:
		err = e.sweep(ctx)
	}
	if err != nil {
		return nil, err
	}
	report := e.report()
	if err := e.texts(ctx, report.Outcomes); err != nil {
		return nil, err
	}
	if e.tree != nil {
		if report.State, err = e.save(); err != nil {
			return nil, fmt.Errorf("explore: %w", err)
		}
	}
	if c.ShrinkRuns >= 0 {
		if err := e.shrinkAll(ctx, report); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return report, fmt.Errorf("explore: stopped after %d runs: %w", report.Runs, context.Cause(ctx))
	}
	return report, nil
}

// shrinkAll looks for the shortest schedules of a report's outcomes.
func (e *explorer) shrinkAll(ctx context.Context, r *Report) error {
	workers, within := errgroup.WithContext(ctx)
	workers.SetLimit(e.Workers)
	for _, o := range worthShrinking(r.Outcomes) {
		workers.Go(func() error {
			s, err := e.shrink(within, o)
			if err != nil && within.Err() == nil {
				return err
			}
			o.Schedule = s
			return nil
		})
	}
	return workers.Wait()
}

// texts sees to it that the outcomes which are shown, and no others, have their texts, whichever
// were found first.
func (e *explorer) texts(ctx context.Context, all []*Outcome) error {
	for i, o := range all {
		if i >= maxShown {
			o.Text = ""
			continue
		}
		if o.Text != "" || o.Output == newOutput().sum() || ctx.Err() != nil {
			continue
		}
		c, how := e.found(o)
		r, err := e.run(ctx, o.Seed, c, how...)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("explore: seed %d: %w", o.Seed, err)
		}
		o.Text = string(r.text)
	}
	return nil
}

// explorer is one Run.
type explorer struct {
	Config
	host   *virt.Host // of which the runs' are siblings
	module *virt.Module

	mu       sync.Mutex
	outcomes map[key]*Outcome
	kept     int       // how many outcomes have their text
	until    time.Time // when no more runs are begun; zero for never
	proof    *Proof    // of a systematic exploration, as tree
	tree     *tree
}

func prepare(ctx context.Context, c Config) (*Campaign, error) {
	if c.Systematic {
		c.Last = max(c.First, c.Last) // only the first is run
	}
	if c.Last < c.First && c.Seeds == nil {
		return nil, fmt.Errorf("explore: no seeds from %d to %d", c.First, c.Last)
	}
	if c.Strategy == nil {
		c.Strategy = DefaultStrategy()
	}
	if c.Threads == 0 {
		c.Threads = DefaultThreads
	}
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.MaxSchedules == 0 {
		c.MaxSchedules = 100_000
	}
	if c.Systematic {
		c.PunctualTimers = true
		if c.MemoryModel != sched.SequentialConsistency || c.CallsOnly {
			return nil, errors.New("explore: Systematic knows sequential consistency only, and needs switches at accesses: leave out MemoryModel and CallsOnly")
		}
	}
	if c.Guided && (c.Systematic || c.CallsOnly) {
		return nil, errors.New("explore: Guided varies seeds' schedules, and needs switches at accesses: leave out Systematic and CallsOnly")
	}
	if c.ShrinkRuns == 0 {
		c.ShrinkRuns = 1000
	}
	opts := append([]virt.Option{virt.Deterministic(0)}, c.Host...)
	if !c.CallsOnly {
		opts = append(opts, virt.WithAccessSwitches())
	}
	host, err := virt.NewBuilder(opts...).Build(ctx)
	if err != nil {
		return nil, fmt.Errorf("explore: %w", err)
	}
	m, err := host.Compile(ctx, c.Wasm)
	if err != nil {
		return nil, fmt.Errorf("explore: %w", errors.Join(err, host.Close(ctx)))
	}
	return &Campaign{c, host, m}, nil
}

// The bounds of what a run may take where Config.Fuel does not say it: so many times what the first
// run took, at least leastFuel and at most DefaultFuel.
const (
	fuelTimes = 1000
	leastFuel = 20_000_000
)

// measure runs the first seed, to know what is a livelock. Which seeds are run, and by whom, has no
// influence.
func (e *explorer) measure(ctx context.Context) error {
	if e.Fuel != 0 {
		return nil
	}
	e.Fuel = leastFuel
	first, _ := e.seed(0)
	r, err := e.run(ctx, first, sched.SeededConfig{Strategy: sched.RunToBlock(0)})
	if err != nil {
		return fmt.Errorf("explore: seed %d: %w", first, err)
	}
	if r.result.Outcome == virt.Exhausted {
		e.Fuel = DefaultFuel
		if r, err = e.run(ctx, first, sched.SeededConfig{Strategy: sched.RunToBlock(0)}); err != nil {
			return fmt.Errorf("explore: seed %d: %w", first, err)
		}
	}
	if r.result.Outcome == virt.Exhausted {
		e.Fuel = leastFuel // a livelock whoever runs when
		return nil
	}
	e.Fuel = min(max(fuelTimes*r.fuel, leastFuel), DefaultFuel)
	return nil
}

// over reports whether no more runs are to be begun.
func (e *explorer) over(ctx context.Context) bool {
	return ctx.Err() != nil || !e.until.IsZero() && time.Now().After(e.until)
}

// sweep runs all seeds.
func (e *explorer) sweep(ctx context.Context) error {
	var next atomic.Uint64
	workers, within := errgroup.WithContext(ctx)
	for range e.Workers {
		workers.Go(func() error {
			for !e.over(within) {
				seed, ok := e.seed(next.Add(1) - 1)
				if !ok {
					return nil
				}
				r, err := e.run(within, seed, sched.SeededConfig{Strategy: e.Strategy})
				if within.Err() != nil {
					return nil // it was cut short
				}
				if err != nil {
					return fmt.Errorf("explore: seed %d: %w", seed, err)
				}
				e.note(seed, r)
			}
			return nil
		})
	}
	return workers.Wait()
}

// sum identifies the module.
func (e *explorer) sum() string {
	sum := sha256.Sum256(e.Wasm)
	return hex.EncodeToString(sum[:])
}

// seed returns the n-th of the seeds.
func (e *explorer) seed(n uint64) (seed uint64, ok bool) {
	if e.Seeds != nil {
		if ok = n < uint64(len(e.Seeds)); ok {
			seed = e.Seeds[n]
		}
		return seed, ok
	}
	return e.First + n, n <= e.Last-e.First
}

// run makes one run in a world of its own.
func (e *explorer) run(ctx context.Context, seed uint64, c sched.SeededConfig, guest ...virt.GuestOption) (*ran, error) {
	return e.runTimed(ctx, seed, c, e.PunctualTimers, guest...)
}

// runTimed is run with timers that are punctual or not.
func (e *explorer) runTimed(ctx context.Context, seed uint64, c sched.SeededConfig, punctual bool, guest ...virt.GuestOption) (_ *ran, err error) {
	var opts []virt.Option
	if e.World != nil {
		if opts, err = e.World(seed); err != nil {
			return nil, fmt.Errorf("make the world: %w", err)
		}
	}
	c.Seed = seed
	opts = append([]virt.Option{virt.WithMaxThreads(e.Threads), virt.WithFuel(e.Fuel)}, opts...)
	how := virt.Determinism{Seed: seed, MemoryModel: e.MemoryModel, LateTimers: !punctual, MachineAccess: e.AllowMachine}
	opts = append(opts, virt.WithDeterminism(how), virt.WithScheduler(sched.NewSeeded(c)))
	host, err := e.host.Sibling(opts...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, host.Close(context.WithoutCancel(ctx))) }()
	out := newOutput()
	guest = append(guest, virt.WithStdout(out.stream(1)), virt.WithStderr(out.stream(2)))
	result, err := host.RunModule(ctx, e.module, guest...)
	if err != nil {
		return nil, err
	}
	if result.Outcome == virt.Canceled {
		return nil, fmt.Errorf("the run did not end: %w", result.Err)
	}
	return &ran{key: key{describe(result), out.sum()}, result: result, text: out.text, fuel: host.Usage().Fuel}, nil
}

// note counts a run.
func (e *explorer) note(seed uint64, r *ran) {
	by := ""
	if _, mixed := e.Strategy.(portfolio); mixed && !e.Systematic {
		by = StrategyOf(seed)
	}
	e.noteBy(seed, nil, by, r)
}

// noteBy counts a run of a strategy with that name, if it has one, by a plan, or that of the seed.
func (e *explorer) noteBy(seed uint64, plan sched.Plan, by string, r *ran) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.outcomes[r.key]
	if o == nil {
		o = &Outcome{What: r.what, Output: r.output}
		e.outcomes[r.key] = o
	}
	// A seed by itself is better than a plan, and a low one better than others.
	if o.Seeds == 0 || plan == nil && (o.Plan != nil || seed < o.Seed) {
		o.Seed, o.Plan, o.Result = seed, plan, r.result
		if o.Text == "" && len(r.text) > 0 && e.kept < maxTexts {
			o.Text = string(r.text) // all seeds of an outcome print the same
			e.kept++
		}
	}
	o.Seeds++
	if by != "" {
		if o.By == nil {
			o.By = map[string]int{}
		}
		o.By[by]++
	}
}
