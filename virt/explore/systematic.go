package explore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
)

// Proof tells how far a systematic exploration came.
//
// Schedules that differ only in the order of steps that do not conflict end in the same way. One
// schedule of each such class is run (dynamic partial-order reduction with source sets and sleep
// sets: Abdulla and others, POPL 2014). Steps conflict where they access the same bytes of shared
// memory and one writes, wait at or notify the same address, or both call the Host.
type Proof struct {
	// Complete is true if no other schedule of the program, in this world, has another outcome. A
	// thread that yields twice, or reads the same values 24 times, without changing anything counts
	// as waiting for others. It goes on when another thread has taken a step.
	Complete bool
	// Schedules is the number of schedules that were run. Redundant counts further ones that were
	// given up because they turned out to be equivalent to others.
	Schedules, Redundant int
	// Preemptions is the number of preemptions up to which the search is complete: every known
	// schedule with that many or fewer was run. A preemption stops a thread that could go on. -1
	// means that schedules without preemptions are left.
	Preemptions int
	// Known is the number of known schedules that were not run.
	Known int
	// Truncated is true if a run took more than 100,000 steps. Its later steps were not explored.
	Truncated bool
}

// String returns "all 32 schedules explored" or how far it came.
func (p *Proof) String() string {
	s := fmt.Sprintf("%d schedules explored, at least %d left", p.Schedules, p.Known)
	switch {
	case p.Complete:
		return fmt.Sprintf("all %d schedules explored", p.Schedules)
	case p.Truncated && p.Known == 0:
		return fmt.Sprintf("%d schedules explored, up to %d steps of each", p.Schedules, maxSteps)
	case p.Preemptions >= 0:
		return s + fmt.Sprintf(", all of them with more than %d preemptions", p.Preemptions)
	}
	return s
}

// state is what the program can do after some steps: a node of the tree of schedules.
type state struct {
	parent  *state
	step    *move // that led here from parent; nil at the root
	depth   int
	enabled []uint32
	sleep   sleepers
	done    []branch // those that were explored or will be
	stops   int      // preemptions on the way here
	live    int      // states below that may get branches, and branches that are to be run
}

// move is a step, as far as the states behind it need to know.
type move struct {
	thread uint32
	stop   sched.Point
}

// branch is a step that can be taken at a state.
type branch struct {
	thread uint32
	print  *footprint // nil until it was taken
}

// task is a branch that is to be run.
type task struct {
	at     *state
	thread uint32
	sleep  sleepers
}

// tree is the state of a search.
type tree struct {
	root   *state
	levels [][]task // by preemptions
	states int
	proof  Proof
	rng    *rand.Rand     // draws what is run next
	found  []savedOutcome // before it was saved
}

const (
	// manyStates is how many states are kept before the search goes on with the deepest, which
	// frees most.
	manyStates = 3_000_000
	batchSize  = 64 // schedules that are run together; the report does not depend on how many workers there are
)

// search explores the tree, schedules with few preemptions first.
func (e *explorer) search(ctx context.Context) error {
	t := &tree{levels: [][]task{{{}}}, proof: Proof{Preemptions: -1}, rng: rand.New(rand.NewPCG(1, 1))}
	if len(e.State) > 0 {
		if err := e.restore(t); err != nil {
			return err
		}
	}
	e.tree, e.proof = t, &t.proof
	for _, f := range t.found {
		if err := e.again(ctx, f); err != nil {
			return err
		}
	}
	most := t.proof.Schedules + t.proof.Redundant + e.MaxSchedules
	for !e.over(ctx) {
		batch := t.take(min(batchSize, most-t.proof.Schedules-t.proof.Redundant))
		if len(batch) == 0 {
			break
		}
		if err := e.batch(ctx, t, batch); err != nil {
			return err
		}
	}
	t.measure()
	return nil
}

