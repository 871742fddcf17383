package wasmbin

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero/api"
)

const (
	bulkElements = 3*chunkElements + 5
	bulkBytes    = 4 << 16
)

// bulkGuest has an export for each bulk instruction with its operands, whose segments and tables
// are longer than a chunk; "tables" is a digest of which elements are null.
func bulkGuest() []byte {
	i32 := ValueI32
	three := []ValueType{i32, i32, i32}
	var m testModule
	m.memories = [][]byte{{1, 4, 8}}
	size := appendU32(nil, bulkElements, 1)
	m.tables = [][]byte{append([]byte{0x70, 0}, size...), append([]byte{0x70, 0}, size...)}
	elements := append([]byte{5, 0x70}, size...)
	for i := range bulkElements {
		if i*i%7 < 3 {
			elements = append(elements, byte(opRefFunc), 0, byte(opEnd))
		} else {
			elements = append(elements, 0xd0, 0x70, byte(opEnd))
		}
	}
	m.elements = [][]byte{elements}
	data := appendU32([]byte{1}, bulkBytes, 1)
	for i := range bulkBytes {
		data = append(data, byte(i*i>>3))
	}
	m.data = [][]byte{data}
	m.dataCount = new(uint32)
	*m.dataCount = 1
	add := func(name string, code ...byte) {
		var a asm
		for i := range three {
			a.op(opLocalGet, uint32(i))
		}
		a.code = append(append(a.code, code...), byte(opEnd))
		m.add(testFunc{export: name, params: three, code: a.code})
	}
	add("memory.copy", prefixMisc, 0x0a, 0, 0)
	add("memory.fill", prefixMisc, 0x0b, 0)
	add("memory.init", prefixMisc, 0x08, 0, 0)
	add("table.copy", prefixMisc, 0x0e, 0, 0)
	add("table.copy between", prefixMisc, 0x0e, 0, 1)
	add("table.init", prefixMisc, 0x0c, 0, 0)
	add("table.init 1", prefixMisc, 0x0c, 0, 1)
	var fill asm
	fill.op(opLocalGet, 0)
	fill.op(opRefFunc, 0)
	fill.op(opLocalGet, 2)
	fill.code = append(fill.code, prefixMisc, 0x11, 0, byte(opEnd))
	m.add(testFunc{export: "table.fill", params: three, code: fill.code})
	var digest asm // local 0 counts down, 1 is the digest
	digest.i32Const(bulkElements)
	digest.op(opLocalSet, 0)
	digest.ops(opLoop, blockEmpty)
	digest.op(opLocalGet, 0)
	digest.i32Const(1)
	digest.ops(opI32Sub)
	digest.op(opLocalTee, 0)
	digest.op(opTableGet, 0)
	digest.ops(0xd1, opI64ExtendU)
	digest.op(opLocalGet, 1)
	digest.i64Const(6364136223846793005)
	digest.ops(opI64Mul, opI64Add)
	digest.op(opLocalSet, 1)
	digest.op(opLocalGet, 0)
	digest.op(opBrIf, 0)
	digest.ops(opEnd)
	digest.op(opLocalGet, 1)
	digest.ops(opEnd)
	m.add(testFunc{export: "tables", results: []ValueType{ValueI64}, locals: []ValueType{i32, ValueI64}, code: digest.code})
	return m.bytes()
}

// bulkCalls are calls of the exports of bulkGuest, in order: chunks, both directions of an overlap,
// and every bound.
func bulkCalls() (calls []bulkCall) {
	add := func(name string, most uint64, chunk uint64) {
		for _, c := range [][3]uint64{
			{1, 3, most - 9}, {7, 0, most - 9}, {0, 7, most - 9}, {0, 0, most}, {5, 5 + chunk, chunk + 3}, {chunk - 1, 2, 2 * chunk},
			{0, 1, most}, {1, 0, most}, {most + 1, 0, 0}, {most, 0, 0}, {0, 3, math.MaxUint32}, {math.MaxUint32, 0, 2 * chunk},
			{0, math.MaxUint32, 2 * chunk}, {3, 3, 0}, {9, 4, 17}, {0, chunk, chunk}, {chunk, 0, chunk + 1},
		} {
			calls = append(calls, bulkCall{name, c})
		}
	}
	add("memory.init", bulkBytes, chunkBytes)
	add("memory.copy", bulkBytes, chunkBytes)
	add("table.init", bulkElements, chunkElements)
	add("table.copy", bulkElements, chunkElements)
	add("table.init 1", bulkElements, chunkElements)
	add("table.copy between", bulkElements, chunkElements)
	add("table.fill", bulkElements, chunkElements)
	add("memory.fill", bulkBytes, chunkBytes)
	return calls
}

