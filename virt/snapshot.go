package virt

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/internal/mapping"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/virt/internal/link"
)

// Snapshot is the state of a guest at one moment: memory, globals, descriptors with their offsets,
// files, and what was left of its budgets. Any number of guests can be made from it, also at the
// same time. None sees what another writes. See [Guest.Snapshot].
type Snapshot struct {
	module *Module
	config config // of the guests that are made of it
	image  *mapping.Image
	size   uint64 // of the memory, in bytes
	cells  []cell
	files  []vfs.OpenState
	mounts []forked
	disk   snapshotDisk
	given  []mount // by ReadSnapshot, instead of the guest's
	left   map[Budget]int64
	point  checkpoint

	hash  func() ([32]byte, error)
	mu    sync.Mutex
	ended bool
}

// cell is the value of a global; high is the upper half of one of 128 bits.
type cell struct{ low, high uint64 }

// errFrames refuses a snapshot of a guest whose code is under way.
var errFrames = errors.New("snapshot: a call of the guest is under way, and the frames on its stack cannot be taken: take it between two calls")

// Snapshot saves the guest's state for guests that begin there (Snapshot.Start). Take it after
// _initialize or between two calls of exports. The guest itself goes on.
//
// Take the snapshot of a command before [Guest.Run]. If the command exports wizer.initialize,
// Snapshot calls that first. If it imports "wasivirt" "checkpoint" (fn, arg i32) i32, Snapshot runs
// it until it calls checkpoint. The guest has then ended, and guests of the snapshot continue with
// fn(arg); fn is a function pointer.
//
// Guests of the snapshot have the guest's options, except standard input, which is empty, streams
// of WithStream and WithPreopened, recordings and the budget of time. They see the Host's clock.
// Their randomness is fresh. Random numbers that the guest keeps in memory (a seeded generator,
// hash seeds, keys) are the same in all of them. To draw these again, export a function
// "wasivirt_reseed" without parameters: it is called in each new guest, and after each
// [Guest.Reset], before anything else.
//
// Errors name what cannot be saved: imported tables, globals and memories, tables that the module
// changes, mutable references, threads that live, children, streams and devices that are open,
// writable file systems that are no vfs.Forker. [inspect.Audit] tells beforehand, in
// SnapshotRefusals, what of a module cannot be saved.
func (g *Guest) Snapshot(ctx context.Context) (_ *Snapshot, err error) {
	if err := g.checkSnapshot(); err != nil {
		return nil, err
	}
	if ctx.Value(threadKey{}) != nil {
		return nil, errFrames
	}
	if !g.uses.enter() {
		return nil, &ExitError{Result: g.Result()}
	}
	defer g.uses.leave()
	point, err := g.warm(ctx)
	if err != nil {
		return nil, err
	}
	nested, err := g.enter(ctx)
	if nested != nil {
		return nil, errFrames
	} else if err != nil {
		return nil, err
	}
	defer func() { <-g.calls }()
	if g.ended.Load() && !point.reached {
		return nil, &ExitError{Result: g.Result()}
	}
	if n := len(g.group.Threads()); n > 0 && !point.reached {
		return nil, fmt.Errorf("snapshot: %d threads of the guest are alive: take it when they have ended", n)
	}
	if n := len(g.Children()); n > 0 {
		return nil, fmt.Errorf("snapshot: the guest has not waited for %d of its children: take it when they have ended and have been waited for", n)
	}
	s := &Snapshot{module: g.module, point: point, left: g.budgetsLeft(), config: *g.config}
	s.config.stdin, s.config.streams, s.config.given, s.config.recording = nil, [3]vfs.Stream{}, nil, nil
	s.config.mounts = nil // they lead to the snapshot that the guest was made of, and all before it
	if err := s.takeFiles(g); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if err := s.takeInstance(ctx, g); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	s.initHash()
	if point.reached {
		g.decide(&Result{Outcome: Exited})
	}
	return s, nil
}

