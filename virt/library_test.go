package virt_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
)

// linked compiles the engine and the script of testdata, and returns the script and the option that
// links it.
func linked(t *testing.T, host *virt.Host, engine ...virt.Library) (*virt.Module, virt.GuestOption) {
	t.Helper()
	script, err := host.CompileLinked(t.Context(), bareGuest(t, "link_script"), "env")
	if err != nil {
		t.Fatal(err)
	}
	lib := append(engine, virt.Library{})[0]
	lib.Module = compiled(t, host, bareGuest(t, "link_engine"))
	return script, virt.WithLibrary("env", lib)
}

// The script's data lies in the engine's memory, and what the engine prints is the guest's output.
func TestLibrary(t *testing.T) {
	host := newHost(t)
	script, engine := linked(t, host)
	var out bytes.Buffer
	g, err := host.Instantiate(t.Context(), script, engine, virt.WithStdout(&out), virt.WithArgs("a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if errno, err := callI32(t.Context(), g, "greet"); errno != 0 || err != nil {
			t.Fatal(errno, err)
		}
	}
	if n, err := callI32(t.Context(), g, "counted"); n != 3 || err != nil {
		t.Error(n, err)
	}
	if n, err := callI32(t.Context(), g, "argc"); n != 3 || err != nil {
		t.Errorf("the library sees %d arguments, %v", n, err)
	}
	if out.String() != strings.Repeat("HELLO, ENGINE\n", 3) {
		t.Errorf("%q", out.String())
	}
}

func TestLibraryWithItsOwnWorld(t *testing.T) {
	host := newHost(t)
	var own, guests bytes.Buffer
	script, engine := linked(t, host, virt.Library{World: []virt.GuestOption{virt.WithStdout(&own), virt.WithArgs("1", "2", "3")}})
	g, err := host.Instantiate(t.Context(), script, engine, virt.WithStdout(&guests))
	if err != nil {
		t.Fatal(err)
	}
	if errno, err := callI32(t.Context(), g, "greet"); errno != 0 || err != nil {
		t.Fatal(errno, err)
	}
	if n, err := callI32(t.Context(), g, "argc"); n != 4 || err != nil {
		t.Errorf("the library sees %d arguments, %v", n, err)
	}
	if own.String() != "HELLO, ENGINE\n" || guests.Len() != 0 {
		t.Errorf("%q, and the guest's %q", own.String(), guests.String())
	}
}

// program calls function f of each of the modules.
func program(f string, modules ...string) []byte {
	var m handModule
	var body []byte
	for i, name := range modules {
		m.funcs = append(m.funcs, handFunc{module: name, name: f, signature: signature{results: []byte{api.ValueTypeI32}}})
		body = append(append(body, calling(i, 0)...), opDrop)
	}
	m.funcs = append(m.funcs, handFunc{name: "_start", body: body})
	return m.encode()
}

// Five modules share one engine, with its state; another guest has another engine.
func TestEngineOfManyModules(t *testing.T) {
	host := newHost(t)
	script, engine := linked(t, host)
	names := []string{"s1", "s2", "s3", "s4", "s5"}
	main, err := host.CompileLinked(t.Context(), program("greet", names...), names...)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var out bytes.Buffer
		opts := []virt.GuestOption{virt.WithStdout(&out), engine}
		for _, name := range names {
			opts = append(opts, virt.WithLibrary(name, virt.Library{Module: script}))
		}
		r, err := host.RunModule(t.Context(), main, opts...)
		if err != nil || !r.Success() || out.String() != strings.Repeat("HELLO, ENGINE\n", 5) {
			t.Errorf("%v, %v, %q", r, err, out.String())
		}
	}
}

