package virt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/virt/abi"
)

// features are what the Host's own runtime offers to guests: all that wazero has.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesThreads | experimental.CoreFeaturesTailCall |
	experimental.CoreFeaturesExtendedConst | experimental.CoreFeaturesExceptionHandling |
	experimental.CoreFeaturesTypedFunctionReferences

// Builder collects the options of a [Host]. It never changes: With returns another.
type Builder struct {
	opts []Option
}

// NewBuilder returns a Builder with options for the Host and for all its guests.
func NewBuilder(opts ...Option) *Builder { return (&Builder{}).With(opts...) }

// With returns a copy of the Builder with further options. Later options win.
func (b *Builder) With(opts ...Option) *Builder {
	return &Builder{opts: append(b.opts[:len(b.opts):len(b.opts)], opts...)}
}

// Build makes the Host. The error reports every mistake in the options at once.
func (b *Builder) Build(ctx context.Context) (*Host, error) {
	c, err := b.config()
	if err != nil {
		return nil, err
	}
	return newHost(ctx, c)
}

// config applies the options and reports every mistake in them.
func (b *Builder) config() (config, error) { return b.configFor(nil) }

// configFor is config for a Host whose modules wazero instantiates in a runtime, where that is not
// nil.
func (b *Builder) configFor(dropIn wazero.Runtime) (config, error) {
	c := config{dropIn: dropIn != nil, runtime: dropIn, limits: guestLimits()}
	errs := apply(&c, b.opts)
	if c.runtime != nil && c.runtimeConfig != nil {
		errs = append(errs, errors.New("WithRuntime and WithRuntimeConfig (or WithInterpreter) exclude each other: the runtime has been configured already"))
	}
	if c.deterministic != nil {
		errs = append(errs, c.deterministic.settle(&c))
	}
	if c.cache != nil && c.runtime != nil {
		errs = append(errs, errors.New("WithRuntime and WithCompilationCache exclude each other: give the cache to the runtime"))
	}
	if c.elsewhere != nil && (c.cache == nil || c.runtimeConfig != nil && !c.interpreted) {
		errs = append(errs, errors.New("compile.WithProcess: it needs WithCompilationCache, and excludes WithRuntime and WithRuntimeConfig"))
	}
	if errors.Join(errs...) == nil && c.cache != nil {
		errs = append(errs, c.openCache())
	}
	if err := errors.Join(errs...); err != nil {
		return config{}, fmt.Errorf("build a Host: %w", err)
	}
	return c, nil
}

// Host is a world and the kernel that answers for it. It is safe for concurrent use.
type Host struct {
	config     config
	runtime    wazero.Runtime
	owned      bool
	elder      *Host                 // whose runtime and modules these are, of a sibling
	modules    map[string]api.Module // what guests import from the Host, by name
	variants   variants
	programs   programs
	clock      clock.Clock
	scheduler  sched.Scheduler
	movable    clock.Mover // the clock, where computing takes time on it; else nil
	seeded     *random.SeededSource
	late       *lateness // nil where timers are punctual
	replay     *replayer // nil where the Host answers by itself
	plain      wazero.ModuleConfig
	resolve    experimental.ImportResolver
	interprets bool // wazero's interpreter runs guests, or may
	spares     spares
	blanks     sync.Pool // of *memfs.FS: the files of the default world, which each guest gets a fork of

	made     atomic.Uint64
	budgets  budgets   // what all guests use up together
	deadline time.Time // of all guests; zero where there is none
	past     pastUsage
	adopted  adopted
	threads  sync.Map // api.Module → *thread: those that a context did not name

	compiling sync.WaitGroup    // goroutines of compilations
	cache     *compilationCache // nil for none

	uses    gate // guests that are being made
	closing closing

	mu sync.Mutex
	// compilations are those that are under way or used, of the Host and its siblings.
	compilations map[compilationKey]*compilation
	guests       map[*Guest]struct{} // that have not been closed
	siblings     map[*Host]struct{}
	lingering    map[*Guest]struct{}     // closed, with goroutines in code of the embedder's
	own          []api.Module            // that WithModules made
	plugModules  map[string]api.Module   // what plugs import, once there is one
	hostModules  []wazero.CompiledModule // the code of the above, and of modules and variants
	added        uint64                  // guests, ever
	disks        map[vfs.FS]vfs.FS       // on the Host's budget
	// instances are those of guests: what the embedder calls directly is found by it.
	instances map[api.Module]*Guest
	closed    bool
	slots     chan struct{} // one token a guest, with WithMaxGuests
}

