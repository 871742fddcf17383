package virt_test

import (
	"testing"

	"github.com/wasivirt/wasivirt/virt"
)

// growingTable is a module whose export "grow" adds as many elements to a table as its parameter
// says, and returns how many there were, or -1.
func growingTable() []byte {
	const opRefNull, funcref, prefixBulk, tableGrow = 0xd0, 0x70, 0xfc, 15
	body := []byte{opRefNull, funcref, opLocalGet, 0, prefixBulk, tableGrow, 0}
	return handModule{memory: 1, tables: []string{"\x70\x00\x00"},
		funcs: []handFunc{{name: "grow", signature: signature{[]byte{typeI32}, []byte{typeI32}}, body: body}}}.encode()
}

// TestTablesCount: tables grow by no more than the limit of memory, of a guest and of all, and what
// they grew by is given back.
func TestTablesCount(t *testing.T) {
	const element, limit, all = 8, 4 << 20, 6 << 20
	host := newHost(t, virt.WithMemoryLimit(limit), virt.WithSharedLimits(func(l *virt.Limits) { l.Memory = all }))
	m := compiled(t, host, growingTable())
	grow := func(g *virt.Guest, n, want uint64) {
		t.Helper()
		if r, err := g.Call(t.Context(), "grow", n); err != nil || r[0] != want {
			t.Errorf("table.grow of %d: %v, %v, want %#x", n, r, err, want)
		}
	}
	const fits, failed = 3 << 20 / element, 1<<32 - 1
	for range 10 {
		g := newGuest(t, host, m)
		grow(g, limit/element+1, failed)
		grow(g, fits, 0)
		grow(g, fits, failed)
		second := newGuest(t, host, m)
		grow(second, fits, failed)
		for _, g := range []*virt.Guest{g, second} {
			if err := g.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}
