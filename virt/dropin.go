package virt

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasivirt/wasivirt/internal/goroutine"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/internal/link"
)

func init() {
	link.NewExporter = func(ctx context.Context, r wazero.Runtime, opts any) (link.Exporter, error) {
		e, err := newExporter(ctx, r, opts.([]Option))
		if err != nil {
			return nil, err
		}
		return e, nil
	}
	link.WithOptions = func(ctx context.Context, opts any) context.Context { return withOptions(ctx, opts.([]GuestOption)) }
}

// exporter implements [link.Exporter].
type exporter struct {
	host *Host
}

func newExporter(ctx context.Context, r wazero.Runtime, opts []Option) (*exporter, error) {
	c, err := NewBuilder(opts...).configFor(r)
	if err != nil {
		return nil, err
	}
	h := prepareHost(ctx, c)
	if err := h.resolveFallbacks(); err != nil {
		return nil, err
	}
	return &exporter{host: h}, nil
}

// ExportFunctions implements [link.Exporter].
func (e *exporter) ExportFunctions(b wazero.HostModuleBuilder) { e.host.export(b, 0) }

// Close implements [link.Exporter].
func (e *exporter) Close(ctx context.Context) error { return e.host.Close(ctx) }

// Instantiate implements [link.Exporter].
func (e *exporter) Instantiate(ctx context.Context, b wazero.HostModuleBuilder) error {
	e.host.export(b, 0)
	h := e.host
	ctx = experimental.WithCloseNotifier(ctx, experimental.CloseNotifyFunc(func(context.Context, uint32) {
		// The runtime is being closed, or the closer has closed everything else. The runtime's lock
		// is held: what waits for calls to leave goes on by itself.
		for _, g := range h.alive() {
			g.decide(&Result{Outcome: Canceled, Err: ErrClosed})
		}
		go func() { _ = h.Close(context.Background()) }()
	}))
	mod, err := b.Instantiate(ctx)
	if err != nil {
		return fmt.Errorf("instantiate %s: %w", abi.ModuleName, err)
	}
	h.modules[abi.ModuleName] = mod
	return nil
}

type optionsKey struct{}

// withOptions returns a context that carries options for the modules that wazero instantiates with
// it.
func withOptions(ctx context.Context, opts []GuestOption) context.Context {
	ctx = experimental.WithCloseNotifier(ctx, instanceOptions{opts})
	return context.WithValue(ctx, optionsKey{}, opts)
}

// instanceOptions are the options of an instance. It keeps them as its close notifier.
type instanceOptions struct{ opts []GuestOption }

// CloseNotify implements [experimental.CloseNotifier].
func (instanceOptions) CloseNotify(context.Context, uint32) {}

// optionsOf returns the options that a module was instantiated with. Its start functions are called
// with the context that carries them, before the module has its notifier.
func optionsOf(ctx context.Context, mod api.Module) []GuestOption {
	if v := reflect.Indirect(reflect.ValueOf(mod)); v.Kind() == reflect.Struct {
		if f := v.FieldByName("CloseNotifier"); f.IsValid() && f.CanInterface() {
			if o, ok := f.Interface().(instanceOptions); ok {
				return o.opts
			}
		}
	}
	opts, _ := ctx.Value(optionsKey{}).([]GuestOption)
	return opts
}

// notInDropIn says, by the names of options, why modules that wazero instantiates cannot have them.
var notInDropIn = map[string]string{
	"Deterministic":        noThreads,
	"WithDeterminism":      noThreads,
	"WithScheduler":        noThreads,
	"WithMaxThreads":       noThreads,
	"WithAccessSwitches":   noRewriting,
	"WithFuel":             noRewriting,
	"WithModuleLimits":     noCompiling,
	"WithCompilationCache": noCompiling,
	"WithAllowedImports":   noCompiling,
	"WithMemoryLimit":      "wazero allocates the memory: use wazero.RuntimeConfig.WithMemoryLimitPages",
	"WithModules":          "instantiate the modules in the runtime yourself",
	"WithPlug":             noCompiling,
	"WithLibrary":          "instantiate the library in the runtime yourself",
	"WithFunctions":        "export the functions with the runtime's NewHostModuleBuilder",
	"WithSerializedCalls":  noCalling,
	"WithCallsAfterTrap":   noCalling,
	"WithMaxGuests":        "wazero makes the instances",
	"WithUsage":            noGuest,
	"WithHash":             noGuest,
	"WithRecording":        noRewriting,
	"WithAccessObserver":   noRewriting,
	"WithoutPreemption":    noRewriting,
	"WithRuntime":          givenRuntime,
	"WithRuntimeConfig":    givenRuntime,
	"WithInterpreter":      givenRuntime,
	"replay.WithLibrary":   "they are not replayed",
	"replay.WithSnapshot":  "they are not replayed",
}

const (
	noThreads   = "modules that wazero instantiates have one thread, which the Host does not schedule"
	noRewriting = "modules that wazero compiles run as they are"
	noCompiling = "wazero compiles the modules"
	noCalling   = "wazero calls the exports"
	noGuest     = "there is no Guest that could be asked"

	givenRuntime = "their runtime is given to dropin.Instantiate"
)

