package virt_test

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/virt"
)

// TestExportCalledFromAThread calls an export from a host function that a spawned thread called: it
// runs on that thread's instance, not on the first one's, which is in a call at the time.
func TestExportCalledFromAThread(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		var g *virt.Guest
		var called []api.Module
		var nested error
		returned := make(chan struct{})
		env := func(r wazero.Runtime) (api.Module, error) {
			return r.NewHostModuleBuilder("env").NewFunctionBuilder().
				WithFunc(func(ctx context.Context, mod api.Module, n int32) int32 {
					called = append(called, mod)
					if len(called) == 1 {
						// What runs on this thread now, from its beginning.
						_, nested = g.Call(ctx, "wasi_thread_start", 0, 0)
						close(returned)
					}
					return n + 1
				}).
				Export("callback").Instantiate(context.Background())
		}
		host := newHost(t, engine, virt.WithModules(env), virt.WithMaxThreads(1))
		g = newGuest(t, host, compiled(t, host, bareGuest(t, "callback")))
		if n, err := callI32(t.Context(), g, "call_in_thread", 41); err != nil || n != 42 {
			t.Errorf("%d, %v", n, err)
		}
		<-returned
		if nested != nil {
			t.Error(nested)
		}
		if len(called) != 2 || called[0] != called[1] || called[0] == g.Instance() {
			t.Errorf("called by the instances %p, and the first thread's is %p; want twice the same other one", called, g.Instance())
		}
	})
}
