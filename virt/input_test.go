package virt_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/trap"
)

// nothing is a command that does nothing.
func nothing() []byte {
	return handModule{funcs: []handFunc{{name: "_start"}}, memory: 1}.encode()
}

func TestModulesThatAreRefused(t *testing.T) {
	start := handFunc{name: "_start"}
	tests := []struct {
		name string
		wasm []byte
		opts []virt.GuestOption
		want []string // parts of the error
	}{
		{"nothing", nil, nil, []string{"empty"}},
		{"an ELF program", []byte("\x7fELF\x02\x01\x01\x00"), nil, []string{"not a WebAssembly file"}},
		{"text", []byte(";; a comment\n(module (func))"), nil, []string{"WebAssembly text"}},
		{"a component", []byte("\x00asm\x0d\x00\x01\x00"), nil, []string{"component", "preview1"}},
		{"half a header", []byte("\x00asm\x01"), nil, []string{"truncated"}},
		{"half a module", nothing()[:15], nil, []string{"offset"}},
		{"bytes behind the end", append(nothing(), 0xff), nil, []string{"offset"}},
		{"wasi_unstable", wazeroGuest(t, "testdata/exit_on_start_unstable.wasm"), nil, []string{"wasi_unstable", abi.ModuleName}},
		{"preview 2", handModule{funcs: []handFunc{{module: "wasi:cli/exit@0.2.0", name: "exit"}, start}, memory: 1}.encode(), nil,
			[]string{"wasi:cli/exit@0.2.0", "preview 2"}},
		{"a function that preview1 has not", handModule{funcs: []handFunc{imported("fd_frobnicate", "i"), start}, memory: 1}.encode(), nil,
			[]string{"fd_frobnicate", "no function of preview1"}},
		{"functions of others", handModule{funcs: []handFunc{{module: "env", name: "one"}, {module: "env", name: "two"}, start}, memory: 1}.encode(), nil,
			[]string{"env.one", "env.two"}},
		{"a function with another type", handModule{funcs: []handFunc{imported("fd_close", "I"), start}, memory: 1}.encode(), nil,
			[]string{"fd_close"}},
		{"pointers without a memory", handModule{funcs: []handFunc{imported("fd_tell", "ii"), start}}.encode(), nil,
			[]string{"memory"}},
		{"the Host's own module", handModule{funcs: []handFunc{{module: "wasivirt", name: "fuel"}, start}, memory: 1}.encode(), nil,
			[]string{"wasivirt", "reserved"}},
		{"more memory than its limit", handModule{funcs: []handFunc{start}, memory: 65536}.encode(),
			[]virt.GuestOption{virt.WithMemoryLimit(1 << 20)}, []string{"4294967296", "1048576"}},
		{"a table of 128 Mi elements", handModule{funcs: []handFunc{start}, memory: 1, tables: []string{"\x70\x00\x80\x80\x80\x40"}}.encode(), nil,
			[]string{"134217728", "10000000"}},
		{"many tables that are too much together", handModule{funcs: []handFunc{start}, memory: 1,
			tables: slices.Repeat([]string{"\x70\x00\xc0\x84\x3d"}, 11)}.encode(), nil, []string{"11000000", "10000000"}},
		{"no _start", handModule{funcs: []handFunc{{name: "main"}}, memory: 1}.encode(), nil, []string{"_start"}},
		{"an argument with a NUL", nothing(), []virt.GuestOption{virt.WithArgs("a\x00b")}, []string{"NUL"}},
		{"a mount that fails", nothing(), []virt.GuestOption{virt.WithMount("/a\x00b", memfs.New())}, []string{"mount /a", "EINVAL"}},
	}
	host := newHost(t)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			result, err := host.Run(t.Context(), tc.wasm, tc.opts...)
			if err == nil {
				t.Fatalf("no error, but %v", result)
			}
			for _, part := range tc.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not mention %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q has several lines", err)
			}
		})
	}
}

