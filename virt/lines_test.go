package virt_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/wasivirt/wasivirt/virt"
)

// TestTrapsTellLines: a trap names the lines of a guest that has line tables, in both engines and
// every form of its code, the same as wazero does for the module as it is.
func TestTrapsTellLines(t *testing.T) {
	wasm := bareGuest(t, "lines")
	ctx := context.Background()
	for _, export := range []string{"trap", "load"} {
		arg := map[string]uint64{"trap": 3, "load": 1 << 30}[export]
		for engine, config := range map[string]wazero.RuntimeConfig{
			"compiler": wazero.NewRuntimeConfig(), "interpreter": wazero.NewRuntimeConfigInterpreter(),
		} {
			r := wazero.NewRuntimeWithConfig(ctx, config)
			defer r.Close(ctx)
			mod, err := r.Instantiate(ctx, wasm)
			if err != nil {
				t.Fatal(err)
			}
			_, err = mod.ExportedFunction(export).Call(ctx, arg)
			want := ""
			for line := range strings.Lines(err.Error()) {
				if _, place, ok := strings.Cut(line, ": virt/"); ok {
					want += "virt/" + strings.TrimSpace(place) + "\n"
				}
			}
			if want == "" {
				t.Fatalf("wazero tells no lines: %v", err)
			}
			for name, form := range map[string]virt.Option{
				"stop": virt.Options(), "fuel": virt.WithFuel(1 << 40), "depth": virt.WithLimits(func(l *virt.Limits) { l.CallDepth = 1000 }), "unchecked": virt.WithoutPreemption(),
			} {
				t.Run(export+"/"+engine+"/"+name, func(t *testing.T) {
					host := newHost(t, virt.WithRuntimeConfig(config), form)
					g := newGuest(t, host, compiled(t, host, wasm))
					_, err := g.Call(ctx, export, arg)
					trap, ok := errors.AsType[*virt.Trap](err)
					if !ok {
						t.Fatal(err)
					}
					got := ""
					for line := range strings.Lines(trap.Stack) {
						_, place, ok := strings.Cut(line, " at ")
						if !ok {
							t.Errorf("no line: %s", line)
						}
						got += place
					}
					if got != want {
						t.Errorf("%s\nwant\n%s", trap.Stack, want)
					}
				})
			}
		}
	}
}

// TestTrapsTellLinesOfGo: the lines of a program compiled by Go come from the table that its
// runtime has.
func TestTrapsTellLinesOfGo(t *testing.T) {
	t.Parallel()
	wasm := goGuest(t, "lines")
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, shared, engine, virt.WithFunctions("env", virt.HostFunction{Name: "trap", Call: func(c *virt.HostCall, _ []uint64) {
			c.Trap(errors.New("here"))
		}}))
		r, err := host.Run(t.Context(), wasm)
		if err != nil || r.Trap == nil {
			t.Fatal(r, err)
		}
		lines := strings.Split(r.Trap.Stack, "\n")
		at := 0
		for _, want := range []string{"main.inner", "lines/main.go:14", "main.outer", "lines/main.go:23", "main.main", "lines/main.go:30", "runtime/proc.go"} {
			for at < len(lines) && !strings.Contains(lines[at], want) {
				at++
			}
			if at == len(lines) {
				t.Fatalf("no %q in this order:\n%s", want, r.Trap.Stack)
			}
		}
	})
}
