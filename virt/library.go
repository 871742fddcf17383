package virt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/internal/vfslink"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt/inspect"
)

// A guest with libraries is several instances that one thread runs. All that a thread has (its
// place in the scheduler, deadline, budgets, recording) is the guest's; an instance has its own
// memory, globals and descriptors.

// WithLibrary links the guest to a library. An instance of lib.Module is made for this guest,
// before the guest itself. Its exports answer what the guest's module, or another of its libraries,
// imports from the module name. Functions, memories, tables and globals are linked directly: a call
// of the library costs what a call in WebAssembly costs. lib.Module comes from [Host.CompileLinked]
// or [Host.Compile] of the guest's Host, and must stay open until the guest is closed.
//
// A library imports WASI as a guest does. It sees the guest's arguments, environment and
// descriptors, unless its World gives it its own. Its _initialize runs before the guest's. Budgets,
// traps, deadlines, Stop, the scheduler's turns, middleware, traces and recordings are those of the
// guest; proc_exit of a library ends the guest. The memories of all its instances count for
// WithMemoryLimit together.
//
// Errors, when the guest is made: two libraries of one name, or a name that is reserved for the
// Host; an [*ImportError]; libraries that import from each other in a circle, with their names.
// Guests with shared memory have no libraries. Guests with libraries cannot be saved by Snapshot
// and Reset.
func WithLibrary(name string, lib Library) GuestOption {
	return guestOption("WithLibrary", func(c *config) error {
		l := libraryConfig{name: name, module: lib.Module, own: lib.World != nil, opts: lib.World, fuel: lib.Fuel}
		switch {
		case lib.Module == nil:
			return fmt.Errorf("%s: the module is nil", safetext.Quote(name))
		case reserved(name):
			return fmt.Errorf("%s is the Host's own module: choose another name", safetext.Quote(name))
		case slices.ContainsFunc(c.libraries, func(other libraryConfig) bool { return other.name == name }):
			return fmt.Errorf("the library %s is there twice", safetext.Quote(name))
		}
		c.libraries = append(c.libraries[:len(c.libraries):len(c.libraries)], l)
		return nil
	})
}

// Library is a module whose exports a guest imports, for [WithLibrary].
type Library struct {
	Module *Module
	// World gives the library arguments, environment, descriptors, mounts and randomness of its
	// own, as these options and the Builder say. Options about anything else have no effect on it.
	// nil: it has the guest's.
	World []GuestOption
	// Fuel charges the library's instructions to a budget of its own instead of the guest's. If it
	// is used up, the guest ends with outcome [Exhausted] and budget [BudgetFuel]. It needs a Host
	// that counts instructions: give [WithFuel] or another budget of fuel to the Builder. 0: the
	// library uses the guest's.
	Fuel uint64
}

// libraryConfig is one WithLibrary.
type libraryConfig struct {
	name   string
	module *Module
	own    bool
	opts   []GuestOption
	fuel   uint64
}

// imports are the names of other libraries among all that this one imports from.
func (l *libraryConfig) imports(all []libraryConfig) (names []string) {
	for _, im := range l.module.info.Imports {
		if !slices.Contains(names, im.Module) && slices.ContainsFunc(all, func(o libraryConfig) bool { return o.name == im.Module }) {
			names = append(names, im.Module)
		}
	}
	return names
}

// inOrder puts libraries behind those that they import from.
func inOrder(all []libraryConfig) (ordered []libraryConfig, err error) {
	done := map[string]bool{}
	var visit func(l *libraryConfig, path []string) error
	visit = func(l *libraryConfig, path []string) error {
		if done[l.name] {
			return nil
		}
		path = append(path, safetext.Name(l.name))
		if i := slices.Index(path, safetext.Name(l.name)); i < len(path)-1 {
			return fmt.Errorf("WithLibrary: libraries import from each other in a circle: %s: merge two of them into one module",
				strings.Join(path[i:], " → "))
		}
		for _, name := range l.imports(all) {
			i := slices.IndexFunc(all, func(o libraryConfig) bool { return o.name == name })
			if err := visit(&all[i], path); err != nil {
				return err
			}
		}
		done[l.name] = true
		ordered = append(ordered, *l)
		return nil
	}
	for i := range all {
		if err := visit(&all[i], nil); err != nil {
			return nil, err
		}
	}
	return ordered, nil
}