// prepareHost makes a Host that exports nothing yet.
func prepareHost(ctx context.Context, c config) *Host {
	h := &Host{config: c, runtime: c.runtime, clock: c.clock, scheduler: c.scheduler,
		guests: map[*Guest]struct{}{}, instances: map[api.Module]*Guest{}, compilations: map[compilationKey]*compilation{}, modules: map[string]api.Module{}}
	if h.clock == nil {
		h.clock = clock.Real()
	}
	if h.scheduler == nil {
		h.scheduler = sched.NewParallel(sched.Limits{})
	}
	if h.takesTurns() {
		h.movable, _ = clock.As[clock.Mover](h.clock)
	}
	if c.guests > 0 {
		h.slots = make(chan struct{}, c.guests)
	}
	h.programs.compiling = make(chan struct{}, 1)
	h.budgets = newBudgets(&c.shared)
	if d := c.shared.WallTime; d > 0 {
		h.deadline = time.Now().Add(d)
	}
	h.replay, h.late = c.replay, newLateness(c.deterministic)
	if c.seed != nil {
		h.seeded = random.Seeded(*c.seed)
	}
	// wazero has a compiler for these two.
	h.interprets = c.interpreted || c.anyEngine || h.runtime != nil || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64"
	if h.runtime == nil {
		rc := c.runtimeConfig
		if rc == nil {
			rc = wazero.NewRuntimeConfig()
		}
		h.cache = c.cache
		h.runtime, h.owned = wazero.NewRuntimeWithConfig(ctx, rc.WithCoreFeatures(features)), true
	}
	// Nothing of an instance's wazero configuration is used, least of all its random numbers, whose
	// seeding alone takes longer than all the rest.
	h.plain = wazero.NewModuleConfig().WithName("").WithStartFunctions().WithRandSource(noRandomness{})
	h.resolve = func(name string) api.Module {
		m, ok := h.modules[name]
		if !ok {
			return nil // not a nil api.Module in disguise
		}
		return m
	}
	return h
}

// noRandomness is what instances have in wazero's own configuration: guests ask the Host.
type noRandomness struct{}

func (noRandomness) Read([]byte) (int, error) { return 0, errors.ErrUnsupported }