func TestLibrariesThatCannotBeLinked(t *testing.T) {
	host := newHost(t)
	script, engine := linked(t, host)
	link := func(name, from string) virt.GuestOption {
		m, err := host.CompileLinked(t.Context(), program("greet", from), from)
		if err != nil {
			t.Fatal(err)
		}
		return virt.WithLibrary(name, virt.Library{Module: m})
	}
	if _, err := host.Compile(t.Context(), program("greet", "b")); !errors.As(err, new(*virt.ImportError)) {
		t.Errorf("an import of nobody's: %v", err)
	}
	for want, opts := range map[string][]virt.GuestOption{
		"circle: a → b → c → a":        {engine, link("a", "b"), link("b", "c"), link("c", "a")},
		"env.shout":                    nil,
		"b.greet":                      {engine, link("a", "b"), virt.WithLibrary("b", virt.Library{Module: compiled(t, host, bareGuest(t, "link_engine"))})},
		`library "env" is there twice`: {engine, engine},
		"the Host's own module":        {virt.WithLibrary("wasi_snapshot_preview1", virt.Library{Module: script})},
	} {
		_, err := host.Instantiate(t.Context(), script, opts...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Modules with shared memory have no libraries and no plugs, and are none.
func TestSharedMemoryIsNotLinked(t *testing.T) {
	host := newHost(t, virt.WithMaxThreads(1))
	script, engine := linked(t, host)
	threads := bareGuest(t, "family")
	plug, err := host.CompilePlug(t.Context(), bareGuest(t, "plug_hostile"))
	if err != nil {
		t.Fatal(err)
	}
	_, noPlug := host.CompilePlug(t.Context(), threads)
	instantiate := func(m *virt.Module, opts ...virt.GuestOption) error {
		_, err := host.Instantiate(t.Context(), m, opts...)
		return err
	}
	shared := compiled(t, host, threads)
	for want, err := range map[string]error{
		"WithLibrary: the module has shared memory": instantiate(shared, engine),
		"WithPlug: the module has shared memory":    instantiate(shared, virt.WithPlug(plug)),
		`WithLibrary: "lib" has shared memory`:      instantiate(script, virt.WithLibrary("lib", virt.Library{Module: shared})),
		"compile the plug: the module has shared":   noPlug,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// What ends a guest in a library tells the functions of both, and ends it at once.
func TestEndsInLibraries(t *testing.T) {
	t.Run("trap", func(t *testing.T) {
		host := newHost(t)
		script, engine := linked(t, host)
		g, err := host.Instantiate(t.Context(), script, engine)
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.Call(t.Context(), "trap")
		trap, ok := errors.AsType[*virt.Trap](err)
		if !ok || !strings.Contains(trap.Stack, ".boom") || !strings.Contains(trap.Stack, ".trap") {
			t.Errorf("%v", err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		host := newHost(t)
		script, engine := linked(t, host)
		g, err := host.Instantiate(t.Context(), script, engine)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("enough")
		go cancel(reason)
		if _, err := g.Call(ctx, "loop"); !errors.Is(err, reason) {
			t.Errorf("%v", err)
		}
	})
	for name, opts := range map[string][]virt.Library{"fuel": nil, "the library's fuel": {{Fuel: 50_000}}} {
		t.Run(name, func(t *testing.T) {
			host := newHost(t, virt.WithFuel(1<<40))
			script, engine := linked(t, host, opts...)
			limit := uint64(100_000)
			if opts != nil {
				limit = 1 << 40
			}
			g, err := host.Instantiate(t.Context(), script, engine, virt.WithFuel(limit))
			if err != nil {
				t.Fatal(err)
			}
			_, err = g.Call(t.Context(), "loop")
			budget, ok := errors.AsType[*virt.BudgetError](err)
			if !ok || budget.Budget != virt.BudgetFuel {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("again after a trap", func(t *testing.T) {
		host := newHost(t, virt.WithLimits(func(l *virt.Limits) { l.CallDepth = 100 }))
		script, engine := linked(t, host)
		g, err := host.Instantiate(t.Context(), script, engine, virt.WithCallsAfterTrap())
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			if _, err := g.Call(t.Context(), "trap"); !errors.As(err, new(*virt.Trap)) {
				t.Fatal(err)
			}
		}
		if errno, err := callI32(t.Context(), g, "greet"); errno != 0 || err != nil {
			t.Error(errno, err)
		}
	})
}

// stateful makes a guest that shares the table and the globals of a library.
func stateful(t *testing.T, host *virt.Host) *virt.Guest {
	t.Helper()
	read := func(name string) []byte {
		wasm, err := os.ReadFile("testdata/" + name + ".wasm")
		if err != nil {
			t.Fatal(err)
		}
		return wasm
	}
	user, err := host.CompileLinked(t.Context(), read("link_state_user"), "env")
	if err != nil {
		t.Fatal(err)
	}
	g, err := host.Instantiate(t.Context(), user, virt.WithLibrary("env", virt.Library{Module: compiled(t, host, read("link_state"))}))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Tables and globals are shared by the instances of a guest, in both directions, and not by guests,
// nor by Hosts of one runtime that have libraries of one name.
func TestTablesAndGlobalsOfLibraries(t *testing.T) {
	r := newRuntime(t)
	one, two := hostOf(t, virt.WithRuntime(r)), hostOf(t, virt.WithRuntime(r))
	for _, host := range []*virt.Host{one, two, one} {
		g := stateful(t, host)
		for _, call := range []struct {
			name          string
			params        []int32
			want          int32
			uninitialized bool
		}{
			{name: "add", want: 5}, {name: "add", want: 10}, // each time from 0
			{name: "call", params: []int32{0}, want: 7}, {name: "call", params: []int32{1}, want: 5},
			{name: "call_there", params: []int32{0}, want: 7}, {name: "call_there", params: []int32{1}, want: 5},
			{name: "call_there", params: []int32{2}, uninitialized: true},
		} {
			n, err := callI32(t.Context(), g, call.name, call.params...)
			if call.uninitialized {
				if !errors.As(err, new(*virt.Trap)) {
					t.Errorf("%s%v: %v, want a trap", call.name, call.params, err)
				}
			} else if n != call.want || err != nil {
				t.Errorf("%s%v: %d, %v, want %d", call.name, call.params, n, err, call.want)
			}
		}
	}
}

// Hosts of one runtime have functions and libraries of one name, each its own.
func TestOneNameInTwoHostsOfARuntime(t *testing.T) {
	r := newRuntime(t)
	asks := handModule{funcs: []handFunc{
		{module: "env", name: "ask", signature: signature{results: []byte{api.ValueTypeI32}}},
		{name: "answer", signature: signature{results: []byte{api.ValueTypeI32}}, body: calling(0, 0)},
	}}.encode()
	var guests []*virt.Guest
	for n := range uint64(3) {
		ask := virt.HostFunction{Name: "ask", Results: []api.ValueType{api.ValueTypeI32}, Call: func(_ *virt.HostCall, stack []uint64) { stack[0] = n }}
		host := hostOf(t, virt.WithRuntime(r), virt.WithFunctions("env", ask))
		g, err := host.Instantiate(t.Context(), compiled(t, host, asks))
		if err != nil {
			t.Fatal(err)
		}
		guests = append(guests, g)
	}
	for want, g := range guests {
		if n, err := callI32(t.Context(), g, "answer"); n != int32(want) || err != nil {
			t.Errorf("Host %d answers %d, %v", want, n, err)
		}
	}
}

// Memories of all instances count together, and are given back.
func TestMemoryOfLibraries(t *testing.T) {
	host := newHost(t, virt.WithSharedLimits(func(l *virt.Limits) { l.Memory = 1 << 20 }))
	script, engine := linked(t, host)
	if _, err := host.Instantiate(t.Context(), script, engine, virt.WithMemoryLimit(1<<17)); !errors.As(err, new(*virt.BudgetError)) {
		t.Errorf("an engine that is larger than the limit: %v", err)
	}
	for range 20 { // more than fit at once
		g, err := host.Instantiate(t.Context(), script, engine)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeterministicLibraries(t *testing.T) {
	hashes := map[[32]byte]bool{}
	for range 3 {
		host := newHost(t, virt.Deterministic(7))
		script, engine := linked(t, host)
		g, err := host.Instantiate(t.Context(), script, engine, virt.WithHash())
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := g.Call(t.Context(), "greet"); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		hashes[g.Result().Hash] = true
	}
	if len(hashes) != 1 || hashes[[32]byte{}] {
		t.Errorf("%v", hashes)
	}
}

// A recording has the calls of all instances, and a replay links the same libraries.
func TestRecordedLibraries(t *testing.T) {
	host := newHost(t, virt.WithFuel(1<<40))
	script, engine := linked(t, host)
	var tape, out bytes.Buffer
	g, err := host.Instantiate(t.Context(), script, engine, virt.WithRecording(&tape), virt.WithStdout(&out))
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := g.Call(t.Context(), "greet"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.Call(t.Context(), "trap"); err == nil {
		t.Fatal("no trap")
	}
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	r, err := replay.Run(t.Context(), bareGuest(t, "link_script"), &tape, replay.WithLibrary("env", bareGuest(t, "link_engine")), virt.WithStdout(&again))
	if err != nil || r.Outcome != virt.Trapped || again.String() != out.String() {
		t.Errorf("%v, %v, %q", r, err, again.String())
	}
}
