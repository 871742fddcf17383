package wasmbin

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
)

// nanInputs are 16 bytes each: NaNs of all kinds as f32 and f64, what gives NaNs, and others.
func nanInputs() (all [][2]uint64) {
	f32 := func(v uint32) uint64 { return uint64(v)<<32 | uint64(v) }
	one := []uint64{
		0x7ff8000000000000, 0xfff8000000000000, 0x7ff0000000000001, 0xfff0000000000001, 0x7ff8dead0000beef, 0xfff4000000000123,
		math.Float64bits(math.Inf(1)), math.Float64bits(math.Inf(-1)), 0, 1 << 63, math.Float64bits(1.5), math.Float64bits(-2e300),
		f32(0x7fc00000), f32(0xffc00000), f32(0x7f800001), f32(0xff812345), f32(0x7fc0beef), f32(0x7f800000), f32(0xff800000),
		f32(0x80000000), f32(0x3fc00000), f32(0xff7fffff), 0x7fc00001_ff800000, 0x3f800000_ffc00077,
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i, low := range one {
		all = append(all, [2]uint64{low, one[(i*7+3)%len(one)]}, [2]uint64{low, low}, [2]uint64{r.Uint64(), r.Uint64()})
	}
	return all
}

// operatorModule exports a function that reads operands of 16 bytes from memory, and writes the
// result of an operator behind them.
func operatorModule(o operator) []byte {
	loads := map[ValueType][]byte{ValueI32: {0x28, 2}, ValueI64: {0x29, 3}, ValueF32: {0x2a, 2}, ValueF64: {0x2b, 3}, ValueV128: {prefixVec, 0, 4}}
	stores := map[ValueType][]byte{ValueI32: {0x36, 2}, ValueI64: {0x37, 3}, ValueF32: {0x38, 2}, ValueF64: {0x39, 3}, ValueV128: {prefixVec, 0x0b, 4}}
	var m testModule
	m.memories = [][]byte{{0, 1}}
	var a asm
	a.i32Const(0)
	for i, p := range o.params {
		a.i32Const(int32(16 * i))
		a.code = append(append(a.code, loads[p]...), 0)
	}
	a.code = append(a.code, o.code...)
	a.code = appendU32(append(a.code, stores[o.result]...), 64, 1)
	a.ops(opEnd)
	m.add(testFunc{export: "f", code: a.code})
	return m.bytes()
}

// floats are the lanes of a result.
func floats(shape nanShape, b []byte) (lanes []string, canonical bool) {
	canonical = true
	size, n := 4, 1
	switch shape {
	case nanF64:
		size = 8
	case nanF32x4:
		n = 4
	case nanF64x2:
		size, n = 8, 2
	}
	for lane := range slices.Chunk(b[:size*n], size) {
		nan, is := false, true
		if size == 4 {
			v := binary.LittleEndian.Uint32(lane)
			nan, is = math.Float32frombits(v) != math.Float32frombits(v), v == 0x7fc00000
		} else {
			v := binary.LittleEndian.Uint64(lane)
			nan, is = math.IsNaN(math.Float64frombits(v)), v == 0x7ff8000000000000
		}
		canonical = canonical && (!nan || is)
		lanes = append(lanes, fmt.Sprintf("%x", lane))
	}
	return lanes, canonical
}

// Every operator gives the same bits in both engines, whatever it is given, and arithmetic gives
// canonical NaNs only.
func TestCanonicalNaNs(t *testing.T) {
	ctx := context.Background()
	inputs := nanInputs()
	arithmetic := 0
	runtimes := map[string]wazero.Runtime{}
	for _, engine := range engines {
		runtimes[engine.name] = wazero.NewRuntimeWithConfig(ctx, engine.config())
		defer runtimes[engine.name].Close(ctx)
	}
	for _, o := range operators() {
		op := opcode(o.code[0])
		if o.code[0] >= 0xfc {
			op = op<<8 | opcode(o.code[1])
		}
		shape := op.nanShape()
		if shape != nanNone {
			arithmetic++
		}
		if o.result == 0 || op.isAccess() {
			continue
		}
		module, _, err := Rewrite(operatorModule(o), Options{ImportModule: "wasivirt", CanonicalNaNs: true})
		if err != nil {
			t.Fatalf("%x: %v", o.code, err)
		}
		var results [][]string
		for _, engine := range engines {
			mod, err := runtimes[engine.name].InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithName(""))
			if err != nil {
				t.Fatalf("%s, %x: %v", engine.name, o.code, err)
			}
			f := mod.ExportedFunction("f")
			var all []string
			for i, x := range inputs {
				for _, y := range [][2]uint64{inputs[(i*5+1)%len(inputs)], inputs[(i*11+4)%len(inputs)], x} {
					for k, v := range []uint64{x[0], x[1], y[0], y[1], x[1], y[0]} {
						mod.Memory().WriteUint64Le(uint32(8*k), v)
					}
					_, err := f.Call(ctx)
					b, _ := mod.Memory().Read(64, 16)
					all = append(all, fmt.Sprintf("%x %x: %x %v", x, y, b, trap(err)))
					if shape == nanNone || err != nil {
						continue
					}
					if lanes, canonical := floats(shape, b); !canonical {
						t.Fatalf("%s, %x of %x and %x: %s", engine.name, o.code, x, y, lanes)
					}
				}
			}
			results = append(results, all)
			if err := mod.Close(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for i := range results[0] {
			if results[0][i] != results[1][i] {
				t.Errorf("%x: %s, and in the other engine %s", o.code, results[0][i], results[1][i])
				break
			}
		}
	}
	if arithmetic != 2*11+2+2*(4+7)+2 {
		t.Errorf("%d operators give NaNs", arithmetic)
	}
}

// nanKernels are loops of arithmetic and little else: f(n) makes n turns.
func nanKernels() map[string][]byte {
	f64 := func(a *asm, v float64) {
		a.code = binary.LittleEndian.AppendUint64(append(a.code, 0x44), math.Float64bits(v))
	}
	const n, x, y, at = 0, 1, 2, 3
	kernel := func(t ValueType, body func(a *asm)) []byte {
		var m testModule
		m.memories = [][]byte{{0, 1}}
		var a asm
		a.ops(opLoop, blockEmpty)
		body(&a)
		a.op(opLocalGet, n)
		a.i32Const(1)
		a.ops(opI32Sub)
		a.op(opLocalTee, n)
		a.op(opBrIf, 0)
		a.ops(opEnd, opEnd)
		m.add(testFunc{export: "f", params: []ValueType{ValueI32}, locals: []ValueType{t, t, ValueI32}, code: a.code})
		return m.bytes()
	}
	// next goes to the next 16 bytes of the memory, in a circle.
	next := func(a *asm) {
		a.op(opLocalGet, at)
		a.i32Const(16)
		a.ops(opI32Add)
		a.i32Const(0xfff0)
		a.ops(0x71) // and
		a.op(opLocalSet, at)
	}
	return map[string][]byte{
		"sqrt": kernel(ValueF64, func(a *asm) { // x = sqrt(x*x + 1.5) - 0.25
			a.op(opLocalGet, x)
			a.op(opLocalGet, x)
			a.ops(0xa2)
			f64(a, 1.5)
			a.ops(0xa0, 0x9f)
			f64(a, 0.25)
			a.ops(0xa1)
			a.op(opLocalSet, x)
		}),
		"dot-f64": kernel(ValueF64, func(a *asm) { // x += memory[at] * memory[at+8]
			next(a)
			a.op(opLocalGet, x)
			a.op(opLocalGet, at)
			a.code = append(a.code, 0x2b, 3, 0)
			a.op(opLocalGet, at)
			a.code = append(a.code, 0x2b, 3, 8)
			a.ops(0xa2, 0xa0)
			a.op(opLocalSet, x)
		}),
		"dot-f32x4": kernel(ValueV128, func(a *asm) { // the same in four lanes
			next(a)
			a.op(opLocalGet, x)
			a.op(opLocalGet, at)
			a.code = append(a.code, prefixVec, 0, 4, 0)
			a.op(opLocalGet, y)
			a.code = append(a.code, prefixVec, 0xe6, 1, prefixVec, 0xe4, 1)
			a.op(opLocalSet, x)
		}),
	}
}

// BenchmarkCanonicalNaNs shows what canonical NaNs cost where there is little but arithmetic.
func BenchmarkCanonicalNaNs(b *testing.B) {
	const turns = 1 << 20
	kernels := nanKernels()
	for _, name := range slices.Sorted(maps.Keys(kernels)) {
		for _, canonical := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/canonical=%t", name, canonical), func(b *testing.B) {
				g := newGuest(b, compilerConfig(), kernels[name], &Options{Fuel: true, CanonicalNaNs: canonical})
				mod, _ := g.start(b)
				for b.Loop() {
					if _, err := mod.ExportedFunction("f").Call(context.Background(), turns); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/turns, "ns/turn")
			})
		}
	}
}