// checkDropIn reports limits that a module that wazero instantiates cannot have.
func (l *Limits) checkDropIn(defaults *Limits) error {
	var errs []error
	for _, f := range []struct {
		set        bool
		field, why string
	}{
		{l.Memory != defaults.Memory, "Memory", notInDropIn["WithMemoryLimit"]},
		{l.Fuel != defaults.Fuel, "Fuel", noRewriting},
		{l.CPUTime != defaults.CPUTime, "CPUTime", noRewriting},
		{l.CallDepth != defaults.CallDepth, "CallDepth", noRewriting},
		{l.Stack != defaults.Stack, "Stack", noRewriting},
		{l.RecordingBytes != defaults.RecordingBytes, "RecordingBytes", noRewriting},
		{l.Threads != defaults.Threads, "Threads", noThreads},
	} {
		if f.set {
			errs = append(errs, fmt.Errorf("the field %s of Limits has no effect on modules that wazero instantiates itself, because %s", f.field, f.why))
		}
	}
	return errors.Join(errs...)
}

// checkDropIn reports options that a module that wazero instantiates cannot have.
func checkDropIn(name string) error {
	if why := notInDropIn[name]; why != "" {
		return fmt.Errorf("%s has no effect on modules that wazero instantiates itself, because %s", name, why)
	}
	return nil
}

// adopted are the worlds of modules that the embedder instantiated itself.
type adopted struct {
	mu     sync.Mutex
	making map[api.Module]*adoption
	count  int
	sweep  int // the count at which closed ones are looked for
}

// adoption is the making of a world.
type adoption struct {
	done chan struct{} // closed when the others are set
	t    *thread
	err  error
}

// adopt makes a world for a module that the embedder instantiated itself, at its first call. What
// is given as options may itself run modules of the runtime meanwhile.
func (h *Host) adopt(ctx context.Context, mod api.Module) *thread {
	a := &h.adopted
	a.mu.Lock()
	if t, ok := h.threads.Load(mod); ok {
		a.mu.Unlock()
		return t.(*thread)
	}
	m, under := a.making[mod]
	if !under {
		if a.making == nil {
			a.making = map[api.Module]*adoption{}
		}
		m = &adoption{done: make(chan struct{}), err: &GoexitError{}}
		a.making[mod] = m
	}
	a.mu.Unlock()
	switch {
	case !under:
		h.letGo()
		h.makeWorld(ctx, mod, m)
	case goroutine.Inside(func(owner uintptr) bool { return owner == uintptr(unsafe.Pointer(m)) }):
		panic(fmt.Errorf("make a world for module %q: an option called the module itself", mod.Name()))
	default:
		<-m.done
	}
	if m.err != nil {
		// The guest's code cannot be told; the embedder is, by the error of its call.
		panic(fmt.Errorf("make a world for module %q: %w", mod.Name(), m.err))
	}
	return m.t
}

// makeWorld carries out an adoption.
func (h *Host) makeWorld(ctx context.Context, mod api.Module, m *adoption) {
	a := &h.adopted
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.making, mod)
		if m.err == nil {
			h.threads.Store(mod, m.t)
			a.count++
		}
		close(m.done)
	}()
	var g *Guest
	var err error
	goroutine.Do(unsafe.Pointer(m), func() { g, err = h.newAdopted(ctx, mod) })
	if m.err = err; err == nil {
		m.t = g.main
	}
}

func (h *Host) newAdopted(ctx context.Context, mod api.Module) (*Guest, error) {
	opts, given := seenBy(mod, optionsOf(ctx, mod))
	m := &Module{compilation: &compilation{name: mod.Name(), exported: mod.ExportedFunctionDefinitions()}, host: h, adopted: true}
	g, err := h.newGuest(ctx, m, opts)
	if err != nil {
		return nil, err
	}
	if err := given.conflict(g.config); err != nil {
		return nil, errors.Join(err, g.discard())
	}
	g.main.mod = mod
	g.main.call.set(ctx)
	g.main.receive()
	if err := h.add(g); err != nil {
		return nil, errors.Join(err, g.discard())
	}
	g.startTimer()
	return g, nil
}

// letGo closes the worlds of modules that have been closed. It looks at all of them each time their
// number has grown by an eighth, which costs each a constant share: if few are open, at each time.
func (h *Host) letGo() {
	a := &h.adopted
	a.mu.Lock()
	if a.count < a.sweep {
		a.mu.Unlock()
		return
	}
	var gone []*Guest
	h.threads.Range(func(key, value any) bool {
		// One that is still in a call is looked at again.
		if t := value.(*thread); t.guest.adopted && t.mod.IsClosed() && !t.guest.uses.used() {
			h.threads.Delete(key)
			a.count--
			gone = append(gone, t.guest)
		}
		return true
	})
	a.sweep = a.count + a.count/8
	a.mu.Unlock()
	for _, g := range gone {
		// What closing a descriptor of a guest that is gone answers is of use to nobody.
		_ = g.close(context.Background())
	}
}
