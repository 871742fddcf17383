package virt_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trap"
)

// throwing is a module whose export "uncaught_exception" calls inner_throw, which throws what
// nobody catches.
func throwing() []byte {
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	sized := func(b []byte) []byte { return append(number(len(b)), b...) }
	part := func(id byte, b []byte) []byte { return append([]byte{id}, sized(b)...) }
	return join([]byte("\x00asm\x01\x00\x00\x00"),
		part(1, []byte{1, 0x60, 0, 0}),
		part(3, []byte{3, 0, 0, 0}),
		part(13, []byte{1, 0, 0}), // a tag without values
		part(7, join([]byte{2}, text("uncaught_exception"), []byte{0, 0}, text("fine"), []byte{0, 2})),
		part(10, join([]byte{3}, sized([]byte{0, opCall, 1, opEnd}), sized([]byte{0, 0x08, 0, opEnd}), sized([]byte{0, opEnd}))),
		part(0, join(text("name"), part(1, join([]byte{2, 0}, text("uncaught_exception"), []byte{1}, text("inner_throw"))))))
}

// TestTraps is the table of the ways in which WebAssembly stops a guest: what the Result says, in
// both engines, and that the guest, where its embedder allows that, and the Host go on.
func TestTraps(t *testing.T) {
	traps := bareGuest(t, "traps")
	tests := []struct {
		export string
		wasm   []byte
		params int
		kind   trap.Kind
		inner  string
	}{
		{"unreachable", traps, 0, trap.Unreachable, "inner_unreachable"},
		{"out_of_bounds", traps, 0, trap.MemoryOutOfBounds, "inner_load"},
		{"divide_by_zero", traps, 1, trap.DivideByZero, "inner_divide"},
		{"remainder_by_zero", traps, 1, trap.DivideByZero, "inner_remainder"},
		{"integer_overflow", traps, 1, trap.IntegerOverflow, "inner_divide"},
		{"invalid_conversion", traps, 1, trap.InvalidConversion, "inner_convert"},
		{"conversion_overflow", traps, 1, trap.IntegerOverflow, "inner_convert"},
		{"call_null", traps, 1, trap.TableOutOfBounds, "inner_call"},
		{"call_mismatch", traps, 1, trap.IndirectCall, "inner_call"},
		{"call_out_of_table", traps, 1, trap.TableOutOfBounds, "inner_call"},
		{"unaligned_atomic", traps, 1, trap.UnalignedAtomic, "inner_atomic"},
		{"stack_overflow", traps, 0, trap.StackOverflow, "inner_deep"},
		{"uncaught_exception", throwing(), 0, trap.Exception, "inner_throw"},
	}
	engines := map[string]virt.Option{"compiler": virt.Options(), "interpreter": virt.WithInterpreter()}
	for name, engine := range engines {
		host := hostOf(t, engine)
		next := compiled(t, host, traps)
		for _, tc := range tests {
			t.Run(name+"/"+tc.export, func(t *testing.T) {
				m := compiled(t, host, tc.wasm)
				call := func(g *virt.Guest) *virt.Trap {
					t.Helper()
					_, err := g.Call(t.Context(), tc.export, make([]uint64, tc.params)...)
					trapped, ok := errors.AsType[*virt.Trap](err)
					if !ok || trapped.Kind != tc.kind {
						t.Fatalf("%v, want the trap %v", err, tc.kind)
					}
					return trapped
				}
				g := newGuest(t, host, m)
				trapped := call(g)
				lines := strings.Split(trapped.Stack, "\n")
				// The engine tells nothing of a stack that has overflowed in the compiler, but the
				// Host knows where it began.
				if inner := tc.inner; name == "interpreter" || tc.kind != trap.StackOverflow {
					if !strings.HasPrefix(lines[0], "."+inner+"(") {
						t.Errorf("the stack does not begin in %s:\n%s", inner, trapped.Stack)
					}
				}
				if tc.kind != trap.StackOverflow || name == "compiler" {
					if !strings.Contains(trapped.Stack, "."+tc.export) {
						t.Errorf("the stack does not show %s:\n%s", tc.export, trapped.Stack)
					}
				}
				if r := g.Result(); r.Outcome != virt.Trapped || r.Trap != trapped {
					t.Errorf("the guest's result is %v", r)
				}
				// It cannot be asked again, unless its embedder says so.
				if _, err := g.Call(t.Context(), "fine", make([]uint64, min(1, len(tc.wasm)/len(traps)))...); !errors.As(err, &trapped) {
					t.Errorf("the next call: %v, want the trap again", err)
				}
				g = newGuest(t, host, m, virt.WithCallsAfterTrap())
				for range 2 {
					call(g)
				}
				if tc.export != "uncaught_exception" {
					if n, err := callI32(t.Context(), g, "fine", 1); err != nil || n != 2 {
						t.Errorf("a call after the trap: %d, %v", n, err)
					}
				} else if _, err := g.Call(t.Context(), "fine"); err != nil {
					t.Errorf("a call after the trap: %v", err)
				}
				// Others of the Host have noticed nothing.
				if n, err := callI32(t.Context(), newGuest(t, host, next), "fine", 41); err != nil || n != 42 {
					t.Errorf("another guest: %d, %v", n, err)
				}
			})
		}
	}
}

// TestMemoryRunsOut refuses growth over the limit in the way that WebAssembly does, by an answer.
func TestMemoryRunsOut(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		host := hostOf(t, engine, virt.WithMemoryLimit(5<<16))
		g := newGuest(t, host, compiled(t, host, bareGuest(t, "traps")))
		for _, tc := range []struct{ pages, want int32 }{{0, 1}, {3, 1}, {2, -1}, {1, 4}, {1, -1}, {-1, -1}, {0, 5}} {
			if n, err := callI32(t.Context(), g, "grow", tc.pages); err != nil || n != tc.want {
				t.Errorf("memory.grow %d answers %d, %v; want %d", tc.pages, n, err, tc.want)
			}
		}
		small := hostOf(t, engine, virt.WithMemoryLimit(1<<16-1))
		if _, err := small.Instantiate(t.Context(), compiled(t, small, bareGuest(t, "traps"))); err == nil || !strings.Contains(err.Error(), "65535") {
			t.Errorf("a guest that starts with more than its limit: %v", err)
		}
	})
}

// TestCallDepth ends a recursion before it costs the engine's stack.
func TestCallDepth(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		host := hostOf(t, engine, virt.WithLimits(func(l *virt.Limits) { l.CallDepth = 1000 }))
		m := compiled(t, host, bareGuest(t, "traps"))
		g := newGuest(t, host, m)
		_, err := g.Call(t.Context(), "stack_overflow")
		if exit, ok := errors.AsType[*virt.ExitError](err); !ok || exit.Result.Outcome != virt.Exhausted || exit.Result.Budget != virt.BudgetCallDepth {
			t.Errorf("%v, want the end of the call depth", err)
		}
		if n, err := callI32(t.Context(), newGuest(t, host, m), "fine", 1); err != nil || n != 2 {
			t.Errorf("another guest: %d, %v", n, err)
		}
	})
}
