package virt

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
)

// Call calls an exported function. Parameters and results are encoded as in wazero's
// [api.Function]. Before it returns it flushes standard output and error. If ctx ends, the guest
// ends; if ctx has ended before, nothing runs.
//
// Errors: an [*ExitError] if proc_exit, a trap, the end of ctx or a budget ended the guest; an
// [*OutputError], beside the results, if a writer failed; [ErrNoExport]; [ErrParams]; [ErrBusy].
func (g *Guest) Call(ctx context.Context, name string, params ...uint64) (results []uint64, err error) {
	if g.ended.Load() {
		hint := ""
		if g.ran.Load() {
			hint = " (Guest.Run ends a guest: to call exports after _start, call _start with Guest.Call)"
		}
		return nil, fmt.Errorf("call %s: %w%s", safetext.Quote(name), &ExitError{Result: g.Result()}, hint)
	}
	return g.call(ctx, nil, false, name, params)
}

// call calls an export, on a main thread that was made before if it is not nil. If it is the last
// call, its return is the guest's end, before another thread gets the turn.
func (g *Guest) call(ctx context.Context, main *sched.Thread, last bool, name string, params []uint64) (results []uint64, err error) {
	defer func() {
		if main != nil {
			main.Run(func(*sched.Thread) {})
		}
	}()
	if !g.uses.enter() {
		return nil, &ExitError{Result: g.Result()}
	}
	defer g.uses.leave()
	t, err := g.enter(ctx)
	if err != nil {
		return nil, err
	}
	if t != nil {
		return g.callNested(t, name, params)
	}
	defer func() { <-g.calls }()
	made := main
	main = nil
	if ctx.Done() != nil {
		defer g.watch(ctx)()
	}
	return g.callAlone(ctx, made, last, name, params)
}

// callNested calls an export on a thread that is in a call of the Host.
func (g *Guest) callNested(t *thread, name string, params []uint64) ([]uint64, error) {
	if g.ended.Load() {
		return nil, &ExitError{Result: g.Result()}
	}
	fn, err := t.exported(name, params)
	if err != nil {
		return nil, err
	}
	leave, err := t.nest()
	if err != nil {
		return nil, err
	}
	defer leave()
	defer t.aside()()
	return g.invokeExport(t, fn, name, params)
}

// callAlone calls an export on the main thread, while no other call of the guest's exports is under
// way. The caller watches ctx.
func (g *Guest) callAlone(ctx context.Context, main *sched.Thread, last bool, name string, params []uint64) (results []uint64, err error) {
	defer func() {
		if main != nil {
			main.Run(func(*sched.Thread) {})
		}
	}()
	if ctx.Err() != nil {
		g.decide(&Result{Outcome: Canceled, Err: context.Cause(ctx)})
	}
	if g.ended.Load() {
		return nil, &ExitError{Result: g.Result()}
	}
	fn, err := g.main.exported(name, params)
	if err != nil {
		return nil, err
	}
	returned := false
	defer func() {
		if v := recover(); v != nil {
			results, err = nil, g.fail(v, 0)
		} else if !returned {
			g.decide(&Result{Outcome: Failed, Err: goexit(0)})
		}
	}()
	if g.config.resume {
		g.main.resetDepth()
	}
	defer g.main.call.set(g.main.call.set(ctx))
	run := g.group.Run
	if made := main; made != nil {
		run = func(fn func(*sched.Thread)) error { made.Run(fn); return nil }
		main = nil
	}
	if t, ok := ctx.Value(threadKey{}).(*thread); ok && t.task != nil && t.guest != g {
		run = t.waitingFor(g)
	}
	var started error
	body := func(task *sched.Thread) {
		g.main.bind(task)
		defer g.bindLibraries(task)()
		defer g.main.compute()()
		g.lend(g.host)
		defer g.lend(nil)
		results, err = g.invokeExport(g.main, fn, name, params)
		if last && err == nil && !g.settleFuel() {
			g.decide(&Result{Outcome: Exited})
			g.noteEnd(0, nil)
		}
		if g.observer != nil {
			g.observer.end(g.main)
		}
		if g.settleFuel() && err == nil {
			results, err = nil, &ExitError{Result: g.Result()}
		}
		if g.ended.Load() && g.host.takesTurns() {
			g.leaveInTurn(ctx)
		}
	}
	g.mark(func() { started = run(body) }) // the scheduler asks the clock, which may be the embedder's
	returned = true
	if started != nil {
		g.decide(endOf(started))
		return nil, &ExitError{Result: g.Result()}
	}
	if !last {
		err = errors.Join(err, g.wrote(ctx))
	}
	return results, err
}

// waitingFor runs the first thread of another guest, for which this thread waits, in whose call it
// happens: where threads take turns, it has none meanwhile, and what the other computes is not this
// one's time.
func (t *thread) waitingFor(g *Guest) func(func(*sched.Thread)) error {
	return func(f func(*sched.Thread)) error {
		other, err := g.group.Main() // holds time before this thread lets go of it
		if err != nil {
			return err
		}
		defer t.pause()()
		t.task.Outside(poll.Wait{Op: "call of another guest"}, func() { other.Run(f) })
		return nil
	}
}

