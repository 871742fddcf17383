package wasmbin

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// numbers is a module of functions that answer 10, 11, 12, … and of every way
// to name one: calls, tail calls, references, tables filled in each form,
// constant expressions, exports, start and names. Function 0 is imported.
func numbers() []byte {
	i32 := ValueI32
	answer := []ValueType{i32}
	var m testModule
	m.types = [][]byte{[]byte("\x60\x00\x01\x7f")}
	m.imports = [][]byte{append(appendName(appendName(nil, "env"), "imported"), byte(KindFunc), 0)}
	for n := range int32(10) { // functions 1 to 10 answer 11 to 20
		var a asm
		a.i32Const(11 + n)
		a.ops(opEnd)
		m.add(testFunc{results: answer, code: a.code})
	}
	// Table 0 has the elements of one form at each ten; 5 and 6 are passive.
	m.tables = [][]byte{{0x70, 0, 100}, {0x70, 0, 10}}
	at := func(n int32) []byte {
		var a asm
		a.i32Const(n)
		a.ops(opEnd)
		return a.code
	}
	ref := func(f byte) []byte { return []byte{byte(opRefFunc), f, byte(opEnd)} }
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	m.elements = [][]byte{
		join([]byte{0}, at(0), []byte{2, 1, 0}),     // functions 1 and 0 at 0
		join([]byte{1, 0, 1, 2}),                    // 2, passive
		join([]byte{2, 0}, at(20), []byte{0, 1, 3}), // 3 at 20
		{3, 0, 1, 4}, // 4, declared
		join([]byte{4}, at(30), []byte{1}, ref(5)),               // 5 at 30
		join([]byte{5, 0x70, 1}, ref(6)),                         // 6, passive
		join([]byte{6, 1}, at(4), []byte{0x70, 1}, ref(7)),       // 7 at 4 of table 1
		join([]byte{7, 0x70, 2}, ref(8), []byte{0xd0, 0x70, 11}), // 8, declared, and a null
	}
	m.globals = [][]byte{
		join([]byte{0x70, 1}, ref(9)),
		{0x7f, 1, byte(opI32Const), 7, byte(opEnd)},
	}
	add := func(name string, params []ValueType, build func(a *asm)) {
		var a asm
		build(&a)
		a.ops(opEnd)
		m.add(testFunc{export: name, params: params, results: answer, code: a.code})
	}
	indirect := func(a *asm, table byte) {
		a.ops(opCallIndirect, 0)
		a.byte(table)
	}
	add("call", nil, func(a *asm) { a.op(opCall, 10) })
	add("call imported", nil, func(a *asm) { a.op(opCall, 0) })
	add("tail call", nil, func(a *asm) { a.op(opReturnCall, 10) })
	add("table", []ValueType{i32}, func(a *asm) { a.op(opLocalGet, 0); indirect(a, 0) })
	add("tail table", []ValueType{i32}, func(a *asm) {
		a.op(opLocalGet, 0)
		a.ops(opReturnCallIndirect, 0, 0)
	})
	add("table 1", []ValueType{i32}, func(a *asm) { a.op(opLocalGet, 0); indirect(a, 1) })
	set := func(a *asm, value func()) { // puts a reference into table 1, and calls it
		a.i32Const(0)
		value()
		a.op(opTableSet, 1)
		a.i32Const(0)
		indirect(a, 1)
	}
	add("declared", nil, func(a *asm) { set(a, func() { a.op(opRefFunc, 4) }) })
	add("declared as expression", nil, func(a *asm) { set(a, func() { a.op(opRefFunc, 8) }) })
	add("global", nil, func(a *asm) { set(a, func() { a.op(opGlobalGet, 0) }) })
	for i, segment := range []byte{1, 5} {
		add([]string{"passive", "passive as expression"}[i], nil, func(a *asm) {
			a.i32Const(0)
			a.i32Const(0)
			a.i32Const(1)
			a.code = append(a.code, prefixMisc, 0x0c, segment, 1)
			a.i32Const(0)
			indirect(a, 1)
		})
	}
	add("call_ref", nil, func(a *asm) { a.op(opRefFunc, 4); a.op(opCallRef, 0) })
	add("return_call_ref", nil, func(a *asm) { a.op(opRefFunc, 4); a.op(opReturnCallRef, 0) })
	add("started", nil, func(a *asm) { a.op(opGlobalGet, 1) })
	var unreachable, start asm
	unreachable.ops(opUnreachable, opEnd)
	m.add(testFunc{results: answer, code: unreachable.code})
	start.i32Const(99)
	start.op(opGlobalSet, 1)
	start.ops(opEnd)
	m.add(testFunc{code: start.code})
	trap := uint32(len(m.funcs)) - 1
	startFn := trap + 1
	m.start = &startFn
	m.exports = append(m.exports, appendU32(append(appendName(nil, "boom"), 0), trap, 1))
	m.exports = append(m.exports, append(appendName(nil, "second"), 0, 2))
	var names asm
	names.code = appendU32(names.code, 3, 1)
	for _, n := range []struct {
		index uint32
		name  string
	}{{0, "the import"}, {trap, "the trap"}, {startFn, "the start"}} {
		names.code = appendName(appendU32(names.code, n.index, 1), n.name)
	}
	section := append(appendU32([]byte{nameFunctions}, uint32(len(names.code)), 1), names.code...)
	section = append(section, nameLocals, 6, 1, byte(trap), 1, 0, 1, 'x')
	section = append(section, nameLabels, 6, 1, byte(trap), 1, 0, 1, 'y')
	m.custom = [][2]string{{"name", string(section)}, {".debug_line", "x"}, {"producers", "\x00"}}
	return m.bytes()
}

