package plugin_test

import (
	"context"
	_ "embed"
	"errors"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/plugin"
	"github.com/wasivirt/wasivirt/virt/trap"
)

//go:embed testdata/linked.wasm
var linkedWasm []byte

//go:embed testdata/library.wasm
var libraryWasm []byte

//go:embed testdata/odd_library.wasm
var oddLibraryWasm []byte

// linkedGuest makes a guest with a library, which imports the host's function name.
func linkedGuest(t *testing.T, library []byte, name func(context.Context) (string, error)) *virt.Guest {
	t.Helper()
	f, err := plugin.HostFunc("name", name)
	if err != nil {
		t.Fatal(err)
	}
	host, err := virt.NewBuilder(virt.WithFunctions("env", f)).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			t.Errorf("close the Host: %v", err)
		}
	})
	lib, err := host.Compile(t.Context(), library)
	if err != nil {
		t.Fatal(err)
	}
	m, err := host.CompileLinked(t.Context(), linkedWasm, "library")
	if err != nil {
		t.Fatal(err)
	}
	g, err := host.Instantiate(t.Context(), m, virt.WithLibrary("library", virt.Library{Module: lib}))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A host function that a library calls uses the library's memory and allocator.
func TestLibraryAllocates(t *testing.T) {
	g := linkedGuest(t, libraryWasm, func(context.Context) (string, error) { return "name", nil })
	got, err := g.Call(t.Context(), "run")
	if want := uint64('n')<<32 | 4; err != nil || got[0] != want {
		t.Errorf("%#x, %v, want %#x", got, err, want)
	}
}

// A library whose allocator has another type than its guest's ends with a trap of its own.
func TestOddAllocatorOfLibrary(t *testing.T) {
	g := linkedGuest(t, oddLibraryWasm, func(context.Context) (string, error) { return "name", nil })
	_, err := g.Call(t.Context(), "run")
	if e, ok := errors.AsType[*virt.Trap](err); !ok || e.Kind != trap.Host {
		t.Errorf("%v, want a trap of the host", err)
	}
}

// While a library is at work, its exports are not taken for those of the guest.
func TestFuncWithinLibrary(t *testing.T) {
	var f func(context.Context) error
	var within error
	g := linkedGuest(t, libraryWasm, func(ctx context.Context) (string, error) {
		within = f(ctx)
		return "name", nil
	})
	f = fn[func(context.Context) error](t, g, "name")
	if _, err := g.Call(t.Context(), "run"); err != nil {
		t.Fatal(err)
	}
	if within == nil {
		t.Error("the library's function was called in the place of the guest's")
	}
	if err := f(t.Context()); err != nil {
		t.Error(err)
	}
}

// Many small elements take seconds to read. The end of the guest is noticed meanwhile.
func TestEndWhileElementsAreRead(t *testing.T) {
	g := linkedGuest(t, libraryWasm, func(context.Context) (string, error) { return "", nil })
	large := fn[func(context.Context) ([]bool, error)](t, g, "large")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got, err := large(ctx); !errors.Is(err, context.DeadlineExceeded) || got != nil {
		t.Errorf("%d elements, %v", len(got), err)
	}
}
