package wasmbin

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

var engines = []struct {
	name   string
	config func() wazero.RuntimeConfig
}{{"compiler", compilerConfig}, {"interpreter", interpreterConfig}}

// TestSameResults runs the kernels with every change.
func TestSameResults(t *testing.T) {
	ctx := context.Background()
	module := kernels()
	for _, engine := range engines {
		plain := newGuest(t, engine.config(), module, nil)
		want, _ := plain.start(t)
		for _, opts := range everything {
			g := newGuest(t, engine.config(), module, &opts)
			got, _ := g.start(t)
			for _, name := range []string{"empty", "muladd", "sieve", "fib"} {
				for _, n := range []uint64{0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 18} {
					w, err := want.ExportedFunction(name).Call(ctx, n)
					if err != nil {
						t.Fatal(err)
					}
					r, err := got.ExportedFunction(name).Call(ctx, n)
					if err != nil || r[0] != w[0] {
						t.Errorf("%s, %s(%d), %+v: %v, %v; want %v", engine.name, name, n, opts, r, err, w)
					}
				}
			}
		}
	}
}

func TestGoGuest(t *testing.T) {
	module := goGuest(t, "work")
	_, want := newGuest(t, keeping(t, compilerConfig()), module, nil).start(t, "work", "1", "1500")
	for _, engine := range engines {
		for i, opts := range everything {
			if engine.name == "interpreter" && i > 0 {
				break // its results have been compared in small; this takes seconds
			}
			g := newGuest(t, keeping(t, engine.config()), module, &opts)
			if _, got := g.start(t, "work", "1", "1500"); got != want {
				t.Errorf("%s, %+v: %q, want %q", engine.name, opts, got, want)
			}
		}
	}
}

// TestStop ends loops and recursions from the check, and counts how far they
// came: the unit of the period is an instruction.
func TestStop(t *testing.T) {
	ctx := context.Background()
	for _, engine := range engines {
		for _, k := range []struct {
			name string
			n    uint64
		}{{"empty", 1 << 31}, {"muladd", 1 << 31}, {"sieve", 2_000_000}, {"fib", 60}} {
			g := newGuest(t, engine.config(), kernels(), &Options{Stop: true, Period: 1000})
			mod, _ := g.start(t)
			g.host.onCheck = func(api.Module) {
				if g.host.checks == 10 {
					panic(sys.NewExitError(77))
				}
			}
			_, err := mod.ExportedFunction(k.name).Call(ctx, k.n)
			var exit *sys.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 77 {
				t.Errorf("%s, %s: %v", engine.name, k.name, err)
			}
		}
	}
}

// TestFuelIsExact compares the fuel that a program takes in both engines, and
// the position of every call for more.
func TestFuelIsExact(t *testing.T) {
	ctx := context.Background()
	for _, k := range []struct {
		name string
		n    uint64
		fuel int64 // by hand, 0: only compared
	}{
		{"empty", 100, 100*7 + 2},
		{"muladd", 100, 100*14 + 1},
		{"sieve", 1000, 0},
		{"fib", 1, 6},
		{"fib", 15, 0},
	} {
		var traces []string
		for _, engine := range engines {
			g := newGuest(t, engine.config(), kernels(), &Options{Fuel: true})
			mod, _ := g.start(t)
			cell := mod.ExportedGlobal(g.report.FuelGlobal).(api.MutableGlobal)
			left := func() int64 { return int64(cell.Get()) }
			trace, given := "", int64(500)
			g.host.onFuel = func(api.Module) {
				trace += fmt.Sprint(left(), " ")
				given += 700
				cell.Set(uint64(left() + 700))
			}
			cell.Set(uint64(given))
			if _, err := mod.ExportedFunction(k.name).Call(ctx, k.n); err != nil {
				t.Fatal(err)
			}
			used := given - left()
			if k.fuel > 0 && used != k.fuel {
				t.Errorf("%s, %s(%d) took %d, want %d", engine.name, k.name, k.n, used, k.fuel)
			}
			traces = append(traces, fmt.Sprint(trace, used))
		}
		if traces[0] != traces[1] {
			t.Errorf("%s: compiler %s, interpreter %s", k.name, traces[0], traces[1])
		}
	}
}

