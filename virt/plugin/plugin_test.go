package plugin_test

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/internal/testcache"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/plugin"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/virt/trap"
	"github.com/wasivirt/wasivirt/wasip1"
)

//go:embed testdata/abi.wasm
var abiWasm []byte

//go:embed testdata/cabi.wasm
var cabiWasm []byte

//go:embed testdata/objects.wasm
var objectsWasm []byte

var goWasm = sync.OnceValues(func() ([]byte, error) {
	return goguest.Build(context.Background(), "./testdata/go", "-buildmode=c-shared")
})

// lookup is the host's function that the guests import.
func lookup(_ context.Context, key string) (string, error) {
	if key == "" {
		return "", errors.New("no key")
	}
	return "<" + key + ">", nil
}

func hostWith(tb testing.TB, f any, opts ...plugin.Option) virt.HostOption {
	tb.Helper()
	fn, err := plugin.HostFunc("lookup", f, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	return virt.WithFunctions("env", fn)
}

// newGuest makes a guest of wasm.
func newGuest(tb testing.TB, wasm []byte, functions virt.HostOption, opts ...virt.GuestOption) *virt.Guest {
	tb.Helper()
	builder := virt.NewBuilder(functions)
	if os.Getenv("WASIVIRT_ENGINE") == "interpreter" {
		builder = builder.With(virt.WithInterpreter())
	}
	host, err := builder.Build(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			tb.Errorf("close the Host: %v", err)
		}
	})
	m, err := host.Compile(context.Background(), wasm)
	if err != nil {
		tb.Fatal(err)
	}
	g, err := host.Instantiate(context.Background(), m, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

func cGuest(tb testing.TB, opts ...virt.GuestOption) *virt.Guest {
	return newGuest(tb, abiWasm, hostWith(tb, lookup), opts...)
}

func goGuest(tb testing.TB, opts ...virt.GuestOption) *virt.Guest {
	tb.Helper()
	wasm, err := goWasm()
	if err != nil {
		tb.Fatal(err)
	}
	return newGuest(tb, wasm, virt.Options(hostWith(tb, lookup), testcache.Option()), opts...)
}

func objectGuest(tb testing.TB, opts ...virt.GuestOption) *virt.Guest {
	return newGuest(tb, objectsWasm, hostWith(tb, lookup, plugin.WithAssemblyScript()), opts...)
}

// fn is plugin.Func, which must not fail.
func fn[F any](tb testing.TB, g *virt.Guest, name string, opts ...plugin.Option) F {
	tb.Helper()
	f, err := plugin.Func[F](g, name, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// live is how many blocks of the C guest's allocator are in use.
func live(tb testing.TB, g *virt.Guest) uint32 {
	tb.Helper()
	n, err := fn[func(context.Context) (uint32, error)](tb, g, "live")(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

type point struct {
	X, Y  float64
	Label string
}

type textFunc = func(context.Context, string) (string, error)

func TestCallsInEveryLanguage(t *testing.T) {
	for name, guest := range map[string]*virt.Guest{"C": cGuest(t), "Go": goGuest(t), "AssemblyScript": objectGuest(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			upper := fn[textFunc](t, guest, "upper")
			for _, text := range []string{"hello", "x", strings.Repeat("long ", 100_000)} {
				if got, err := upper(ctx, text); err != nil || got != strings.ToUpper(text) {
					t.Fatalf("upper of %d bytes: %d bytes, %v", len(text), len(got), err)
				}
			}
			_, err := upper(ctx, "")
			failed, ok := errors.AsType[*plugin.Error](err)
			if !ok || failed.Message != "nothing to do" || failed.Func != "upper" {
				t.Errorf("upper of nothing: %v", err)
			}
			want := point{3, -5, "π 🙂!"}
			if name == "AssemblyScript" {
				got, err := fn[func(context.Context, float64, float64, string, float32) (point, error)](t, guest, "scale")(ctx, 1.5, -2.5, "π 🙂", 2)
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Error(diff, err)
				}
			} else {
				got, err := fn[func(context.Context, point, float32) (point, error)](t, guest, "scale")(ctx, point{1.5, -2.5, "π 🙂"}, 2)
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Error(diff, err)
				}
				n, err := fn[func(context.Context, []int32) (int64, error)](t, guest, "sum")(ctx, []int32{math.MaxInt32, 1, -7})
				if n != math.MaxInt32-6 || err != nil {
					t.Error(n, err)
				}
				check := fn[func(context.Context, bool) error](t, guest, "check")
				if err := check(ctx, true); err != nil {
					t.Error(err)
				}
				if err := check(ctx, false); err == nil || err.Error() != "not ok" {
					t.Error(err)
				}
			}
			ask := fn[textFunc](t, guest, "ask")
			if got, err := ask(ctx, "key"); got != "<key>" || err != nil {
				t.Errorf("ask: %q, %v", got, err)
			}
			_, err = ask(ctx, "")
			if name == "AssemblyScript" { // its import returns a string, which carries no error
				if trapped, ok := errors.AsType[*virt.Trap](err); !ok || trapped.Kind != trap.Host {
					t.Errorf("ask for nothing: %v", err)
				}
			} else if failed, ok := errors.AsType[*plugin.Error](err); !ok || failed.Message != "no key" {
				t.Errorf("ask for nothing: %v", err)
			}
		})
	}
}

func TestFormsOfResults(t *testing.T) {
	g := cGuest(t)
	for _, name := range []string{"upper", "upper_pointer", "upper_area"} {
		if got, err := fn[textFunc](t, g, name)(t.Context(), "text"); got != "TEXT" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	type many struct {
		N1, N2, N3, N4, N5, N6, N7, N8, N9, N10, N11, N12, N13, N14, N15, N16 int64
		Flag                                                                  bool
		S                                                                     string
	}
	sum, n, s, err := fn[func(context.Context, many) (float64, float64, string, error)](t, g, "many")(t.Context(), many{N1: 3, N16: 4, Flag: true, S: "abc"})
	if sum != 8 || n != 3 || s != "ABC" || err != nil {
		t.Error(sum, n, s, err)
	}
	if n := live(t, g); n != 0 {
		t.Errorf("%d blocks are left", n)
	}
}

func TestAssemblyScriptObjects(t *testing.T) {
	g := objectGuest(t)
	if got, err := fn[func(context.Context, string, string) (string, error)](t, g, "join")(t.Context(), "a🙂", "b"); got != "a🙂b" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := fn[func(context.Context, []byte) ([]byte, error)](t, g, "reverse")(t.Context(), []byte{1, 2, 3}); string(got) != "\x03\x02\x01" || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	hostile := fn[func(context.Context, uint32) (string, error)](t, g, "hostile")
	for _, ptr := range []uint32{1, 7, 8, 64, 65536 - 4, math.MaxUint32} {
		if _, err := hostile(t.Context(), ptr); !isMemoryError(err) {
			t.Errorf("an object at %#x: %v", ptr, err)
		}
	}
}

func isMemoryError(err error) bool {
	_, ok := errors.AsType[*plugin.MemoryError](err)
	return ok
}

func TestBind(t *testing.T) {
	var p struct {
		Upper textFunc
		Total func(context.Context, []int32) (int64, error) `wasm:"sum"`
	}
	g := cGuest(t)
	if err := plugin.Bind(g, &p); err != nil {
		t.Fatal(err)
	}
	if s, err := p.Upper(t.Context(), "a"); s != "A" || err != nil {
		t.Error(s, err)
	}
	if n, err := p.Total(t.Context(), []int32{1, 2}); n != 3 || err != nil {
		t.Error(n, err)
	}
	var wrong struct {
		Absent textFunc
		Sum    func(context.Context, bool) error
	}
	err := plugin.Bind(g, &wrong)
	if !errors.Is(err, virt.ErrNoExport) || !strings.Contains(err.Error(), `"sum": its type is (i32, i32) → (i64), and func(context.Context, bool) error wants (i32) → () or (i32) → (i64)`) {
		t.Error(err)
	}
}

func TestTypesThatCannotBePassed(t *testing.T) {
	g := cGuest(t)
	type loop struct{ Next []loop }
	for _, err := range []error{
		second(plugin.Func[func(string) (string, error)](g, "upper")),
		second(plugin.Func[func(context.Context, string) string](g, "upper")),
		second(plugin.Func[func(context.Context, map[string]int) error](g, "upper")),
		second(plugin.Func[func(context.Context, loop) error](g, "upper")),
		second(plugin.Func[func(context.Context, []struct{}) error](g, "upper")),
		second(plugin.Func[func(context.Context, struct{ a int }) error](g, "upper")),
		second(plugin.Func[func(context.Context, int64) (string, error)](g, "upper")),
		second(plugin.Func[textFunc](g, "upper", plugin.WithAllocator("get", "free"))),
		second(plugin.Func[int](g, "upper")),
		second(plugin.HostFunc("f", nil)),
		second(plugin.HostFunc("f", func(string) {})),
		plugin.Bind(g, 3),
	} {
		if err == nil {
			t.Error("no error")
		} else {
			t.Log(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// What a guest returns is used only where it lies in the guest's memory and is not too large.
func TestHostileResults(t *testing.T) {
	g := cGuest(t)
	pack := func(ptr, n uint64) uint64 { return ptr<<32 | n }
	str := fn[func(context.Context, uint64) (string, error)](t, g, "hostile", plugin.WithStaticResults(), plugin.WithMaxSize(1<<16))
	structs := fn[func(context.Context, uint64) ([]point, error)](t, g, "hostile", plugin.WithStaticResults(), plugin.WithMaxSize(1<<16))
	pointer := fn[func(context.Context, uint64) (point, error)](t, g, "hostile_pointer", plugin.WithStaticResults())
	unlimited := fn[func(context.Context, uint64) (string, error)](t, g, "hostile", plugin.WithStaticResults(), plugin.WithMaxSize(0))
	if s, err := unlimited(t.Context(), pack(0, 100)); err != nil || len(s) != 100 {
		t.Errorf("without a limit: %d bytes, %v", len(s), err)
	}
	for _, c := range []struct {
		packed uint64
		want   wasip1.Errno
	}{
		{pack(0, 1<<31-1), wasip1.EOVERFLOW},
		{pack(0, 1<<16+1), wasip1.EOVERFLOW},
		{pack(math.MaxUint32, 1), wasip1.EFAULT},
		{pack(math.MaxUint32, 1<<31+100), wasip1.EFAULT}, // as an error
		{pack(1<<31, 16), wasip1.EFAULT},
	} {
		for _, err := range []error{second(str(t.Context(), c.packed)), second(structs(t.Context(), c.packed))} {
			if !isMemoryError(err) || !errors.Is(err, c.want) && !errors.Is(err, wasip1.EOVERFLOW) {
				t.Errorf("%#x: %v, want %v", c.packed, err, c.want)
			}
		}
	}
	if _, err := pointer(t.Context(), math.MaxUint32-8); !errors.Is(err, wasip1.EFAULT) {
		t.Error(err)
	}
	if r := g.Result(); r.Outcome != virt.Running {
		t.Errorf("the guest is %v", r)
	}
}

// TestBlocksCount: a result that has more blocks to free than bytes is as large as their list, and
// the guest is not asked to free the next one after it has failed to.
func TestBlocksCount(t *testing.T) {
	const at, n, limit = 40000, 2000, 1 << 16
	g := cGuest(t, virt.WithCallsAfterTrap())
	var empty []byte
	for range n {
		empty = binary.LittleEndian.AppendUint32(empty, 8)
		empty = binary.LittleEndian.AppendUint32(empty, 0)
	}
	if err := g.WriteMemory(at, empty); err != nil {
		t.Fatal(err)
	}
	list := func(opts ...plugin.Option) error {
		f := fn[func(context.Context, uint64) ([]string, error)](t, g, "hostile", append(opts, plugin.WithMaxSize(limit))...)
		return second(f(t.Context(), at<<32|n))
	}
	if err := list(plugin.WithStaticResults()); err != nil {
		t.Errorf("not freed: %v", err)
	}
	if err := list(); !errors.Is(err, wasip1.EOVERFLOW) {
		t.Errorf("%d blocks: %v, want EOVERFLOW", n, err)
	} else if told := strings.Count(err.Error(), ": free "); told > 1 {
		t.Errorf("%d errors of freeing, want one", told)
	}
}

// TestNestedCallsCount: what calls take that are within each other is together no more than one
// may.
func TestNestedCallsCount(t *testing.T) {
	const size, limit = 10_000, 65_000
	var g *virt.Guest
	deep := 0
	again := func(ctx context.Context, key string) (string, error) {
		if deep++; deep > 2*limit/size {
			return "", errors.New("too deep")
		}
		return fn[textFunc](t, g, "ask", plugin.WithMaxSize(limit))(ctx, key)
	}
	g = newGuest(t, abiWasm, hostWith(t, again, plugin.WithMaxSize(limit)))
	ask := fn[textFunc](t, g, "ask")
	if _, err := ask(t.Context(), strings.Repeat("k", size)); !errors.Is(err, wasip1.EOVERFLOW) || deep != limit/size {
		t.Errorf("%d calls within each other, each of which takes %d of %d bytes: %v", deep, size, limit, err)
	}

	// Calls one after the other have as much each.
	deep = 0
	var after *virt.Guest
	often := func(ctx context.Context, key string) (string, error) {
		for range 2 * limit / size {
			if got, err := fn[textFunc](t, after, "upper", plugin.WithMaxSize(limit))(ctx, key); len(got) != size || err != nil {
				return "", err
			}
		}
		return "done", nil
	}
	after = newGuest(t, abiWasm, hostWith(t, often, plugin.WithMaxSize(limit)))
	if got, err := fn[textFunc](t, after, "ask")(t.Context(), strings.Repeat("k", size)); got != "done" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// By the canonical ABI a guest owns its parameters, and frees its results when the host has read
// them.
func TestCanonicalABI(t *testing.T) {
	g := newGuest(t, cabiWasm, virt.Options(), virt.WithCallsAfterTrap())
	upper := fn[textFunc](t, g, "upper")
	for _, text := range []string{"", "x", "hello", strings.Repeat("long ", 10_000)} {
		if got, err := upper(t.Context(), text); got != strings.ToUpper(text) || err != nil {
			t.Errorf("upper of %d bytes: %d bytes, %v", len(text), len(got), err)
		}
		if n := live(t, g); n != 0 {
			t.Fatalf("%d blocks are left", n)
		}
	}
	if _, err := upper(t.Context(), "!"); !errors.As(err, new(*virt.Trap)) {
		t.Errorf("a trap: %v", err)
	}
	if got, err := upper(t.Context(), "again"); got != "AGAIN" || err != nil {
		t.Errorf("after a trap: %q, %v", got, err)
	}
}

// Parameters are freed where the export traps and the guest goes on.
func TestTrapsLeaveNothingBehind(t *testing.T) {
	g := cGuest(t, virt.WithCallsAfterTrap())
	trap := fn[func(context.Context, string) error](t, g, "trap")
	for range 100 {
		if err := trap(t.Context(), "text"); !errors.As(err, new(*virt.Trap)) {
			t.Fatal(err)
		}
	}
	if n := live(t, g); n != 0 {
		t.Errorf("%d blocks are left", n)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	g := cGuest(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	context.AfterFunc(ctx, func() {})
	go cancel(reason)
	err := fn[func(context.Context, string) error](t, g, "spin")(ctx, "text")
	if !errors.Is(err, reason) {
		t.Error(err)
	}
}

// No block is left in the guest, and its memory does not grow, however many calls there are.
func TestManyCallsLeaveNothingBehind(t *testing.T) {
	calls := 100_000
	if os.Getenv("WASIVIRT_FULL") != "" {
		calls = 1_000_000
	} else if testing.Short() {
		calls = 10_000
	}
	for _, tc := range []struct {
		name     string
		guest    func(testing.TB) *virt.Guest
		function string // what it makes of "hello, world", and of "" an error unless it returns none
		want     string
		noError  bool
		asks     bool // it imports lookup
		opts     []plugin.Option
		counts   bool // it exports live
	}{
		{name: "C", guest: func(tb testing.TB) *virt.Guest { return cGuest(tb) }, function: "upper", want: "HELLO, WORLD", asks: true, counts: true},
		{name: "Go", guest: func(tb testing.TB) *virt.Guest { return goGuest(tb) }, function: "upper", want: "HELLO, WORLD", asks: true},
		{name: "AssemblyScript", guest: func(tb testing.TB) *virt.Guest { return objectGuest(tb) }, function: "upper", want: "HELLO, WORLD", asks: true},
		{name: "Rust", guest: rustGuest, function: "reverse", want: "dlrow ,olleh", opts: []plugin.Option{plugin.WithAllocator("allocate", "deallocate")}},
		{name: "canonical ABI", guest: func(tb testing.TB) *virt.Guest { return newGuest(tb, cabiWasm, virt.Options()) },
			function: "upper", want: "HELLO, WORLD", noError: true, counts: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := tc.guest(t)
			f := fn[textFunc](t, g, tc.function, tc.opts...)
			var ask textFunc
			if tc.asks {
				ask = fn[textFunc](t, g, "ask")
			}
			measure := func() (guest, host uint64) {
				if tc.name == "Go" { // whose collector takes memory ahead
					var err error
					if guest, err = fn[func(context.Context) (uint64, error)](t, g, "heap")(t.Context()); err != nil {
						t.Fatal(err)
					}
				} else {
					guest = uint64(g.Instance().Memory().Size())
				}
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return guest, m.HeapAlloc
			}
			run := func(n int) {
				for i := range n {
					switch {
					case i%32 == 31 && !tc.noError:
						if _, err := f(t.Context(), ""); err == nil {
							t.Fatal("no error")
						}
					case i%2 == 1 && tc.asks:
						if text, err := ask(t.Context(), "key"); err != nil || text != "<key>" {
							t.Fatal(text, err)
						}
					default:
						if text, err := f(t.Context(), "hello, world"); err != nil || text != tc.want {
							t.Fatal(text, err)
						}
					}
				}
			}
			run(calls / 10)
			guest, host := measure()
			run(calls)
			after, hostAfter := measure()
			slack := uint64(0)
			if tc.name == "Go" {
				slack = 64 << 10 // what its runtime needs changes; a byte a call would be more
			}
			if after > guest+slack {
				t.Errorf("the guest's memory was %d and is %d", guest, after)
			}
			if hostAfter > host+1<<20 {
				t.Errorf("the host's heap was %d bytes and is %d", host, hostAfter)
			}
			if tc.counts {
				if n := live(t, g); n != 0 {
					t.Errorf("%d blocks are left", n)
				}
			}
		})
	}
}

// rustGuest is the plugin in Rust of examples/plugin.
func rustGuest(tb testing.TB) *virt.Guest {
	tb.Helper()
	wasm, err := os.ReadFile("../../examples/plugin/guest/plugin-rust.wasm")
	if err != nil {
		tb.Fatal(err)
	}
	return newGuest(tb, wasm, virt.Options())
}

// FuzzResult: whatever a guest returns, and whatever is in its memory, the call answers a value or
// an error.
func FuzzResult(f *testing.F) {
	g := cGuest(f, virt.WithCallsAfterTrap())
	type nested struct {
		Name  string
		Parts [][]byte
		Small []struct {
			B bool
			S []string
		}
	}
	opts := []plugin.Option{plugin.WithStaticResults(), plugin.WithMaxSize(1 << 16)}
	str := fn[func(context.Context, uint64) (string, error)](f, g, "hostile", opts...)
	deep := fn[func(context.Context, uint64) (nested, error)](f, g, "hostile", opts...)
	many := fn[func(context.Context, uint64) ([]nested, error)](f, g, "hostile", opts...)
	pointer := fn[func(context.Context, uint64) (nested, error)](f, g, "hostile_pointer", opts...)
	freed := fn[func(context.Context, uint64) ([]nested, error)](f, g, "hostile", plugin.WithMaxSize(1<<16))
	objects := objectGuest(f)
	object := fn[func(context.Context, uint32) (string, error)](f, objects, "hostile", opts...)
	instance := fn[func(context.Context, uint32) (point, error)](f, objects, "hostile", opts...)
	f.Add(uint64(40000)<<32|2, []byte("\x50\x9c\x00\x00\x03\x00\x00\x00abc"))
	f.Add(uint64(40000)<<32|1<<31|2, []byte{})
	f.Fuzz(func(t *testing.T, packed uint64, memory []byte) {
		const at = 40000
		memory = memory[:min(len(memory), 20000)]
		for _, guest := range []*virt.Guest{g, objects} {
			if err := guest.WriteMemory(at, memory); err != nil {
				t.Fatal(err)
			}
		}
		var errs []error
		for _, f := range []func(context.Context, uint64) error{
			func(ctx context.Context, n uint64) error { return second(str(ctx, n)) },
			func(ctx context.Context, n uint64) error { return second(deep(ctx, n)) },
			func(ctx context.Context, n uint64) error { return second(many(ctx, n)) },
			func(ctx context.Context, n uint64) error { return second(pointer(ctx, n)) },
			func(ctx context.Context, n uint64) error { return second(object(ctx, uint32(n))) },
			func(ctx context.Context, n uint64) error { return second(instance(ctx, uint32(n))) },
		} {
			errs = append(errs, f(t.Context(), packed))
		}
		for _, err := range errs {
			var failed *plugin.Error
			if err != nil && !isMemoryError(err) && !errors.As(err, &failed) {
				t.Error(err)
			}
		}
		// Here the guest's own allocator gets what the guest returned, and may trap.
		_ = second(freed(t.Context(), packed))
	})
}

func BenchmarkFunc(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		text := strings.Repeat("x", size)
		b.Run(fmt.Sprintf("typed/%d", size), func(b *testing.B) {
			upper := fn[textFunc](b, cGuest(b), "upper")
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := upper(b.Context(), text); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("by hand/%d", size), func(b *testing.B) {
			mod := cGuest(b).Instance()
			malloc, free, upper := mod.ExportedFunction("malloc"), mod.ExportedFunction("free"), mod.ExportedFunction("upper")
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				ctx := b.Context()
				p, err := malloc.Call(ctx, uint64(size))
				if err != nil || !mod.Memory().WriteString(uint32(p[0]), text) {
					b.Fatal(err)
				}
				r, err := upper.Call(ctx, p[0], uint64(size))
				if err != nil {
					b.Fatal(err)
				}
				got, ok := mod.Memory().Read(uint32(r[0]>>32), uint32(r[0]))
				if !ok || len(string(got)) != size {
					b.Fatal("the result is outside of the memory")
				}
				for _, ptr := range []uint64{p[0], r[0] >> 32} {
					if _, err := free.Call(ctx, ptr); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// What calls put into the guest's memory, and what the guest asks the host, is in the recording.
func TestCallsAreRecorded(t *testing.T) {
	for name, wasm := range map[string][]byte{"C": abiWasm, "AssemblyScript": objectsWasm} {
		functions, opts := hostWith(t, lookup), []virt.GuestOption{}
		if name == "AssemblyScript" {
			functions = hostWith(t, lookup, plugin.WithAssemblyScript())
		}
		var tape bytes.Buffer
		g := newGuest(t, wasm, functions, append(opts, virt.WithRecording(&tape), virt.WithHash())...)
		upper, ask := fn[textFunc](t, g, "upper"), fn[textFunc](t, g, "ask")
		for range 3 {
			if text, err := upper(t.Context(), "text"); text != "TEXT" || err != nil {
				t.Fatal(text, err)
			}
			if text, err := ask(t.Context(), "key"); text != "<key>" || err != nil {
				t.Fatal(text, err)
			}
		}
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		result, err := replay.Run(t.Context(), wasm, &tape)
		if err != nil || result.Outcome != virt.Canceled {
			t.Errorf("%s: the replay: %v, %v", name, result, err)
		}
	}
}

// Typed calls of several goroutines do not come between each other's allocations.
func TestCallsOfManyGoroutines(t *testing.T) {
	g := cGuest(t, virt.WithSerializedCalls())
	upper := fn[textFunc](t, g, "upper")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			text := strings.Repeat(string(rune('a'+i)), 100)
			for range 200 {
				if got, err := upper(t.Context(), text); err != nil || got != strings.ToUpper(text) {
					t.Errorf("%q, %v", got, err)
					return
				}
			}
		})
	}
	all.Wait()
	if n := live(t, g); n != 0 {
		t.Errorf("%d blocks are left", n)
	}
}

// Guests call each other with strings: a function of one is what another imports. So they do where
// threads take turns.
func TestGuestsCallEachOther(t *testing.T) {
	wasm, err := goWasm()
	if err != nil {
		t.Fatal(err)
	}
	for name, world := range map[string]virt.HostOption{"parallel": virt.WithSeed(1), "deterministic": virt.Deterministic(1)} {
		t.Run(name, func(t *testing.T) {
			var next []textFunc
			lookup, err := plugin.HostFunc("lookup", func(ctx context.Context, key string) (string, error) {
				f := next[0]
				next = next[1:]
				return f(ctx, key)
			})
			if err != nil {
				t.Fatal(err)
			}
			host, err := virt.NewBuilder(virt.WithFunctions("env", lookup), world, testcache.Option()).Build(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer host.Close(context.Background())
			guest := func(wasm []byte) *virt.Guest {
				m, err := host.Compile(t.Context(), wasm)
				if err != nil {
					t.Fatal(err)
				}
				g, err := host.Instantiate(t.Context(), m)
				if err != nil {
					t.Fatal(err)
				}
				return g
			}
			first, second, third := guest(abiWasm), guest(wasm), guest(abiWasm)
			next = []textFunc{fn[textFunc](t, second, "ask"), fn[textFunc](t, third, "upper")}
			if got, err := fn[textFunc](t, first, "ask")(t.Context(), "through C and Go to C"); got != "THROUGH C AND GO TO C" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			// An error goes all the way back.
			next = []textFunc{fn[textFunc](t, second, "ask"), fn[textFunc](t, third, "upper")}
			if _, err := fn[textFunc](t, first, "ask")(t.Context(), ""); err == nil || err.Error() != "nothing to do" {
				t.Error(err)
			}
			for _, g := range []*virt.Guest{first, third} {
				if n := live(t, g); n != 0 {
					t.Errorf("%d blocks are left", n)
				}
			}
		})
	}
}