// checkSnapshot refuses guests whose modules cannot be saved.
func (g *Guest) checkSnapshot() error {
	switch c := g.module.captured(); {
	case g.adopted || g.module.info == nil:
		return errors.New("snapshot: the embedder instantiated the module itself: use Host.Instantiate")
	case g.libraries != nil || g.plugs != nil:
		return errors.New("snapshot: the guest has libraries or plugs, whose instances cannot be saved")
	case c == nil:
		return errors.New("snapshot: the Host runs modules as they are: build it without WithoutPreemption")
	case len(c.Refused) > 0:
		return fmt.Errorf("snapshot: the module cannot be saved: %s", strings.Join(c.Refused, "; "))
	}
	return nil
}

// warm brings a command to the point where its snapshot is taken.
func (g *Guest) warm(ctx context.Context) (checkpoint, error) {
	if !g.module.Command() || g.origin != nil {
		return checkpoint{}, nil
	}
	if g.module.exportsFunc(wizerInitialize) {
		_, err := g.Call(ctx, wizerInitialize)
		return checkpoint{}, err
	}
	if g.module.captured().Resume == "" {
		return checkpoint{}, nil
	}
	g.atPoint = new(checkpoint)
	_, err := g.Call(ctx, "_start")
	if g.atPoint.reached {
		return *g.atPoint, nil
	}
	g.atPoint = nil
	if err == nil {
		err = errors.New("snapshot: the command ended without calling wasivirt.checkpoint")
	}
	return checkpoint{}, err
}

// takeInstance takes memory and globals.
func (s *Snapshot) takeInstance(ctx context.Context, g *Guest) (err error) {
	mod, c := g.main.mod, g.module.captured()
	for i := range g.module.report.Globals {
		e := &g.module.report.Globals[i]
		var v cell
		if g.module.countsStack(e) {
			s.cells = append(s.cells, v) // no call is under way
			continue
		}
		if accessors, ok := c.Vectors[e.Index]; ok {
			halves, err := mod.ExportedFunction(accessors.Get).Call(context.WithoutCancel(ctx))
			if err != nil {
				return err
			}
			v = cell{halves[0], halves[1]}
		} else {
			v.low = mod.ExportedGlobal(e.Export).Get()
		}
		s.cells = append(s.cells, v)
	}
	var mem []byte
	if m := g.mapped(); m != nil {
		mem = m.Bytes()
	}
	s.size = uint64(len(mem))
	s.image, err = mapping.NewImage(mem)
	return err
}

// countsStack reports whether a global counts the engine's stack.
func (m *Module) countsStack(e *wasmbin.ExportedGlobal) bool {
	return e.Export == m.report.StackGlobal || e.Export == m.report.StackEndGlobal
}

// mapped is the guest's memory, nil where it has none.
func (g *Guest) mapped() *mapping.Mapping {
	switch {
	case g.shared != nil:
		return g.shared.mapped
	case g.main.lin != nil:
		return g.main.lin.mapped
	}
	return nil
}

// budgetsLeft is what is left of the guest's budgets.
func (g *Guest) budgetsLeft() map[Budget]int64 {
	left := map[Budget]int64{}
	for b, a := range g.budgets.named() {
		if a != nil {
			left[b] = a.left.Load()
		}
	}
	return left
}

// named are the allowances that a fork takes over.
func (p *budgets) named() map[Budget]*allowance {
	return map[Budget]*allowance{BudgetFuel: p.fuel, BudgetHostCalls: p.calls, BudgetOutput: p.output, BudgetSleep: p.sleep, BudgetCPUTime: p.cpu}
}