func newHost(ctx context.Context, c config) (_ *Host, err error) {
	h := prepareHost(ctx, c)
	defer func() {
		if err == nil {
			return
		}
		if h.owned {
			err = errors.Join(err, h.closeRuntime(ctx))
			return
		}
		for _, m := range h.own {
			err = errors.Join(err, m.Close(ctx))
		}
		for _, m := range h.modules {
			err = errors.Join(err, m.Close(ctx))
		}
		err = errors.Join(err, h.freeHostModules(ctx))
	}()
	for _, instantiate := range c.modules {
		m, err := instantiate(h.runtime)
		if err != nil {
			return nil, fmt.Errorf("WithModules: %w", err)
		}
		if m != nil {
			h.own = append(h.own, m)
		}
	}
	if err := h.exportHosted(ctx); err != nil {
		return nil, err
	}
	if err := h.resolveFallbacks(); err != nil {
		return nil, err
	}
	preview1 := h.runtime.NewHostModuleBuilder(abi.ModuleName)
	h.export(preview1, 0)
	builders := map[string]wazero.HostModuleBuilder{
		abi.ModuleName:    preview1,
		abi.ThreadsModule: h.kernelModule(abi.ThreadsModule, threadFunctions),
		reservedModule:    h.kernelModule(reservedModule, kernel),
	}
	for name, b := range builders {
		if h.modules[name], err = h.instantiateHost(ctx, name, b); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// instantiateHost makes a host module. It has no name in the runtime, so that many Hosts, and
// wazero's own WASI, can stand side by side.
func (h *Host) instantiateHost(ctx context.Context, name string, b wazero.HostModuleBuilder) (api.Module, error) {
	compiled, err := b.Compile(ctx)
	if err != nil {
		return nil, fmt.Errorf("compile the host module %s: %w", name, err)
	}
	h.mu.Lock()
	h.hostModules = append(h.hostModules, compiled)
	h.mu.Unlock()
	m, err := h.runtime.InstantiateModule(ctx, compiled, h.plain)
	if err != nil {
		return nil, fmt.Errorf("instantiate the host module %s: %w", name, err)
	}
	return m, nil
}

// closeRuntime closes a runtime that the Host made, and its cache. The cache may outlive the
// runtime: all code is freed.
func (h *Host) closeRuntime(ctx context.Context) error {
	errs := []error{h.runtime.Close(ctx)}
	h.mu.Lock()
	compilations := slices.Collect(maps.Values(h.compilations))
	h.mu.Unlock()
	for _, c := range compilations {
		errs = append(errs, c.freeCode(ctx))
	}
	return errors.Join(append(errs, h.freeHostModules(ctx), h.cache.close(ctx))...)
}

// freeHostModules frees the code of the Host's own modules, whose instances have been closed.
func (h *Host) freeHostModules(ctx context.Context) error {
	h.mu.Lock()
	modules := h.hostModules
	h.hostModules = nil
	h.mu.Unlock()
	var errs []error
	for _, m := range modules {
		errs = append(errs, m.Close(ctx))
	}
	return errors.Join(errs...)
}

// Runtime returns the wazero runtime that the Host's guests run in.
func (h *Host) Runtime() wazero.Runtime { return h.runtime }

// Guests returns the guests of the Host and its siblings that have not been closed, in the order in
// which they were made. It may be called at any time. Package virt/ps shows them to a person.
func (h *Host) Guests() []*Guest { return h.alive() }

// Clock returns the clock that all guests of the Host see.
func (h *Host) Clock() clock.Clock { return h.clock }

// Run compiles a command, runs it to its end and frees it. If the error is not nil, the Host
// failed; how the guest ended is in the Result. To run a module more than once, use [Host.Compile]
// and [Host.RunModule].
func (h *Host) Run(ctx context.Context, wasm []byte, opts ...GuestOption) (_ *Result, err error) {
	if ctx.Err() != nil {
		return notBegun(ctx), nil
	}
	m, err := h.Compile(ctx, wasm)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close(context.WithoutCancel(ctx))) }()
	return h.RunModule(ctx, m, opts...)
}

// RunModule makes a guest of a compiled command, runs it to its end and closes it.
func (h *Host) RunModule(ctx context.Context, m *Module, opts ...GuestOption) (_ *Result, err error) {
	if ctx.Err() != nil {
		return notBegun(ctx), nil
	}
	g, err := h.Instantiate(ctx, m, opts...)
	if exit, ok := errors.AsType[*ExitError](err); ok {
		return exit.Result, nil // it ended in the module's start function
	} else if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, g.close(context.WithoutCancel(ctx))) }()
	return g.Run(ctx)
}

// notBegun is the result of a guest of which nothing has run, because the context had ended.
func notBegun(ctx context.Context) *Result {
	return &Result{Outcome: Canceled, Err: context.Cause(ctx)}
}

func (h *Host) add(g *Guest) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fmt.Errorf("make a guest: the Host is %w", ErrClosed)
	}
	h.guests[g] = struct{}{}
	h.added++
	g.serial = h.added
	return nil
}

// instantiated notes the instance of a guest.
func (h *Host) instantiated(g *Guest) {
	h = h.first()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.instances[g.main.mod] = g
}

func (h *Host) remove(g *Guest) {
	end := g.outcome()
	h.mu.Lock()
	if _, ok := h.guests[g]; ok {
		delete(h.guests, g)
		h.past.add(g, end)
	}
	h.mu.Unlock()
	first := h.first()
	first.threads.Delete(g.main.mod)
	first.mu.Lock()
	defer first.mu.Unlock()
	delete(first.instances, g.main.mod)
}
