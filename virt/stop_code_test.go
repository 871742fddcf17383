package virt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/memory/wazeromem"
	"github.com/wasivirt/wasivirt/virt"
)

// endlessCode are guests that compute for longer than anybody waits, each in instructions or calls
// of another kind.
func endlessCode() map[string]handModule {
	const (
		opIf        = 0x04
		opReturn    = 0x12 // return_call
		opLocalTee  = 0x22
		opI32And    = 0x71
		opI32Mul    = 0x6c
		opGrow      = 0x40
		prefixBulk  = 0xfc
		prefixVec   = 0xfd
		prefixFence = 0xfe
	)
	number := func(n int64) []byte {
		b := []byte{opI32Const}
		for ; n >= 0x40; n >>= 7 {
			b = append(b, byte(n)|0x80)
		}
		return append(b, byte(n))
	}
	loop := func(turn ...byte) []byte {
		return append(append([]byte{opLoop, opEmpty}, turn...), opBr, 0, opEnd)
	}
	three := func(a, b, c int64, op ...byte) []byte {
		return bytes.Join([][]byte{number(a), number(b), number(c), op}, nil)
	}
	guest := func(start []byte, others ...[]byte) handModule {
		m := handModule{memory: 512, funcs: []handFunc{{name: "_start", body: start}}}
		for _, body := range others {
			m.funcs = append(m.funcs, handFunc{body: body})
		}
		return m
	}
	const half = 16 << 20
	load := []byte{opI32Const, 0, opI32Load, 2, 0, opI32Const, 3, opI32And, opI32Load, 2, 0, opDrop}
	divide := []byte{opI32Const, 7, opI32Const, 3, 0x6e, opDrop}
	vector := append(append([]byte{prefixVec, 12}, make([]byte, 16)...), append(append([]byte{prefixVec, 12}, make([]byte, 16)...), prefixVec, 0xf3, 1, opDrop)...)
	all := map[string]handModule{
		"empty loop":       guest(loop()),
		"loads":            guest(loop(bytes.Repeat(load, 5000)...)),
		"divisions":        guest(loop(bytes.Repeat(divide, 5000)...)),
		"vectors":          guest(loop(bytes.Repeat(vector, 1000)...)),
		"memory.copy up":   guest(loop(three(half, 0, half, prefixBulk, 10, 0, 0)...)),
		"memory.copy down": guest(loop(three(0, half-8, half, prefixBulk, 10, 0, 0)...)),
		"memory.fill":      guest(loop(three(0, 5, 2*half-1, prefixBulk, 11, 0)...)),
		"short copies":     guest(loop(three(0, half, 300, prefixBulk, 10, 0, 0)...)),
		"memory.grow":      guest(loop(opI32Const, 1, opGrow, 0, opDrop)),
		"tail calls":       guest([]byte{opReturn, 1}, []byte{opReturn, 0}),
	}
	table := func(m handModule, least int, functions ...byte) handModule {
		m.tables, m.elements = []string{"\x70\x00" + string(binary.AppendUvarint(nil, uint64(least)))}, functions
		return m
	}
	const many = 5_000_000
	null := []byte{0xd0, 0x70}
	all["table.fill"] = table(guest(loop(slices.Concat(number(0), null, number(many), []byte{prefixBulk, 17, 0})...)), many)
	all["table.copy"] = table(guest(loop(three(0, 1, many-1, prefixBulk, 14, 0, 0)...)), many)
	all["table.grow"] = table(guest(loop(slices.Concat(null, number(1), []byte{prefixBulk, 15, 0, opDrop})...)), 1)
	all["table.set"] = table(guest(loop(slices.Concat(number(0), null, []byte{0x26, 0})...)), 1)
	all["atomics"] = guest(loop(three(0, 1, 2, opDrop, prefixFence, 0x1e, 2, 0, opDrop)...))
	all["call_indirect"] = table(guest(loop(opI32Const, 1, 0x11, 1, 0), nil), 2, 0, 1)
	all["indirect tail calls"] = table(guest([]byte{opI32Const, 1, 0x13, 1, 0}, []byte{opI32Const, 0, 0x13, 0, 0}), 2, 0, 1)
	all["call_ref"] = table(guest(loop(0xd2, 1, 0x14, 1), nil), 2, 0, 1)
	throws := guest(loop(0x02, opEmpty, 0x1f, opEmpty, 1, 2, 0, 0x08, 0, opEnd, opEnd))
	throws.tags = 1
	all["throws"] = throws
	// Functions without a cycle, each of which calls the next twice, and a start function that
	// does.
	dag := [][]byte{}
	for i := range 45 {
		dag = append(dag, []byte{opCall, byte(i + 2), opCall, byte(i + 2)})
	}
	dag = append(dag, nil)
	all["calls without a cycle"] = guest([]byte{opCall, 1}, dag...)
	m := guest([]byte{}, dag...)
	m.start = 1
	all["a start function"] = m
	return all
}

// computing is a guest that computes without an end when it is entered.
type computing struct {
	wasm  []byte
	enter func(ctx context.Context, host *virt.Host, m *virt.Module) error
}

