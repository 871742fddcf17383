package virt

import (
	"context"
	"errors"

	"github.com/tetratelabs/wazero/api"
)

// instance is a guest's WebAssembly instance as host code gets it. Calls of its functions count as
// the guest's: they end with their context and with the guest, and [Guest.Close] waits for them,
// because the memory that they use has another owner after it.
type instance struct {
	api.Module
	guest *Guest
}

// Unwrap returns wazero's own instance.
func (i *instance) Unwrap() api.Module { return i.Module }

// Close implements [api.Closer]: it ends the guest, which [Guest.Close] closes.
func (i *instance) Close(context.Context) error {
	i.guest.Stop(ErrClosed)
	return nil
}

// CloseWithExitCode implements [api.Module].
func (i *instance) CloseWithExitCode(_ context.Context, code uint32) error {
	i.guest.decide(&Result{Outcome: Exited, ExitCode: code})
	return nil
}

// IsClosed implements [api.Module].
func (i *instance) IsClosed() bool { return i.guest.ended.Load() || i.Module.IsClosed() }

// ExportedFunction implements [api.Module].
func (i *instance) ExportedFunction(name string) api.Function {
	f := i.Module.ExportedFunction(name)
	if f == nil {
		return nil
	}
	return &directFunction{f, i.guest}
}

// directFunction is an export that host code calls without [Guest.Call].
type directFunction struct {
	api.Function
	guest *Guest
}

// Call implements [api.Function].
func (f *directFunction) Call(ctx context.Context, params ...uint64) (results []uint64, err error) {
	err = f.guest.directly(ctx, f.Function, func() error {
		results, err = f.Function.Call(ctx, params...)
		return err
	})
	return results, err
}

// CallWithStack implements [api.Function].
func (f *directFunction) CallWithStack(ctx context.Context, stack []uint64) error {
	return f.guest.directly(ctx, f.Function, func() error { return f.Function.CallWithStack(ctx, stack) })
}

// directly makes a call of the guest's code that does not come through [Guest.Call]. The end of ctx
// is the guest's.
func (g *Guest) directly(ctx context.Context, fn api.Function, call func() error) (err error) {
	if t, ok := ctx.Value(threadKey{}).(*thread); ok && t.guest == g {
		leave, err := t.nest() // within a call of the guest, which is waited for
		if err != nil {
			return err
		}
		defer leave()
		t.onStack(fn, func() { err = call() })
		return err
	}
	if !g.uses.enter() {
		return &ExitError{Result: g.Result()}
	}
	defer g.uses.leave()
	if ctx.Err() != nil {
		g.decide(&Result{Outcome: Canceled, Err: context.Cause(ctx)})
	}
	if g.ended.Load() {
		return &ExitError{Result: g.Result()}
	}
	if ctx.Done() != nil {
		defer g.watch(ctx)()
	}
	t := g.main
	if g.metered() || g.module.watched() {
		t = g.beside(g.main.mod)
		defer t.compute()()
	}
	t.onStack(fn, func() {
		g.mark(func() { err = call() })
	})
	err = errors.Join(err, g.wrote(ctx))
	if err != nil && g.ended.Load() {
		return errors.Join(&ExitError{Result: g.Result()}, err)
	}
	return err
}