// TestEveryPrefixOfAModule has a module cut after each of its bytes: an error or a module, never a
// panic.
func TestEveryPrefixOfAModule(t *testing.T) {
	wasm := wazeroGuest(t, "testdata/print_args.wasm")
	host := newHost(t)
	for n := range wasm {
		m, err := host.Compile(t.Context(), wasm[:n])
		if err != nil {
			continue
		}
		if err := m.Close(t.Context()); err != nil {
			t.Errorf("close what %d bytes make: %v", n, err)
		}
	}
}

// faultyRuntime is a runtime whose compiler is at fault.
type faultyRuntime struct{ wazero.Runtime }

func (faultyRuntime) CompileModule(context.Context, []byte) (wazero.CompiledModule, error) {
	panic("BUG: no register")
}

// TestCompilerThatPanics makes an error of a panic of the engine, which a module may have been made
// for.
func TestCompilerThatPanics(t *testing.T) {
	r := wazero.NewRuntime(t.Context())
	defer r.Close(t.Context())
	host := hostOf(t, virt.WithRuntime(faultyRuntime{r}))
	_, err := host.Compile(t.Context(), nothing())
	if err == nil || !strings.Contains(err.Error(), "BUG: no register") {
		t.Errorf("error %v", err)
	}
}

// TestTablesThatGrow has a guest grow its table by what would take 16 GiB of the machine.
func TestTablesThatGrow(t *testing.T) {
	grow := handFunc{name: "grow", signature: signature{params: []byte{typeI32}, results: []byte{typeI32}},
		body: []byte{0xd0, 0x70, opLocalGet, 0, 0xfc, 15, 0}}
	wasm := handModule{funcs: []handFunc{grow}, memory: 1, tables: []string{"\x70\x00\x01"}}.encode()
	for name, opts := range map[string][]virt.Option{"stoppable": nil, "as it is": {virt.WithoutPreemption()}} {
		t.Run(name, func(t *testing.T) {
			host := newHost(t, opts...)
			g := newGuest(t, host, compiled(t, host, wasm))
			for _, step := range []struct{ by, want int32 }{{1 << 30, -1}, {-1 << 31, -1}, {10_000_000, -1}, {1000, 1}, {10_000_000, -1}, {0, 1001}} {
				if n, err := callI32(t.Context(), g, "grow", step.by); err != nil || n != step.want {
					t.Errorf("grow by %d: %d, %v; want %d", uint32(step.by), n, err, step.want)
				}
			}
		})
	}
}

func TestModuleOfAnotherHost(t *testing.T) {
	one, two := newHost(t), newHost(t)
	if _, err := two.Instantiate(t.Context(), compiled(t, one, nothing())); err == nil || !strings.Contains(err.Error(), "another Host") {
		t.Errorf("error %v", err)
	}
}