// measure says how far the search came.
func (t *tree) measure() {
	p := &t.proof
	p.Known, p.Preemptions = 0, -1
	for level, tasks := range t.levels {
		if p.Known += len(tasks); p.Known == 0 {
			p.Preemptions = level
		}
	}
	p.Complete = p.Known == 0 && !p.Truncated
}

// take takes up to n tasks.
func (t *tree) take(n int) []task {
	for i := range t.levels {
		level := i
		if t.states > manyStates {
			level = len(t.levels) - 1 - i
		}
		tasks := t.levels[level]
		if len(tasks) == 0 {
			continue
		}
		n = min(n, len(tasks))
		rest := len(tasks) - n
		if t.states <= manyStates {
			// Neighbours end alike: what is taken comes from all over the tree.
			for i := len(tasks) - 1; i >= rest; i-- {
				k := t.rng.IntN(i + 1)
				tasks[i], tasks[k] = tasks[k], tasks[i]
			}
		}
		t.levels[level] = tasks[:rest]
		return slices.Clone(tasks[rest:])
	}
	return nil
}

// path are the threads of the steps to a branch.
func (k task) path() []uint32 {
	if k.at == nil {
		return nil
	}
	threads := make([]uint32, k.at.depth+1)
	threads[k.at.depth] = k.thread
	for s := k.at; s.step != nil; s = s.parent {
		threads[s.depth-1] = s.step.thread
	}
	return threads
}

