package virt_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/virt/trap"
	"github.com/wasivirt/wasivirt/wasip1"
)

// callback is env.callback as a function that is recorded.
func callback(call func(c *virt.HostCall, n int32) int32) virt.Option {
	i32 := []api.ValueType{api.ValueTypeI32}
	return virt.WithFunctions("env", virt.HostFunction{Name: "callback", Params: i32, Results: i32, Call: func(c *virt.HostCall, stack []uint64) {
		stack[0] = api.EncodeI32(call(c, api.DecodeI32(stack[0])))
	}})
}

// taped makes a guest, has use call its exports, and returns the recording and the guest's end.
func taped(t *testing.T, host *virt.Host, wasm []byte, use func(g *virt.Guest), opts ...virt.GuestOption) ([]byte, *virt.Result) {
	t.Helper()
	var tape bytes.Buffer
	g, err := host.Instantiate(t.Context(), compiled(t, host, wasm), append(opts, virt.WithRecording(&tape))...)
	if err != nil {
		t.Fatal(err)
	}
	use(g)
	if err := g.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return tape.Bytes(), g.Result()
}

// The embedder's function calls the guest's allocator, writes to what it gets, has the guest read
// that, and reads what the guest has made of it. The replay does without the function and without
// the file.
func TestReplayWithoutTheEmbeddersFunctions(t *testing.T) {
	files := memfs.New()
	if err := files.WriteFile("in.txt", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	must := func(values []uint64, err error) uint64 {
		t.Helper()
		if err != nil || len(values) != 1 {
			t.Fatal(values, err)
		}
		return values[0]
	}
	depth := 0
	host := newHost(t, virt.WithMount("/", files), shared,
		callback(func(c *virt.HostCall, n int32) int32 {
			if depth++; depth < 3 {
				return int32(must(c.Call("nest", uint64(n+1)))) + 1
			}
			name := "/in.txt"
			p := must(c.Call("malloc", uint64(len(name))))
			b, errno := c.View().Write(uint32(p), uint32(len(name)))
			if errno != wasip1.ESUCCESS {
				t.Fatal(errno)
			}
			copy(b, name)
			written := must(c.Call("upper", p, uint64(len(name))))
			if b, errno := c.View().Read(uint32(p), 3); errno != wasip1.ESUCCESS || string(b) != "/in" {
				t.Errorf("the name has become %q, %v", b, errno)
			}
			return n + int32(written)
		}))
	var out bytes.Buffer
	wasm := goReactor(t)
	tape, result := taped(t, host, wasm, func(g *virt.Guest) {
		if got := int32(must(g.Call(t.Context(), "nest", 10))); got != 10+2+5+2 {
			t.Errorf("nest answers %d", got)
		}
		must(g.Call(t.Context(), "add", 1, 2))
	}, virt.WithStdout(&out), virt.WithEnv("PWD", "/"))
	if out.String() != "HELLO" {
		t.Errorf("printed %q", out.String())
	}
	replayed(t, wasm, tape, result, "HELLO", shared)

	p, err := replay.Compare(bytes.NewReader(tape), bytes.NewReader(tape[:len(tape)-16]), 1000)
	if err != nil || p != nil && !strings.Contains(strings.Join(p.Before, "\n"), "env.callback(12) of the embedder") {
		t.Errorf("%v, %v, want the names of functions", p, err)
	}
}

func TestReplayOfFunctionsInThreads(t *testing.T) {
	wasm := bareGuest(t, "callback")
	for seed := range uint64(20) {
		host := newHost(t, virt.Deterministic(seed), virt.WithMaxThreads(2), callback(func(c *virt.HostCall, n int32) int32 {
			if c.Thread() == 0 {
				t.Error("called by the first thread")
			}
			return n + 1
		}))
		tape, result := taped(t, host, wasm, func(g *virt.Guest) {
			for range 2 {
				if n, err := callI32(t.Context(), g, "call_in_thread", 41); err != nil || n != 42 {
					t.Errorf("%d, %v", n, err)
				}
			}
		})
		replayed(t, wasm, tape, result, "")
	}
}

// What ends a guest in the middle of a call ends it there again.
func TestReplayOfEndsInCalls(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cases := map[string]func(c *virt.HostCall){
		"trap":   func(c *virt.HostCall) { c.Trap(errors.New("no")) },
		"panic":  func(*virt.HostCall) { panic("oh") },
		"cancel": func(c *virt.HostCall) { cancel(); <-c.Context().Done() },
	}
	for _, name := range []string{"trap", "panic", "cancel"} {
		end := cases[name]
		t.Run(name, func(t *testing.T) {
			host := newHost(t, callback(func(c *virt.HostCall, n int32) int32 { end(c); return n }))
			wasm := waiterModule(true)
			tape, result := taped(t, host, wasm, func(g *virt.Guest) {
				if _, err := g.Call(ctx, "callback", 1); err == nil {
					t.Error("no end")
				}
			})
			replayed(t, wasm, tape, result, "")
		})
	}
	t.Run("a Handler's trap", func(t *testing.T) {
		wasm := bareGuest(t, "do")
		tape, result, out := recorded(t, wasm, virt.WithArgs("write", "/tmp/a", "text", "cat", "/tmp/a"),
			virt.WithMiddleware("fd_read", func(c *virt.Call) wasip1.Errno { c.Trap(errors.New("no")); return 0 }))
		if result.Outcome != virt.Trapped || result.Trap.Kind != trap.Host {
			t.Fatal(result)
		}
		replayed(t, wasm, tape, result, out)
	})
}

// Exports are called again after traps in the guest's code and in calls, and replayed.
func TestReplayOfCallsAfterTraps(t *testing.T) {
	fail := true
	host := newHost(t, virt.WithCallsAfterTrap(), callback(func(c *virt.HostCall, n int32) int32 {
		if fail = !fail; fail {
			c.Trap(errors.New("no"))
		}
		return n
	}))
	wasm := waiterModule(true)
	tape, result := taped(t, host, wasm, func(g *virt.Guest) {
		for i := range 6 {
			_, err := g.Call(t.Context(), "callback", uint64(i))
			if (err != nil) != (i%2 == 1) {
				t.Errorf("call %d: %v", i, err)
			}
		}
	})
	replayed(t, wasm, tape, result, "")

	wasm = bareGuest(t, "traps")
	host = newHost(t, virt.WithCallsAfterTrap())
	tape, result = taped(t, host, wasm, func(g *virt.Guest) {
		for range 3 {
			if _, err := g.Call(t.Context(), "unreachable"); err == nil {
				t.Error("no trap")
			}
		}
	})
	replayed(t, wasm, tape, result, "")
}

// Fuel that ran out, that was added, and that guests shared: the replay has what the run had.
func TestReplayOfFuel(t *testing.T) {
	wasm := goGuest(t, "hello")
	for name, limit := range map[string]virt.Option{"own": virt.WithFuel(234_567), "shared": virt.WithSharedLimits(func(l *virt.Limits) { l.Fuel = 234_567 })} {
		tape, result, text := recorded(t, wasm, limit, shared)
		if result.Outcome != virt.Exhausted {
			t.Fatalf("%s: %v, want it to be out of fuel", name, result)
		}
		replayed(t, wasm, tape, result, text, shared)
	}
	const first = 123_456
	host := newHost(t, virt.WithFuel(first), callback(func(c *virt.HostCall, n int32) int32 {
		c.Guest().AddFuel(1_000_000_000)
		return n
	}), shared)
	wasm = goReactor(t)
	var tape bytes.Buffer
	g, err := host.Instantiate(t.Context(), compiled(t, host, wasm), virt.WithRecording(&tape), virt.WithFuel(100_000_000))
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := g.Call(t.Context(), "nest", 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	replayed(t, wasm, tape.Bytes(), g.Result(), "", shared)
}

// A Handler has the guest make other calls in the middle of one, and goes on with that.
func TestReplayOfCallsWithinCalls(t *testing.T) {
	wasm := waiterModule(false)
	host := newHost(t, virt.WithStdin(strings.NewReader("abc")), virt.WithMiddleware("fd_read", func(c *virt.Call) wasip1.Errno {
		if _, err := c.Guest().Call(c.Context(), "fd_write", 1, cancelIovAt, 0, cancelResultAt); err != nil {
			t.Error(err)
		}
		return c.Next()
	}))
	var tape bytes.Buffer
	g, err := host.Instantiate(t.Context(), compiled(t, host, wasm), virt.WithRecording(&tape))
	if err != nil {
		t.Fatal(err)
	}
	iov := []byte{0, 8, 0, 0, 1, 0, 0, 0} // one byte at 2048
	if err := g.WriteMemory(cancelIovAt, iov); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := g.Call(t.Context(), "fd_read", 0, cancelIovAt, 1, cancelResultAt); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	replayed(t, wasm, tape.Bytes(), g.Result(), "")
	p, err := replay.Compare(bytes.NewReader(tape.Bytes()), bytes.NewReader(nil), 0)
	if err == nil {
		t.Errorf("%v, want an error", p)
	}
	if events := virt.Events(tape.Bytes()); !bytes.Contains(events, []byte("a")) || !bytes.Contains(events, []byte("b")) {
		t.Error("what the function stored is not in the recording")
	}
}

func TestRecordingRefusesWhatNobodyRecords(t *testing.T) {
	// A module that imports env.call_host, of type [] → [].
	wasm := []byte("\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x02\x11\x01\x03env\x09call_host\x00\x00")
	env := func(r wazero.Runtime) (api.Module, error) {
		return r.NewHostModuleBuilder("env").NewFunctionBuilder().WithFunc(func() {}).Export("call_host").Instantiate(context.Background())
	}
	refused := func(name, want string, wasm []byte, opts ...virt.Option) {
		t.Helper()
		for _, record := range []virt.GuestOption{virt.WithRecording(io.Discard), virt.WithHash()} {
			host := newHost(t, opts...)
			if _, err := host.Instantiate(t.Context(), compiled(t, host, wasm), record); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
	refused("a module of wazero's", "env.call_host, which nobody records", wasm, virt.WithModules(env))
	function := func(c *virt.HostCall, _ []uint64) {}
	host := newHost(t, virt.WithFunctions("env", virt.HostFunction{Name: "call_host", Call: function}))
	if _, err := host.Instantiate(t.Context(), compiled(t, host, wasm), virt.WithRecording(io.Discard)); err != nil {
		t.Error(err)
	}
	if _, err := host.Sibling(virt.WithFunctions("env", virt.HostFunction{Name: "other", Call: function})); err == nil {
		t.Error("a sibling has functions of its own")
	}
	for want, o := range map[string]virt.Option{
		"the Host's own": virt.WithFunctions("wasi", virt.HostFunction{Name: "f", Call: function}),
		"is nil":         virt.WithFunctions("env", virt.HostFunction{Name: "f"}),
		"twice":          virt.WithFunctions("env", virt.HostFunction{Name: "f", Call: function}, virt.HostFunction{Name: "f", Call: function}),
		"references":     virt.WithFunctions("env", virt.HostFunction{Name: "f", Call: function, Params: []api.ValueType{api.ValueTypeExternref}}),
	} {
		if _, err := virt.NewBuilder(o).Build(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}

	foreign := virt.Foreign(api.GoModuleFunc(func(context.Context, api.Module, []uint64) {}))
	host = newHost(t, shared, virt.WithReplacement("random_get", foreign))
	result, err := host.Run(t.Context(), goGuest(t, "hello"), virt.WithRecording(io.Discard))
	if err != nil || result.Outcome != virt.Failed || !strings.Contains(result.Err.Error(), "random_get is answered by Foreign") {
		t.Errorf("a function of another host: %v, %v", result, err)
	}
}
