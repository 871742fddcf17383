package virt

import (
	"context"
	"os"
	"testing"
)

// TestResetGivesStackOnce: the budget of stacks is after a reset what it was before, though the
// guest's first thread stays.
func TestResetGivesStackOnce(t *testing.T) {
	host, err := NewBuilder(WithLimits(func(l *Limits) { l.Stack = 1 << 20 })).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(context.Background())
	wasm, err := os.ReadFile("testdata/warm.wasm")
	if err != nil {
		t.Fatal(err)
	}
	m, err := host.Compile(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	g, err := host.Instantiate(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
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
