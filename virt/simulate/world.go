package simulate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/virt"
)

// World is one run of a [Simulation]. Call its methods only from clients, Invariant and Check.
type World struct {
	sim   *Simulation
	seed  uint64
	plan  Plan
	base  *virt.Host
	start int64
	clock *clock.Virtual
	turns *turns
	net   *netmem.Network
	nodes []*node

	system   *sched.Group // threads of nodes, faults and the end
	clients  *sched.Group
	director *sched.Thread
	alive    int // clients
	over     bool
	inside   bool // the invariant is being checked

	cuts    map[[2]string]int // that hold, by direction
	slows   map[[2]string][]Fault
	events  []Event
	printed int // by nodes; see maxPrinted
	history []Operation
	hash    hash.Hash
	failure error

	signature *signature // nil unless the search is guided
}

// Event is a line of the story.
type Event struct {
	At   time.Duration // since the start
	Who  string        // a node, a client, or "" for the world
	What string

	key string // of an operation
}

// String returns the event in one line.
func (e Event) String() string {
	return fmt.Sprintf("%10.4fs  %-8s %s", e.At.Seconds(), e.Who, e.What)
}

// Now returns the time since the start of the run.
func (w *World) Now() time.Duration { return time.Duration(w.clock.Monotonic() - w.start) }

// Seed returns the seed.
func (w *World) Seed() uint64 { return w.seed }

// History returns the operations that have ended, in the order of their ends.
func (w *World) History() []Operation { return w.history }

// Network returns the network.
func (w *World) Network() *netmem.Network { return w.net }

// Disk returns the disk of a node, which is its /data, or nil.
func (w *World) Disk(node string) *memfs.FS {
	if n := w.node(node); n != nil {
		return n.files
	}
	return nil
}

// Running reports whether a node's guest runs.
func (w *World) Running(node string) bool {
	n := w.node(node)
	return n != nil && n.guest != nil && !n.ended
}