// library is a library of a guest.
type library struct {
	libraryConfig
	t       *thread
	world   *Guest // whose descriptors it has; nil for the guest's
	used    bool   // the module is kept open
	charged bool   // the instance
}

// prepareLibraries makes what libraries have besides their instances.
func (g *Guest) prepareLibraries(ctx context.Context) error {
	all, err := inOrder(g.config.libraries)
	if err != nil || g.config.world || len(all) == 0 && !g.module.linked {
		return err
	}
	if sharedMemory(g.module.info) != nil {
		return errors.New("WithLibrary: the module has shared memory: each thread would need instances of the libraries")
	}
	missing := g.unlinked(g.module.info, all)
	for _, c := range all {
		if sharedMemory(c.module.info) != nil {
			return fmt.Errorf("WithLibrary: %s has shared memory, which no library may have", safetext.Quote(c.name))
		}
		missing = append(missing, g.unlinked(c.module.info, all)...)
		if c.fuel != 0 && (c.module.report == nil || c.module.report.FuelGlobal == "") {
			return fmt.Errorf("WithLibrary: %s has fuel of its own, and was compiled by a Host that does not count: give WithFuel to the Builder", safetext.Quote(c.name))
		}
	}
	if missing != nil {
		return &ImportError{Missing: missing}
	}
	for _, c := range all {
		l := &library{libraryConfig: c}
		g.libraries = append(g.libraries, l)
		if err := g.prepareLibrary(l, "WithLibrary: "+safetext.Quote(c.name)); err != nil {
			return err
		}
		if c.own {
			opts := slices.Concat(c.opts, []GuestOption{asWorld})
			if l.world, err = g.host.newGuest(ctx, c.module, opts); err != nil {
				return fmt.Errorf("the library %s: %w", safetext.Quote(c.name), err)
			}
			l.t.world, l.t.args, l.t.env = l.world, l.world.main.args, l.world.main.env
			l.t.files.Table, l.t.poller.Lookup = l.world.files, descriptors{l.world.files}
		}
		if c.fuel != 0 {
			l.t.ownFuel = newAllowance(c.fuel)
		}
	}
	return nil
}

// prepareLibrary makes the thread of a library, and keeps its module open.
func (g *Guest) prepareLibrary(l *library, what string) error {
	if l.module.host.first() != g.host.first() {
		return fmt.Errorf("%s: the module: %w", what, ErrOtherHost)
	}
	if !l.module.uses.enter() {
		return fmt.Errorf("%s: the module is %w", what, ErrClosed)
	}
	l.used = true
	l.t = g.newThread(g.main.args, g.main.env)
	vfslink.Alone(&l.t.files, false)
	vfslink.Share(g.files)
	l.t.module, l.t.root, l.t.record, l.t.meter = l.module, g.main, g.main.record, g.main.meter
	return nil
}

// instances are the libraries and plugs, in the order in which they are made.
func (g *Guest) instances(yield func(*library) bool) {
	for _, l := range g.libraries {
		if !yield(l) {
			return
		}
	}
	for _, p := range g.plugs {
		if !yield(p.library) {
			return
		}
	}
}

// asWorld makes a guest the world of a library, which runs nothing itself.
var asWorld = guestOption("WithLibrary", func(c *config) error {
	c.world, c.libraries, c.plugs, c.recording, c.hash = true, nil, nil, nil, false
	return nil
})

// unlinked are the functions that a module imports from nowhere.
func (g *Guest) unlinked(info *wasmbin.Module, all []libraryConfig) (missing []inspect.Import) {
	for _, each := range info.Imports {
		im := newImport(each)
		i := slices.IndexFunc(all, func(l libraryConfig) bool { return l.name == im.Module })
		switch {
		case i >= 0:
			if !slices.ContainsFunc(all[i].module.info.Exports, func(e wasmbin.Export) bool { return e.Name == im.Name && e.Kind == each.Kind }) {
				missing = append(missing, im)
			}
		case each.Kind == wasmbin.KindFunc && g.host.classify(im) == importMissing:
			missing = append(missing, im)
		}
	}
	return missing
}