func TestEveryIndexIsShifted(t *testing.T) {
	ctx := context.Background()
	module := numbers()
	for _, config := range []wazero.RuntimeConfig{compilerConfig(), interpreterConfig()} {
		for _, opts := range append([]Options{{}}, everything...) {
			r := wazero.NewRuntimeWithConfig(ctx, config)
			defer r.Close(ctx)
			imported := api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) { stack[0] = 10 })
			_, err := r.NewHostModuleBuilder("env").NewFunctionBuilder().
				WithGoModuleFunction(imported, nil, []api.ValueType{api.ValueTypeI32}).Export("imported").Instantiate(ctx)
			if err != nil {
				t.Fatal(err)
			}
			rewritten, report, err := Rewrite(module, opts)
			if err != nil {
				t.Fatal(err)
			}
			h := host{slice: 10}
			if len(report.Imports) > 0 {
				if err := h.instantiate(ctx, r, opts.ImportModule, report); err != nil {
					t.Fatal(err)
				}
			}
			mod, err := r.Instantiate(ctx, rewritten)
			if err != nil {
				t.Fatalf("%+v: %v", opts, err)
			}
			for _, c := range []struct {
				name string
				arg  uint64
				want uint64
			}{
				{"call", 0, 20}, {"call imported", 0, 10}, {"tail call", 0, 20},
				{"table", 0, 11}, {"table", 1, 10}, {"table", 20, 13}, {"table", 30, 15},
				{"tail table", 20, 13}, {"table 1", 4, 17},
				{"declared", 0, 14}, {"declared as expression", 0, 18}, {"global", 0, 19},
				{"passive", 0, 12}, {"passive as expression", 0, 16},
				{"call_ref", 0, 14}, {"return_call_ref", 0, 14},
				{"started", 0, 99}, {"second", 0, 12},
			} {
				f := mod.ExportedFunction(c.name)
				args := []uint64{c.arg}[:len(f.Definition().ParamTypes())]
				got, err := f.Call(ctx, args...)
				if err != nil || got[0] != c.want {
					t.Errorf("%+v: %s(%d) = %v, %v; want %d", opts, c.name, c.arg, got, err, c.want)
				}
			}
			_, err = mod.ExportedFunction("boom").Call(ctx)
			if err == nil || !strings.Contains(err.Error(), "the trap") {
				t.Errorf("%+v: the stack of a trap: %v", opts, err)
			}
		}
	}
}

func TestReport(t *testing.T) {
	module := numbers()
	rewritten, report, err := Rewrite(module, Options{Stop: true, ExportGlobals: true, ImportModule: "host"})
	if err != nil {
		t.Fatal(err)
	}
	want := &Report{
		Imports:    []Signature{{Name: "check"}},
		StopGlobal: "host.stop",
		Globals: []ExportedGlobal{
			{Index: 0, Type: ValueFuncref, Export: "host.global.0"},
			{Index: 1, Type: ValueI32, Export: "host.global.1"},
			{Index: 2, Type: ValueI32, Export: "host.stop", Added: true},
		},
		References: 2,
		Dropped:    []string{".debug_line"},
	}
	report.Entries = 0
	if diff := cmp.Diff(want, report); diff != "" {
		t.Error(diff)
	}
	m, err := Inspect(rewritten)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"name", "producers"}, m.CustomSections); diff != "" {
		t.Error(diff)
	}
	var reserved *ReservedError
	if _, _, err := Rewrite(rewritten, Options{Fuel: true, ImportModule: "host"}); !errors.As(err, &reserved) {
		t.Errorf("a module with our names: %v", err)
	}
	again, _, err := Rewrite(module, Options{Stop: true, ExportGlobals: true, ImportModule: "host"})
	if err != nil || string(again) != string(rewritten) {
		t.Errorf("a second rewriting differs, error %v", err)
	}
}