// Start makes a guest that begins where the snapshot was taken. Options change what its guests
// have: arguments and environment (for what the guest has not read yet), streams, mounts, budgets.
// A mount given takes the place of the one at its path. Budgets that are not given go on where the
// snapshot's guest was; time begins anew.
func (s *Snapshot) Start(ctx context.Context, opts ...GuestOption) (*Guest, error) {
	if err := s.use(); err != nil {
		return nil, err
	}
	h := s.module.host
	if !h.uses.enter() {
		return nil, fmt.Errorf("start a snapshot: the Host is %w", ErrClosed)
	}
	defer h.uses.leave()
	c, given, err := s.configure(opts)
	if err != nil {
		return nil, fmt.Errorf("start a snapshot: %w", err)
	}
	return s.start(ctx, h, c, given)
}

// start is Start in a Host that is in use, with the options and with the budgets that they give.
func (s *Snapshot) start(ctx context.Context, h *Host, c *config, given map[Budget]bool) (*Guest, error) {
	if !s.module.uses.enter() {
		return nil, fmt.Errorf("start a snapshot: the module is %w", ErrClosed)
	}
	g, err := h.makeGuest(ctx, s.module, c, nil, nil)
	if err != nil {
		s.module.uses.leave()
		return nil, fmt.Errorf("start a snapshot: %w", err)
	}
	g.origin, g.given = s, given
	s.takeOver(g, given)
	g.uses.enter()
	err = g.begin(ctx)
	g.uses.leave()
	if err != nil {
		return nil, errors.Join(err, g.close(context.WithoutCancel(ctx)))
	}
	return g, nil
}

// use refuses a snapshot that was closed.
func (s *Snapshot) use() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return fmt.Errorf("start a snapshot: it is %w", ErrClosed)
	}
	return nil
}

// unset marks budgets that options do not give.
const unset = math.MaxInt64 - 1

func init() {
	link.CheckOptions = func(s, opts any) error {
		_, _, err := s.(*Snapshot).configure(opts.([]GuestOption))
		return err
	}
	link.Rest = func(g any) { g.(*Guest).rest() }
	link.Resume = func(g any) bool { return g.(*Guest).resume() }
}

// configure returns the options of a guest, and which budgets opts give.
func (s *Snapshot) configure(opts []GuestOption) (*config, map[Budget]bool, error) {
	c := s.config
	c.mounts = s.given
	given := map[Budget]bool{}
	if len(opts) > 0 {
		if err := errors.Join(apply(&c, opts)...); err != nil {
			return nil, nil, err
		}
		probe := config{limits: Limits{Fuel: unset, OutputBytes: unset, HostCalls: unset, Sleep: unset, CPUTime: unset}}
		_ = apply(&probe, opts) // their errors have been told
		l := &probe.limits
		given[BudgetFuel], given[BudgetOutput], given[BudgetHostCalls] = l.Fuel != unset, l.OutputBytes != unset, l.HostCalls != unset
		given[BudgetSleep], given[BudgetCPUTime] = l.Sleep != unset, l.CPUTime != unset
		if c.recording != nil {
			var err error
			if c.recordedFrom, err = s.hash(); err != nil {
				return nil, nil, fmt.Errorf("WithRecording: %w", err)
			}
		}
	}
	c.mounts = s.mountsBeside(c.mounts)
	return &c, given, nil
}

// takeOver gives a guest what the snapshot's had left of its budgets.
func (s *Snapshot) takeOver(g *Guest, given map[Budget]bool) {
	for b, a := range g.budgets.named() {
		if left, ok := s.left[b]; ok && a != nil && !given[b] {
			a.left.Store(min(left, a.left.Load()))
		}
	}
}

// become puts the snapshot in the place of what the guest's new instance holds.
func (s *Snapshot) become(ctx context.Context, g *Guest) error {
	if err := s.restoreMemory(g); err != nil {
		return err
	}
	if err := s.restoreCells(ctx, g); err != nil {
		return err
	}
	return s.restoreFiles(g)
}

