package virt

import (
	"context"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/poll"
)

// Instantiate makes [ModuleName] importable in a runtime, for code that instantiates its modules with wazero itself. It
// takes the place of wazero's wasi_snapshot_preview1.Instantiate:
//
//	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)   // before
//	virt.Instantiate(ctx, runtime, virt.WithMount("/", files)) // after
//
// Each module that is instantiated afterwards gets a world of its own at its first call, made by opts and by
// what [WithOptions] put into the context it is instantiated with. It is let go of when the module has
// been closed.
//
// What is different from wazero's: arguments, environment, streams and mounts of the wazero.ModuleConfig are not
// seen by the Host, the options say them instead; descriptors, clocks and randomness are the Host's; modules run as they are, so that
// a loop in them is stopped only by a runtime with WithCloseOnContextDone, and memory.atomic.wait by nothing; there is no
// thread-spawn. proc_exit closes the module with its code and answers a sys.ExitError, as wazero's does.
//
// Closing the returned closer, or the runtime, ends it.
func Instantiate(ctx context.Context, r wazero.Runtime, opts ...Option) (api.Closer, error) {
	e, err := NewFunctionExporter(ctx, r, opts...)
	if err != nil {
		return nil, err
	}
	b := r.NewHostModuleBuilder(ModuleName)
	e.ExportFunctions(b)
	mod, err := b.Instantiate(ctx)
	if err != nil {
		return nil, fmt.Errorf("instantiate %s: %w", ModuleName, err)
	}
	e.host.modules[ModuleName] = mod
	return e, nil
}

// FunctionExporter exports the Host's functions into a host module that the embedder builds.
type FunctionExporter struct {
	host *Host
}

// NewFunctionExporter returns an exporter for a runtime. See [Instantiate].
func NewFunctionExporter(ctx context.Context, r wazero.Runtime, opts ...Option) (*FunctionExporter, error) {
	c, err := NewBuilder(opts...).With(WithRuntime(r)).config()
	if err != nil {
		return nil, err
	}
	h := prepareHost(ctx, c)
	if err := h.resolveFallbacks(); err != nil {
		return nil, err
	}
	return &FunctionExporter{host: h}, nil
}

// ExportFunctions adds the functions of preview1. What the embedder exports afterwards under one of their names wins.
func (e *FunctionExporter) ExportFunctions(b wazero.HostModuleBuilder) { e.host.export(b) }

// Close closes the worlds of all modules that called the functions, and the module that [Instantiate] made.
func (e *FunctionExporter) Close(ctx context.Context) error { return e.host.Close(ctx) }

type optionsKey struct{}

// WithOptions returns a context that carries options for a module that is instantiated with it by wazero itself.
// See [Instantiate].
func WithOptions(ctx context.Context, opts ...Option) context.Context {
	return context.WithValue(ctx, optionsKey{}, opts)
}

// adopted are the worlds of modules that the embedder instantiated itself.
type adopted struct {
	mu    sync.Mutex
	count int
	sweep int // the count at which closed ones are looked for
}

// adopt makes a world for a module that the embedder instantiated itself, at its first call.
func (h *Host) adopt(ctx context.Context, mod api.Module) *thread {
	h.adopted.mu.Lock()
	defer h.adopted.mu.Unlock()
	if t, ok := h.threads.Load(mod); ok {
		return t.(*thread)
	}
	h.letGo(ctx)
	opts, _ := ctx.Value(optionsKey{}).([]Option)
	g, err := h.newGuest(ctx, &Module{compilation: &compilation{name: mod.Name(), exported: mod.ExportedFunctionDefinitions()}, host: h}, opts)
	if err != nil {
		// The guest's code cannot be told; the embedder is, by the error of its call.
		panic(fmt.Errorf("make a world for module %q: %w", mod.Name(), err))
	}
	t := g.main
	t.mod = mod
	t.wait(poll.NewTask(g.group.Context()))
	g.adopted = true
	h.threads.Store(mod, t)
	h.adopted.count++
	return t
}

// letGo closes the worlds of modules that have been closed. It looks at all of them each time their number
// has doubled, which costs each a constant share.
func (h *Host) letGo(ctx context.Context) {
	if h.adopted.count < max(h.adopted.sweep, 16) {
		return
	}
	h.threads.Range(func(key, value any) bool {
		if t := value.(*thread); t.guest.adopted && t.mod.IsClosed() {
			h.threads.Delete(key)
			h.adopted.count--
			// What closing a descriptor of a guest that is gone answers is of use to nobody.
			_ = t.guest.Close(ctx)
		}
		return true
	})
	h.adopted.sweep = 2 * h.adopted.count
}
