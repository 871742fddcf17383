package virt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/wasip1"
)

// growingTable is a module whose export "grow" adds as many elements to a table as its parameter
// says, and returns how many there were, or -1. most is the table's maximum.
func growingTable(most uint64) []byte {
	const opRefNull, funcref, prefixBulk, tableGrow = 0xd0, 0x70, 0xfc, 15
	body := []byte{opRefNull, funcref, opLocalGet, 0, prefixBulk, tableGrow, 0}
	return handModule{memory: 1, tables: []string{string(binary.AppendUvarint([]byte{0x70, 1, 0}, most))},
		funcs: []handFunc{{name: "grow", signature: signature{[]byte{typeI32}, []byte{typeI32}}, body: body}}}.encode()
}

// TestTablesCount: tables grow by no more than the limit of memory, of a guest and of all, and what
// they grew by is given back.
func TestTablesCount(t *testing.T) {
	const element, limit, all = 8, 4 << 20, 6 << 20
	host := newHost(t, virt.WithMemoryLimit(limit), virt.WithSharedLimits(func(l *virt.Limits) { l.Memory = all }))
	m := compiled(t, host, growingTable(limit))
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

// TestTablesThatDoNotGrow take nothing of the budgets.
func TestTablesThatDoNotGrow(t *testing.T) {
	const element, limit, most = 8, 4 << 20, 100
	host := newHost(t, virt.WithMemoryLimit(limit), virt.WithSharedLimits(func(l *virt.Limits) { l.Memory = 2 * limit }))
	full, free := newGuest(t, host, compiled(t, host, growingTable(most))), newGuest(t, host, compiled(t, host, growingTable(limit)))
	for range 10 {
		if r, err := full.Call(t.Context(), "grow", limit/element/2); err != nil || r[0] != 1<<32-1 {
			t.Fatalf("a table of at most %d elements: %v, %v", most, r, err)
		}
	}
	const instance = 100 // what the instance itself takes, in elements
	for _, tc := range []struct {
		name  string
		guest *virt.Guest
		n     uint64
	}{{"the guest whose table was full", full, most}, {"another", free, limit/element - instance}} {
		if r, err := tc.guest.Call(t.Context(), "grow", tc.n); err != nil || r[0] != 0 {
			t.Errorf("%s: %v, %v", tc.name, r, err)
		}
	}
}

// TestTablesAreReplayed as they grew, and as they did not.
func TestTablesAreReplayed(t *testing.T) {
	const element, limit, most = 8, 4 << 20, 1 << 20
	host := newHost(t, virt.WithMemoryLimit(limit))
	wasm := growingTable(most)
	var tape bytes.Buffer
	g := newGuest(t, host, compiled(t, host, wasm), virt.WithRecording(&tape))
	const failed = 1<<32 - 1
	for _, c := range [][2]uint64{{10, 0}, {most, failed}, {0, 10}, {failed, failed}, {most - 10, failed}, {limit/element - 100, 10}, {100, failed}, {0, limit/element - 90}} {
		if r, err := g.Call(t.Context(), "grow", c[0]); err != nil || r[0] != c[1] {
			t.Errorf("table.grow of %d: %v, %v, want %#x", c[0], r, err, c[1])
		}
	}
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := replay.Run(t.Context(), wasm, &tape); err != nil {
		t.Error(err)
	}
}

// TestTablesOfChildrenCount for the guest that host code made, and are given back.
func TestTablesOfChildrenCount(t *testing.T) {
	const element, limit = 8, 4 << 20
	const opRefNull, funcref, prefixBulk, tableGrow, opIf, opI32LtS = 0xd0, 0x70, 0xfc, 15, 0x04, 0x48
	growing := func(bytes int) []byte { // traps if the table does not grow
		body := append([]byte{opRefNull, funcref, opI32Const}, binary.AppendUvarint(nil, uint64(bytes/element))...)
		body = append(body, prefixBulk, tableGrow, 0, opI32Const, 0, opI32LtS, opIf, opEmpty, opUnreachable, opEnd)
		return handModule{memory: 1, tables: []string{"\x70\x00\x00"}, funcs: []handFunc{{name: "_start", body: body}}}.encode()
	}
	host := newHost(t, virt.WithMemoryLimit(limit))
	parent := newGuest(t, host, compiled(t, host, growingTable(limit)))
	if r, err := parent.Call(t.Context(), "grow", limit/2/element); err != nil || r[0] != 0 {
		t.Fatal(r, err)
	}
	run := func(bytes int) virt.Outcome {
		t.Helper()
		child, err := parent.StartChild(compiled(t, host, growing(bytes)), virt.ChildConfig{Args: []string{"child"}, MaxChildren: 1, MaxDepth: 1})
		if err != nil {
			t.Fatal(err)
		}
		for child.Result() == nil {
			runtime.Gosched()
		}
		parent.Forget(child)
		return child.Result().Outcome
	}
	if got := run(limit * 3 / 4); got != virt.Trapped {
		t.Errorf("a child that needs more than is left: %v, want a trap", got)
	}
	// The Host closes a child a moment after its end.
	for exited := 0; exited < 10; {
		if run(limit/4) == virt.Exited {
			exited++
		}
	}
}

// TestInstancesOfChildrenCount for the guest that host code made, and are given back.
func TestInstancesOfChildrenCount(t *testing.T) {
	const element, limit = 8, 4 << 20
	for _, most := range []int{1, 5} { // children, each of which takes the same part of three quarters of the limit
		table := binary.AppendUvarint([]byte("\x70\x00"), uint64(limit/element*3/4/most))
		hold := handModule{tables: []string{string(table)},
			funcs: []handFunc{{name: "_start", body: []byte{opLoop, opEmpty, opBr, 0, opEnd}}}}.encode()
		host := newHost(t, virt.WithMemoryLimit(limit))
		m := compiled(t, host, hold)
		parent := newGuest(t, host, compiled(t, host, growingTable(limit)))
		if r, err := parent.Call(t.Context(), "grow", limit/element/5); err != nil || r[0] != 0 {
			t.Fatal(r, err)
		}
		start := func() (*virt.Child, error) {
			return parent.StartChild(m, virt.ChildConfig{Args: []string{"child"}, MaxChildren: 1000, MaxDepth: 1})
		}
		for range 3 {
			var children []*virt.Child
			for range most {
				child, err := start()
				for errors.Is(err, wasip1.ENOMEM) { // the Host closes a child a moment after its end
					runtime.Gosched()
					child, err = start()
				}
				if err != nil {
					t.Fatal(err)
				}
				children = append(children, child)
			}
			if _, err := start(); !errors.Is(err, wasip1.ENOMEM) {
				t.Errorf("one more than %d children whose tables are three quarters of the limit: %v", most, err)
			}
			for _, child := range children {
				child.Kill(wasip1.SIGTERM)
			}
		}
		parent.Stop(nil)
	}
}
