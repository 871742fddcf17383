package wasmbin

import (
	"bytes"
	"runtime"
	"testing"
)

// TestMemoryOfLargeBodies rewrites one function of many instructions: what it allocates, in all, is
// at most twelve times the module.
func TestMemoryOfLargeBodies(t *testing.T) {
	for name, unit := range map[string][]byte{
		"nops": {0x01}, "eqz": {0x45}, "constants": {0x41, 0, 0x1a}, "behind unreachable": {0x00}, "behind return": {0x0f},
	} {
		var m testModule
		code := append([]byte{0x41, 0}, bytes.Repeat(unit, 3<<20/len(unit))...)
		m.add(testFunc{code: append(code, 0x1a, 0x0b)})
		module := m.bytes()
		for _, opts := range []Options{{Stop: true, ImportModule: "wasivirt"}, {Fuel: true, ImportModule: "wasivirt"}} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, _, err := Rewrite(module, opts); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 12*uint64(len(module)) {
				t.Errorf("%s, fuel %t: %d bytes for a module of %d", name, opts.Fuel, n, len(module))
			}
		}
	}
}

// TestManyLooksAddNoBranches: in straight code of any length the checks are calls, because what
// wazero's compiler takes for a function grows with its branches times its accesses to memory.
func TestManyLooksAddNoBranches(t *testing.T) {
	var m testModule
	m.memories = [][]byte{{0, 1}}
	load := []byte{byte(opLocalGet), 0, 0x28, 2, 0, byte(opLocalSet), 0}
	m.add(testFunc{params: []ValueType{ValueI32}, code: append(bytes.Repeat(load, 20_000), byte(opEnd))})
	module := m.bytes()
	for _, opts := range uncheckedForms {
		rewritten, report, err := Rewrite(module, opts)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Inspect(rewritten)
		if err != nil {
			t.Fatal(err)
		}
		branches := 0
		for bodies := newBodyReader(r); ; {
			b, ok, err := bodies.next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			for i := range b.instrs {
				if b.instrs[i].op == opIf {
					branches++
				}
			}
		}
		if branches > 2*maxInlinePoints {
			t.Errorf("%+v: %d branches", opts, branches)
		}
		if _, _, err := unchecked(module, rewritten, report); err != nil {
			t.Errorf("%+v: %v", opts, err)
		}
	}
}
