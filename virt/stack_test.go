package virt_test

import (
	"runtime"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// alive is how many numbers of 8 bytes a call of [deep] has in use while the next is under way.
const alive = 100

// deep is a module whose export "deep" calls itself without end, and counts its calls at address 0.
func deep() []byte {
	const opI64Add = 0x7c
	params := make([]byte, alive)
	body := []byte{opI32Const, 0, opI32Const, 0, opI32Load, 2, 0, opI32Const, 1, opI32Add, opI32Store, 2, 0}
	get := func(i int) { body = append(body, opLocalGet, byte(i)) }
	for i := range params {
		params[i] = typeI64
		get(i)
	}
	body = append(body, opCall, 0)
	for i := range params {
		get(i)
		body = append(body, opI64Add)
	}
	return handModule{memory: 1, funcs: []handFunc{{name: "deep", signature: signature{params: params, results: []byte{typeI64}}, body: body}}}.encode()
}

// TestStackBudgetHolds ends recursions of one guest and of many before their frames take more than
// was allowed.
func TestStackBudgetHolds(t *testing.T) {
	const limit = 8 << 20
	params := make([]uint64, alive)
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		budgeted(t, deep(), virt.WithLimits(func(l *virt.Limits) { l.Stack = limit }), func(guests int) virt.Limits { return virt.Limits{Stack: limit + uint64(guests)<<17} },
			[]virt.Option{engine}, func(t *testing.T, guests []*virt.Guest, shared bool) {
				atOnce(guests, func(g *virt.Guest) {
					if _, err := g.Call(t.Context(), "deep", params...); err == nil {
						t.Error("the recursion returned")
					}
				})
				for _, g := range guests {
					calls, _ := g.Instance().Memory().ReadUint32Le(0)
					if used := uint64(calls) * alive * 8; used > limit {
						t.Errorf("%d bytes of stack are in use, allowed are %d", used, limit)
					}
					if r := g.Result(); r.Outcome != virt.Exhausted || r.Budget != virt.BudgetStack {
						t.Errorf("%v after %d calls, want the end of the %s", r, calls, virt.BudgetStack)
					}
				}
			})
	})
}

// TestStackBudgetIsGivenBack: what one call took others may take, on the same thread and on others.
func TestStackBudgetIsGivenBack(t *testing.T) {
	// A thread takes 128 KiB. One that has told that it is done may hold its part for a moment
	// more.
	const threads, limit = 8, 16 << 17
	host := newHost(t, virt.WithSharedLimits(func(l *virt.Limits) { l.Stack = limit }), virt.WithMaxThreads(threads), virt.WithCallsAfterTrap())
	traps, churning := compiled(t, host, bareGuest(t, "traps")), compiled(t, host, threadsGuest(t))
	g := newGuest(t, host, churning)
	for range 20 {
		if _, err := g.Call(t.Context(), "churn", 20); err != nil {
			t.Fatal(err)
		}
		for len(g.Threads()) > 0 { // one that was joined is still leaving
			runtime.Gosched()
		}
		deeper := newGuest(t, host, traps)
		endsBy(t, deeper, virt.BudgetStack, "stack_overflow")
		if err := deeper.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStackOfAnotherHost: a guest cannot have a budget that its module does not count for.
func TestStackOfAnotherHost(t *testing.T) {
	host := newHost(t)
	if _, err := host.Instantiate(t.Context(), compiled(t, host, deep()), virt.WithLimits(func(l *virt.Limits) { l.Stack = 1 << 20 })); err == nil {
		t.Error("it was made")
	}
}

// trying is a module whose export "try" is within as many try_tables as its parameter says, each in
// a call of its own.
func trying() []byte {
	const opIf, opTryTable, catchAll, opI32Sub = 0x04, 0x1f, 2, 0x6b
	body := []byte{opLocalGet, 0, opIf, opEmpty, opTryTable, opEmpty, 1, catchAll, 0,
		opLocalGet, 0, opI32Const, 1, opI32Sub, opCall, 0, opEnd, opEnd}
	return handModule{memory: 1, funcs: []handFunc{{name: "try", signature: signature{params: []byte{typeI32}}, body: body}}}.encode()
}

// TestCopiesOfTheStackCount ends a recursion whose calls are each within a try_table, for which the
// compiler copies the whole stack: 10,000 deep the copies take 2.5 GiB.
func TestCopiesOfTheStackCount(t *testing.T) {
	limit := virt.WithLimits(func(l *virt.Limits) { l.Stack = 16 << 20 })
	for name, opts := range map[string][]virt.Option{
		"by default":       {virt.WithCallsAfterTrap()},
		"fuel":             {virt.WithFuel(1 << 40)},
		"counted":          {limit},
		"counted and fuel": {limit, virt.WithFuel(1 << 40)},
		"of nobody":        {virt.Untrusted()},
	} {
		t.Run(name, func(t *testing.T) {
			host := hostOf(t, opts...)
			g := newGuest(t, host, compiled(t, host, trying()))
			for range 20 { // what a call took is given back
				if _, err := g.Call(t.Context(), "try", 150); err != nil {
					t.Fatal(err)
				}
			}
			endsBy(t, g, virt.BudgetStack, "try", 10_000)
		})
	}
}

// TestSubscriptionsCountForTheStack: what the Host keeps of a poll_oneoff counts while it waits, as
// many threads may.
func TestSubscriptionsCountForTheStack(t *testing.T) {
	const in, out, nevents = 16, 200_000, 8
	poll := imported("poll_oneoff", "iiii")
	wasm := handModule{memory: 8, funcs: []handFunc{poll, {name: "poll", signature: poll.signature, body: calling(0, 4)}}}.encode()
	host := newHost(t, virt.WithLimits(func(l *virt.Limits) { l.Stack = 1 << 19 }))
	g := newGuest(t, host, compiled(t, host, wasm))
	for range 20 {
		for n, want := range map[uint64]wasip1.Errno{1000: wasip1.ESUCCESS, 4096: wasip1.ENOMEM} {
			if r, err := g.Call(t.Context(), "poll", in, out, n, nevents); err != nil || wasip1.Errno(r[0]) != want {
				t.Fatalf("%d subscriptions: %v, %v, want %v", n, r, err, want)
			}
		}
	}
}
