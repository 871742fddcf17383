package wasmbin

import (
	"context"
	"runtime"
	"strconv"
	"testing"

	"github.com/tetratelabs/wazero"
)

// heavyInstances are modules whose instances take much besides their linear memory, each for
// another reason.
func heavyInstances() map[string]*testModule {
	module := func(functions int) *testModule {
		m := &testModule{}
		m.add(testFunc{code: []byte{byte(opEnd)}})
		for range functions - 1 { // of one type
			m.funcs, m.codes = append(m.funcs, m.funcs[0]), append(m.codes, m.codes[0])
		}
		m.exports = [][]byte{appendU32(append(appendName(nil, "first"), 0), 0, 1)}
		return m
	}
	segment := func(prefix []byte, n int) []byte {
		s := appendU32(prefix, uint32(n), 1)
		for range n {
			s = append(s, 0)
		}
		return s
	}
	const many = 50_000
	table := func(least uint32) []byte { return appendU32([]byte{byte(ValueFuncref), 0}, least, 1) }
	atZero := []byte{0, byte(opI32Const), 0, byte(opEnd)}
	all := map[string]*testModule{
		"functions": module(many), "tags": module(1), "data segments": module(1), "empty element segments": module(1), "exports of a table": module(1),
		"active elements": module(1), "segments over each other": module(1), "passive elements": module(1),
		"a table": module(1), "globals": module(1), "references in globals": module(1), "references in code": module(many / 10),
	}
	m := all["active elements"]
	m.tables, m.elements = [][]byte{table(many)}, [][]byte{segment(atZero[:4:4], many)}
	m = all["segments over each other"]
	m.tables = [][]byte{table(1)}
	for range many {
		m.elements = append(m.elements, segment(atZero[:4:4], 1))
	}
	m = all["passive elements"]
	m.elements = [][]byte{segment([]byte{1, 0}, many)}
	m = all["a table"]
	m.tables = [][]byte{table(many)}
	m = all["exports of a table"]
	m.tables = [][]byte{table(1)}
	m.exports = append(m.exports, appendU32(append(appendName(nil, "table"), byte(KindTable)), 0, 1))
	for i := range many {
		m.exports = append(m.exports, appendU32(append(appendName(nil, strconv.Itoa(i)), byte(KindTable)), 0, 1))
	}
	for range many {
		m = all["tags"]
		m.tags = append(m.tags, []byte{0, 0})
		m = all["data segments"]
		m.data = append(m.data, []byte{1, 0})
		m = all["empty element segments"]
		m.elements = append(m.elements, []byte{1, 0, 0})
	}
	for range many {
		m, reference := all["globals"], all["references in globals"]
		m.globals = append(m.globals, []byte{byte(ValueI64), 1, byte(opI64Const), 0, byte(opEnd)})
		reference.globals = append(reference.globals, []byte{byte(ValueFuncref), 0, byte(opRefFunc), 0, byte(opEnd)})
	}
	m = all["references in code"]
	s := appendU32([]byte{3, 0}, many/10, 1) // declares them
	var code asm
	for f := range uint32(many / 10) {
		s = appendU32(s, f, 1)
		code.op(opRefFunc, f)
		code.ops(opDrop)
	}
	code.ops(opEnd)
	m.elements = [][]byte{s}
	m.add(testFunc{code: code.code})
	return all
}

// TestInstanceBytes compares what instances take with what is charged for them.
func TestInstanceBytes(t *testing.T) {
	ctx := context.Background()
	for name, m := range heavyInstances() {
		t.Run(name, func(t *testing.T) {
			module := m.bytes()
			info, err := Inspect(module)
			if err != nil {
				t.Fatal(err)
			}
			rewritten, report, err := Rewrite(module, Options{Fuel: true, ImportModule: "wasivirt"})
			if err != nil {
				t.Fatal(err)
			}
			for engine, config := range map[string]wazero.RuntimeConfig{"compiler": compilerConfig(), "interpreter": interpreterConfig()} {
				r := wazero.NewRuntimeWithConfig(ctx, config)
				defer r.Close(ctx)
				if err := (&host{slice: 10}).instantiate(ctx, r, "wasivirt", report); err != nil {
					t.Fatal(err)
				}
				compiled, err := r.CompileModule(ctx, rewritten)
				if err != nil {
					t.Fatal(err)
				}
				const instances = 8
				live := func() uint64 {
					runtime.GC()
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					return m.HeapAlloc
				}
				before := live()
				for range instances {
					if _, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("")); err != nil {
						t.Fatal(err)
					}
				}
				each := (live() - before) / instances
				charged := info.InstanceBytes(engine == "interpreter") + report.InstanceBytes()
				t.Logf("%s: an instance takes %d bytes, of which %d are charged", engine, each, charged)
				const besides = 64 << 10 // what any instance takes
				if each > 2*charged+besides || engine == "compiler" && charged > 4*each+besides {
					t.Error("that is another number")
				}
			}
		})
	}
}
