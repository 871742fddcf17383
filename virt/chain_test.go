package virt_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/virt/trap"
)

// chain is a command in C that calls a library in Go, which calls one in Rust: each a module with a
// memory of its own.
type chain struct {
	main      *virt.Module
	libraries []virt.GuestOption
	wasm      map[string][]byte
}

func newChain(t *testing.T, host *virt.Host, rust virt.Library) *chain {
	t.Helper()
	inGo := goGuest(t, "chain", "-buildmode=c-shared")
	inRust, err := os.ReadFile("testdata/bare/chain-rust.wasm")
	if err != nil {
		t.Fatal(err)
	}
	c := &chain{wasm: map[string][]byte{"c": bareGuest(t, "chain"), "go": inGo, "rust": inRust}}
	link := func(name string, to ...string) *virt.Module {
		m, err := host.CompileLinked(t.Context(), c.wasm[name], to...)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	c.main = link("c", "go")
	rust.Module = link("rust")
	c.libraries = []virt.GuestOption{virt.WithLibrary("go", virt.Library{Module: link("go", "rust")}), virt.WithLibrary("rust", rust)}
	return c
}

// run sends a text through the chain.
func (c *chain) run(ctx context.Context, t *testing.T, host *virt.Host, text string, opts ...virt.GuestOption) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	opts = append(append(c.libraries[:2:2], virt.WithArgs(text), virt.WithStdout(&stdout), virt.WithStderr(&stderr)), opts...)
	r, err := host.RunModule(ctx, c.main, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return ran{r, stdout.String(), stderr.String()}
}

// TestChainOfLanguages: modules in C, Go and Rust call each other with texts, and what ends one of
// them ends the guest, through all of them.
func TestChainOfLanguages(t *testing.T) {
	t.Parallel()
	host := newHost(t, shared, virt.WithFuel(1<<40))
	c := newChain(t, host, virt.Library{})
	for range 2 {
		r := c.run(t.Context(), t, host, "hello")
		if !r.Success() || r.stdout != "c(go(rust(hello)))\n" || r.stderr != "rust is asked \"hello\"\n" {
			t.Errorf("%v, %q, %q", r.Result, r.stdout, r.stderr)
		}
	}
	t.Run("trap", func(t *testing.T) {
		r := c.run(t.Context(), t, host, "trap")
		if r.Outcome != virt.Trapped || r.Trap.Kind != trap.Unreachable {
			t.Fatal(r.Result)
		}
		at := 0
		for _, function := range []string{"answer", ".say", "main.answer", ".ask"} { // Rust's, Go's, C's
			i := strings.Index(r.Trap.Stack[at:], function)
			if i < 0 {
				t.Fatalf("%s is missing, or at the wrong place, in\n%s", function, r.Trap.Stack)
			}
			at += i
		}
	})
	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("enough")
		looping := output(func(b []byte) {
			if bytes.Contains(b, []byte("asked")) {
				cancel(reason)
			}
		})
		r := c.run(ctx, t, host, "loop", virt.WithStderr(looping))
		if r.Outcome != virt.Canceled || !errors.Is(r.Err, reason) {
			t.Error(r.Result)
		}
	})
	t.Run("fuel", func(t *testing.T) {
		r := c.run(t.Context(), t, host, "loop", virt.WithFuel(20_000_000))
		if r.Outcome != virt.Exhausted || r.Budget != virt.BudgetFuel || !strings.Contains(r.stderr, "loop") {
			t.Error(r.Result, r.stderr)
		}
	})
	t.Run("the library's fuel", func(t *testing.T) {
		own := newChain(t, host, virt.Library{Fuel: 5_000_000})
		r := own.run(t.Context(), t, host, "loop")
		if r.Outcome != virt.Exhausted || r.Budget != virt.BudgetFuel || !strings.Contains(r.stderr, "loop") {
			t.Error(r.Result, r.stderr)
		}
	})
	t.Run("recorded", func(t *testing.T) {
		var tape, again bytes.Buffer
		c.run(t.Context(), t, host, "hello", virt.WithRecording(&tape))
		r, err := replay.Run(t.Context(), c.wasm["c"], &tape, replay.WithLibrary("go", c.wasm["go"]), replay.WithLibrary("rust", c.wasm["rust"]),
			shared, virt.WithStdout(&again))
		if err != nil || !r.Success() || again.String() != "c(go(rust(hello)))\n" {
			t.Errorf("%v, %v, %q", r, err, again.String())
		}
	})
}

// output is a writer that shows what is written.
type output func([]byte)

func (o output) Write(b []byte) (int, error) { o(b); return len(b), nil }
