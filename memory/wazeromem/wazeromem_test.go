package wazeromem_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasivirt/wasivirt/internal/mapping"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/memory/memorytest"
	"github.com/wasivirt/wasivirt/memory/wazeromem"
	"github.com/wasivirt/wasivirt/wasip1"
)

// fn is an exported function of a guest: params and results are all i32 but those that
// are written otherwise, code is its body without the end.
type fn struct {
	name, params, results, code string
}

const (
	i32 = "\x7f"
	i64 = "\x7e"

	// bump returns the global and adds local 0 to it; grow1 grows the memory by a page.
	bump  = "\x23\x00\x23\x00\x20\x00\x6a\x24\x00"
	bump3 = "\x23\x00\x23\x00\x20\x03\x6a\x24\x00"
	grow1 = "\x41\x01\x40\x00\x1a"
)

// guest instantiates a module with the functions, a memory of 1 to 4 pages if mem, and
// a global that starts at 1024.
func guest(t testing.TB, mem bool, fns ...fn) api.Module {
	t.Helper()
	vec := func(items ...string) string {
		b := string(binary.AppendUvarint(nil, uint64(len(items))))
		return b + strings.Join(items, "")
	}
	str := func(s string) string { return string(binary.AppendUvarint(nil, uint64(len(s)))) + s }
	section := func(id byte, body string) string { return string(id) + str(body) }
	var types, funcs, exports, codes, mems []string
	for i, f := range fns {
		types = append(types, "\x60"+str(f.params)+str(f.results))
		funcs = append(funcs, string(rune(i)))
		exports = append(exports, str(f.name)+"\x00"+string(rune(i)))
		codes = append(codes, str("\x00"+f.code+"\x0b"))
	}
	if mem {
		mems = []string{"\x01\x01\x04"}
		exports = append(exports, str("memory")+"\x02\x00")
	}
	wasm := "\x00asm\x01\x00\x00\x00" + section(1, vec(types...)) + section(3, vec(funcs...)) + section(5, vec(mems...)) +
		section(6, vec("\x7f\x01\x41\x80\x08\x0b")) + section(7, vec(exports...)) + section(10, vec(codes...))
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	t.Cleanup(func() { r.Close(ctx) })
	mod, err := r.InstantiateWithConfig(ctx, []byte(wasm), wazero.NewModuleConfig().WithName("g"))
	if err != nil {
		t.Fatal(err)
	}
	return mod
}

