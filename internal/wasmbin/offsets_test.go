package wasmbin

import (
	"fmt"
	"testing"
)

// TestOffsetsLeadBack: the map leads from every call, load and store of rewritten functions to the
// same one of the original.
func TestOffsetsLeadBack(t *testing.T) {
	check := func(name string, module []byte, opts Options) {
		t.Helper()
		original, err := Inspect(module)
		if err != nil {
			t.Fatal(err)
		}
		opts.Offsets = "wasm"
		out, report, err := Rewrite(module, opts)
		if err != nil {
			t.Fatal(err)
		}
		moved, err := Offsets(original, opts)
		if err != nil {
			t.Fatal(err)
		}
		rewritten, err := Inspect(out)
		if err != nil {
			t.Fatal(err)
		}
		before := map[string]opcode{}
		at := func(fn uint32, offset uint64) string { return fmt.Sprintf("function %d, offset %d", fn, offset) }
		eachInstr(t, original, func(fn uint32, in *instr, base int) {
			before[at(fn, uint64(int(in.at)-base))] = in.op
		})
		shift := uint32(len(report.Imports))
		found := map[string]bool{}
		eachInstr(t, rewritten, func(fn uint32, in *instr, base int) {
			function, offset, ok := moved.Original(uint64(int(in.at) - base))
			if guests := int(fn-shift) < original.Functions; ok != guests || ok && function != fn-shift {
				t.Fatalf("%s: function %d: %d, %t", name, fn, function, ok)
			}
			ours := in.op == opCall && (in.index < uint32(original.importedFuncs)+shift && in.index >= uint32(original.importedFuncs) || int(in.index) >= original.Functions+int(shift))
			if ok && !ours && (in.op == opCall || in.op.isAccess()) {
				place := at(function, offset)
				if before[place] != in.op {
					t.Fatalf("%s: %#x of function %d comes from %s, where %#x is", name, in.op, fn, place, before[place])
				}
				found[place] = true
			}
		})
		for place, op := range before {
			if (op == opCall || op.isAccess() && op < prefixAtomic<<8) && !found[place] {
				t.Errorf("%s: nothing comes from %s, where %#x is", name, place, op)
			}
		}
	}
	for _, opts := range append(uncheckedForms, Options{ImportModule: "wasivirt"}) {
		check("kernels", kernels(), opts)
		check("calls", callDAG(20), opts)
		for seed := range uint64(30) {
			module := generate(seed)
			if _, err := Inspect(module); err == nil {
				check(fmt.Sprintf("generated %d", seed), module, opts)
			}
		}
	}
}

// eachInstr calls f with each instruction of a module, and where the contents of its code section
// begin.
func eachInstr(t *testing.T, m *Module, f func(fn uint32, in *instr, base int)) {
	t.Helper()
	s := m.section(secCode)
	for bodies := newBodyReader(m); s != nil; {
		b, ok, err := bodies.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return
		}
		for i := range b.instrs {
			f(b.fn, &b.instrs[i], s.pos)
		}
	}
}