func TestHostThatIsClosed(t *testing.T) {
	host, err := virt.NewBuilder().Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := compiled(t, host, nothing())
	g, err := host.Instantiate(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := host.Instantiate(t.Context(), m); !errors.Is(err, virt.ErrClosed) {
		t.Errorf("Instantiate: %v, want ErrClosed", err)
	}
	if _, err := host.Run(t.Context(), nothing()); err == nil {
		t.Error("Run: no error")
	}
	if result, err := g.Run(t.Context()); err != nil || result.Outcome != virt.Canceled {
		t.Errorf("Run of a guest of before: %v, %v", result, err)
	}
	if err := host.Close(t.Context()); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

func TestStartFunctionThatEndsTheGuest(t *testing.T) {
	host := newHost(t)
	wasm := handModule{funcs: []handFunc{{name: "_start"}, {name: "early", body: []byte{opUnreachable}}}, memory: 1, start: 1}.encode()
	result, err := host.Run(t.Context(), wasm)
	if err != nil || result.Outcome != virt.Trapped || result.Trap.Kind != trap.Unreachable {
		t.Errorf("a trap: %v, %v", result, err)
	}
	exit := handModule{funcs: []handFunc{
		imported("proc_exit", "i"), {name: "_start"}, {name: "early", body: []byte{opI32Const, 9, opCall, 0}},
	}, memory: 1, start: 2}.encode()
	result, err = host.Run(t.Context(), exit)
	if err != nil || result.Outcome != virt.Exited || result.ExitCode != 9 {
		t.Errorf("proc_exit(9): %v, %v", result, err)
	}
}

func TestBuildReportsEveryMistake(t *testing.T) {
	_, err := virt.NewBuilder(
		virt.WithTimeout(-time.Second),
		virt.WithLimits(func(l *virt.Limits) { l.Descriptors = -1 }),
		virt.WithRuntime(nil),
		virt.WithClock(nil),
		virt.WithStream(7, nil),
		virt.WithMount("/data", nil),
		virt.WithStdout(nil),
		virt.HostOption{},
		virt.GuestOption{},
		nil,
		virt.Options(virt.WithRandom(nil), virt.WithScheduler(nil)),
	).Build(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{
		"WithTimeout: WallTime is -1s", "WithLimits: Descriptors is -1", "WithRuntime", "WithClock", "descriptor 7", `"/data"`, "WithStdout",
		"an option is nil or empty", "WithRandom", "WithScheduler",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not mention %q:\n%v", part, err)
		}
	}
}

func TestBuilderIsNotChanged(t *testing.T) {
	plain := virt.NewBuilder(virt.WithName("guest"), virt.WithEnv("A", "1"))
	// Both grow from the same Builder: neither may write where the other does.
	one := plain.With(virt.WithEnv("B", "one"))
	two := plain.With(virt.WithEnv("B", "two"), virt.WithTimeout(-1))
	_ = two
	wasm := wazeroGuest(t, "testdata/print_args.wasm")
	for _, tc := range []struct {
		b    *virt.Builder
		fine bool
	}{{plain, true}, {one, true}, {two, false}} {
		host, err := tc.b.Build(t.Context())
		if fine := err == nil; fine != tc.fine {
			t.Errorf("Build: %v", err)
		}
		if err != nil {
			continue
		}
		if _, err := host.Run(t.Context(), wasm); err != nil {
			t.Error(err)
		}
		if err := host.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// TestBuilderOptionsAreCopied changes what was given after it was given.
func TestBuilderOptionsAreCopied(t *testing.T) {
	args := []string{"one"}
	opts := []virt.Option{virt.WithName("guest"), virt.WithArgs(args...)}
	host := newHost(t, opts...)
	args[0], opts[0] = "two", virt.WithName("other")
	got := runModule(t, host, compiled(t, host, wazeroGuest(t, "testdata/print_args.wasm")))
	if got.stdout != "guest\x00one\x00" {
		t.Errorf("arguments %q", got.stdout)
	}
}

func TestMemoryLimit(t *testing.T) {
	const page = 1 << 16
	// grow answers what memory.grow by its parameter does.
	grow := handModule{memory: 1, funcs: []handFunc{
		{name: "grow", signature: signature{[]byte{typeI32}, []byte{typeI32}}, body: []byte{opLocalGet, 0, 0x40, 0}},
	}}.encode()
	host := newHost(t)
	g, err := host.Instantiate(t.Context(), compiled(t, host, grow), virt.WithMemoryLimit(3*page))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ by, want int32 }{{1, 1}, {2, -1}, {1, 2}, {1, -1}, {0, 3}, {-1, -1}} {
		if got, err := callI32(t.Context(), g, "grow", step.by); err != nil || got != step.want {
			t.Errorf("grow by %d: %d, %v, want %d", step.by, got, err, step.want)
		}
	}
	if size := g.Instance().Memory().Size(); size != 3*page {
		t.Errorf("the memory has %d bytes", size)
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(nothing())
	f.Add(trapping())
	for _, name := range []string{"print_args", "print_prestat_dirname", "exit_on_start"} {
		f.Add(wazeroGuest(f, "testdata/"+name+".wasm"))
	}
	host, err := virt.NewBuilder(virt.WithMemoryLimit(1<<20), virt.WithTimeout(100*time.Millisecond), virt.WithoutFiles()).Build(context.Background())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if len(wasm) > os.Getpagesize() {
			t.Skip()
		}
		// Whatever it is, it is refused or it ends.
		if result, err := host.Run(t.Context(), wasm); err == nil && result.Outcome == virt.Running {
			t.Error("it has ended and is running")
		}
	})
}
