package virt_test

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
)

//go:embed testdata/nan.wasm
var nanGuest []byte

// With Determinism.CanonicalNaNs the bits of NaNs are the same in each engine, in siblings, and
// where a recording is replayed.
func TestCanonicalNaNs(t *testing.T) {
	bits := func(b []byte) string {
		if len(b) != 48 {
			return fmt.Sprintf("%d bytes", len(b))
		}
		u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
		return fmt.Sprintf("f64 %x, f32 %x, f64x2 %x %x, f32x4 %x %x", u64(0), u64(8), u64(16), u64(24), u64(32), u64(40))
	}
	const want = "f64 7ff8000000000000, f32 7fc00000, f64x2 7ff8000000000000 7ff8000000000000, f32x4 7fc000007fc00000 7fc000007fc00000"
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		first := newHost(t, engine, virt.WithDeterminism(virt.Determinism{CanonicalNaNs: true}))
		m := compiled(t, first, nanGuest)
		sibling, err := first.Sibling(virt.Deterministic(1))
		if err != nil {
			t.Fatal(err)
		}
		for name, host := range map[string]*virt.Host{"first": first, "sibling": sibling} {
			var out, replayed, tape bytes.Buffer
			if _, err := host.RunModule(t.Context(), m, virt.WithStdout(&out), virt.WithRecording(&tape)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, bits(out.Bytes())); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			if _, err := replay.Run(t.Context(), nanGuest, &tape, virt.WithStdout(&replayed)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, bits(replayed.Bytes())); diff != "" {
				t.Errorf("%s, replayed (-want +got):\n%s", name, diff)
			}
		}
		plain := newHost(t, engine, virt.Deterministic(0))
		var out bytes.Buffer
		if _, err := plain.RunModule(t.Context(), compiled(t, plain, nanGuest), virt.WithStdout(&out)); err != nil {
			t.Fatal(err)
		}
		t.Log("without: ", bits(out.Bytes()))
	})
}