type bulkCall struct {
	name string
	args [3]uint64
}

// TestBulkInstructions compares what bulk instructions do, and how they trap, before and after
// every form of the check.
func TestBulkInstructions(t *testing.T) {
	ctx := context.Background()
	module := bulkGuest()
	fuel := map[string]int64{}
	for _, engine := range engines {
		var want []string
		for _, opts := range []*Options{nil, {Stop: true, Period: 1000}, {Stop: true}, {Fuel: true}, {Fuel: true, CallDepth: 50}} {
			g := newGuest(t, engine.config(), module, opts)
			mod, _ := g.start(t)
			var got []string
			for _, c := range bulkCalls() {
				_, err := mod.ExportedFunction(c.name).Call(ctx, c.args[:]...)
				digest, digestErr := mod.ExportedFunction("tables").Call(ctx)
				if digestErr != nil {
					t.Fatal(digestErr)
				}
				memory, _ := mod.Memory().Read(0, mod.Memory().Size())
				got = append(got, fmt.Sprintf("%v %s %x %x", c, trap(err), digest, sha256.Sum256(memory)))
			}
			if opts == nil {
				want = got
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %+v (-want +got):\n%s", engine.name, *opts, diff)
			}
			if opts.Fuel {
				id := fmt.Sprint(opts.CallDepth)
				used := int64(g.host.fuels)*g.host.slice - int64(mod.ExportedGlobal(g.report.FuelGlobal).Get())
				if before, ok := fuel[id]; ok && before != used {
					t.Errorf("%s takes %d, the other engine %d", engine.name, used, before)
				}
				fuel[id] = used
			}
		}
	}
}

// TestFuelOfLengths compares what bulk instructions and growth take with the table of the package
// comment.
func TestFuelOfLengths(t *testing.T) {
	ctx := context.Background()
	for _, engine := range engines {
		g := newGuest(t, engine.config(), bulkGuest(), &Options{Fuel: true})
		mod, _ := g.start(t)
		cell := mod.ExportedGlobal(g.report.FuelGlobal).(api.MutableGlobal)
		for _, c := range []struct {
			name string
			n    uint64
			want int64
		}{
			{"memory.copy", 0, 4}, {"memory.copy", 7, 4}, {"memory.copy", 800, 104}, {"memory.copy", 2 * chunkBytes, 4 + 2*chunkBytes/8},
			{"memory.fill", 80_000, 10_004}, {"memory.init", 80_000, 10_004},
			{"table.fill", 20_000, 20_004}, {"table.copy", 20_000, 20_004}, {"table.init", 100, 104},
		} {
			cell.Set(1 << 40)
			if _, err := mod.ExportedFunction(c.name).Call(ctx, 0, 0, c.n); err != nil {
				t.Fatal(err)
			}
			if used := 1<<40 - int64(cell.Get()); used != c.want {
				t.Errorf("%s: %s of %d takes %d, want %d", engine.name, c.name, c.n, used, c.want)
			}
		}
	}
}

// TestLongCopiesLook counts how often the host is asked while one instruction runs.
func TestLongCopiesLook(t *testing.T) {
	ctx := context.Background()
	for _, opts := range []Options{{Stop: true, Period: 1000}, {Fuel: true}} {
		g := newGuestWith(t, compilerConfig(), bulkGuest(), opts, host{slice: 1000})
		mod, _ := g.start(t)
		for _, name := range []string{"memory.copy", "memory.fill", "memory.init", "table.copy", "table.fill", "table.init"} {
			g.host.checks, g.host.fuels = 0, 0
			n := uint64(bulkBytes)
			if name[0] == 't' {
				n = bulkElements
			}
			if _, err := mod.ExportedFunction(name).Call(ctx, 0, 0, n); err != nil {
				t.Fatal(err)
			}
			if looks := g.host.checks + g.host.fuels; looks < 3 {
				t.Errorf("%+v: %d looks while %s moves %d", opts, looks, name, n)
			}
		}
	}
}
