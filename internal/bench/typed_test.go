package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	extism "github.com/extism/go-sdk"
	"github.com/knqyf263/go-plugin/examples/helloworld/greeting"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/plugin"
)

// Request and Reply are the struct that goes in and the one that comes out. Those of go-plugin have
// the name and the message alone.
type (
	Request struct {
		ID     uint64
		Name   string
		Urgent bool
	}
	Reply struct {
		ID      uint64
		Message string
	}
)

// greeter is a plugin in Go behind one of the ways to call it.
type greeter struct {
	greet   func(ctx context.Context, name string) (string, error)
	request func(ctx context.Context, r Request) (Reply, error)
}

// reactor builds a Go package as a reactor.
func reactor(tb testing.TB, pkg string) string {
	tb.Helper()
	wasm := filepath.Join(tb.TempDir(), "plugin.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", wasm, pkg)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return wasm
}

func newWasivirt(tb testing.TB) greeter {
	ctx := context.Background()
	wasm, err := os.ReadFile(reactor(tb, "./guest/typed"))
	if err != nil {
		tb.Fatal(err)
	}
	host, err := virt.NewBuilder().Build(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = host.Close(ctx) })
	m, err := host.Compile(ctx, wasm)
	if err != nil {
		tb.Fatal(err)
	}
	g, err := host.Instantiate(ctx, m)
	if err != nil {
		tb.Fatal(err)
	}
	var all greeter
	var err2 error
	all.greet, err = plugin.Func[func(context.Context, string) (string, error)](g, "greet")
	all.request, err2 = plugin.Func[func(context.Context, Request) (Reply, error)](g, "greet_request")
	if err := errors.Join(err, err2); err != nil {
		tb.Fatal(err)
	}
	return all
}

// byHand calls the same guest as newWasivirt with wazero alone.
type byHand struct {
	memory                       api.Memory
	malloc, free, greet, request api.Function
}

func newByHand(tb testing.TB) greeter {
	ctx := context.Background()
	wasm, err := os.ReadFile(reactor(tb, "./guest/typed"))
	if err != nil {
		tb.Fatal(err)
	}
	r := wazero.NewRuntime(ctx)
	tb.Cleanup(func() { _ = r.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	mod, err := r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		tb.Fatal(err)
	}
	h := &byHand{mod.Memory(), mod.ExportedFunction("malloc"), mod.ExportedFunction("free"),
		mod.ExportedFunction("greet"), mod.ExportedFunction("greet_request")}
	return greeter{h.callGreet, h.callRequest}
}

var errMemory = errors.New("not in the guest's memory")

// give copies a text to the guest.
func (h *byHand) give(ctx context.Context, s string) (uint64, error) {
	ptr, err := h.malloc.Call(ctx, uint64(max(len(s), 1)))
	if err != nil {
		return 0, err
	}
	if !h.memory.WriteString(uint32(ptr[0]), s) {
		return 0, errMemory
	}
	return ptr[0], nil
}

// take copies a text of the guest's and frees it.
func (h *byHand) take(ctx context.Context, ptr, n uint32) (string, error) {
	b, ok := h.memory.Read(ptr, n)
	if !ok {
		return "", errMemory
	}
	s := string(b)
	_, err := h.free.Call(ctx, uint64(ptr))
	return s, err
}

func (h *byHand) callGreet(ctx context.Context, name string) (string, error) {
	ptr, err := h.give(ctx, name)
	if err != nil {
		return "", err
	}
	r, err := h.greet.Call(ctx, ptr, uint64(len(name)))
	if err != nil {
		return "", err
	}
	s, err := h.take(ctx, uint32(r[0]>>32), uint32(r[0]))
	if err == nil {
		_, err = h.free.Call(ctx, ptr)
	}
	return s, err
}

func (h *byHand) callRequest(ctx context.Context, q Request) (p Reply, err error) {
	ptr, err := h.give(ctx, q.Name)
	if err != nil {
		return p, err
	}
	urgent := uint64(0)
	if q.Urgent {
		urgent = 1
	}
	r, err := h.request.Call(ctx, q.ID, ptr, uint64(len(q.Name)), urgent)
	if err != nil {
		return p, err
	}
	at := uint32(r[0] >> 32)
	b, ok := h.memory.Read(at, 16)
	if !ok {
		return p, errMemory
	}
	p.ID = binary.LittleEndian.Uint64(b)
	if p.Message, err = h.take(ctx, binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])); err != nil {
		return p, err
	}
	_, err1 := h.free.Call(ctx, uint64(at))
	_, err2 := h.free.Call(ctx, ptr)
	return p, errors.Join(err1, err2)
}

