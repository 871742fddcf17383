// Package explore runs a guest with threads over many seeds and tells in how many ways it ends.
//
// A seed decides in which order the threads run (see [virt.Deterministic]), so that a run that goes wrong can be
// run again, as often as needed, and goes wrong in the same way. [Run] runs a seed after the other on all
// cores, each in a world of its own, and puts together those that ended alike: same exit code, trap or deadlock, same
// output. Of each [Outcome] it keeps the lowest seed, and shrinks its schedule: fewer and
// fewer switches of threads that still lead there. What is left is the story of the bug.
//
//	report, err := explore.Run(ctx, explore.Config{Wasm: wasm, Last: 1000})
//	…
//	for _, o := range report.Outcomes {
//		fmt.Println(o)
//	}
//
// Threads switch at every load and store of shared memory unless the Config says otherwise, because a race lies
// between two of them.
package explore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
)

// DefaultFuel is how many instructions a run may take: more is a livelock.
const DefaultFuel = 1_000_000_000

// DefaultStrategy takes the turn away from a thread at one in four of its switch points. It finds bugs that need one or
// two switches at the wrong place in a few dozen seeds.
func DefaultStrategy() sched.Strategy { return sched.RunToBlock(1.0 / 4) }

// Config says what to explore.
type Config struct {
	// Wasm is the guest, a command.
	Wasm []byte
	// First and Last are the seeds: all from First to Last.
	First, Last uint64
	// Seeds, where there are any, are the seeds instead.
	Seeds []uint64
	// World returns the options of one run: the mounts, arguments and limits that it has for itself. Nil is
	// the default world. Standard output and error are the explorer's. It is called on several goroutines.
	World func(seed uint64) ([]virt.Option, error)
	// Host has options for what all runs share, the engine for one.
	Host []virt.Option
	// Strategy is how the next thread is chosen; nil is DefaultStrategy.
	Strategy sched.Strategy
	// CallsOnly keeps threads from switching at loads and stores: faster, and blind for races between them.
	CallsOnly bool
	// Threads is the limit of threads besides the first; 0 is 64.
	Threads int
	// Fuel is how many instructions a run may take; 0 is DefaultFuel.
	Fuel uint64
	// AllowMachine lets directories of the machine into the runs' worlds; see [virt.WithMachineAccess].
	AllowMachine bool
	// Workers is how many runs go on at a time; 0 is one a core.
	Workers int
	// ShrinkRuns is how many runs may be spent on the schedule of one outcome, of which [MaxShrunk] at most are shrunk; 0 is
	// 1000, below 0 is none.
	ShrinkRuns int
}

// Run explores. The error says that a run could not be made, or that ctx has ended.
func Run(ctx context.Context, c Config) (_ *Report, err error) {
	e, err := newExplorer(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.host.Close(context.WithoutCancel(ctx))) }()
	if err := e.sweep(ctx); err != nil {
		return nil, err
	}
	report := e.report()
	if c.ShrinkRuns >= 0 {
		for _, o := range worthShrinking(report.Outcomes) {
			if o.Schedule, err = e.shrink(ctx, o); err != nil {
				return nil, err
			}
		}
	}
	return report, nil
}

// explorer is one Run.
type explorer struct {
	Config
	host   *virt.Host // of which the runs' are siblings
	module *virt.Module

	mu       sync.Mutex
	outcomes map[key]*Outcome
	texts    int // how many outcomes have their text
}

func newExplorer(ctx context.Context, c Config) (*explorer, error) {
	if c.Last < c.First && c.Seeds == nil {
		return nil, fmt.Errorf("explore: no seeds from %d to %d", c.First, c.Last)
	}
	if c.Strategy == nil {
		c.Strategy = DefaultStrategy()
	}
	if c.Fuel == 0 {
		c.Fuel = DefaultFuel
	}
	if c.Threads == 0 {
		c.Threads = 64
	}
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
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
	e := &explorer{Config: c, host: host, outcomes: map[key]*Outcome{}}
	if e.module, err = host.Compile(ctx, c.Wasm); err != nil {
		return nil, fmt.Errorf("explore: %w", errors.Join(err, host.Close(ctx)))
	}
	return e, nil
}

// sweep runs all seeds.
func (e *explorer) sweep(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Uint64
	var workers sync.WaitGroup
	for range e.Workers {
		workers.Go(func() {
			for ctx.Err() == nil {
				seed, ok := e.seed(next.Add(1) - 1)
				if !ok {
					return
				}
				r, err := e.run(ctx, seed, sched.SeededConfig{Strategy: e.Strategy})
				if err != nil {
					cancel(fmt.Errorf("explore: seed %d: %w", seed, err))
					return
				}
				e.note(seed, r)
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
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
func (e *explorer) run(ctx context.Context, seed uint64, c sched.SeededConfig) (_ *ran, err error) {
	var opts []virt.Option
	if e.World != nil {
		if opts, err = e.World(seed); err != nil {
			return nil, fmt.Errorf("make the world: %w", err)
		}
	}
	c.Seed = seed
	scheduler := sched.NewSeeded(c)
	opts = append([]virt.Option{virt.WithMaxThreads(e.Threads), virt.WithFuel(e.Fuel)}, opts...)
	var how []virt.DeterministicOption
	if e.AllowMachine {
		how = append(how, virt.WithMachineAccess())
	}
	opts = append(opts, virt.Deterministic(seed, how...), virt.WithScheduler(scheduler))
	host, err := e.host.Sibling(opts...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, host.Close(context.WithoutCancel(ctx))) }()
	out := newOutput()
	result, err := host.RunModule(ctx, e.module, virt.WithStdout(out.stream(1)), virt.WithStderr(out.stream(2)))
	if err != nil {
		return nil, err
	}
	if result.Outcome == virt.Canceled {
		return nil, fmt.Errorf("the run did not end: %w", result.Err)
	}
	return &ran{key: key{describe(result), out.sum()}, result: result, text: out.text, scheduler: scheduler}, nil
}

// note counts a run.
func (e *explorer) note(seed uint64, r *ran) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.outcomes[r.key]
	if o == nil {
		o = &Outcome{What: r.what, Output: r.output}
		e.outcomes[r.key] = o
	}
	if o.Seeds == 0 || seed < o.Seed {
		o.Seed, o.Result = seed, r.result
		if o.Text == "" && len(r.text) > 0 && e.texts < maxTexts {
			o.Text = string(r.text) // all seeds of an outcome print the same
			e.texts++
		}
	}
	o.Seeds++
}
