package simulate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/virt"
)

// Simulation describes a world, its faults, and what is checked.
type Simulation struct {
	// Nodes start first, in this order. Nodes with the same Wasm are compiled once.
	Nodes []Node
	// Clients run beside them. When all have ended, the run is over.
	Clients []Client
	// Length is the virtual time after which the run is over at the latest; 0 is 10 s.
	Length time.Duration
	// Link is the link between any two nodes or clients; the zero value is a latency of 1 ms.
	Link netmem.Link
	// TornWrites lets some sectors of what was not synced survive a loss of power; see
	// [faultfs.WithTornWrites].
	TornWrites bool
	// Nemesis draws what goes wrong. The zero value draws nothing.
	Nemesis Nemesis
	// Invariant, if not nil, is called after each event: a line that a node prints, an operation, a
	// fault. It must not wait. An error ends the run and fails it.
	Invariant func(w *World) error
	// Check, if not nil, is called at the end, before the nodes are stopped. An error fails the
	// run.
	Check func(w *World) error
	// Strategy chooses the next thread; nil is sched.RunToBlock(1/8).
	Strategy sched.Strategy
	// Guided makes every second run of [Runner.Find] vary the plan of an earlier run that did
	// something new. See the package comment.
	Guided bool
	// Host holds options that all runs share, such as the engine.
	Host []virt.Option
}

// Result is how one run ended.
type Result struct {
	Seed uint64
	// Plan is the run's faults. Varied is true if it is not the plan that is drawn for the seed:
	// [Runner.RunPlan] repeats the run, and [Runner.Run] does not.
	Plan   Plan
	Varied bool
	// Failure is why the run failed, or nil.
	Failure error
	// Events are the story's lines, History the operations of clients.
	Events  []Event
	History []Operation
	// Elapsed is the virtual time that the run took.
	Elapsed time.Duration
	// Hash is that of the events.
	Hash [32]byte
}

// Runner runs a Simulation over and over. It may be used by any number of goroutines.
type Runner struct {
	sim     *Simulation
	base    *virt.Host
	modules []*virt.Module
	names   []string
}

// New compiles the nodes of a simulation.
func New(ctx context.Context, s Simulation) (_ *Runner, err error) {
	if s.Length == 0 {
		s.Length = 10 * time.Second
	}
	if s.Link == (netmem.Link{}) {
		s.Link.Latency = time.Millisecond
	}
	if s.Strategy == nil {
		s.Strategy = sched.RunToBlock(1.0 / 8)
	}
	r := &Runner{sim: &s}
	for _, n := range s.Nodes {
		if n.Name == "" || strings.ContainsAny(n.Name, " :->,/") || slices.Contains(r.names, n.Name) {
			return nil, fmt.Errorf("simulate: node %q: want names that differ, without spaces and any of :->,/", n.Name)
		}
		r.names = append(r.names, n.Name)
	}
	r.base, err = virt.NewBuilder(append([]virt.Option{virt.Deterministic(0)}, s.Host...)...).Build(ctx)
	if err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	for _, n := range s.Nodes {
		m, err := r.base.Compile(ctx, n.Wasm)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("simulate: node %s: %w", n.Name, err), r.base.Close(ctx))
		}
		r.modules = append(r.modules, m)
	}
	return r, nil
}

// Close frees what New made.
func (r *Runner) Close(ctx context.Context) error { return r.base.Close(ctx) }

// Plan returns the faults that are drawn for a seed.
func (r *Runner) Plan(seed uint64) Plan { return r.sim.Nemesis.Draw(seed, r.sim.Length, r.names) }

// Run runs a seed. A run that fails is no error: see [Result.Failure]. The error says that the seed
// could not be run.
func (r *Runner) Run(ctx context.Context, seed uint64) (*Result, error) {
	return r.RunPlan(ctx, seed, r.Plan(seed))
}

// RunPlan runs a seed with the faults of plan instead of those drawn for it.
func (r *Runner) RunPlan(ctx context.Context, seed uint64, plan Plan) (*Result, error) {
	return r.runPlan(ctx, seed, plan, nil)
}

// runPlan is RunPlan, and notes what the run does unless sig is nil.
func (r *Runner) runPlan(ctx context.Context, seed uint64, plan Plan, sig *signature) (*Result, error) {
	if err := plan.check(r.names); err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	w, err := r.newWorld(seed, plan, sig)
	if err == nil {
		err = w.run(ctx)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("simulate: seed %d: %w", seed, err)
	}
	result := &Result{Seed: seed, Plan: plan, Failure: w.failure, Events: w.events, History: w.history, Elapsed: w.Now()}
	result.Varied = !slices.Equal(plan, r.Plan(seed))
	w.hash.Sum(result.Hash[:0])
	return result, nil
}