func newExtism(tb testing.TB) greeter {
	ctx := context.Background()
	manifest := extism.Manifest{Wasm: []extism.Wasm{extism.WasmFile{Path: reactor(tb, "./guest/extism")}}}
	p, err := extism.NewPlugin(ctx, manifest, extism.PluginConfig{EnableWasi: true}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.Close(ctx) })
	call := func(ctx context.Context, name string, in []byte) ([]byte, error) {
		code, out, err := p.CallWithContext(ctx, name, in)
		if err == nil && code != 0 {
			err = fmt.Errorf("code %d", code)
		}
		return out, err
	}
	return greeter{
		func(ctx context.Context, name string) (string, error) {
			out, err := call(ctx, "greet", []byte(name))
			return string(out), err
		},
		func(ctx context.Context, r Request) (p Reply, err error) {
			in, err := json.Marshal(r)
			if err != nil {
				return p, err
			}
			out, err := call(ctx, "greet_request", in)
			if err != nil {
				return p, err
			}
			return p, json.Unmarshal(out, &p)
		},
	}
}

func newGoPlugin(tb testing.TB) greeter {
	ctx := context.Background()
	p, err := greeting.NewGreeterPlugin(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	g, err := p.Load(ctx, reactor(tb, "github.com/knqyf263/go-plugin/examples/helloworld/plugin-morning"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = g.Close(ctx) })
	greet := func(ctx context.Context, name string) (string, error) {
		r, err := g.Greet(ctx, &greeting.GreetRequest{Name: name})
		return r.GetMessage(), err
	}
	return greeter{greet, func(ctx context.Context, r Request) (Reply, error) {
		message, err := greet(ctx, r.Name)
		return Reply{r.ID + 1, message}, err
	}}
}

var greeters = []struct {
	name string
	make func(testing.TB) greeter
}{
	{"by-hand", newByHand}, {"wasivirt", newWasivirt}, {"extism", newExtism}, {"go-plugin", newGoPlugin},
}

// TestTyped: all ways to call a plugin give the same.
func TestTyped(t *testing.T) {
	for _, g := range greeters {
		t.Run(g.name, func(t *testing.T) {
			p := g.make(t)
			for _, name := range []string{"Ada", strings.Repeat("x", 1<<20)} {
				if s, err := p.greet(t.Context(), name); err != nil || s != "Good morning, "+name {
					t.Errorf("greet: %d bytes, %v", len(s), err)
				}
				r, err := p.request(t.Context(), Request{6, name, true})
				if err != nil || r.ID != 7 || r.Message != "Good morning, "+name {
					t.Errorf("request: %d, %d bytes, %v", r.ID, len(r.Message), err)
				}
			}
		})
	}
}

// BenchmarkTyped is a call of a plugin in Go with a text, and with a struct of 1 KiB and of 1 MiB,
// in each way.
func BenchmarkTyped(b *testing.B) {
	all := make([]greeter, len(greeters))
	for i, g := range greeters {
		all[i] = g.make(b)
	}
	for _, row := range []struct {
		name string
		call func(g greeter) error
	}{
		{"string", func(g greeter) error { _, err := g.greet(context.Background(), "Ada"); return err }},
		{"struct-1KiB", requesting(1 << 10)},
		{"struct-1MiB", requesting(1 << 20)},
	} {
		b.Run(row.name, func(b *testing.B) {
			for i, g := range greeters {
				b.Run(g.name, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if err := row.call(all[i]); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

func requesting(size int) func(g greeter) error {
	r := Request{6, strings.Repeat("x", size), true}
	return func(g greeter) error { _, err := g.request(context.Background(), r); return err }
}