// run enters a guest by its _start.
func run(ctx context.Context, host *virt.Host, m *virt.Module) error {
	r, err := host.RunModule(ctx, m)
	if err == nil && r.Outcome != virt.Canceled {
		err = errors.New(r.String())
	}
	return err
}

// endlessEntries are guests that compute without an end in every function that the host calls by
// itself or for host code.
func endlessEntries() map[string]computing {
	all := map[string]computing{}
	for name, m := range endlessCode() {
		all[name] = computing{m.encode(), run}
	}
	endless := handModule{memory: 1, funcs: []handFunc{{module: "env", name: "f"}}}
	loop := []byte{opLoop, opEmpty, opBr, 0, opEnd}
	for _, name := range []string{"spin", "wasivirt_reseed", "_initialize"} {
		m := endless
		m.funcs = append(slices.Clone(m.funcs), handFunc{name: name, body: loop}, handFunc{name: "_start", body: []byte{opCall, 0}})
		all["the export "+name] = computing{m.encode(), func(ctx context.Context, host *virt.Host, m *virt.Module) error {
			g, err := host.Instantiate(ctx, m)
			if err != nil {
				return err
			}
			defer g.Close(context.WithoutCancel(ctx))
			if name == "spin" {
				_, err = g.Call(ctx, name)
				return err
			}
			s, err := g.Snapshot(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			_, err = s.Start(ctx)
			return err
		}}
	}
	all["Do"] = computing{all["the export spin"].wasm, func(ctx context.Context, host *virt.Host, m *virt.Module) error {
		g, err := host.Instantiate(ctx, m)
		if err != nil {
			return err
		}
		defer g.Close(context.WithoutCancel(ctx))
		return g.Do(ctx, func(c *virt.HostCall) error { _, err := c.Call("spin"); return err })
	}}
	all["an export that a host function calls"] = computing{all["the export spin"].wasm, run}
	all["an allocator"] = computing{endlessMalloc(), func(ctx context.Context, host *virt.Host, m *virt.Module) error {
		g, err := host.Instantiate(ctx, m)
		if err != nil {
			return err
		}
		defer g.Close(context.WithoutCancel(ctx))
		a, err := wazeromem.NewAllocator(g.Instance(), "malloc")
		if err != nil {
			return err
		}
		_, err = a.Alloc(ctx, 100)
		return err
	}}
	return all
}

// spins is a host function that calls back.
func spins() virt.Option {
	return virt.WithFunctions("env", virt.HostFunction{Name: "f", Call: func(c *virt.HostCall, _ []uint64) {
		if _, err := c.Call("spin"); err != nil {
			c.Trap(err)
		}
	}})
}

// slowest is how long something took at most.
type slowest struct{ stop, collection time.Duration }

// stopOnce enters a guest, cancels it and waits for its end, while the collector runs beside it.
func (s *slowest) stopOnce(t *testing.T, host *virt.Host, m *virt.Module, c computing) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.enter(ctx, host, m) }()
	start := time.Now()
	runtime.GC()
	s.collection = max(s.collection, time.Since(start))
	<-ctx.Done()
	over, _ := ctx.Deadline()
	err := <-done
	s.stop = max(s.stop, time.Since(over))
	var exit *virt.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

// TestStopCode cancels guests that compute, in every form of the check, while the collector runs
// beside them.
func TestStopCode(t *testing.T) {
	forms := map[string]virt.Option{
		"compiler": virt.Options(), "fuel": virt.WithFuel(1 << 60), "depth": virt.WithLimits(func(l *virt.Limits) { l.CallDepth = 1000 }), "interpreter": virt.WithInterpreter(),
	}
	rounds := 3
	switch {
	case full:
		rounds = 100
	case testing.Short():
		rounds = 1
	}
	for name, c := range endlessEntries() {
		for form, opt := range forms {
			t.Run(name+"/"+form, func(t *testing.T) {
				host := newHost(t, opt, spins())
				m := compiled(t, host, c.wasm)
				var s slowest
				for range rounds {
					s.stopOnce(t, host, m, c)
				}
				t.Logf("ended %v after the cancellation at the latest; a collection took %v at most", s.stop, s.collection)
			})
		}
	}
}

// TestFuelOfDAGs stops calls without a cycle when their fuel is used up, not 2^45 instructions
// later, and a copy.
func TestFuelOfDAGs(t *testing.T) {
	all := endlessCode()
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		for _, name := range []string{"calls without a cycle", "memory.copy up"} {
			host := newHost(t, engine, virt.WithFuel(1_000_000))
			m := compiled(t, host, all[name].encode())
			g := newGuest(t, host, m)
			_, err := g.Call(t.Context(), "_start")
			exhausted(t, err)
			if used := g.Usage().Fuel; used != 1_000_000 {
				t.Errorf("%s: used %d", name, used)
			}
			if b, ok := g.Instance().Memory().Read(0, 4); !ok || binary.LittleEndian.Uint32(b) != 0 {
				t.Errorf("%s: %v", name, b)
			}
		}
	})
}
