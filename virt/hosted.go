package virt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/virt/trap"
	"github.com/wasivirt/wasivirt/wasip1"
)

// HostFunction is a function of the embedder's that guests import. See [WithFunctions].
type HostFunction struct {
	Name string
	// Params and Results are numbers: i32, i64, f32, f64.
	Params, Results []api.ValueType
	// Call is the function. It finds its parameters in stack, and leaves its results there. Both
	// are encoded as in wazero's [api.GoModuleFunc].
	Call func(c *HostCall, stack []uint64)
	// Errno declares that the only result, an i32, is a [wasip1.Errno]. If a fault, a policy or
	// middleware refuses a call, the guest gets the errno as result. If Errno is false, a refused
	// call traps, and Trap.Err is the errno.
	Errno bool
}

// WithFunctions provides functions of the embedder that guests import from module. Recordings hold
// their calls: parameters, results, what they read from and write to the guest's memory, and the
// exports of the guest that they call. A replay therefore does not need the functions. Functions of
// [WithModules] are not recorded.
//
// Calls go through the same layers as calls of preview1: traces, usage, [Limits].HostCalls, faults,
// policies and middleware. These name a function "module.name" and its parameters "p0", "p1" and so
// on; see also [Call.Raw].
//
// A function reaches the guest only by its [HostCall], and only until it returns. If threads take
// turns, each call is a switch point.
func WithFunctions(module string, functions ...HostFunction) HostOption {
	return hostOption("WithFunctions", func(c *config) error {
		if reserved(module) {
			return fmt.Errorf("%q is the Host's own module: choose another name, or replace functions by WithReplacement", module)
		}
		var errs []error
		hosted := hostFunctions{}
		for m, all := range c.hosted {
			hosted[m] = slices.Clone(all)
		}
		for _, f := range functions {
			switch {
			case f.Call == nil:
				errs = append(errs, fmt.Errorf("%s.%s: the function is nil", module, f.Name))
			case slices.ContainsFunc(slices.Concat(f.Params, f.Results), isReference):
				errs = append(errs, fmt.Errorf("%s.%s: want numbers: references mean nothing in a replay", module, f.Name))
			case hosted.find(module, f.Name) != nil:
				errs = append(errs, fmt.Errorf("%s.%s is there twice", module, f.Name))
			case f.Errno && !slices.Equal(f.Results, []api.ValueType{i32}):
				errs = append(errs, fmt.Errorf("%s.%s: Errno wants one result, an i32", module, f.Name))
			}
			hosted.register(module, f)
		}
		c.hosted = hosted
		return errors.Join(errs...)
	})
}

func isReference(t api.ValueType) bool {
	return t != i32 && t != i64 && t != api.ValueTypeF32 && t != api.ValueTypeF64
}

// reserved reports whether a module's functions are the Host's own.
func reserved(module string) bool {
	return module == reservedModule || strings.HasPrefix(module, reservedModule+".") || module == abi.ModuleName || module == abi.ThreadsModule
}

// HostCall gives host code access to a guest: a [HostFunction] that the guest called, or the
// function of [Guest.Do]. It is valid until that function returns.
type HostCall struct {
	t     *thread
	alone *alone // not within a call of the guest's code
}

// Guest is the guest.
func (c *HostCall) Guest() *Guest { return c.t.guest }

// Thread is the number of the guest's thread; 0 is the first.
func (c *HostCall) Thread() uint32 { return c.t.id() }

// Context is that of the export's call, which is done when the guest has to end, or that of
// [Guest.Do].
func (c *HostCall) Context() context.Context {
	if c.alone != nil {
		return c.alone.ctx
	}
	return c.t
}

// View is the memory of the guest, or of its library if one made this call, at the moment: after
// calls of exports it is asked for again.
func (c *HostCall) View() *memory.View {
	c.t.attach()
	if c.alone != nil {
		c.alone.begin(c.t)
	}
	return &c.t.view
}

// ExportedFunctions are the functions that Call can call: of the guest, or of its library if one
// made this call. They must not be changed.
func (c *HostCall) ExportedFunctions() map[string]api.FunctionDefinition {
	return c.t.module.exported
}

// Call calls an export, such as the allocator, of the instance that made this call, on its thread.
// See [Guest.Call].
func (c *HostCall) Call(name string, params ...uint64) ([]uint64, error) {
	if c.alone != nil {
		c.alone.end(c.t)
		return c.t.guest.callAlone(c.alone.ctx, nil, false, name, params)
	}
	return c.t.guest.Call(c.t, name, params...)
}

// Trap stops the guest. The Result says [Trapped], of kind [trap.Host], with err's text and, as
// Trap.Err, err itself. Trap does not return.
func (c *HostCall) Trap(err error) { panic(hostTrap(err)) }

// hostTrap is the trap of a Handler or HostFunction.
func hostTrap(err error) *Trap {
	if err == nil {
		err = errors.New("Trap was called with a nil error")
	}
	return &Trap{Kind: trap.Host, Message: err.Error(), Err: err}
}

// hostFunction is a HostFunction of a module. In a replay it has no Call.
type hostFunction struct {
	HostFunction
	module string
	at     int // among those of the Host
	row    function
}

func (f *hostFunction) String() string { return f.row.Name }

// kindOf is the kind of a parameter of a type.
func kindOf(t api.ValueType) abi.Kind {
	switch t {
	case i64:
		return abi.KindI64
	case api.ValueTypeF32:
		return abi.KindF32
	case api.ValueTypeF64:
		return abi.KindF64
	}
	return abi.KindI32
}