// exported returns an export that takes params.
func (t *thread) exported(name string, params []uint64) (api.Function, error) {
	fn := t.exports.take(t.mod, name)
	if fn == nil {
		return nil, fmt.Errorf("call %q: %w", name, ErrNoExport)
	}
	if want := len(fn.Definition().ParamTypes()); want != len(params) {
		return nil, fmt.Errorf("call %s with %d parameters, which takes %d: %w", name, len(params), want, ErrParams)
	}
	return fn, nil
}

// wrote waits, when an export has returned, until its output has been written.
func (g *Guest) wrote(ctx context.Context) error {
	if !g.buffered() {
		return nil
	}
	err := contained(func() error { return g.flush(ctx) })
	if g.ended.Load() {
		err = errors.Join(err, contained(g.abandon))
	}
	return err
}

// watch makes the end of ctx the guest's end, until stop is called: a context that ends when the
// call it was given for has returned is no reason.
func (g *Guest) watch(ctx context.Context) (stop func()) {
	var over atomic.Bool
	cancel := context.AfterFunc(ctx, func() {
		if over.CompareAndSwap(false, true) {
			g.decide(&Result{Outcome: Canceled, Err: context.Cause(ctx)})
		}
	})
	return func() {
		over.CompareAndSwap(false, true)
		cancel()
	}
}

// CallFormatted is [Guest.Call] with parameters and results as text, by the types of the function:
// numbers in decimal, as Go's strconv reads and writes them.
func (g *Guest) CallFormatted(ctx context.Context, name string, params ...string) ([]string, error) {
	fn := g.main.mod.ExportedFunction(name)
	if fn == nil {
		return nil, fmt.Errorf("call %q: %w", name, ErrNoExport)
	}
	types := fn.Definition().ParamTypes()
	if len(types) != len(params) {
		return nil, fmt.Errorf("call %s with %d parameters, which takes %d: %w", name, len(params), len(types), ErrParams)
	}
	values := make([]uint64, len(params))
	for i, text := range params {
		v, err := parseValue(types[i], text)
		if err != nil {
			return nil, fmt.Errorf("parameter %d of %s: %w: %w", i+1, name, ErrParams, err)
		}
		values[i] = v
	}
	results, err := g.Call(ctx, name, values...)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(results))
	for i, v := range results {
		texts[i] = formatValue(fn.Definition().ResultTypes()[i], v)
	}
	return texts, nil
}

// enter waits for, or refuses, a second call of the guest's exports. A call from a host function
// that the guest itself called is nested, and goes on, on the thread that called it: another
// thread's instance may be in use meanwhile.
func (g *Guest) enter(ctx context.Context) (nested *thread, err error) {
	if t, ok := ctx.Value(threadKey{}).(*thread); ok && t.guest == g && t.mod != nil {
		return t, nil
	}
	select {
	case g.calls <- struct{}{}:
		return nil, nil
	default:
	}
	if !g.config.serialize {
		return nil, ErrBusy
	}
	select {
	case g.calls <- struct{}{}:
		return nil, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// invokeExport is invoke for an export that host code has called.
func (g *Guest) invokeExport(t *thread, fn api.Function, name string, params []uint64) ([]uint64, error) {
	if g.observer == nil {
		return g.invoke(t, fn, name, params)
	}
	g.observer.export(t, name, params)
	if g.ended.Load() {
		return nil, &ExitError{Result: g.Result()}
	}
	call, log := t.record.call, t.view.Log()
	results, err := g.invoke(t, fn, name, params)
	g.observer.returned(t, results)
	if !g.ended.Load() {
		t.record.call = call // where the export has trapped, calls are left that never return
		t.view.SetLog(log)
	}
	return results, err
}

// invoke runs a function of the guest on thread t, and makes what ended it the guest's end.
func (g *Guest) invoke(t *thread, fn api.Function, name string, params []uint64) ([]uint64, error) {
	var results []uint64
	var err error
	leave := t.entered(name)
	t.onStack(fn, func() {
		g.mark(func() { results, err = fn.Call(t, params...) })
	})
	leave()
	t.exports.put(t.mod, name, fn)
	t.showUsage()
	for l := range g.instances {
		l.t.showUsage()
	}
	if c := g.atPoint; c != nil && c.reached && !g.ended.Load() {
		return nil, errCheckpoint
	}
	if err == nil && !g.ended.Load() {
		return results, nil
	}
	g.noteStack(t, err)
	if r := g.module.resultOf(err); r != nil {
		r.Trap.from(fn)
		if r.Outcome == Trapped && g.config.resume {
			return nil, &ExitError{Result: r}
		}
		r.Thread = t.id()
		g.decide(r)
	}
	g.noteEnd(t.id(), err)
	return nil, &ExitError{Result: g.Result()}
}
