package wasmbin

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero/api"
)

// TestGrow hands the pages to the host function, in a function that counts in a local too.
func TestGrow(t *testing.T) {
	ctx := context.Background()
	i32 := ValueI32
	var m testModule
	m.memories = [][]byte{{3, 1, 8}}
	var a asm
	a.ops(opLoop, blockEmpty)
	a.op(opLocalGet, 0)
	a.op(opMemoryGrow, 0)
	a.op(opLocalSet, 1)
	a.op(opLocalGet, 2)
	a.i32Const(1)
	a.ops(opI32Add)
	a.op(opLocalTee, 2)
	a.i32Const(3)
	a.ops(opI32LtU)
	a.op(opBrIf, 0)
	a.ops(opEnd)
	a.op(opLocalGet, 1)
	a.ops(opEnd)
	m.add(testFunc{export: "grow", params: []ValueType{i32}, results: []ValueType{i32}, locals: []ValueType{i32, i32}, code: a.code})
	for _, engine := range engines {
		for _, opts := range []Options{{Grow: true}, {Grow: true, Stop: true}, {Grow: true, Fuel: true}} {
			var asked []uint64
			g := newGuestWith(t, engine.config(), m.bytes(), opts, host{
				slice: 1_000_000,
				grow: func(_ context.Context, _ api.Module, stack []uint64) {
					asked = append(asked, uint64(uint32(stack[0])))
					stack[0] = 40 + uint64(len(asked))
				},
			})
			mod, _ := g.start(t)
			got, err := mod.ExportedFunction("grow").Call(ctx, 7)
			if err != nil || got[0] != 43 || !slices.Equal(asked, []uint64{7, 7, 7}) {
				t.Errorf("%s, %+v: %v, %v; asked for %v", engine.name, opts, got, err, asked)
			}
			if g.report.Grows != 1 {
				t.Errorf("%s, %+v: report %+v", engine.name, opts, g.report)
			}
		}
	}
}

// TestGrowOfAMemoryOfItsOwn leaves memory.grow alone where no thread can see the memory.
func TestGrowOfAMemoryOfItsOwn(t *testing.T) {
	var m testModule
	m.memories = [][]byte{{1, 1, 8}}
	var a asm
	a.i32Const(1)
	a.op(opMemoryGrow, 0)
	a.ops(opEnd)
	m.add(testFunc{export: "grow", results: []ValueType{ValueI32}, code: a.code})
	out, report, err := Rewrite(m.bytes(), Options{ImportModule: "wasivirt", Grow: true, MemoryModule: "elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out, m.bytes()) || len(report.Imports) != 0 {
		t.Errorf("the module changed: report %+v", report)
	}
}

// TestMemoryModule renames where a shared memory comes from, and nothing else.
func TestMemoryModule(t *testing.T) {
	memory := func(limits ...byte) []byte {
		return append(append(appendName(appendName(nil, "env"), "memory"), byte(KindMemory)), limits...)
	}
	function := append(appendName(appendName(nil, "env"), "f"), byte(KindFunc), 0)
	for _, tc := range []struct {
		name   string
		memory []byte
		from   string
	}{
		{"shared", memory(3, 1, 4), "host.memory"},
		{"its own", memory(1, 1, 4), "env"},
	} {
		m := testModule{types: [][]byte{[]byte("\x60\x00\x00")}, imports: [][]byte{function, tc.memory, function}}
		out, _, err := Rewrite(m.bytes(), Options{ImportModule: "wasivirt", MemoryModule: "host.memory"})
		if err != nil {
			t.Fatal(err)
		}
		info, err := Inspect(out)
		if err != nil {
			t.Fatal(err)
		}
		var from []string
		for _, i := range info.Imports {
			from = append(from, i.Module+" "+i.Name)
		}
		if want := []string{"env f", tc.from + " memory", "env f"}; !slices.Equal(from, want) {
			t.Errorf("%s: imports %q, want %q", tc.name, from, want)
		}
	}
}
