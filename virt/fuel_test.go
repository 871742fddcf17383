package virt_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
)

const (
	opLoop      = 0x03
	opBr        = 0x0c
	opBrIf      = 0x0d
	opEmpty     = 0x40
	opI32Load   = 0x28
	opI32Store  = 0x36
	opI32Add    = 0x6a
	opNop       = 0x01
	fuelPerTurn = 7
)

// counting is a module whose export "count" counts up in its memory, at fuelPerTurn instructions a
// turn, and never ends, and whose export "nest" calls env.callback. "straight" is 20 instructions
// without a loop.
func counting(start bool) []byte {
	count := []byte{
		opLoop, opEmpty,
		opI32Const, 0, opI32Const, 0, opI32Load, 2, 0, opI32Const, 1, opI32Add, opI32Store, 2, 0, // *0 = *0 + 1
		opBr, 0,
		opEnd,
	}
	var straight []byte
	for range 10 {
		straight = append(straight, opI32Const, 0, opDrop)
	}
	m := handModule{memory: 1, funcs: []handFunc{
		{module: "env", name: "callback", signature: signature{params: []byte{typeI32}, results: []byte{typeI32}}},
		{name: "count", body: count},
		{name: "straight", body: straight},
		{name: "nest", body: []byte{opI32Const, 0, opCall, 0, opDrop, opCall, 1}},
	}}
	if start {
		m.start = 1
	}
	return m.encode()
}

// counted is how far "count" came.
func counted(t *testing.T, g *virt.Guest) uint32 {
	t.Helper()
	b, ok := g.Instance().Memory().Read(0, 4)
	if !ok {
		t.Fatal("the guest has no memory")
	}
	return binary.LittleEndian.Uint32(b)
}

func exhausted(t *testing.T, err error) {
	t.Helper()
	if exit, ok := errors.AsType[*virt.ExitError](err); !ok || exit.Result.Outcome != virt.Exhausted || exit.Result.Budget != virt.BudgetFuel {
		t.Errorf("%v, want the end of the fuel", err)
	}
}

func silent(context.Context, int32) int32 { return 0 }

// TestFuel lets a guest count until its fuel is used up, in both engines: it comes exactly as far
// as its fuel allows.
func TestFuel(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine, virt.WithFuel(1), (&embedder{silent}).modules())
		m := compiled(t, host, counting(false))
		for _, fuel := range []uint64{1, 6, 7, 8, 700, 99_999, 100_000, 100_001, 350_000, 1_000_003} {
			g := newGuest(t, host, m, virt.WithFuel(fuel))
			_, err := g.Call(t.Context(), "count")
			exhausted(t, err)
			if n := counted(t, g); uint64(n) != fuel/fuelPerTurn {
				t.Errorf("%d instructions: %d turns, want %d", fuel, n, fuel/fuelPerTurn)
			}
			if used := g.Usage().Fuel; used != fuel {
				t.Errorf("%d instructions: the usage says %d", fuel, used)
			}
		}
	})
}

// TestFuelOfCalls takes what each call of an export needs from one budget, loops or not.
func TestFuelOfCalls(t *testing.T) {
	host := newHost(t, virt.WithFuel(1), (&embedder{silent}).modules())
	m := compiled(t, host, counting(false))
	g := newGuest(t, host, m, virt.WithFuel(60))
	for i := range uint64(3) {
		if _, err := g.Call(t.Context(), "straight"); err != nil {
			t.Fatal(err)
		}
		if used := g.Usage().Fuel; used != 20*(i+1) {
			t.Errorf("after %d calls of 20 instructions the usage says %d", i+1, used)
		}
	}
	_, err := g.Call(t.Context(), "straight")
	exhausted(t, err)
	_, err = g.Call(t.Context(), "straight")
	exhausted(t, err)
}

// TestAddFuel gives a guest more while it runs, and between its calls.
func TestAddFuel(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		var g *virt.Guest
		refill := func(context.Context, int32) int32 { g.AddFuel(70_000); return 0 }
		host := newHost(t, engine, virt.WithFuel(1), (&embedder{refill}).modules())
		m := compiled(t, host, counting(false))
		g = newGuest(t, host, m, virt.WithFuel(4))
		_, err := g.Call(t.Context(), "nest") // 4 instructions, then it counts
		exhausted(t, err)
		if n := counted(t, g); n != 10_000 {
			t.Errorf("%d turns, want 10000", n)
		}

		g = newGuest(t, host, m, virt.WithFuel(20))
		for range 5 {
			if _, err := g.Call(t.Context(), "straight"); err != nil {
				t.Fatal(err)
			}
			g.AddFuel(20)
		}
		g.AddFuel(math.MaxUint64) // no more than fits
		if _, err := g.Call(t.Context(), "straight"); err != nil {
			t.Fatal(err)
		}
		unlimited := newGuest(t, host, m, virt.WithFuel(0))
		unlimited.AddFuel(1)
		if _, err := unlimited.Call(t.Context(), "straight"); err != nil {
			t.Fatal(err)
		}
	})
}

// TestFuelOfAStartFunction stops a guest that never comes to the end of its start function.
func TestFuelOfAStartFunction(t *testing.T) {
	host := newHost(t, virt.WithFuel(1000), (&embedder{silent}).modules())
	_, err := host.Instantiate(t.Context(), compiled(t, host, counting(true)))
	exhausted(t, err)
}

// TestFuelOfThreads spends one budget on several threads, and accounts for all of it.
func TestFuelOfThreads(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine, virt.WithFuel(1), virt.WithMaxThreads(100))
		m := compiled(t, host, threadsGuest(t))
		const fuel = 1_000_000
		g := newGuest(t, host, m, virt.WithFuel(fuel))
		_, err := g.Call(t.Context(), "hang_in_threads", hangSpin, 4, 0)
		exhausted(t, err)
		if used := g.Usage().Fuel; used > fuel || used < fuel-fuel/8 {
			t.Errorf("four threads used %d of %d", used, fuel)
		}

		// The sum does not depend on the order of threads; what waits cost does, a little.
		g = newGuest(t, host, m, virt.WithFuel(100*fuel))
		if _, err := g.Call(t.Context(), "parallel_sum", 1<<15); err != nil {
			t.Fatal(err)
		}
		if used := g.Usage().Fuel; used < 1<<15 || used > 100<<15 {
			t.Errorf("a sum of %d numbers used %d", 1<<15, used)
		}
	})
}

// ExampleWithFuel bounds what a guest computes, to the instruction.
func ExampleWithFuel() {
	ctx := context.Background()
	host, err := virt.NewBuilder(virt.WithFuel(1_000_000)).Build(ctx)
	if err != nil {
		panic(err)
	}
	defer host.Close(ctx)
	endless := handModule{funcs: []handFunc{{name: "_start", body: []byte{opLoop, opEmpty, opBr, 0, opEnd}}}}
	result, err := host.Run(ctx, endless.encode())
	fmt.Println(result, err)
	// Output: out of fuel <nil>
}
