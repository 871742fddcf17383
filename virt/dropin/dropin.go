// Package dropin takes the place of wazero's package wasi_snapshot_preview1, for code that
// instantiates its modules with wazero itself:
//
//	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)         // before
//	dropin.Instantiate(ctx, runtime, virt.WithMount("/", files)) // after
package dropin

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/internal/link"
)

// Instantiate makes [abi.ModuleName] importable in a runtime, for code that instantiates its
// modules with wazero itself.
//
// Each module that is instantiated afterwards gets a world of its own at its first call, made by
// opts and by what [WithOptions] put into the context it is instantiated with. When the module has
// been closed, the world is freed before another module gets its own. Where more than seven are
// open, an eighth of their number may wait for it.
//
// Differences from wazero's:
//
//   - arguments, environment, streams and source of randomness of the wazero.ModuleConfig are used
//     unless options give others; a *rand.Rand is taken for wazero's default, which repeats, and
//     the system's randomness is used. If it has mounts or clocks, the first call fails and names
//     the option to use, virt.WithMount or virt.WithClock;
//   - modules run as they are: a loop in them is stopped only by a runtime with
//     WithCloseOnContextDone, memory.atomic.wait by nothing, and there is no thread-spawn;
//   - budgets begin with the world: virt.WithTimeout does not end a module that makes no call;
//   - options that need more than that are refused by name: virt.WithFuel, virt.WithPlug,
//     virt.WithMemoryLimit, virt.WithRecording, virt.WithUsage, …
//
// proc_exit closes the module with its code and answers a sys.ExitError, as wazero's does.
// virt.WithTimeout and the other budgets do the same with sys.ExitCodeContextCanceled or
// sys.ExitCodeDeadlineExceeded. The end of a call's context ends the call so, and leaves the module
// open for others: what the call was doing in the module's memory is half done, as after a trap.
// Sleeps, reads and waits end with the call's context, with the module, with the closer and with
// the runtime. Writers are called directly, as wazero does. Several goroutines may call a module as
// far as its own code allows that: each call has its own context.
//
// Closing the returned closer, or the runtime, ends it.
func Instantiate(ctx context.Context, r wazero.Runtime, opts ...virt.Option) (api.Closer, error) {
	e, err := link.NewExporter(ctx, r, opts)
	if err != nil {
		return nil, err
	}
	if err := e.Instantiate(ctx, r.NewHostModuleBuilder(abi.ModuleName)); err != nil {
		return nil, err
	}
	return &FunctionExporter{e}, nil
}

// FunctionExporter exports the functions of preview1 into a host module that the embedder builds.
type FunctionExporter struct{ e link.Exporter }

// NewFunctionExporter returns an exporter for a runtime. See [Instantiate].
func NewFunctionExporter(ctx context.Context, r wazero.Runtime, opts ...virt.Option) (*FunctionExporter, error) {
	e, err := link.NewExporter(ctx, r, opts)
	if err != nil {
		return nil, err
	}
	return &FunctionExporter{e}, nil
}

// ExportFunctions adds the functions of preview1. What the embedder exports afterwards under one of
// their names wins.
func (e *FunctionExporter) ExportFunctions(b wazero.HostModuleBuilder) { e.e.ExportFunctions(b) }

// Close closes the worlds of all modules that called the functions, and the module that
// [Instantiate] made.
func (e *FunctionExporter) Close(ctx context.Context) error { return e.e.Close(ctx) }

// WithOptions returns a context that carries options for the modules that wazero instantiates with
// it. They apply from the module's first call on. The context cannot carry a close notifier of
// experimental.WithCloseNotifier too.
func WithOptions(ctx context.Context, opts ...virt.GuestOption) context.Context {
	return link.WithOptions(ctx, opts)
}
