package virt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Difference says where a run that is replayed does something else than the recorded one.
type Difference struct {
	// Event is how many events of the recording were the same.
	Event uint64
	// Thread is the thread of the guest that is different.
	Thread uint32
	// Recorded and Replayed tell what each did.
	Recorded, Replayed string
}

func (d *Difference) Error() string {
	return fmt.Sprintf("the replay parts from the recording after %d events, in thread %d:\n  recorded: %s\n  replayed: %s", d.Event, d.Thread, d.Recorded, d.Replayed)
}

// Replay runs a module again as [WithRecording] recorded it, without the world that it ran in: what the Host
// answered comes from the recording. The module has to be the recorded one, byte for byte. Options say which engine runs
// it (WithInterpreter, WithRuntimeConfig) and where its standard output goes (WithStdout, WithStderr); others have no effect.
//
// The Result is the recorded one. The error is a [*Difference] where the run did anything else, [ErrRecordingCut] where the
// recording has no end, after all of it was replayed, and a [*RecordingError] where it is damaged.
func Replay(ctx context.Context, wasm []byte, recording io.Reader, opts ...Option) (_ *Result, err error) {
	p, r, err := newPlayer(ctx, wasm, recording, opts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	return p.play(ctx, r)
}

// Player replays recordings of one module, which is compiled once.
type Player struct {
	host    *Host
	module  *Module
	header  header
	outputs [2]io.Writer
}

// NewPlayer returns a Player for the recordings that have the same beginning as one of them, of which it reads no more than
// that: of the same module, compiled in the same way. See [Replay] for the options.
func NewPlayer(ctx context.Context, wasm []byte, recording io.Reader, opts ...Option) (*Player, error) {
	p, _, err := newPlayer(ctx, wasm, recording, opts)
	return p, err
}

// newPlayer also returns what goes on reading the recording.
func newPlayer(ctx context.Context, wasm []byte, recording io.Reader, opts []Option) (_ *Player, _ *replayer, err error) {
	r := newReplayer(recording)
	if r.header, err = r.script.header(); err != nil {
		return nil, nil, err
	}
	if r.header.module != sha256.Sum256(wasm) {
		return nil, nil, errors.New("replay: the recording is of another module")
	}
	given, err := NewBuilder(opts...).config()
	if err != nil {
		return nil, nil, fmt.Errorf("replay: %w", err)
	}
	p := &Player{header: r.header, outputs: given.writers}
	info, err := wasmbin.Inspect(wasm)
	if err != nil {
		return nil, nil, fmt.Errorf("replay: %w", err)
	}
	c := p.config(r)
	c.runtime, c.runtimeConfig, c.hosted = given.runtime, given.runtimeConfig, standIns(info)
	if p.host, err = newHost(ctx, c); err != nil {
		return nil, nil, fmt.Errorf("replay: %w", err)
	}
	if p.module, err = p.host.Compile(ctx, wasm); err != nil {
		return nil, nil, fmt.Errorf("replay: %w", errors.Join(err, p.host.Close(ctx)))
	}
	return p, r, nil
}

// config is that of a Host which replays.
func (p *Player) config(r *replayer) config {
	h := &p.header
	return config{
		clock: clock.Frozen(epoch), scheduler: r.threads, mounts: []mount{}, threads: math.MaxInt32,
		depth: h.depth, resume: h.resumes, period: h.period, access: h.accesses, noPreempt: h.unpreempted,
		replay: r,
	}
}

// Close lets go of the module.
func (p *Player) Close(ctx context.Context) error {
	return errors.Join(p.module.Close(ctx), p.host.Close(ctx))
}

// Play replays a recording. See [Replay] for what it answers. It may be called by several goroutines, where no option
// says where the output goes.
func (p *Player) Play(ctx context.Context, recording io.Reader) (*Result, error) {
	r := newReplayer(recording)
	h, err := r.script.header()
	if err != nil {
		return nil, err
	}
	if r.header = h; h != p.header {
		return nil, errors.New("replay: the recording is of another module, or was made by a Host that rewrote it in another way")
	}
	return p.play(ctx, r)
}

func (p *Player) play(ctx context.Context, r *replayer) (_ *Result, err error) {
	r.outputs = p.outputs
	c := p.config(r)
	c.runtime = p.host.runtime
	h := prepareHost(ctx, c)
	h.elder, h.modules = p.host, p.host.modules
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	g, err := h.Instantiate(ctx, p.module)
	if exit, ok := errors.AsType[*ExitError](err); ok && r.guest != nil {
		return exit.Result, r.err
	} else if err != nil {
		return nil, fmt.Errorf("replay: %w", errors.Join(r.err, err))
	}
	if err := r.drive(ctx, g); err != nil {
		return nil, err
	}
	return g.Result(), nil
}

func newReplayer(recording io.Reader) *replayer {
	r := &replayer{threads: newTurnstile(), types: newBorderTable()}
	r.r = recording
	return r
}

// replayer is the border of a guest that is replayed.
type replayer struct {
	script
	header  header
	types   borderTable
	guest   *Guest
	threads *turnstile
	outputs [2]io.Writer
	shown   map[uint32]io.Writer // descriptors that are standard output or error
	err     error                // why the replay stopped
}

// attach makes the replayer the border of its guest.
func (r *replayer) attach(g *Guest) border {
	r.guest = g
	r.threads.over = g.ended.Load
	r.shown = map[uint32]io.Writer{}
	for i, w := range r.outputs {
		if w != nil {
			r.shown[uint32(i)+1] = w
		}
	}
	return r
}

// drive calls exports as they were called, until the end.
func (r *replayer) drive(ctx context.Context, g *Guest) error {
	for !g.ended.Load() {
		if err := r.threads.rest(); err != nil {
			r.fail(r.bad(err.Error()))
			break
		}
		if g.ended.Load() {
			break
		}
		e, err := r.peek()
		switch {
		case err != nil:
			r.fail(err)
		case e.op == opExport:
			if _, err := g.Call(ctx, e.name, slices.Clone(e.values)...); err != nil {
				if _, exit := errors.AsType[*ExitError](err); !exit {
					r.fail(err)
				}
			}
		case e.op == opWrote:
			r.apply(g)
		case e.op == opFinish:
			result := e.result
			g.decide(&result)
		default:
			r.fail(r.bad("what follows is nothing that host code did"))
		}
	}
	r.threads.Next(nil)
	g.group.Wait()
	return r.check(g)
}

// check compares the ends.
func (r *replayer) check(g *Guest) error {
	if r.err != nil {
		return r.err
	}
	got := g.Result()
	e, err := r.peek()
	if err != nil {
		return err
	}
	if e.op != opFinish {
		return &Difference{Event: r.count, Thread: got.Thread, Recorded: r.describe(e), Replayed: "the end: " + got.String()}
	}
	if want := e.result; !sameEnd(got, &want) {
		return &Difference{Event: r.count, Thread: got.Thread, Recorded: "the end: " + want.String(), Replayed: "the end: " + got.String()}
	}
	r.take()
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = r.bad("it goes on behind its end")
		}
		return r.damage(err)
	}
	return nil
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
	d := &Difference{Event: r.count, Thread: t.id(), Replayed: does}
	if e, err := r.peek(); err != nil {
		d.Recorded = err.Error()
	} else {
		d.Recorded = r.describe(e)
	}
	r.fail(d)
}

// apply makes what host code wrote.
func (r *replayer) apply(g *Guest) {
	at := r.event.at
	r.take()
	g.main.attach()
	b, errno := g.main.view.Window(at.Ptr, at.Len)
	if errno != wasip1.ESUCCESS {
		r.fail(r.outside(at))
	} else if err := r.bytes(b); err != nil {
		r.fail(err)
	}
}

func (d *script) outside(at memory.Range) error {
	return d.bad(fmt.Sprintf("%d bytes at %#x lie outside of the guest's memory", at.Len, at.Ptr))
}

// epoch is when a replay's clock stands, which nobody reads.
var epoch = clock.NewVirtual().Now()
