package virt

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/wasip1"
)

const (
	// plugModule is the module of the bridge functions, by which a plug reaches the memory of the
	// guest.
	plugModule = "wasivirt_plug"
	// nextModule is the module of the functions below a plug, which take pointers into the memory
	// of the guest.
	nextModule = "wasivirt_next"
)

// CompilePlug compiles a module for [WithPlug].
//
// A plug exports functions of WASI by their names and types; each returns an errno. It may import
// the bridge functions of the module wasivirt_plug, functions of WASI from wasivirt_next, and WASI
// itself. docs/plugs.md defines them.
//
// Errors: those of [Host.Compile]; a plug that exports no function of WASI, or one of another type.
func (h *Host) CompilePlug(ctx context.Context, wasm []byte) (*Module, error) {
	m, err := h.CompileLinked(ctx, wasm, plugModule, nextModule)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(h.first().exportPlugs(ctx), m.checkPlug()); err != nil {
		return nil, errors.Join(fmt.Errorf("compile the plug: %w", err), m.Close(context.WithoutCancel(ctx)))
	}
	m.plug = true
	return m, nil
}

// checkPlug reports what keeps a module from being a plug.
func (m *Module) checkPlug() error {
	if sharedMemory(m.info) != nil {
		return errors.New("the module has shared memory, which no plug may have")
	}
	answered := m.answered()
	if answered.none() {
		return errors.New("the module exports no function of WASI: export fd_write, for example, with the type that guests import")
	}
	for i := range rows {
		f := row(i)
		if !answered.rows[i] {
			continue
		}
		params, results, _ := f.signature()
		if d := m.exported[f.Name]; !slices.Equal(d.ParamTypes(), params) || !slices.Equal(d.ResultTypes(), results) {
			return fmt.Errorf("the export %s has another type than the function of WASI: see abi.Functions", f.Name)
		}
		if f.NoResult {
			return fmt.Errorf("the module exports %s, which no plug can answer: remove the export", f.Name)
		}
	}
	return nil
}

// answered are the functions that a plug answers.
func (m *Module) answered() (s selection) {
	for i := range spawnRow {
		s.rows[i] = m.exportsFunc(row(i).Name)
	}
	return s
}

// WithPlug makes an instance of plug, a module of [Host.CompilePlug], answer the WASI functions
// that it exports instead of the Host. Each guest gets an instance of its own. Of several plugs,
// and Handlers of [WithReplacement], the last one is outermost. What a plug calls itself is
// answered by those given before it, and finally by the Host. A plug shares the guest's
// descriptors, arguments and environment.
//
// A plug reaches the guest's memory only by the bridge functions, and only during a call that it
// answers. Its computing is charged to the guest. It ends with the guest's context and budgets. A
// trap in a plug is a trap of the guest, whose stack shows the functions of both. Policies apply to
// the calls of a plug. Middleware, faults, traces and counters see the guest's calls. A recording
// holds the guest's calls with the plugs' answers, and is replayed without plugs.
//
// Guests with shared memory have no plugs. Guests with plugs cannot be saved by Snapshot, Reset and
// Pool.
func WithPlug(plug *Module) GuestOption {
	return guestOption("WithPlug", func(c *config) error {
		if plug == nil || !plug.plug {
			return errors.New("want a module of Host.CompilePlug")
		}
		at := len(c.control.replaced)
		c.plugs = append(c.plugs[:len(c.plugs):len(c.plugs)], plugConfig{plug, at})
		n := len(c.plugs) - 1
		c.control.replaced = append(c.control.replaced[:at:at], middleware{plug.answered(), func(call *Call) wasip1.Errno {
			return call.t.guest.plugs[n].serve(call)
		}})
		return nil
	})
}

// plugConfig is one WithPlug.
type plugConfig struct {
	module *Module
	at     int // in control.replaced, below which all is that this plug calls
}

// plug is the instance of a plug in a guest.
type plug struct {
	*library
	below *chains
	call  *Call // that it answers, nil outside of calls
}

// preparePlugs makes what plugs have besides their instances.
func (g *Guest) preparePlugs() error {
	if g.config.world || len(g.config.plugs) == 0 || g.host.replay != nil {
		return nil
	}
	if sharedMemory(g.module.info) != nil {
		return errors.New("WithPlug: the module has shared memory: each thread would need instances of the plugs")
	}
	for i, c := range g.config.plugs {
		l := &library{libraryConfig: libraryConfig{module: c.module}}
		if err := g.prepareLibrary(l, fmt.Sprintf("WithPlug: plug %d", i+1)); err != nil {
			return err
		}
		p := &plug{library: l, below: g.below(c.at)}
		l.t.plug, l.t.record, l.t.calls = p, new(recordState), &threadCalls{calls: p.below}
		g.plugs = append(g.plugs, p)
	}
	return nil
}

// below is what calls go through under the Handlers of WithReplacement from the one at on.
func (g *Guest) below(at int) *chains {
	c := &g.config.control
	all := new(chains)
	for i := range all {
		f, next := row(i), callFunc(plain)
		if a := foreign(g, i, f, next); a != nil {
			next, all[i] = a, a
		}
		var chain []Handler
		if rules := rulesFor(c.policy, i, f); rules != nil {
			chain = append(chain, judge(rules))
		}
		for n := at - 1; n >= 0; n-- {
			if m := &c.replaced[n]; m.match.has(i, f) {
				chain = append(chain, m.handle)
			}
		}
		if chain != nil {
			all[i] = through(chain, next)
		}
	}
	return all
}