func (w *World) node(name string) *node {
	for _, n := range w.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

func (w *World) log(who, format string, args ...any) {
	w.event(Event{At: w.Now(), Who: who, What: fmt.Sprintf(format, args...)})
}

func (w *World) event(e Event) {
	w.events = append(w.events, e)
	fmt.Fprintf(w.hash, "%d %s %s\n", e.At, e.Who, e.What)
	if w.signature != nil && e.Who != "" {
		w.signature.line(e)
	}
	w.step()
}

func (w *World) record(o Operation) {
	w.history = append(w.history, o)
	w.event(Event{At: w.Now(), Who: o.Client, What: o.what(), key: o.Key})
}

// step checks the invariant.
func (w *World) step() {
	if w.sim.Invariant == nil || w.inside || w.over {
		return
	}
	w.inside = true
	defer func() { w.inside = false }()
	if err := w.sim.Invariant(w); err != nil {
		w.fail(err)
	}
}

// fail ends the run.
func (w *World) fail(err error) {
	if w.failure == nil && !w.over {
		w.failure = err
		w.over = true
		if w.director != nil {
			w.director.Wake()
		}
	}
}

// newWorld makes the world of a seed.
func (r *Runner) newWorld(seed uint64, plan Plan, sig *signature) (*World, error) {
	s := r.sim
	c := clock.NewVirtual(clock.WithAutoAdvance())
	w := &World{
		sim: s, seed: seed, plan: plan, base: r.base, clock: c, start: c.Monotonic(), hash: sha256.New(),
		cuts: map[[2]string]int{}, slows: map[[2]string][]Fault{}, signature: sig,
	}
	w.turns = newTurns(c, sched.SeededConfig{Seed: seed, Strategy: s.Strategy})
	w.net = netmem.New(c, netmem.WithLink(s.Link), netmem.WithSeed(seed))
	for i, n := range s.Nodes {
		d, err := w.open(n, r.modules[i])
		if err != nil {
			return nil, err
		}
		w.nodes = append(w.nodes, d)
	}
	return w, nil
}

// run runs the world to its end.
func (w *World) run(ctx context.Context) error {
	w.system = sched.NewGroup(ctx, w.turns, sched.Config{Name: "system", Clock: w.clock})
	w.clients = sched.NewGroup(ctx, w.turns, sched.Config{Name: "clients", Clock: w.clock})
	resume := w.turns.seeded.Pause()
	var errs []error
	goes := func(g *sched.Group, f func(t *sched.Thread)) {
		if _, err := g.Go(f); err != nil {
			errs = append(errs, err)
		}
	}
	goes(w.system, w.direct)
	for _, n := range w.nodes {
		goes(w.system, n.supervise)
	}
	for _, f := range w.plan {
		goes(w.system, func(t *sched.Thread) { w.befall(t, f) })
	}
	for i, c := range w.sim.Clients {
		w.alive++
		rng := rand.New(rand.NewPCG(w.seed, uint64(i+1)))
		goes(w.clients, func(t *sched.Thread) {
			a := &Actor{Rand: rng, name: c.Name, world: w, task: t}
			if err := c.Run(a); err != nil && !errors.Is(err, ErrOver) {
				w.fail(fmt.Errorf("client %s: %w", c.Name, err))
			}
			w.alive--
			if w.director != nil {
				w.director.Wake()
			}
		})
	}
	resume()
	w.clients.Wait()
	w.system.Wait()
	for _, g := range []*sched.Group{w.clients, w.system} {
		if err := context.Cause(g.Context()); err != nil && !errors.Is(err, ErrOver) {
			errs = append(errs, err)
		}
		g.Close()
	}
	for _, n := range w.nodes {
		errs = append(errs, n.host.Close(context.WithoutCancel(ctx)))
	}
	return errors.Join(errs...)
}

// direct ends the world when its clients have ended, its time is over or it has failed.
func (w *World) direct(t *sched.Thread) {
	w.director = t
	until := w.start + int64(w.sim.Length)
	for !w.over && w.clock.Monotonic() < until && (w.alive > 0 || len(w.sim.Clients) == 0) {
		if t.Park(poll.Wait{Op: "end", Clock: w.clock, Deadline: until}) != nil {
			break
		}
	}
	// Clients tell what they were about before the check.
	w.clients.End(ErrOver)
	for w.alive > 0 {
		if t.Park(poll.Wait{Op: "clients", Deadline: poll.NoDeadline}) != nil {
			break
		}
	}
	if !w.over && w.sim.Check != nil {
		if err := w.sim.Check(w); err != nil {
			w.fail(err)
		}
	}
	w.over = true
	for _, n := range w.nodes {
		n.stop(ErrOver)
		if n.task != nil {
			n.task.Wake()
		}
	}
}

// befall brings a fault about.
func (w *World) befall(t *sched.Thread, f Fault) {
	wait := func(d time.Duration) bool {
		until := w.clock.Monotonic() + int64(d)
		for w.clock.Monotonic() < until && !w.over {
			if t.Park(poll.Wait{Op: "fault", Clock: w.clock, Deadline: until}) != nil {
				return false
			}
		}
		return !w.over
	}
	if !wait(f.At) {
		return
	}
	n := w.node(f.Node)
	if f.Kind == Crash || f.Kind == PowerLoss || f.Kind == Pause {
		for n.guest != nil && !n.ended && !w.turns.hasRun(n.threads) {
			if !wait(time.Microsecond) {
				return
			}
		}
		if n.guest == nil || n.ended || n.crashes {
			return // it is down already
		}
	}
	w.log("", "fault: %v", f)
	if w.signature != nil {
		w.signature.fault(&f, w.Now())
	}
	switch f.Kind {
	case Crash, PowerLoss:
		n.crashes, n.down = true, f.For
		if f.Kind == PowerLoss {
			n.power = true
			if err := n.disk.CutPower(); err != nil {
				w.fail(fmt.Errorf("node %s: take back what is not durable: %w", n.Name, err))
			}
		}
		n.stop(errDown)
	case Pause:
		threads := n.threads
		w.turns.pause(threads)
		wait(f.For)
		w.turns.unpause(threads)
	case Jump:
		n.clock.jump(f.By)
	case Reset:
		w.net.Reset(f.Node, f.Peer)
	case Cut:
		w.cut(f, 1)
		if wait(f.For) {
			w.cut(f, -1)
			w.log("", "ends: %v", f)
		}
	case Slow:
		w.slow(f, true)
		if wait(f.For) {
			w.slow(f, false)
			w.log("", "ends: %v", f)
		}
	case Disk:
		if err := n.disk.Add(f.Rule); err != nil {
			w.fail(err)
		}
		if f.For > 0 && wait(f.For) {
			n.disk.Remove(f.Rule)
		}
	}
}

// cut adds a fault to those that keep what is sent, or takes it away.
func (w *World) cut(f Fault, by int) {
	routes := [][2]string{{f.Node, f.Peer}, {f.Peer, f.Node}}
	if f.OneWay {
		routes = routes[:1]
	}
	for _, r := range routes {
		w.cuts[r] += by
		switch {
		case by > 0 && w.cuts[r] == 1:
			w.net.PartitionOneWay(r[0], r[1])
		case by < 0 && w.cuts[r] == 0:
			w.net.HealOneWay(r[0], r[1])
		}
	}
}

// slow adds a fault to those that slow a link, or takes it away.
func (w *World) slow(f Fault, on bool) {
	pair := [2]string{min(f.Node, f.Peer), max(f.Node, f.Peer)}
	var rest []Fault
	for _, g := range w.slows[pair] {
		if g != f {
			rest = append(rest, g)
		}
	}
	if on {
		rest = append(rest, f)
	}
	w.slows[pair] = rest
	l := w.sim.Link
	for _, g := range rest {
		l.Latency += g.Latency
		l.Jitter += g.Jitter
		l.Loss = min(l.Loss+g.Loss, 0.9)
	}
	w.net.SetLink(f.Node, f.Peer, l)
}
