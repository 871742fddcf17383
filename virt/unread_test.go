package virt_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/virt"
)

// TestStderrOfTheResult: what a guest wrote to standard error is in its Result where no option says
// where it goes, of much of it the beginning and the end.
func TestStderrOfTheResult(t *testing.T) {
	host := newHost(t)
	wasm := loop("wasi_snapshot_preview1", texts("begin ", "0123456789", " end"), []call{writeText(2, 0)}, []call{writeText(2, 1)})
	m := compiled(t, host, wasm)
	written := func(n int) string { return "begin " + strings.Repeat("0123456789", n) }
	for _, n := range []int{1, 203, 204, 205, 1000} {
		g := newGuest(t, host, m)
		if _, err := g.Call(t.Context(), "run", uint64(n)); err != nil {
			t.Fatal(err)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := written(n)
		if len(want) > 2048 {
			want = want[:1024] + "\n[...]\n" + want[len(want)-1024:]
		}
		if diff := cmp.Diff(want, g.Result().Stderr); diff != "" {
			t.Errorf("%d times (-want +got):\n%s", n, diff)
		}
	}

	var out bytes.Buffer
	g := newGuest(t, host, m, virt.WithStderr(&out))
	if _, err := g.Call(t.Context(), "run", 1); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := g.Result(); r.Stderr != "" || out.String() != written(1) {
		t.Errorf("with a writer: Result has %q, the writer %q", r.Stderr, &out)
	}
}

// TestStderrOfTheResultIsReset: a guest that is reset has written nothing.
func TestStderrOfTheResultIsReset(t *testing.T) {
	host := newHost(t)
	m := compiled(t, host, loop("wasi_snapshot_preview1", texts("text"), nil, []call{writeText(2, 0)}))
	g := newGuest(t, host, m)
	for range 2 {
		if _, err := g.Call(t.Context(), "run", 1); err != nil {
			t.Fatal(err)
		}
		if err := g.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := g.Result().Stderr; got != "" {
		t.Errorf("after a reset: %q", got)
	}
}