// serve answers a call of the guest's.
func (p *plug) serve(c *Call) wasip1.Errno {
	if c.changed {
		return wasip1.ENOTSUP // it would not see what Handlers changed
	}
	outer := p.call
	p.call = c
	defer func() { p.call = outer }()
	var params [16]uint64
	n := copy(params[:], c.p[:c.f.Width()])
	fn := p.t.exports.take(p.t.mod, c.f.Name)
	g := p.t.guest
	var results []uint64
	var err error
	p.t.onStack(fn, func() { results, err = fn.Call(p.t, params[:n]...) })
	if err == nil {
		p.t.exports.put(p.t.mod, c.f.Name, fn)
		return wasip1.Errno(results[0])
	}
	if !g.ended.Load() {
		if r := p.module.resultOf(err); r.Trap != nil {
			panic(&Trap{Kind: r.Trap.Kind, Message: "in a plug: " + r.Trap.Message, Stack: r.Trap.Stack, Err: r.Trap.Err})
		}
		panic(err)
	}
	return wasip1.ECANCELED
}

// bridge are the functions of plugModule. A pointer of the first kind is the guest's, one of the
// second the plug's.
var bridge = []struct {
	name   string
	params int
	call   func(t, guest *thread, p []uint64) uint32
}{
	{"read", 3, func(t, guest *thread, p []uint64) uint32 { // (from guest, length, to)
		from, errno := guest.view.Read(uint32(p[0]), uint32(p[1]))
		if errno != wasip1.ESUCCESS {
			return uint32(errno)
		}
		to, errno := t.view.Write(uint32(p[2]), uint32(p[1]))
		copy(to, from)
		return uint32(errno)
	}},
	{"write", 3, func(t, guest *thread, p []uint64) uint32 { // (to guest, from, length)
		from, errno := t.view.Read(uint32(p[1]), uint32(p[2]))
		if errno != wasip1.ESUCCESS {
			return uint32(errno)
		}
		to, errno := guest.view.Write(uint32(p[0]), uint32(p[2]))
		copy(to, from)
		return uint32(errno)
	}},
	{"strlen", 2, func(_, guest *thread, p []uint64) uint32 { // (guest, most)
		b := guest.view.Bytes()
		at := uint64(uint32(p[0]))
		if at >= uint64(len(b)) {
			return noLength
		}
		b = b[at:]
		b = b[:min(uint64(len(b)), uint64(uint32(p[1])))]
		n := slices.Index(b, 0)
		if n < 0 {
			return noLength
		}
		guest.view.DidRead(uint32(at), uint32(n)+1)
		return uint32(n)
	}},
	{"pages", 0, func(_, guest *thread, _ []uint64) uint32 { return uint32(guest.view.Len() / pageSize) }},
}

// noLength is what strlen answers where there is no NUL.
const noLength = 1<<32 - 1

// exportPlugs makes the host modules that plugs import from, once.
func (h *Host) exportPlugs(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.plugModules != nil {
		return nil
	}
	modules := map[string]api.Module{}
	b := h.runtime.NewHostModuleBuilder(plugModule)
	for _, f := range bridge {
		params := slices.Repeat([]api.ValueType{i32}, f.params)
		b.NewFunctionBuilder().WithGoModuleFunction(h.adaptPlug(func(t *thread, stack []uint64) {
			guest := t.plug.call.t
			guest.attach()
			stack[0] = uint64(f.call(t, guest, stack))
		}), params, []api.ValueType{i32}).WithName(f.name).Export(f.name)
	}
	next := h.runtime.NewHostModuleBuilder(nextModule)
	for i := range spawnRow {
		f := row(i)
		params, results, names := f.signature()
		if f.NoResult {
			continue
		}
		next.NewFunctionBuilder().WithGoModuleFunction(h.adaptPlug(func(t *thread, stack []uint64) {
			stack[0] = uint64(t.plug.next(i, f, stack))
		}), params, results).WithName(f.Name).WithParameterNames(names...).Export(f.Name)
	}
	for name, b := range map[string]wazero.HostModuleBuilder{plugModule: b, nextModule: next} {
		compiled, err := b.Compile(ctx)
		if err != nil {
			return fmt.Errorf("compile the host module %s: %w", name, err)
		}
		h.hostModules = append(h.hostModules, compiled)
		if modules[name], err = h.runtime.InstantiateModule(ctx, compiled, h.plain); err != nil {
			return fmt.Errorf("instantiate the host module %s: %w", name, err)
		}
	}
	h.plugModules = modules
	return nil
}

// adaptPlug makes a function for plugs a host function. Outside of calls that the plug answers it
// is ENOTCAPABLE.
func (h *Host) adaptPlug(call func(t *thread, stack []uint64)) api.GoModuleFunc {
	return func(ctx context.Context, mod api.Module, stack []uint64) {
		t, ok := ctx.(*thread)
		if !ok || !same(t.mod, mod) {
			t = h.threadOf(ctx, mod)
		}
		if !t.guest.ended.Load() {
			if t.plug == nil || t.plug.call == nil {
				stack[0] = uint64(wasip1.ENOTCAPABLE)
				return
			}
			t.attach()
			call(t, stack)
		}
		if t.gone() {
			t.unwind(ctx)
		}
	}
}

// next makes a call as the guest, below the plug.
func (p *plug) next(i int, f *function, stack []uint64) wasip1.Errno {
	c := p.call
	var params [16]uint64
	copy(params[:], stack[:f.Width()])
	if c.f == f {
		outer := c.p
		c.p = params[:]
		defer func() { c.p = outer }()
		return c.Next()
	}
	t := c.t
	defer t.aside()()
	if a := p.below[i]; a != nil {
		return a(t, f, params[:])
	}
	return f.call(t, params[:])
}

// resolvePlug finds what plugs import from.
func (h *Host) resolvePlug(name string) api.Module {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.plugModules[name]
}
