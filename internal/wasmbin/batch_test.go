package wasmbin

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWorkersDoNotShow: the result, the report and the errors are the same however many workers
// there are and whatever a batch is.
func TestWorkersDoNotShow(t *testing.T) {
	all := map[string][]byte{"kernels": kernels(), "catcher": catcher(), "calls": callDAG(50), "bulk": bulkGuest()}
	for seed := range uint64(40) {
		all[fmt.Sprintf("generated %d", seed)] = generate(seed)
	}
	broken := callDAG(50)
	broken[len(broken)-100] = 0xff
	all["broken"] = broken
	for name, module := range all {
		for _, opts := range append(uncheckedForms, Options{Stop: true, Capture: true, ImportModule: "wasivirt"}) {
			want, report, wantErr := rewrite(module, opts, tuning{workers: 1})
			for _, tune := range []tuning{{workers: 1, batch: 1}, {workers: 3, batch: 1}, {workers: 8, batch: 100}, {}} {
				got, r, err := rewrite(module, opts, tune)
				if !bytes.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
					t.Fatalf("%s with %+v: %d bytes, %v; want %d bytes, %v", name, tune, len(got), err, len(want), wantErr)
				}
				if diff := cmp.Diff(report, r); diff != "" {
					t.Fatalf("%s with %+v (-want +got):\n%s", name, tune, diff)
				}
			}
		}
	}
	if _, _, err := Rewrite(broken, uncheckedForms[0]); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Error("the broken module is not broken")
	}
}

// TestRewritingIsLinear: ten times the code allocates ten times as much, whatever it consists of.
func TestRewritingIsLinear(t *testing.T) {
	allocated := func(module []byte, opts Options) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, _, err := rewrite(module, opts, tuning{workers: 1}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	for name, unit := range map[string]string{
		"ifs": "\x41\x00\x04\x40\x01\x0b", "branches": "\x41\x00\x0d\x00", "loops": "\x03\x40\x41\x00\x0d\x00\x0b", "blocks": "\x02\x40\x0b",
		"calls": "\x10\x01", "copies": "\x41\x00\x41\x00\x41\x00\xfc\x0a\x00\x00", "loads": "\x41\x00\x28\x02\x00\x1a",
	} {
		one := func(n int) []byte { // one function
			m := testModule{memories: [][]byte{{0, 1}}}
			m.add(testFunc{export: "run", code: append(bytes.Repeat([]byte(unit), n), byte(opEnd))})
			m.add(testFunc{code: []byte{byte(opEnd)}})
			return m.bytes()
		}
		many := func(n int) []byte {
			m := testModule{memories: [][]byte{{0, 1}}}
			for range n / 100 {
				m.add(testFunc{code: append(bytes.Repeat([]byte(unit), 100), byte(opEnd))})
			}
			return m.bytes()
		}
		for shape, make := range map[string]func(int) []byte{"one function": one, "many functions": many} {
			for _, opts := range uncheckedForms {
				small, large := make(5_000), make(50_000)
				a, b := allocated(small, opts), allocated(large, opts)
				if b > 12*a {
					t.Errorf("%s in %s, %+v: %d bytes for %d, and %d for %d", name, shape, opts, a, len(small), b, len(large))
				}
			}
		}
	}
}
