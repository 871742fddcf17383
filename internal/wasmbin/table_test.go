package wasmbin

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"
)

// grower is a module with the tables given, each a reference type, limits and perhaps an initial
// value, and an export for each that grows it.
func grower(tables ...string) []byte {
	m := &testModule{}
	for i, t := range tables {
		m.tables = append(m.tables, []byte(t))
		a := &asm{}
		a.ops(0xd0)
		a.byte(0x70) // ref.null func
		a.op(opLocalGet, 0)
		a.byte(0xfc)
		a.code = appendU32(appendU32(a.code, 15, 1), uint32(i), 1) // table.grow
		a.ops(opEnd)
		m.add(testFunc{export: string(rune('a' + i)), params: []ValueType{ValueI32}, results: []ValueType{ValueI32}, code: a.code})
	}
	return m.bytes()
}

func TestTableElements(t *testing.T) {
	const limit = 100
	ctx := context.Background()
	for name, opts := range map[string]Options{
		"as it is":  {TableElements: limit},
		"rewritten": {TableElements: limit, Stop: true, ImportModule: "wasivirt"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, tc := range []struct {
				name   string
				tables []string
				most   []uint32 // that each may grow to, all others as they are
			}{
				{"no maximum", []string{"\x70\x00\x0a"}, []uint32{100}},
				{"a maximum above", []string{"\x70\x01\x0a\xff\xff\xff\xff\x0f"}, []uint32{100}},
				{"a maximum below", []string{"\x70\x01\x0a\x14"}, []uint32{20}},
				{"full from the start", []string{"\x70\x00\x64"}, []uint32{100}},
				{"two", []string{"\x70\x00\x0a", "\x70\x00\x1e"}, []uint32{40, 60}},
				{"an initial value", []string{"\x70\x00\x0a", "\x40\x00\x70\x00\x0a\xd2\x00\x0b"}, []uint32{50, 50}},
			} {
				t.Run(tc.name, func(t *testing.T) {
					module, _, err := Rewrite(grower(tc.tables...), opts)
					if err != nil {
						t.Fatal(err)
					}
					r := wazero.NewRuntimeWithConfig(ctx, interpreterConfig())
					defer r.Close(ctx)
					if opts.Stop {
						if _, err := r.NewHostModuleBuilder("wasivirt").NewFunctionBuilder().WithFunc(func() {}).Export("check").
							NewFunctionBuilder().WithFunc(func(n uint32) uint32 { return n }).Export("tables").
							NewFunctionBuilder().WithFunc(func() {}).Export("ungrown").Instantiate(ctx); err != nil {
							t.Fatal(err)
						}
					}
					mod, err := r.Instantiate(ctx, module)
					if err != nil {
						t.Fatal(err)
					}
					for i, most := range tc.most {
						grow := func(n uint32) uint32 {
							results, err := mod.ExportedFunction(string(rune('a'+i))).Call(ctx, uint64(n))
							if err != nil {
								t.Fatal(err)
							}
							return uint32(results[0])
						}
						size := grow(0)
						for _, over := range []uint32{most - size + 1, 1 << 30, 1<<32 - 1 - size} {
							if n := grow(over); n != 1<<32-1 {
								t.Errorf("table %d of %d elements grew by %d", i, n, over)
							}
						}
						if n := grow(most - size); n != size {
							t.Errorf("table %d does not grow from %d to %d: %d", i, size, most, int32(n))
						}
					}
				})
			}
			_, _, err := Rewrite(grower("\x70\x00\x3c", "\x70\x00\x32"), opts)
			var over *LimitError
			if !errors.As(err, &over) || over.Has != 110 || over.Most != limit {
				t.Errorf("a module that starts with 110 elements: %v", err)
			}
		})
	}
}

// TestTableElementsThatAreFewEnough leaves the bytes of a module alone whose tables cannot grow too
// far.
func TestTableElementsThatAreFewEnough(t *testing.T) {
	module := grower("\x70\x01\x0a\x14")
	same, _, err := Rewrite(module, Options{TableElements: 100})
	if err != nil || string(same) != string(module) {
		t.Errorf("%x, %v; want %x", same, err, module)
	}
}
