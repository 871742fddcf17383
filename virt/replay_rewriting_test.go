package virt_test

import (
	"bytes"
	_ "embed"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
)

//go:embed testdata/indirect.wasm
var indirectWasm []byte

// A recording is replayed by code that was rewritten as the guest's was, whatever the guest's Host
// asked for: the end is at the same look at the Host.
func TestReplayRewritesAlike(t *testing.T) {
	stack := func(bytes uint64) virt.Option { return virt.WithLimits(func(l *virt.Limits) { l.Stack = bytes }) }
	sibling := func(first *virt.Host, opts ...virt.Option) *virt.Host {
		s, err := first.Sibling(opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close(t.Context()) })
		return s
	}
	type run struct {
		wasm []byte
		args []string
	}
	do := bareGuest(t, "do")
	calls := []run{{do, []string{"spam", "5000", "exit", "3"}}, {indirectWasm, nil}}
	deep := append(calls, run{do, []string{"deep", "exit", "4"}})
	for _, tc := range []struct {
		name string
		host func() *virt.Host
		runs []run
	}{
		{"parallel", func() *virt.Host { return hostOf(t) }, deep},
		{"fuel", func() *virt.Host { return hostOf(t, virt.WithFuel(1<<40)) }, deep},
		{"stack", func() *virt.Host { return hostOf(t, stack(1<<20)) }, deep},
		{"turns", func() *virt.Host { return hostOf(t, virt.Deterministic(1), virt.WithMaxThreads(4)) }, deep},
		{"parallel beside turns", func() *virt.Host { return sibling(hostOf(t, virt.Deterministic(1))) }, deep},
		{"turns beside fuel", func() *virt.Host { return sibling(hostOf(t, virt.WithFuel(1<<40)), virt.Deterministic(1)) }, deep},
		{"interpreter", func() *virt.Host { return hostOf(t, virt.WithInterpreter()) }, calls}, // whose stack ends elsewhere
	} {
		t.Run(tc.name, func(t *testing.T) {
			host := tc.host()
			for _, r := range tc.runs {
				var tape, out, again bytes.Buffer
				want, err := host.Run(t.Context(), r.wasm, virt.WithArgs(r.args...), virt.WithRecording(&tape), virt.WithStdout(&out))
				if err != nil {
					t.Fatal(err)
				}
				got, err := replay.Run(t.Context(), r.wasm, &tape, virt.WithStdout(&again))
				if err != nil {
					t.Fatalf("%q, which ended with %v: %v", r.args, want, err)
				}
				if got.String() != want.String() || again.String() != out.String() {
					t.Errorf("%q: replayed to %v with %d bytes of output, want %v with %d", r.args, got, again.Len(), want, out.Len())
				}
			}
		})
	}
}

// The budget of call stacks looks at the engine's own stacks, of which hashes tell nothing.
func TestHashOfADeepRecursion(t *testing.T) {
	hashes := map[[32]byte]bool{}
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine, virt.Deterministic(1), virt.WithLimits(func(l *virt.Limits) { l.Stack = 1 << 30 }))
		r, err := host.Run(t.Context(), indirectWasm, virt.WithHash())
		if err != nil || r.ExitCode != 3 {
			t.Fatal(r, err)
		}
		hashes[r.Hash] = true
	})
	if len(hashes) != 1 {
		t.Errorf("the two engines give %d hashes", len(hashes))
	}
}
