package virt

import (
	"context"
	"errors"
	"sync"

	"github.com/tetratelabs/wazero/api"
)

// instance is a guest's WebAssembly instance as host code gets it. Calls of its functions count as the guest's: they end
// with their context and with the guest, and [Guest.Close] waits for them, because the memory that they use has another owner
// after it.
type instance struct {
	api.Module
	guest *Guest
}

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
	err = f.guest.directly(ctx, func() error {
		results, err = f.Function.Call(ctx, params...)
		return err
	})
	return results, err
}

// CallWithStack implements [api.Function].
func (f *directFunction) CallWithStack(ctx context.Context, stack []uint64) error {
	return f.guest.directly(ctx, func() error { return f.Function.CallWithStack(ctx, stack) })
}

// directCalls are the calls under way that did not come through [Guest.Call].
type directCalls struct {
	mu     sync.Mutex
	under  sync.WaitGroup
	closed bool
}

// enter notes a call, unless the guest has been closed.
func (d *directCalls) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.under.Add(1)
	return true
}

// close lets no further calls begin, and waits for those that have.
func (d *directCalls) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.under.Wait()
}

// directly makes a call of the guest's code that does not come through [Guest.Call]. The end of ctx is the guest's.
func (g *Guest) directly(ctx context.Context, call func() error) error {
	if t, ok := ctx.Value(threadKey{}).(*thread); ok && t.guest == g {
		return call() // within a call of the guest, which is waited for
	}
	if !g.direct.enter() {
		return &ExitError{Result: g.Result()}
	}
	defer g.direct.under.Done()
	if g.ended.Load() {
		return &ExitError{Result: g.Result()}
	}
	if ctx.Done() != nil {
		defer g.watch(ctx)()
	}
	err := call()
	if err != nil && g.ended.Load() {
		return errors.Join(&ExitError{Result: g.Result()}, err)
	}
	return err
}