// Find runs the seeds from first to last on workers goroutines (0: one a processor). It returns the
// result of the lowest seed that fails, or nil, and the number of runs. Seeds above one that fails
// may be left out.
//
// If the simulation is Guided, it makes as many runs, half of them of the seeds from first on, and
// returns the first that fails. The variations depend on first, not on workers.
func (r *Runner) Find(ctx context.Context, first, last uint64, workers int) (failed *Result, runs int, err error) {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if r.sim.Guided {
		return r.findGuided(ctx, first, last, workers)
	}
	var next, count atomic.Uint64
	var lowest atomic.Uint64
	lowest.Store(last + 1)
	results := make([]*Result, workers)
	g, within := errgroup.WithContext(ctx)
	for i := range workers {
		g.Go(func() error {
			for {
				seed := first + next.Add(1) - 1
				if seed > last || seed > lowest.Load() {
					return nil
				}
				result, err := r.Run(within, seed)
				if err != nil {
					return err
				}
				count.Add(1)
				if result.Failure == nil {
					continue
				}
				results[i] = result
				for {
					low := lowest.Load()
					if seed >= low || lowest.CompareAndSwap(low, seed) {
						break
					}
				}
				return nil
			}
		})
	}
	err = g.Wait()
	for _, result := range results {
		if result != nil && (failed == nil || result.Seed < failed.Seed) {
			failed = result
		}
	}
	return failed, int(count.Load()), err
}

// Shrunk is a run that fails, with the faults that it needs.
type Shrunk struct {
	*Result
	// Before is the number of faults of the run that was found.
	Before int
	// Runs is the number of runs that it took.
	Runs int
}

// Shrink looks for the faults that a failure needs. It leaves out one fault after the other as long
// as the run still fails in the same way. In the end, leaving out any one changes how the run ends.
// Two failures are the same if their texts are equal up to the first colon.
func (r *Runner) Shrink(ctx context.Context, failed *Result) (*Shrunk, error) {
	s := &Shrunk{Result: failed, Before: len(failed.Plan)}
	try := func(plan Plan) (bool, error) {
		result, err := r.RunPlan(ctx, failed.Seed, plan)
		s.Runs++
		if err != nil || result.Failure == nil || class(result.Failure) != class(failed.Failure) {
			return false, err
		}
		s.Result = result
		return true, nil
	}
	for again := true; again; {
		again = false
		for i := 0; i < len(s.Plan); {
			ok, err := try(slices.Delete(slices.Clone(s.Plan), i, i+1))
			if err != nil {
				return nil, err
			}
			if again = again || ok; !ok {
				i++
			}
		}
	}
	return s, nil
}

// class is how failures are compared.
func class(err error) string {
	text, _, _ := strings.Cut(err.Error(), ":")
	return text
}

// Story explains a run that failed to a person: how it failed, which faults it needs, what
// happened, and the command that repeats it. If a history is not linearizable, it tells what
// happened until the operation that cannot be explained.
func (s *Shrunk) Story(command string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d fails: %v\n", s.Seed, s.Failure)
	switch {
	case len(s.Plan) == 0:
		fmt.Fprintf(&b, "No fault is needed (the run had %d).\n", s.Before)
	default:
		fmt.Fprintf(&b, "It takes %d of %d faults (found in %d runs); without any one of them it does not fail so:\n", len(s.Plan), s.Before, s.Runs)
	}
	for _, f := range s.Plan {
		fmt.Fprintf(&b, "  %v", f)
		if f.At > s.Elapsed {
			b.WriteString(" (would come later: with it threads run in another order)")
		}
		b.WriteString("\n")
	}
	wrong, history := errors.AsType[*HistoryError](s.Failure)
	if history {
		fmt.Fprintf(&b, "What happened, without operations on anything but %s:\n", wrong.Operation.Key)
	} else {
		b.WriteString("What happened:\n")
	}
	for _, e := range s.Events {
		if history && e.At > wrong.Operation.Return {
			break
		}
		if history && e.key != "" && e.key != wrong.Operation.Key {
			continue
		}
		fmt.Fprintf(&b, "  %v\n", e)
	}
	if command != "" {
		fmt.Fprintf(&b, "Run it again: %s\n", command)
	}
	return b.String()
}