// TestLookIsTakenOnce has every look call the host: however little the host gives, a look calls
// check once, and takes from the fuel once, though the code behind the call leads back to it.
func TestLookIsTakenOnce(t *testing.T) {
	ctx := context.Background()
	for _, engine := range engines {
		g := newGuest(t, engine.config(), kernels(), &Options{Stop: true, Period: 1})
		mod, _ := g.start(t)
		if _, err := mod.ExportedFunction("fib").Call(ctx, 10); err != nil {
			t.Fatal(err)
		}
		if calls := 177; g.host.checks != calls { // of fib
			t.Errorf("%s: %d checks in %d calls", engine.name, g.host.checks, calls)
		}
		for _, name := range []string{"empty", "sieve", "fib"} {
			used := map[int64]int64{}
			for _, slice := range []int64{1, 1000, 1 << 40} {
				g := newGuest(t, engine.config(), kernels(), &Options{Fuel: true})
				g.host.slice = slice
				mod, _ := g.start(t)
				if _, err := mod.ExportedFunction(name).Call(ctx, 12); err != nil {
					t.Fatal(err)
				}
				used[slice] = int64(g.host.fuels)*slice - int64(mod.ExportedGlobal(g.report.FuelGlobal).Get())
			}
			if used[1] != used[1<<40] || used[1000] != used[1<<40] || used[1] == 0 {
				t.Errorf("%s, %s: fuel used by slice: %v", engine.name, name, used)
			}
		}
	}
}

// TestCallDepth calls depth when the limit is passed, and counts back down
// however functions are left.
func TestCallDepth(t *testing.T) {
	ctx := context.Background()
	for _, engine := range engines {
		g := newGuest(t, engine.config(), kernels(), &Options{CallDepth: 20})
		mod, _ := g.start(t)
		g.host.onDepth = func(api.Module) { panic(sys.NewExitError(3)) }
		f := mod.ExportedFunction("fib")
		if _, err := f.Call(ctx, 20); err != nil { // fib(20) down to fib(1)
			t.Errorf("%s: %v", engine.name, err)
		}
		cell := mod.ExportedGlobal(g.report.DepthGlobal)
		if d := cell.Get(); d != 0 {
			t.Errorf("%s: depth %d after the call", engine.name, d)
		}
		var exit *sys.ExitError
		if _, err := f.Call(ctx, 21); !errors.As(err, &exit) {
			t.Errorf("%s: %v", engine.name, err)
		}
	}
}

// catcher is a module whose function "catch" calls "deep", which calls itself as
// often as its argument says and then throws; catch answers 5.
func catcher() []byte {
	i32 := ValueI32
	var m testModule
	m.types = [][]byte{[]byte("\x60\x00\x00")}
	m.tags = [][]byte{{0, 0}}
	var deep asm // function 0
	deep.op(opLocalGet, 0)
	deep.ops(opI32Eqz, opIf, blockEmpty)
	deep.op(opThrow, 0)
	deep.ops(opEnd)
	deep.op(opLocalGet, 0)
	deep.i32Const(1)
	deep.ops(opI32Sub)
	deep.op(opCall, 0)
	deep.ops(opEnd)
	m.add(testFunc{params: []ValueType{i32}, code: deep.code})
	var catch asm // function 1, which is made part of a cycle by calling itself for 0
	catch.op(opLocalGet, 0)
	catch.ops(opI32Eqz, opIf, blockEmpty)
	catch.i32Const(1)
	catch.op(opCall, 1)
	catch.ops(opDrop, opEnd)
	catch.ops(opLoop, blockEmpty)
	catch.ops(opBlock, blockEmpty, opTryTable, blockEmpty)
	catch.code = append(catch.code, 2, 0, 0, 0, 2, 0) // two clauses to the block: tag 0, all
	catch.op(opLocalGet, 0)
	catch.op(opCall, 0)
	catch.ops(opEnd, opEnd)
	catch.ops(opEnd)
	catch.i32Const(5)
	catch.ops(opEnd)
	m.add(testFunc{export: "catch", params: []ValueType{i32}, results: []ValueType{i32}, code: catch.code})
	return m.bytes()
}

// TestStack calls stack when calls may take more than was said, with which the host lets them go
// on, and counts back down.
func TestStack(t *testing.T) {
	ctx := context.Background()
	for _, engine := range engines {
		g := newGuest(t, engine.config(), kernels(), &Options{Stack: 1000})
		mod, _ := g.start(t)
		cell, end := mod.ExportedGlobal(g.report.StackGlobal), mod.ExportedGlobal(g.report.StackEndGlobal).(api.MutableGlobal)
		calls, most := 0, uint64(0)
		g.host.onStack = func(api.Module) {
			calls++
			most = max(most, cell.Get())
			if cell.Get() <= end.Get() {
				t.Errorf("%s: called at %d of %d bytes", engine.name, cell.Get(), end.Get())
			}
			end.Set(cell.Get() + 1000)
		}
		f := mod.ExportedFunction("fib")
		if _, err := f.Call(ctx, 20); err != nil || calls == 0 || most < 1000 {
			t.Errorf("%s: %v, called %d times, %d bytes", engine.name, err, calls, most)
		}
		if n := cell.Get(); n != 0 {
			t.Errorf("%s: %d bytes after the call", engine.name, n)
		}
		before := calls
		if _, err := f.Call(ctx, 20); err != nil || calls != before {
			t.Errorf("%s: %v, called %d times for what was granted before", engine.name, err, calls-before)
		}
	}
}