// call calls the function.
func (f *hostFunction) call(t *thread, stack []uint64) wasip1.Errno {
	f.Call(&HostCall{t: t}, stack)
	if f.Errno {
		return wasip1.Errno(stack[0])
	}
	return wasip1.ESUCCESS
}

// results are what a trace shows of a call's results.
func (f *hostFunction) results(stack []uint64) (all []trace.Value) {
	d := decoder{}
	for i, t := range f.Results {
		text, value := d.value(kindOf(t), stack[i])
		all = append(all, trace.Value{Name: fmt.Sprintf("r%d", i), Text: text, Value: value})
	}
	return all
}

// refusable is the layer that answers a function of the embedder's with the errno of the layers
// below.
func refusable(_ *Guest, _ int, f *function, next callFunc) callFunc {
	if f.hosted == nil {
		return nil
	}
	return func(t *thread, f *function, p []uint64) wasip1.Errno {
		errno := next(t, f, p)
		switch {
		case f.hosted.Errno:
			p[0] = uint64(errno)
		case errno != wasip1.ESUCCESS && !t.gone():
			panic(hostTrap(errno))
		}
		return errno
	}
}

// hostFunctions are those of one Host, by module.
type hostFunctions map[string][]*hostFunction

// count is how many there are.
func (h hostFunctions) count() (n int) {
	for _, functions := range h {
		n += len(functions)
	}
	return n
}

// register adds a function.
func (h hostFunctions) register(module string, hf HostFunction) {
	f := &hostFunction{HostFunction: hf, module: module, at: h.count()}
	f.row = function{Function: abi.Function{Name: module + "." + hf.Name}, call: f.call, hosted: f}
	for i, t := range hf.Params {
		f.row.Params = append(f.row.Params, abi.Param{Name: fmt.Sprintf("p%d", i), Kind: kindOf(t)})
	}
	h[module] = append(h[module], f)
}

// find returns what answers an import, or nil.
func (h hostFunctions) find(module, name string) *hostFunction {
	for _, f := range h[module] {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// exportHosted makes the host modules of the embedder's functions.
func (h *Host) exportHosted(ctx context.Context) error {
	for name, functions := range h.config.hosted {
		b := h.runtime.NewHostModuleBuilder(name)
		for _, f := range functions {
			b.NewFunctionBuilder().WithGoModuleFunction(h.adaptHosted(f), f.Params, f.Results).WithName(f.Name).Export(f.Name)
		}
		var err error
		if h.modules[name], err = h.instantiateHost(ctx, name, b); err != nil {
			return err
		}
	}
	return nil
}

// adaptHosted makes a function of the embedder's a host function.
func (h *Host) adaptHosted(f *hostFunction) api.GoModuleFunc {
	return func(ctx context.Context, mod api.Module, stack []uint64) {
		t, ok := ctx.(*thread)
		if !ok || !same(t.mod, mod) {
			t = h.threadOf(ctx, mod)
		}
		if !t.guest.ended.Load() {
			t.attach()
			noting := t.guest.noting.Load()
			if noting {
				t.noteCall(&f.row, stack)
			}
			if t.calls == nil {
				f.call(t, stack)
			} else {
				t.calls.hostedCall(t, f, stack)
			}
			if noting {
				t.noteCall(nil, nil)
			}
		}
		if t.gone() {
			t.unwind(ctx)
		}
	}
}

// hostedCall makes a call of the embedder's function with what surrounds it.
func (s *threadCalls) hostedCall(t *thread, f *hostFunction, stack []uint64) {
	call := plain
	if s.hosted != nil && s.hosted[f.at] != nil {
		call = s.hosted[f.at]
	}
	if s.observer != nil {
		s.observer.enter(t)
	}
	counts := (*hostedUsage)(nil)
	if s.usage != nil {
		counts = t.guest.usage.hostedUsage(f)
		counts.calls.Add(1)
	}
	if errno := call(t, &f.row, stack); errno != wasip1.ESUCCESS && counts != nil {
		counts.errors.Add(1)
	}
	if s.observer != nil {
		s.observer.back(t)
	}
}

// unrecorded are the imports of a module that nobody records: functions of the embedder's that are
// not by WithFunctions, and whatever else it shares with other modules.
func (g *Guest) unrecorded(info *wasmbin.Module) (names []string) {
	for _, im := range info.Imports {
		switch {
		case im.Kind == wasmbin.KindFunc && (reserved(im.Module) || g.host.config.hosted.find(im.Module, im.Name) != nil):
		case slices.ContainsFunc(g.config.libraries, func(l libraryConfig) bool { return l.name == im.Module }):
		case im.Kind == wasmbin.KindMemory && im.Memory.Shared: // it is the Host's own
		default:
			names = append(names, importText(newImport(im)))
		}
	}
	return names
}

// add adds functions for a replay: what a module imports from the embedder.
func (h hostFunctions) add(info *wasmbin.Module) {
	for _, im := range info.Imports {
		if im.Kind == wasmbin.KindFunc && !reserved(im.Module) && h.find(im.Module, im.Name) == nil {
			f := HostFunction{Name: im.Name, Params: valueTypes(im.Func.Params), Results: valueTypes(im.Func.Results)}
			h.register(im.Module, f)
		}
	}
}

func valueTypes[T ~byte](types []T) []api.ValueType {
	all := make([]api.ValueType, len(types))
	for i, t := range types {
		all[i] = api.ValueType(t)
	}
	return all
}
