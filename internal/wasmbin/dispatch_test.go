package wasmbin

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dispatcher is a module whose function goes through blocks 0, 1 and 2 of a loop that dispatches,
// where from each the next is a branch, and n times back from the last to the first.
func dispatcher() []byte {
	const n, next, sum = 0, 1, 2
	var a asm
	add := func(v int32) {
		a.op(opLocalGet, sum)
		a.i32Const(v)
		a.ops(opI32Add)
		a.op(opLocalSet, sum)
	}
	goTo := func(v int32, label uint32) {
		a.i32Const(v)
		a.op(opLocalSet, next)
		a.op(opBr, label)
	}
	a.ops(opLoop, blockEmpty, opBlock, blockEmpty, opBlock, blockEmpty, opBlock, blockEmpty)
	a.op(opLocalGet, next)
	a.code = append(a.code, byte(opBrTable), 3, 0, 1, 2, 2)
	a.ops(opEnd)
	add(1)
	goTo(7, 2) // the default
	a.ops(opEnd)
	add(10)
	goTo(1, 1) // never reached: nothing leads here
	a.ops(opEnd)
	add(100)
	a.op(opCall, 1) // a loop without a call would be written several times
	a.op(opLocalGet, n)
	a.i32Const(1)
	a.ops(opI32Sub)
	a.op(opLocalTee, n)
	a.ops(opIf, blockEmpty)
	goTo(0, 1)
	a.ops(opEnd, opEnd)
	a.op(opLocalGet, sum)
	a.ops(opEnd)
	var m testModule
	m.add(testFunc{export: "sum", params: []ValueType{ValueI32}, results: []ValueType{ValueI32},
		locals: []ValueType{ValueI32, ValueI32}, code: a.code})
	m.add(testFunc{code: []byte{byte(opEnd)}})
	return m.bytes()
}

// TestBranchesAheadAreNotChecked: in a loop that dispatches, only what leads back is checked, and
// fuel is taken for every instruction all the same. Where threads take turns, all is checked.
func TestBranchesAheadAreNotChecked(t *testing.T) {
	const turns = 50
	type seen struct {
		Sum    uint64
		Checks int
		Fuel   int64
	}
	ctx := context.Background()
	for _, engine := range engines {
		got := map[string]seen{}
		for name, opts := range map[string]Options{
			"stop": {Stop: true, Period: 1}, "stop, turns": {Stop: true, Period: 1, Turns: true},
			"fuel": {Fuel: true}, "fuel, turns": {Fuel: true, Turns: true},
		} {
			g := newGuest(t, engine.config(), dispatcher(), &opts)
			g.host.slice = 1 << 40
			mod, _ := g.start(t)
			r, err := mod.ExportedFunction("sum").Call(ctx, turns)
			if err != nil {
				t.Fatal(err)
			}
			s := seen{Sum: r[0], Checks: g.host.checks}
			if opts.Fuel {
				s.Fuel = int64(g.host.fuels)*g.host.slice - int64(mod.ExportedGlobal(g.report.FuelGlobal).Get())
			}
			got[name] = s
		}
		const fuel = turns*(2+4+3+2+10) + (turns-1)*3 + 1
		want := map[string]seen{
			"stop": {Sum: turns * 101, Checks: turns - 1}, "stop, turns": {Sum: turns * 101, Checks: 2*turns - 1},
			"fuel": {Sum: turns * 101, Fuel: fuel}, "fuel, turns": {Sum: turns * 101, Fuel: fuel},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", engine.name, diff)
		}
	}
}