// batch runs some tasks, and learns from them in their order.
func (e *explorer) batch(ctx context.Context, t *tree, batch []task) error {
	seed, _ := e.seed(0)
	runs, directors := make([]*ran, len(batch)), make([]*director, len(batch))
	workers, within := errgroup.WithContext(ctx)
	workers.SetLimit(e.Workers)
	for i, k := range batch {
		workers.Go(func() (err error) {
			d := newDirector(k.path(), k.sleep)
			directors[i] = d
			runs[i], err = e.run(within, seed, sched.SeededConfig{Strategy: d}, virt.WithAccessObserver(d.access))
			d.end()
			if err != nil && within.Err() == nil {
				return fmt.Errorf("explore: a schedule of %d steps: %w", len(d.begin), err)
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		for _, k := range batch {
			t.add(k)
		}
		return nil
	}
	for i, k := range batch {
		if err := t.learn(k, directors[i], runs[i]); err != nil {
			return fmt.Errorf("explore: seed %d: %w", seed, err)
		}
		e.note(seed, runs[i])
		if o := e.outcomes[runs[i].key]; o.Order == nil {
			o.Order = directors[i].order()
		}
	}
	return nil
}

// again makes the run of an outcome that was found before the search was saved.
func (e *explorer) again(ctx context.Context, f savedOutcome) error {
	seed, _ := e.seed(0)
	d := newDirector(f.Order, nil)
	r, err := e.run(ctx, seed, sched.SeededConfig{Strategy: d}, virt.WithAccessObserver(d.access))
	if err != nil {
		return err
	}
	e.note(seed, r)
	o := e.outcomes[r.key]
	o.Seeds += f.Seeds - 1 // this run is one of them
	if o.Order == nil {
		o.Order = f.Order // parts of the search may have found it in different orders
	}
	return nil
}

// order are the threads of all steps.
func (d *director) order() []uint32 {
	threads := make([]uint32, len(d.steps))
	for i := range d.steps {
		threads[i] = d.steps[i].thread
	}
	return threads
}

// add puts a task to those to be run.
func (t *tree) add(k task) {
	level := 0
	if k.at != nil {
		level = k.at.stops
		if preempts(k.at.step, k.at.enabled, k.thread) {
			level++
		}
	}
	for len(t.levels) <= level {
		t.levels = append(t.levels, nil)
	}
	t.levels[level] = append(t.levels[level], k)
}

// errChanged says that a schedule did not come about a second time.
var errChanged = errors.New("the guest did other things in the same order of its threads: its world is not deterministic")

// learn adds the states of a run to the tree, and the branches that its races ask for.
func (t *tree) learn(k task, d *director, r *ran) error {
	steps := d.steps
	if d.lost || len(steps) < len(d.begin) {
		return errChanged
	}
	for i, thread := range d.begin {
		if steps[i].thread != thread {
			return errChanged
		}
	}
	redundant := d.cut >= 0 && d.cut < len(steps)
	if redundant {
		steps = steps[:d.cut]
		t.proof.Redundant++
	} else {
		t.proof.Schedules++
	}
	t.proof.Truncated = t.proof.Truncated || len(d.steps) >= maxSteps
	from := max(len(d.begin)-1, 0)
	path := make([]*state, len(steps))
	last := k.at
	for s := k.at; s != nil; s = s.parent {
		path[s.depth] = s
	}
	if k.at != nil {
		for i := range k.at.done {
			if b := &k.at.done[i]; b.thread == k.thread {
				b.print = print(steps, from)
			}
		}
	}
	for i := from; i < len(steps); i++ {
		if i == from && k.at != nil {
			continue
		}
		s := &state{parent: last, depth: i, enabled: steps[i].enabled, sleep: steps[i].sleep, done: []branch{{steps[i].thread, print(steps, i)}}}
		if i > 0 {
			before := &steps[i-1]
			s.step = &move{before.thread, before.stop}
			s.stops = last.stops
			if preempts(last.step, last.enabled, before.thread) {
				s.stops++
			}
		} else {
			t.root = s
		}
		s.live = 1 // this run, as long as it is looked at
		if last != nil {
			last.live++
		}
		t.states++
		path[i], last = s, s
	}
	h, races := newHistory(steps, from)
	for _, r := range races {
		t.reverse(path[r.first], h, r)
	}
	if ends := r.result.Outcome; !redundant && (ends == virt.Exited || ends == virt.Signaled || ends == virt.Trapped) && len(steps) > 0 {
		// What the others would have done next is not known: anything might have come before the
		// end.
		at := path[len(steps)-1]
		for _, thread := range at.enabled {
			t.branch(at, thread)
		}
	}
	// Where nothing is left below, nothing comes back.
	for i := len(steps) - 1; i >= from; i-- {
		if i > from || k.at == nil {
			t.release(path[i])
		}
	}
	if k.at != nil {
		t.release(k.at) // the branch has been run
	}
	return nil
}

// print keeps the footprint of a step.
func print(steps []step, i int) *footprint {
	f := steps[i].footprint
	return &f
}

// reverse sees to it that a schedule is run in which the second step of a race comes before the
// first.
func (t *tree) reverse(at *state, h *history, r race) {
	initials := h.initials(r)
	for _, thread := range initials {
		if at.sleep[thread] != nil || at.has(thread) {
			return
		}
	}
	best := h.steps[r.second].thread
	if !slices.Contains(initials, best) || !slices.Contains(at.enabled, best) {
		i := slices.IndexFunc(initials, func(thread uint32) bool { return slices.Contains(at.enabled, thread) })
		if i < 0 {
			for _, thread := range at.enabled {
				t.branch(at, thread)
			}
			return
		}
		best = initials[i]
	}
	t.branch(at, best)
}

func (s *state) has(thread uint32) bool {
	return slices.ContainsFunc(s.done, func(b branch) bool { return b.thread == thread })
}

// branch adds a branch to a state unless it is explored already.
func (t *tree) branch(at *state, thread uint32) {
	if at.has(thread) || at.sleep[thread] != nil {
		return
	}
	sleep := sleepers{}
	for other, print := range at.sleep {
		sleep[other] = print
	}
	for _, b := range at.done {
		if b.print != nil {
			sleep[b.thread] = b.print
		}
	}
	at.done = append(at.done, branch{thread: thread})
	at.live++
	t.add(task{at, thread, sleep})
}

// release counts down what is left below a state, and frees it where nothing is.
func (t *tree) release(s *state) {
	for s != nil {
		if s.live--; s.live > 0 {
			return
		}
		t.states--
		s.sleep, s.done, s.enabled = nil, nil, nil
		s = s.parent
	}
}
