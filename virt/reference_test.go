package virt_test

import (
	"runtime"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/virt"
)

// TestReferencesTakeNothing runs ref.func many times: wazero's compiler makes a reference for each,
// and keeps it as long as the instance.
func TestReferencesTakeNothing(t *testing.T) {
	const times = 1 << 16
	// loop is a function that does something as many times as its parameter says.
	loop := func(name string, turn ...byte) handFunc {
		body := slices.Concat([]byte{opLoop, opEmpty}, turn, []byte{0x20, 0, opI32Const, 1, 0x6b, 0x22, 0, 0x0d, 0, opEnd, opI32Const, 0})
		return handFunc{name: name, signature: preview1Type("i"), body: body}
	}
	m := handModule{memory: 1, tables: []string{"\x70\x00\x02"}, elements: []byte{0, 1}, funcs: []handFunc{
		{module: "env", name: "callback", signature: preview1Type("i")},
		loop("drop", 0xd2, 0, opDrop, 0xd2, 1, opDrop),
		loop("call_ref", opI32Const, 0, 0xd2, 5, 0x14, 0, opDrop),
		loop("call_ref of an import", opI32Const, 0, 0xd2, 0, 0x14, 0, opDrop),
		loop("table.set", opI32Const, 0, 0xd2, 5, 0x26, 0),
		{name: "nothing", signature: preview1Type("i"), body: []byte{0x20, 0}},
	}}
	i32 := []api.ValueType{api.ValueTypeI32}
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		for _, opt := range []virt.Option{virt.Options(), virt.WithFuel(1 << 40)} {
			host := newHost(t, engine, opt, virt.WithFunctions("env", virt.HostFunction{Name: "callback", Params: i32, Results: i32, Call: func(*virt.HostCall, []uint64) {}}))
			g := newGuest(t, host, compiled(t, host, m.encode()))
			for _, name := range []string{"drop", "call_ref", "call_ref of an import", "table.set"} {
				call := func() {
					if _, err := g.Call(t.Context(), name, times); err != nil {
						t.Fatal(name, err)
					}
				}
				live := func() uint64 {
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					return m.HeapAlloc
				}
				call()
				before := live()
				call()
				if after := live(); after > before+times {
					t.Errorf("%s: %d bytes are kept for %d references", name, after-before, times)
				}
			}
		}
	})
}
