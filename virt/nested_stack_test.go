package virt_test

import (
	"errors"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
)

// TestStacksOfNestedCallsCount: a guest and a host function that call each other, each time deeper
// by a stack, take no more than the default budget of stacks, though calls of the module do not
// count for it.
func TestStacksOfNestedCallsCount(t *testing.T) {
	const (
		deep                   = 100_000 // calls, some megabytes
		opIf, opElse, opI32Sub = 0x04, 0x05, 0x6b
	)
	body := []byte{opLocalGet, 0, opIf, opEmpty, opLocalGet, 0, opI32Const, 1, opI32Sub, opCall, 1, opElse, opCall, 0, opEnd}
	wasm := handModule{funcs: []handFunc{
		{module: "env", name: "again"},
		{name: "deep", signature: signature{params: []byte{typeI32}}, body: body},
	}}.encode()
	calls, unfinished := 0, errors.New("the guest was not stopped")
	again := virt.HostFunction{Name: "again", Call: func(h *virt.HostCall, _ []uint64) {
		if calls++; calls == 100 {
			h.Guest().Stop(unfinished)
			return
		}
		_, _ = h.Call("deep", deep) // the guest has ended
	}}
	host := hostOf(t, virt.WithFunctions("env", again))
	g := newGuest(t, host, compiled(t, host, wasm))
	_, err := g.Call(t.Context(), "deep", deep)
	if r := g.Result(); err == nil || r.Outcome != virt.Exhausted || r.Budget != virt.BudgetStack {
		t.Errorf("%v after %d calls, %v; want the end of the %s", r, calls, err, virt.BudgetStack)
	}
}