// restoreMemory makes the memory show the snapshot's image.
func (s *Snapshot) restoreMemory(g *Guest) error {
	m := g.mapped()
	if m == nil {
		return nil
	}
	now := uint64(len(m.Bytes()))
	mem := g.main.mod.Memory()
	if s.size > now {
		if g.shared != nil && g.shared.Reallocate(s.size) == nil {
			return fmt.Errorf("the snapshot's memory is %d bytes, which is more than Limits.Memory allows: raise it", s.size)
		}
		if _, ok := mem.Grow(uint32((s.size - now) / pageSize)); !ok {
			return fmt.Errorf("the snapshot's memory is %d bytes, which is more than Limits.Memory allows: raise it", s.size)
		}
		m = g.mapped()
	}
	if s.size < now && g.shared != nil {
		return errors.New("the shared memory has grown, and cannot shrink: start a guest of the snapshot instead")
	}
	if err := m.Show(s.image); err != nil {
		return err
	}
	if s.size < now {
		g.discharge(s.size)
		if !shrink(mem, m.Bytes()) {
			return errors.New("the memory cannot shrink: start a guest of the snapshot instead")
		}
	}
	if g.shared == nil {
		g.main.view.Reset(m.Bytes())
	}
	return nil
}

// restoreCells sets globals, and drops the data segments that were dropped.
func (s *Snapshot) restoreCells(ctx context.Context, g *Guest) error {
	mod, c := g.main.mod, g.module.captured()
	for i := range g.module.report.Globals {
		e, v := &g.module.report.Globals[i], s.cells[i]
		if g.module.countsStack(e) {
			continue // it is the instance's own
		}
		if accessors, ok := c.Vectors[e.Index]; ok {
			if _, err := mod.ExportedFunction(accessors.Set).Call(context.WithoutCancel(ctx), v.low, v.high); err != nil {
				return err
			}
			continue
		}
		global, ok := mod.ExportedGlobal(e.Export).(api.MutableGlobal)
		if !ok {
			return fmt.Errorf("the global %s cannot be set", e.Export)
		}
		for _, d := range c.Drops {
			if d.Global != e.Export {
				continue
			}
			switch was := global.Get(); {
			case was == 0 && v.low != 0:
				if _, err := mod.ExportedFunction(d.Func).Call(context.WithoutCancel(ctx)); err != nil {
					return err
				}
			case was != 0 && v.low == 0:
				return errors.New("a data segment was dropped since: start a guest of the snapshot instead")
			}
		}
		global.Set(v.low)
	}
	return nil
}

// Hash is a SHA-256 of the module, the memory and the globals that the snapshot holds: the same for
// snapshots of guests that did the same. Files are not part of it.
func (s *Snapshot) Hash() ([32]byte, error) { return s.hash() }

func (s *Snapshot) initHash() { s.hash = sync.OnceValues(s.computeHash) }

func (s *Snapshot) computeHash() (sum [32]byte, err error) {
	h := sha256.New()
	h.Write(s.module.sum[:])
	var b [16]byte
	for _, v := range s.cells {
		binary.LittleEndian.PutUint64(b[:], v.low)
		binary.LittleEndian.PutUint64(b[8:], v.high)
		h.Write(b[:])
	}
	buf := make([]byte, 1<<16)
	for at := uint64(0); at < s.size; at += uint64(len(buf)) {
		if _, err := s.image.ReadAt(buf, int64(at)); err != nil {
			return sum, fmt.Errorf("hash a snapshot: %w", err)
		}
		h.Write(buf)
	}
	return [32]byte(h.Sum(nil)), nil
}

// Size is how much linear memory the snapshot's guest had, in bytes.
func (s *Snapshot) Size() uint64 { return s.size }

// Close gives back what the snapshot holds. Guests made of it go on; no others can be made.
func (s *Snapshot) Close() error {
	s.mu.Lock()
	ended := s.ended
	s.ended = true
	s.mu.Unlock()
	if ended {
		return nil
	}
	err := s.image.Close()
	_, e := s.module.host.first().spares.forget(s.image)
	return errors.Join(err, e)
}