// resolve finds what the guest's instances import from.
func (g *Guest) resolve(name string) api.Module {
	for _, l := range g.libraries {
		if l.name == name && l.t != nil && l.t.mod != nil {
			return l.t.mod
		}
	}
	if name == plugModule || name == nextModule {
		if m := g.host.first().resolvePlug(name); m != nil {
			return m
		}
	}
	return g.host.resolve(name)
}

// instantiateLibraries makes the instances of the libraries and initializes them. It runs as the
// guest's first thread.
func (g *Guest) instantiateLibraries(ctx context.Context, task *sched.Thread) error {
	defer g.bindLibraries(task)()
	for l := range g.instances {
		if err := g.instantiateLibrary(ctx, l); err != nil {
			return fmt.Errorf("the library or plug %s: %w", safetext.Quote(l.module.Name()), err)
		}
	}
	return nil
}

func (g *Guest) instantiateLibrary(ctx context.Context, l *library) error {
	if err := g.checkMemory(l.module); err != nil {
		return err
	}
	if err := g.chargeInstance(l.module); err != nil {
		return err
	}
	l.charged = true
	if err := g.reserveLinear(l.t); err != nil {
		return err
	}
	if err := g.instantiateThread(ctx, l.t); err != nil {
		return err
	}
	l.t.call.set(g.main)
	g.main.call.set(ctx)
	g.host.first().threads.Store(l.t.mod, l.t)
	if init := l.t.mod.ExportedFunction("_initialize"); init != nil {
		if _, err := init.Call(l.t); err != nil {
			return fmt.Errorf("_initialize: %w", err)
		}
	}
	return nil
}

// bindLibraries makes task what libraries wait with, until the returned function is called.
func (g *Guest) bindLibraries(task *sched.Thread) (unbind func()) {
	if len(g.libraries)+len(g.plugs) == 0 {
		return func() {}
	}
	for l := range g.instances {
		l.t.bind(task)
		l.t.resetCells()
	}
	return func() {
		for l := range g.instances {
			l.t.task = nil
			l.t.wait(poll.NewTask(g.group.Context()))
		}
	}
}

// resetCells sets the call depth and the use of the stack to what they are where nothing runs: a
// trap leaves them as they were.
func (t *thread) resetCells() {
	if t.mod == nil {
		return
	}
	t.resetDepth()
	if t.module.stacked() {
		t.stackCells()
		t.stack.used.Set(0)
		t.stack.end.Set(stackStep)
	}
}

// settleFuel gives back the fuel that the guest's first thread has left. See [thread.settleFuel].
func (g *Guest) settleFuel() (exhausted bool) {
	exhausted = g.main.settleFuel()
	for l := range g.instances {
		exhausted = l.t.settleFuel() || exhausted
	}
	return exhausted
}

// flushWorlds writes what libraries with worlds of their own wrote. Such a world ends with the
// guest.
func (g *Guest) flushWorlds(ctx context.Context) error {
	var errs []error
	for _, l := range g.libraries {
		if l.world == nil {
			continue
		}
		if g.ended.Load() {
			l.world.decide(g.Result())
		}
		errs = append(errs, l.world.flush(ctx))
	}
	return errors.Join(errs...)
}

// closeLibraries lets go of libraries, in which nothing runs any more. The guest's own instance has
// been closed.
func (g *Guest) closeLibraries(ctx context.Context) error {
	var errs []error
	for l := range g.instances {
		if l.t != nil && l.t.mod != nil {
			g.host.first().threads.Delete(l.t.mod)
			errs = append(errs, l.t.mod.Close(ctx))
		}
		if l.charged {
			g.dischargeInstance(l.module)
		}
		if l.world != nil {
			l.world.decide(g.Result())
			errs = append(errs, contained(func() error { return l.world.flush(ctx) }), l.world.discard(), contained(l.world.abandon))
		}
		if l.t != nil && l.t.lin != nil {
			errs = append(errs, l.t.lin.recycle())
		}
		if l.used {
			l.module.uses.leave()
		}
	}
	return errors.Join(errs...)
}