func TestExceptions(t *testing.T) {
	ctx := context.Background()
	var fuel []uint64
	for _, engine := range engines {
		for _, opts := range append([]Options{{Fuel: true, CallDepth: 50, Stack: 1 << 20}}, everything...) {
			g := newGuest(t, engine.config(), catcher(), &opts)
			mod, _ := g.start(t)
			for _, n := range []uint64{10, 0} {
				if got, err := mod.ExportedFunction("catch").Call(ctx, n); err != nil || got[0] != 5 {
					t.Errorf("%s, %+v: %v, %v", engine.name, opts, got, err)
				}
				if g.report.DepthGlobal != "" {
					if d := mod.ExportedGlobal(g.report.DepthGlobal).Get(); d != 0 {
						t.Errorf("%s, %+v: depth %d after catch(%d)", engine.name, opts, int32(d), n)
					}
				}
				if g.report.StackGlobal != "" {
					if d := mod.ExportedGlobal(g.report.StackGlobal).Get(); d != 0 {
						t.Errorf("%s, %+v: %d bytes of stack after catch(%d)", engine.name, opts, int32(d), n)
					}
				}
			}
			if opts.CallDepth == 50 {
				fuel = append(fuel, mod.ExportedGlobal(g.report.FuelGlobal).Get())
			}
		}
	}
	if fuel[0] != fuel[1] {
		t.Errorf("fuel left: %d", fuel)
	}
}

// TestWaits hands operands and offset to the host functions.
func TestWaits(t *testing.T) {
	ctx := context.Background()
	i32, i64 := ValueI32, ValueI64
	var m testModule
	m.memories = [][]byte{{3, 1, 1}}
	add := func(name string, op opcode, align byte, params ...ValueType) {
		var a asm
		for i := range params {
			a.op(opLocalGet, uint32(i))
		}
		a.code = append(a.code, prefixAtomic, byte(op), align)
		a.code = appendU32(a.code, 0xfffffff0, 1)
		a.ops(opEnd)
		m.add(testFunc{export: name, params: params, results: []ValueType{i32}, code: a.code})
	}
	add("wait32", opWait32, 2, i32, i32, i64)
	add("wait64", opWait64, 3, i32, i64, i64)
	add("notify", opNotify, 2, i32, i32)
	var load asm
	load.op(opLocalGet, 0)
	load.code = append(load.code, prefixAtomic, 0x10, 2, 0)
	load.ops(opEnd)
	m.add(testFunc{export: "load", params: []ValueType{i32}, results: []ValueType{i32}, code: load.code})
	for _, engine := range engines {
		for _, fuel := range []bool{false, true} {
			record := func(n int) api.GoModuleFunc {
				return func(_ context.Context, _ api.Module, stack []uint64) {
					sum := uint64(0)
					for i, v := range stack[:n] {
						sum += v * uint64(i+1)
					}
					stack[0] = sum & 0xffffffff
				}
			}
			g := newGuestWith(t, engine.config(), m.bytes(), Options{Waits: true, SharedAccess: true, Fuel: fuel}, host{
				wait32: record(4), wait64: record(4), notifyFunc: record(3),
			})
			mod, _ := g.start(t)
			offset := uint64(0xfffffff0)
			for _, c := range []struct {
				name string
				args []uint64
				want uint64
			}{
				{"wait32", []uint64{8, 1, 1 << 40}, 8 + 2 + 3<<40 + 4*offset},
				{"wait64", []uint64{8, 1 << 33, 5}, 8 + 2<<33 + 15 + 4*offset},
				{"notify", []uint64{8, 7}, 8 + 14 + 3*offset},
				{"load", []uint64{0}, 0},
			} {
				got, err := mod.ExportedFunction(c.name).Call(ctx, c.args...)
				if err != nil || got[0] != c.want&0xffffffff {
					t.Errorf("%s: %s: %v, %v; want %d", engine.name, c.name, got, err, c.want&0xffffffff)
				}
			}
			if g.host.accesses != 4 || g.report.Accesses != 4 || g.report.Waits != 3 {
				t.Errorf("%s: %d accesses, report %+v", engine.name, g.host.accesses, g.report)
			}
		}
	}
}
