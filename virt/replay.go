package virt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/virt/internal/link"
	"github.com/wasivirt/wasivirt/virt/internal/recording"
	"github.com/wasivirt/wasivirt/wasip1"
)

func init() {
	link.Replay = func(ctx context.Context, wasm []byte, from io.Reader, opts any) (any, error) {
		return replay(ctx, wasm, from, opts.([]Option))
	}
	link.ReplayLibrary = func(name string, wasm []byte) any { return replayLibrary(name, wasm) }
	link.NewPlayer = func(ctx context.Context, wasm []byte, from io.Reader, opts any) (link.Player, error) {
		p, _, err := newPlayer(ctx, wasm, from, opts.([]Option))
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	link.ReplaySnapshot = func(s any) any { return replaySnapshot(s.(*Snapshot)) }
	link.Table, link.Describe, link.Name, link.Spawn, link.Kernel = recordingTable, describe, describeName, spawnRow, rows
}

// replay replays one recording.
func replay(ctx context.Context, wasm []byte, from io.Reader, opts []Option) (_ *Result, err error) {
	p, r, err := newPlayer(ctx, wasm, from, opts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	return p.play(ctx, r)
}

// player replays recordings of one module, which is compiled once.
type player struct {
	host    *Host
	module  *Module
	header  recording.Header
	outputs [2]io.Writer
	from    *Snapshot // what the recorded guest began as, of module; nil where it began as its module does
	// libraries are closed with the module; options link guests to them.
	libraries []*Module
	options   []GuestOption
}

// newPlayer also returns what goes on reading the recording.
func newPlayer(ctx context.Context, wasm []byte, from io.Reader, opts []Option) (_ *player, _ *replayer, err error) {
	r, err := newReplayer(from)
	if err != nil {
		return nil, nil, err
	}
	if r.header.Module != sha256.Sum256(wasm) {
		return nil, nil, errors.New("replay: the recording is of another module: give the one that was recorded")
	}
	given, err := NewBuilder(opts...).config()
	if err != nil {
		return nil, nil, fmt.Errorf("replay: %w", err)
	}
	p := &player{header: r.header, outputs: given.writers}
	info, err := readModule(wasm, given.limitsOf())
	if err != nil {
		return nil, nil, fmt.Errorf("replay: %w", err)
	}
	c := p.config(r)
	c.runtime, c.runtimeConfig, c.hosted = given.runtime, given.runtimeConfig, hostFunctions{}
	c.hosted.add(info)
	for _, l := range given.played {
		info, err := readModule(l.wasm, given.limitsOf())
		if err != nil {
			return nil, nil, fmt.Errorf("replay: the library %q: %w", l.name, err)
		}
		c.hosted.add(info)
	}
	c.interpreted, c.anyEngine, c.moduleLimits, c.cache, c.elsewhere = given.interpreted, given.anyEngine, given.moduleLimits, given.cache, given.elsewhere
	if p.host, err = newHost(ctx, c); err != nil {
		return nil, nil, fmt.Errorf("replay: %w", err)
	}
	err = p.compile(ctx, wasm, given.played)
	if err == nil {
		err = p.begin(given.playedFrom)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("replay: %w", errors.Join(err, p.host.Close(ctx)))
	}
	return p, r, nil
}

// replaySnapshot is replay.WithSnapshot.
func replaySnapshot(s *Snapshot) HostOption {
	return hostOption("replay.WithSnapshot", func(c *config) error {
		if s == nil {
			return errors.New("the snapshot is nil")
		}
		c.playedFrom = s
		return nil
	})
}

// begin makes the guests that replay begin as the recorded one did. s is what the embedder gave,
// nil for nothing.
func (p *player) begin(s *Snapshot) error {
	want := p.header.Snapshot
	switch {
	case s == nil && want == [32]byte{}:
		return nil
	case s == nil:
		return fmt.Errorf("the recorded guest began as the snapshot with the hash %x: give that by replay.WithSnapshot", want)
	case want == [32]byte{}:
		return errors.New("the recorded guest began as its module does, not as a snapshot: leave replay.WithSnapshot out")
	}
	if err := s.use(); err != nil {
		return err
	}
	got, err := s.Hash()
	switch {
	case err != nil:
		return err
	case got != want:
		return fmt.Errorf("the recorded guest began as the snapshot with the hash %x, and the one given by replay.WithSnapshot has the hash %x", want, got)
	case s.module.rewritten != p.module.rewritten:
		return errors.New("the module of the snapshot given by replay.WithSnapshot was compiled with other options than that of the recorded guest: take it on a Host with the same options (fuel, call depth, scheduler)")
	}
	// Files and budgets are not restored, because the recording has what the Host answered.
	p.from = &Snapshot{module: p.module, config: config{resume: p.header.Resumes}, image: s.image, size: s.size, cells: s.cells, point: s.point}
	return nil
}

// replayLibrary is replay.WithLibrary.
func replayLibrary(name string, wasm []byte) HostOption {
	return hostOption("replay.WithLibrary", func(c *config) error {
		c.played = append(c.played[:len(c.played):len(c.played)], playedLibrary{name, wasm})
		return nil
	})
}

// playedLibrary is one replay.WithLibrary.
type playedLibrary struct {
	name string
	wasm []byte
}

// compile compiles the module and its libraries.
func (p *player) compile(ctx context.Context, wasm []byte, libraries []playedLibrary) (err error) {
	var names []string
	for _, l := range libraries {
		names = append(names, l.name)
	}
	if p.module, err = p.host.CompileLinked(ctx, wasm, names...); err != nil {
		return err
	}
	for _, l := range libraries {
		m, err := p.host.CompileLinked(ctx, l.wasm, names...)
		if err != nil {
			return fmt.Errorf("replay.WithLibrary %q: %w", l.name, err)
		}
		p.libraries = append(p.libraries, m)
		p.options = append(p.options, WithLibrary(l.name, Library{Module: m}))
	}
	return nil
}

// config is that of a Host which replays.
func (p *player) config(r *replayer) config {
	h := &p.header
	return config{
		clock: clock.Frozen(epoch), scheduler: r.threads, mounts: []mount{}, limits: Limits{CallDepth: h.Depth},
		resume: h.Resumes, period: h.Period, access: h.Accesses, noPreempt: h.Unpreempted, nans: h.CanonicalNaNs,
		replay: r,
	}
}

// Close implements [link.Player].
func (p *player) Close(ctx context.Context) error {
	errs := []error{p.module.Close(ctx)}
	for _, m := range p.libraries {
		errs = append(errs, m.Close(ctx))
	}
	return errors.Join(append(errs, p.host.Close(ctx))...)
}

// Play implements [link.Player].
func (p *player) Play(ctx context.Context, from io.Reader) (any, error) {
	r, err := newReplayer(from)
	if err != nil {
		return nil, err
	}
	if r.header != p.header {
		return nil, errors.New("replay: the recording is of another module, or was made by a Host that rewrote it in another way")
	}
	return p.play(ctx, r)
}

func (p *player) play(ctx context.Context, r *replayer) (_ *Result, err error) {
	r.outputs = p.outputs
	c := p.config(r)
	c.runtime, c.hosted = p.host.runtime, p.host.config.hosted
	h := prepareHost(ctx, c)
	h.elder, h.modules = p.host, p.host.modules
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	stop := context.AfterFunc(ctx, func() { r.cancel(context.Cause(ctx)) })
	defer stop()
	g, err := p.instantiate(ctx, h)
	if exit, ok := errors.AsType[*ExitError](err); ok && r.attached() != nil {
		return exit.Result, r.err
	} else if err != nil {
		return nil, fmt.Errorf("replay: %w", errors.Join(r.err, err))
	}
	if err := r.drive(ctx, g); err != nil {
		return nil, err
	}
	return g.Result(), nil
}

// instantiate makes the guest that replays.
func (p *player) instantiate(ctx context.Context, h *Host) (*Guest, error) {
	if p.from == nil {
		return h.Instantiate(ctx, p.module, p.options...)
	}
	c := h.config
	c.forGuest = true
	return p.from.start(ctx, h, &c, nil)
}

func newReplayer(from io.Reader) (*replayer, error) {
	events, header, err := recording.NewReader(from, recordingTable)
	if err != nil {
		return nil, err
	}
	r := &replayer{Reader: events, header: header, threads: newReplayScheduler(), types: newWideParams()}
	r.OnOutput = r.print
	return r, nil
}

// print shows what the guest printed. A writer that fails ends the replay.
func (r *replayer) print(stream int, p []byte) error {
	w := r.outputs[stream]
	if w == nil {
		return nil
	}
	if _, err := w.Write(p); err != nil {
		return fmt.Errorf("replay: write the guest's output: %w", err)
	}
	return nil
}

// replayer is the recorder of a guest that is replayed.
type replayer struct {
	*recording.Reader
	header  recording.Header
	types   wideParams
	mu      sync.Mutex // guards the setting of guest
	guest   *Guest
	threads *replayScheduler
	outputs [2]io.Writer
	err     error // why the replay stopped
}

// attach makes the replayer the recorder of its guest.
func (r *replayer) attach(g *Guest) observer {
	r.mu.Lock()
	r.guest = g
	r.mu.Unlock()
	r.threads.over = g.ended.Load
	// Threads that wait for a turn which nobody will give leave when the guest ends, whatever ended
	// it.
	context.AfterFunc(g.group.Context(), func() { r.threads.Next(nil) })
	return r
}

// drive calls exports as they were called, until the end.
func (r *replayer) drive(ctx context.Context, g *Guest) error {
	if ctx.Err() != nil {
		r.cancel(context.Cause(ctx)) // it may have ended before there was a guest
	}
	for !g.ended.Load() {
		if err := r.threads.rest(); err != nil {
			r.fail(r.Damaged(err.Error()))
			break
		}
		if g.ended.Load() {
			break
		}
		e, err := r.Peek()
		switch {
		case err != nil:
			r.fail(err)
		case e.Op == recording.Export:
			r.threads.calling(true)
			_, err := g.Call(ctx, e.Name, slices.Clone(e.Values)...)
			r.threads.calling(false)
			if err != nil {
				if _, exit := errors.AsType[*ExitError](err); !exit {
					r.fail(err)
				}
			}
		case e.Op == recording.Wrote:
			r.apply(g.main, e)
		case e.Op == recording.Finish:
			g.decide(resultOfEnding(&e.Ending))
		default:
			r.fail(r.Damaged("what follows is nothing that host code did"))
		}
	}
	r.threads.Next(nil)
	g.group.Wait()
	if err := ctx.Err(); err != nil && r.err == nil && g.Result().Outcome == Canceled {
		return fmt.Errorf("replay: %w", context.Cause(ctx))
	}
	return r.check(g)
}

// attached returns the guest that is replayed, or nil before there is one.
func (r *replayer) attached() *Guest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.guest
}

// cancel ends the replay because the context of its caller has ended.
func (r *replayer) cancel(cause error) {
	if g := r.attached(); g != nil {
		g.decide(&Result{Outcome: Canceled, Err: cause})
	}
}

// check compares the ends.
func (r *replayer) check(g *Guest) error {
	if r.err != nil {
		return r.err
	}
	got := g.Result()
	e, err := r.Peek()
	if err != nil {
		return err
	}
	if e.Op != recording.Finish {
		return &recording.DivergenceError{Event: r.Count(), Thread: got.Thread, Recorded: describe(e), Replayed: "the end: " + got.String()}
	}
	if want := resultOfEnding(&e.Ending); !sameEnd(got, want) {
		return &recording.DivergenceError{Event: r.Count(), Thread: got.Thread, Recorded: "the end: " + want.String(), Replayed: "the end: " + got.String()}
	}
	r.Take()
	if err := r.Err(); err != nil {
		return err
	}
	return r.AtEnd()
}

func sameEnd(a, b *Result) bool {
	if a.Outcome == Trapped && b.Outcome == Trapped {
		return a.Trap.Kind == b.Trap.Kind
	}
	return a.Outcome == b.Outcome && a.ExitCode == b.ExitCode && a.Signal == b.Signal && a.Budget == b.Budget
}

// fail stops the replay.
func (r *replayer) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.guest.decide(&Result{Outcome: Failed, Err: r.err})
}

// part stops the replay because thread t does something else than what comes next.
func (r *replayer) part(t *thread, does string) {
	d := &recording.DivergenceError{Event: r.Count(), Thread: t.id(), Replayed: does}
	if e, err := r.Peek(); err != nil {
		d.Recorded = err.Error()
	} else {
		d.Recorded = describe(e)
	}
	r.fail(d)
}

// apply makes what host code wrote.
func (r *replayer) apply(t *thread, e *recording.Event) {
	at := e.At
	r.Take()
	t.attach()
	b, errno := t.view.Window(at.Ptr, at.Len)
	if errno != wasip1.ESUCCESS {
		r.fail(r.outside(at))
	} else if err := r.Bytes(b); err != nil {
		r.fail(err)
	}
}

func (r *replayer) outside(at memory.Range) error {
	return r.Damaged(fmt.Sprintf("%d bytes at %#x lie outside of the guest's memory", at.Len, at.Ptr))
}

// epoch is when a replay's clock stands, which nobody reads.
var epoch = clock.NewVirtual().Now()
