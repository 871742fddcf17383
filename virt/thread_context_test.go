package virt_test

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/virt"
)

// keepsContext is a guest whose function nest calls back, and the context of the last call back.
func keepsContext(t *testing.T) (g *virt.Guest, kept *context.Context) {
	t.Helper()
	kept = new(context.Context)
	i32 := []api.ValueType{api.ValueTypeI32}
	host := newHost(t, virt.WithFunctions("env", virt.HostFunction{Name: "callback", Params: i32, Results: i32,
		Call: func(c *virt.HostCall, _ []uint64) { *kept = c.Context() }}))
	return newGuest(t, host, compiled(t, host, hostedGuest())), kept
}

// TestContextKept asks for the context of a call from other goroutines, during further calls.
func TestContextKept(t *testing.T) {
	g, kept := keepsContext(t)
	type key struct{}
	call := func(value int) {
		if _, err := g.Call(context.WithValue(t.Context(), key{}, value), "nest", 1); err != nil {
			t.Error(err)
		}
	}
	call(0)
	ctx := *kept
	var asking sync.WaitGroup
	for range 2 {
		asking.Go(func() {
			for range 1000 {
				if _, ok := ctx.Deadline(); ok || ctx.Err() != nil {
					t.Error("the context has a deadline or has ended")
				}
				ctx.Value(key{})
			}
		})
	}
	for i := range 100 {
		call(i)
	}
	asking.Wait()
}

// TestContextDerived derives contexts from that of a call: they end with the guest, and none
// takes a goroutine.
func TestContextDerived(t *testing.T) {
	g, kept := keepsContext(t)
	if _, err := g.Call(t.Context(), "nest", 1); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	const many = 100
	derived := make([]context.Context, many)
	for i := range derived {
		ctx, cancel := context.WithCancel(*kept)
		defer cancel()
		derived[i] = ctx
	}
	if n := runtime.NumGoroutine(); n > before+many/2 {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	g.Stop(context.DeadlineExceeded)
	for _, ctx := range derived {
		<-ctx.Done()
	}
}
