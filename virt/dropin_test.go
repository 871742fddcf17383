package virt_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/dropin"
)

func newRuntime(t *testing.T) wazero.Runtime {
	t.Helper()
	r := wazero.NewRuntime(t.Context())
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Errorf("close the runtime: %v", err)
		}
	})
	return r
}

func filesOf(t *testing.T, files map[string]string) *memfs.FS {
	t.Helper()
	f, err := memfs.FromMap(files)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// anonymous is a configuration for many instances of a module.
func anonymous() wazero.ModuleConfig { return wazero.NewModuleConfig().WithName("") }

// TestInstantiateTakesThePlaceOfWazeros is what code looks like that called
// wasi_snapshot_preview1.Instantiate before.
func TestInstantiateTakesThePlaceOfWazeros(t *testing.T) {
	r := newRuntime(t)
	var out bytes.Buffer
	files := filesOf(t, map[string]string{"test.txt": "greet filesystem\n"})
	closer, err := dropin.Instantiate(t.Context(), r, virt.WithMount("/", files), virt.WithStdout(&out), virt.WithName("cat"), virt.WithArgs("test.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, toolchain := range toolchains {
		out.Reset()
		_, err := r.InstantiateWithConfig(t.Context(), wazeroGuest(t, "example/testdata/"+toolchain+"/cat.wasm"), anonymous())
		if exit, ok := errors.AsType[*sys.ExitError](err); err != nil && (!ok || exit.ExitCode() != 0) {
			t.Errorf("%s: %v", toolchain, err)
		}
		if out.String() != "greet filesystem\n" {
			t.Errorf("%s: printed %q", toolchain, out.String())
		}
	}
	if err := closer.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestInstantiateExitsAsWazeros(t *testing.T) {
	r := newRuntime(t)
	if _, err := dropin.Instantiate(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	_, err := r.Instantiate(t.Context(), wazeroGuest(t, "testdata/exit_on_start.wasm"))
	if exit, ok := errors.AsType[*sys.ExitError](err); !ok || exit.ExitCode() != 2 {
		t.Errorf("proc_exit(2): %v, want a sys.ExitError", err)
	}
}

// TestInstantiateTwiceIsRefused: the name can be there once, as with wazero's.
func TestInstantiateTwiceIsRefused(t *testing.T) {
	r := newRuntime(t)
	closer, err := dropin.Instantiate(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dropin.Instantiate(t.Context(), r); err == nil {
		t.Error("the name was given a second time")
	}
	if err := closer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := dropin.Instantiate(t.Context(), r); err != nil {
		t.Errorf("after the first was closed: %v", err)
	}
}

func TestInstantiateReportsMistakes(t *testing.T) {
	_, err := dropin.Instantiate(t.Context(), newRuntime(t), virt.WithTimeout(-1), virt.WithMaxThreads(-1))
	if err == nil || !strings.Contains(err.Error(), "WithTimeout") || !strings.Contains(err.Error(), "WithMaxThreads") {
		t.Errorf("error %v", err)
	}
}

// TestOptionsOfTheInstantiatingContext gives each module of a runtime a world of its own.
func TestOptionsOfTheInstantiatingContext(t *testing.T) {
	r := newRuntime(t)
	if _, err := dropin.Instantiate(t.Context(), r, virt.WithName("all")); err != nil {
		t.Fatal(err)
	}
	compiled, err := r.CompileModule(t.Context(), wazeroGuest(t, "testdata/print_args.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	for _, arg := range []string{"one", "two"} {
		var out bytes.Buffer
		ctx := dropin.WithOptions(t.Context(), virt.WithArgs(arg), virt.WithStdout(&out))
		if _, err := r.InstantiateModule(ctx, compiled, anonymous()); err != nil {
			t.Fatal(err)
		}
		if want := "all\x00" + arg + "\x00"; out.String() != want {
			t.Errorf("printed %q, want %q", out.String(), want)
		}
	}
}

// TestOptionsThatAreWrong are told to whoever calls the module.
func TestOptionsThatAreWrong(t *testing.T) {
	r := newRuntime(t)
	if _, err := dropin.Instantiate(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	ctx := dropin.WithOptions(t.Context(), virt.WithArgs("a\x00b"))
	_, err := r.Instantiate(ctx, wazeroGuest(t, "testdata/print_args.wasm"))
	if err == nil || !strings.Contains(err.Error(), "NUL") {
		t.Errorf("error %v", err)
	}
}

func TestFunctionExporterWithAReplacedFunction(t *testing.T) {
	r := newRuntime(t)
	var out bytes.Buffer
	e, err := dropin.NewFunctionExporter(t.Context(), r, virt.WithStdout(&out), virt.WithName("guest"))
	if err != nil {
		t.Fatal(err)
	}
	b := r.NewHostModuleBuilder(abi.ModuleName)
	e.ExportFunctions(b)
	exits := 0
	b.NewFunctionBuilder().WithFunc(func(code uint32) { exits += int(code) }).Export("proc_exit")
	if _, err := b.Instantiate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.InstantiateWithConfig(t.Context(), wazeroGuest(t, "testdata/exit_on_start.wasm"), anonymous()); err != nil || exits != 2 {
		t.Errorf("the function in place of proc_exit saw %d, %v", exits, err)
	}
	if _, err := r.InstantiateWithConfig(t.Context(), wazeroGuest(t, "testdata/print_args.wasm"), anonymous()); err != nil || out.String() != "guest\x00" {
		t.Errorf("the others: %q, %v", out.String(), err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWorldsOfClosedModulesAreLetGo closes modules and leaves their worlds to the exporter.
func TestWorldsOfClosedModulesAreLetGo(t *testing.T) {
	total := sized(400, 1000)
	if testing.Short() {
		total = 200
	}
	r := newRuntime(t)
	// Each world holds a megabyte: if they stayed it would be seen.
	world := virt.WithMountFunc("/", func(context.Context) (vfs.FS, error) {
		f := memfs.New()
		return f, f.WriteFile("big", make([]byte, 1<<20))
	})
	closer, err := dropin.Instantiate(t.Context(), r, world, virt.WithSeed(1))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := r.CompileModule(t.Context(), tiny())
	if err != nil {
		t.Fatal(err)
	}
	run := func(n int) {
		for range n {
			mod, err := r.InstantiateModule(t.Context(), compiled, anonymous())
			if err != nil {
				t.Fatal(err)
			}
			if err := mod.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(100)
	before := measure()
	run(total)
	// Closed ones are looked for when their number has doubled: a few may be there still.
	expectNothingLeft(t, before, 64<<20)
	if err := closer.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestManyInOneRuntime has two Hosts, the drop-in and wazero's own WASI stand in one runtime.
func TestManyInOneRuntime(t *testing.T) {
	r := newRuntime(t)
	wasi_snapshot_preview1.MustInstantiate(t.Context(), r)
	wasm := wazeroGuest(t, "testdata/print_args.wasm")
	for _, name := range []string{"one", "two"} {
		host := hostOf(t, virt.WithRuntime(r), virt.WithName(name))
		if got := runModule(t, host, compiled(t, host, wasm)); got.stdout != name+"\x00" {
			t.Errorf("Host %s: printed %q", name, got.stdout)
		}
	}
	var out bytes.Buffer
	if _, err := r.InstantiateWithConfig(t.Context(), wasm, anonymous().WithArgs("wazero").WithStdout(&out)); err != nil || out.String() != "wazero\x00" {
		t.Errorf("wazero's own: %q, %v", out.String(), err)
	}
}

// relaying is a module that exports print, which writes a letter to descriptor 1, and relay, which
// prints, calls env.other and prints again.
func relaying(letter byte) []byte {
	const (
		opI32Store  = 0x36
		opI32Store8 = 0x3a
	)
	return handModule{memory: 1, funcs: []handFunc{
		imported("fd_write", "iiii"),
		{module: "env", name: "other"},
		{name: "print", body: []byte{
			// The iovec at 0 is the one byte at 32; constants stay below 64, where they take one
			// byte.
			opI32Const, 0, opI32Const, 32, opI32Store, 2, 0,
			opI32Const, 4, opI32Const, 1, opI32Store, 2, 0,
			opI32Const, 32, opI32Const, letter, opI32Store8, 0, 0,
			opI32Const, 1, opI32Const, 0, opI32Const, 1, opI32Const, 16, opCall, 0, opDrop,
		}},
		{name: "relay", body: []byte{opCall, 2, opCall, 1, opCall, 2}},
	}}.encode()
}

// TestGuestCalledByAGuestActsForItself lets one guest call another through host code that passes
// the first one's context on: what the other prints goes to the other's output.
func TestGuestCalledByAGuestActsForItself(t *testing.T) {
	var callOther func(ctx context.Context) error
	other := func(r wazero.Runtime) (api.Module, error) {
		return r.NewHostModuleBuilder("env").NewFunctionBuilder().WithGoFunction(api.GoFunc(func(ctx context.Context, _ []uint64) {
			if err := callOther(ctx); err != nil {
				t.Error(err)
			}
		}), nil, nil).Export("other").Instantiate(t.Context())
	}
	host := newHost(t, virt.WithModules(other))
	var out [2]bytes.Buffer
	var guests [2]*virt.Guest
	for i, letter := range []byte{'0', '1'} {
		g, err := host.Instantiate(t.Context(), compiled(t, host, relaying(letter)), virt.WithStdout(&out[i]))
		if err != nil {
			t.Fatal(err)
		}
		guests[i] = g
	}
	for how, f := range map[string]func(ctx context.Context) error{
		"Guest.Call": func(ctx context.Context) error { _, err := guests[1].Call(ctx, "print"); return err },
		"wazero's call": func(ctx context.Context) error {
			_, err := guests[1].Instance().ExportedFunction("print").Call(ctx)
			return err
		},
	} {
		callOther = f
		out[0].Reset()
		out[1].Reset()
		if _, err := guests[0].Call(t.Context(), "relay"); err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"00", "1"} {
			if got := out[i].String(); got != want {
				t.Errorf("%s: guest %d printed %q, want %q", how, i, got, want)
			}
		}
	}
}