func TestAllocator(t *testing.T) {
	ctx := context.Background()
	free := fn{"free", i32, "", ""}
	for _, tt := range []struct {
		name  string
		fns   []fn
		names []string
	}{
		{"malloc and free", []fn{{"malloc", i32, i32, grow1 + bump}, free}, nil},
		{"cabi_realloc", []fn{{"cabi_realloc", i32 + i32 + i32 + i32, i32, grow1 + bump3}}, nil},
		{"malloc before cabi_realloc", []fn{{"malloc", i32, i32, bump}, free, {"cabi_realloc", i32, i32, "\x00"}}, nil},
		{"named", []fn{{"new", i32 + i32, i32, grow1 + bump}, {"delete", i32 + i32, "", ""}}, []string{"new", "delete"}},
		{"named, never freed", []fn{{"new", i32, i32, bump}}, []string{"new"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mod := guest(t, true, tt.fns...)
			a, err := wazeromem.NewAllocator(mod, tt.names...)
			if err != nil {
				t.Fatal(err)
			}
			b, err := a.WriteBytes(ctx, []byte("bytes"))
			if err != nil {
				t.Fatal(err)
			}
			s, err := a.WriteString(ctx, "a string")
			if err != nil {
				t.Fatal(err)
			}
			c, err := a.WriteCString(ctx, "for C")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]uint32{1024, 1029, 1037}, []uint32{b, s, c}); d != "" {
				t.Error(d)
			}
			mem := mod.Memory()
			got := make([]string, 3)
			bs, _ := wazeromem.ReadBytes(mem, b, 5)
			got[0] = string(bs)
			got[1], _ = wazeromem.ReadString(mem, s, 8)
			got[2], _ = wazeromem.ReadCString(mem, c, 100)
			if d := cmp.Diff([]string{"bytes", "a string", "for C"}, got); d != "" {
				t.Error(d)
			}
			if err := a.Free(ctx, c, 6); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAllocatorErrors(t *testing.T) {
	free := fn{"free", i32, "", ""}
	malloc := func(code string) []fn { return []fn{{"malloc", i32, i32, code}, free} }
	for _, tt := range []struct {
		name  string
		noMem bool
		fns   []fn
		names []string
		want  string
		is    error
	}{
		{"no allocator", false, nil, nil, "--export=malloc", nil},
		{"no memory", true, malloc(bump[:2]), nil, "no memory", nil},
		{"no free", false, []fn{{"malloc", i32, i32, bump}}, nil, `not "free"`, nil},
		{"no such name", false, malloc(bump), []string{"new"}, "--export=new", nil},
		{"too many names", false, malloc(bump), []string{"a", "b", "c"}, "two exports", nil},
		{"64 bits", false, []fn{{"malloc", i64, i32, "\x41\x00"}, free}, nil, "must take (size)", nil},
		{"no result", false, []fn{{"malloc", i32, "", ""}, free}, nil, "must take (size)", nil},
		{"free with a result", false, []fn{{"malloc", i32, i32, bump}, {"free", i32, i32, "\x41\x00"}}, nil, "must take (ptr)", nil},
		{"returns null", false, malloc("\x41\x00"), nil, "malloc of 8 bytes", wasip1.ENOMEM},
		{"returns a wild pointer", false, malloc("\x41\x7f"), nil, "0xffffffff", wasip1.EFAULT},
		{"traps", false, malloc("\x00"), nil, "unreachable", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := wazeromem.NewAllocator(guest(t, !tt.noMem, tt.fns...), tt.names...)
			if err == nil {
				_, err = a.Alloc(context.Background(), 8)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v is no %v", err, tt.is)
			}
		})
	}
}

func TestTransfers(t *testing.T) {
	a, b := memorytest.New(1, 1), memorytest.New(2, 2)
	const end = wazeromem.PageSize
	if err := wazeromem.WriteAt(a, 10, []byte("from a\x00")); err != nil {
		t.Fatal(err)
	}
	if err := wazeromem.Copy(b, 2*end-7, a, 10, 7); err != nil {
		t.Fatal(err)
	}
	if s, err := wazeromem.ReadCString(b, 2*end-7, 7); s != "from a" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	// Within one memory the ranges may overlap.
	if err := wazeromem.Copy(a, 12, a, 10, 6); err != nil {
		t.Fatal(err)
	}
	if s, _ := wazeromem.ReadString(a, 10, 8); s != "frfrom a" {
		t.Errorf("%q", s)
	}

	for i := range uint32(8) {
		wazeromem.WriteAt(a, end-8+i, []byte("x"))
	}
	for _, tt := range []struct {
		name string
		err  error
		want error
	}{
		{"source", wazeromem.Copy(b, 0, a, end-3, 4), wasip1.EFAULT},
		{"destination", wazeromem.Copy(b, 2*end-3, a, 0, 4), wasip1.EFAULT},
		{"wrapping", wazeromem.Copy(b, 1<<32-4, a, 1<<32-4, 8), wasip1.EFAULT},
		{"write", wazeromem.WriteAt(a, end, []byte("x")), wasip1.EFAULT},
		{"nil memory", wazeromem.WriteAt(nil, 0, []byte("x")), wasip1.EFAULT},
		{"bytes", second(wazeromem.ReadBytes(a, end, 1)), wasip1.EFAULT},
		{"string", second(wazeromem.ReadString(a, 1, 1<<32-1)), wasip1.EFAULT},
		{"no NUL before the end", second(wazeromem.ReadCString(a, end-8, 100)), wasip1.EFAULT},
		{"no NUL within the limit", second(wazeromem.ReadCString(a, end-8, 7)), wasip1.EOVERFLOW},
		{"C string behind the end", second(wazeromem.ReadCString(a, end, 7)), wasip1.EFAULT},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, tt.err, tt.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestSizes(t *testing.T) {
	type sizes struct{ Now, Limit uint32 }
	of := func(m api.Memory) sizes {
		now, limit := wazeromem.Pages(m)
		return sizes{now, limit}
	}
	f := memorytest.New(0, 3)
	if b := wazeromem.FromModule(f); b != nil {
		t.Errorf("%d bytes of no pages", len(b))
	}
	got := []sizes{of(nil), of(f)}
	f.Grow(2)
	got = append(got, of(f), of(memorytest.New(5, 1)), of(guest(t, true).Memory()))
	if d := cmp.Diff([]sizes{{0, 0}, {0, 3}, {2, 3}, {5, 5}, {1, 4}}, got); d != "" {
		t.Error(d)
	}
	if n := len(wazeromem.FromModule(f)); n != 2*wazeromem.PageSize {
		t.Errorf("%d bytes of 2 pages", n)
	}
	none := guest(t, false).Memory() // not nil, as an interface
	if wazeromem.FromModule(nil) != nil || wazeromem.FromModule(none) != nil {
		t.Error("bytes of no memory")
	}
	if !wazeromem.Absent(nil) || !wazeromem.Absent(none) || wazeromem.Absent(f) {
		t.Error("takes an absent memory for one, or one for absent")
	}
}

func TestViewAfterGrowth(t *testing.T) {
	f := memorytest.New(1, 3)
	v := memory.NewView(f.Bytes())
	v.PutUint32(8, 42)

	if _, ok := f.Grow(1); !ok {
		t.Fatal("does not grow")
	}
	if u, _ := v.Uint8(8); u != 0xdb {
		t.Errorf("the old place has %#x: a slice kept over a growth is not found out", u)
	}
	v.Reset(f.Bytes())
	if u, errno := v.Uint32(8); u != 42 || errno != 0 || v.Len() != 2*wazeromem.PageSize {
		t.Errorf("%d, %v in %d bytes", u, errno, v.Len())
	}

	// With a Log too: the View still notes, and still sees the new bounds.
	log := new(memory.Log)
	v.SetLog(log)
	f.Grow(1)
	v.Reset(f.Bytes())
	if errno := v.PutUint8(3*wazeromem.PageSize-1, 1); errno != 0 {
		t.Error(errno)
	}
	if d := cmp.Diff([]memory.Range{{Ptr: 3*wazeromem.PageSize - 1, Len: 1}}, log.Writes); d != "" {
		t.Error(d)
	}
	v.SetLog(nil)
	v.PutUint8(0, 1)
	if len(log.Writes) != 1 {
		t.Error("noted without a log")
	}
}

// mapping4GiB is a memory outside of Go's heap, which may fill a block of that size with zeros.
type mapping4GiB struct{ m *mapping.Mapping }

func (m mapping4GiB) Reallocate(size uint64) []byte {
	if m.m.Grow(size) != nil {
		return nil
	}
	return m.m.Bytes()
}

func (m mapping4GiB) Free() {}

// mapped returns an empty memory that may grow to 4 GiB.
func mapped(t *testing.T) api.Memory {
	t.Helper()
	m, err := mapping.Reserve(1 << 32)
	if err != nil {
		t.Fatal(err)
	}
	ctx := experimental.WithMemoryAllocator(t.Context(), experimental.MemoryAllocatorFunc(
		func(_, _ uint64) experimental.LinearMemory { return mapping4GiB{m} }))
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	t.Cleanup(func() {
		if err := errors.Join(r.Close(context.Background()), m.Unmap()); err != nil {
			t.Error(err)
		}
	})
	mod, err := r.Instantiate(ctx, []byte("\x00asm\x01\x00\x00\x00\x05\x06\x01\x01\x00\x80\x80\x04\x07\x0a\x01\x06memory\x02\x00"))
	if err != nil {
		t.Fatal(err)
	}
	return mod.Memory()
}

func TestFourGiB(t *testing.T) {
	if testing.Short() || underRace || ^uint(0)>>32 == 0 {
		t.Skip("takes 4 GiB of address space")
	}
	f := mapped(t)
	f.Grow(1 << 16) // no page is touched
	if f.Size() != 0 {
		t.Skip("Size says more than 32 bits can")
	}
	if now, limit := wazeromem.Pages(f); now != 1<<16 || limit != 1<<16 {
		t.Errorf("%d pages of %d", now, limit)
	}
	v := memory.NewView(wazeromem.FromModule(f))
	if v.Len() != 1<<32 {
		t.Fatalf("%d bytes", v.Len())
	}
	const last = 1<<32 - 1
	if errno := v.PutUint8(last, 7); errno != 0 {
		t.Error(errno)
	}
	if c, ok := f.ReadByte(last); c != 7 || !ok {
		t.Errorf("the guest sees %d", c)
	}
	if errno := v.PutUint16(last, 7); errno != wasip1.EFAULT {
		t.Errorf("2 bytes at the last: %v", errno)
	}
	if b, errno := v.Read(1, last); errno != 0 || uint64(len(b)) != last || b[len(b)-1] != 7 {
		t.Errorf("all but the first: %v", errno)
	}
	if s, err := wazeromem.ReadBytes(f, last-1, 2); err != nil || s[1] != 7 {
		t.Errorf("the last two: %v, %v", s, err)
	}
}

func Example() {
	mem := memorytest.New(1, 1) // in real life the memory of a guest

	var v memory.View
	v.Reset(wazeromem.FromModule(mem)) // at the beginning of each host call
	copy(v.Bytes()[64:], "name.txt")

	path, errno := v.Path(64, 8, new(memory.Scratch))
	fmt.Printf("%q %s\n", path, errno.Name())
	fmt.Println(v.PutUint32(65536-3, 1))
	// Output:
	// "name.txt" ESUCCESS
	// EFAULT: bad address
}

func ExampleCopy() {
	a, b := memorytest.New(1, 1), memorytest.New(1, 1)
	wazeromem.WriteAt(a, 8, []byte("from one guest to another\x00"))
	wazeromem.Copy(b, 1000, a, 8, 26)
	s, err := wazeromem.ReadCString(b, 1000, 100)
	fmt.Println(s, err)
	// Output: from one guest to another <nil>
}

func BenchmarkFromModule(b *testing.B) {
	f, v := memorytest.New(16, 16), memory.NewView(nil)
	for b.Loop() {
		v.Reset(wazeromem.FromModule(f.Memory))
	}
}
