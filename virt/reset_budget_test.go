package virt

import "testing"

// TestResetGivesStackOnce: the budget of stacks is after a reset what it was before, though the
// guest's first thread stays.
func TestResetGivesStackOnce(t *testing.T) {
	_, g := instantiated(t, "warm.wasm", WithLimits(func(l *Limits) { l.Stack = 1 << 20 }))
	want := g.budgets.stack.left.Load()
	for range 3 {
		if err := g.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := g.budgets.stack.left.Load(); got != want {
			t.Errorf("%d bytes are left, %d before", got, want)
		}
	}
}
