package virt_test

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"runtime/debug"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/memory/wazeromem"
	"github.com/wasivirt/wasivirt/virt"
)

//go:embed testdata/memory.wasm
var memoryWasm []byte

func TestGrownMemoryCostsWhatIsTouched(t *testing.T) {
	host := newHost(t)
	m := compiled(t, host, memoryWasm)
	debug.FreeOSMemory()
	before := resident()
	g := newGuest(t, host, m)
	if old, err := g.Call(t.Context(), "grow", 65536-16); err != nil || old[0] != 16 {
		t.Fatalf("growing to 4 GiB: %v, %v", old, err)
	}
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held := resident() - before; held > 64<<20 {
		t.Errorf("a guest that grew to 4 GiB and touched nothing left %d MiB resident", held>>20)
	}
}

func TestMemoryGrowsInPlace(t *testing.T) {
	host := newHost(t, virt.WithMemoryLimit(256<<20))
	g := newGuest(t, host, compiled(t, host, memoryWasm))
	debug.FreeOSMemory()
	before, heap := resident(), measure().heap
	first, _ := g.Instance().Memory().Read(0, 8)
	for pages := 16; ; pages++ {
		old, err := g.Call(t.Context(), "grow", 1)
		if err != nil {
			t.Fatal(err)
		}
		if int32(old[0]) == -1 {
			if pages != 256<<4 {
				t.Errorf("the memory grew to %d pages, and its limit is %d", pages, 256<<4)
			}
			break
		}
		if _, err := g.Call(t.Context(), "touch", uint64(pages)<<16, uint64(pages+1)<<16); err != nil {
			t.Fatal(err)
		}
	}
	if held := resident() - before; before != 0 && held > 256<<20+64<<20 {
		t.Errorf("%d MiB are resident for 256 MiB of memory", held>>20)
	}
	if grown := int64(measure().heap) - int64(heap); grown > 16<<20 {
		t.Errorf("Go's heap grew by %d MiB", grown>>20)
	}
	if now, _ := g.Instance().Memory().Read(0, 8); &now[0] != &first[0] {
		t.Error("the memory moved")
	}
}

// TestASmallGuestGetsNothingOfALargeOne closes guests that used much memory while guests that use
// little live on.
func TestASmallGuestGetsNothingOfALargeOne(t *testing.T) {
	const limit = 64 << 20
	host := newHost(t, virt.WithSharedLimits(func(l *virt.Limits) { l.Memory = limit }))
	m := compiled(t, host, memoryWasm)
	debug.FreeOSMemory()
	before := resident()
	for range 20 {
		large, err := host.Instantiate(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := large.Call(t.Context(), "grow", 512); err != nil {
			t.Fatal(err)
		}
		if _, err := large.Call(t.Context(), "touch", 0, 32<<20); err != nil {
			t.Fatal(err)
		}
		if err := large.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		newGuest(t, host, m)
	}
	if held := resident() - before; before != 0 && held > 2*limit {
		t.Errorf("%d MiB are resident within a budget of %d", held>>20, limit>>20)
	}
}

func TestCallsOfAnInstanceEndWithTheirContextAndTheGuest(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine)
		m := compiled(t, host, memoryWasm)
		g := newGuest(t, host, m)
		a, err := wazeromem.NewAllocator(g.Instance())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := a.Alloc(ctx, 100); err == nil {
			t.Error("an allocation that never returns returned")
		}
		if r := g.Result(); r.Outcome != virt.Canceled || !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("the guest ended with %v", r)
		}
		for i := range 10 {
			g, err := host.Instantiate(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			a, err := wazeromem.NewAllocator(g.Instance())
			if err != nil {
				t.Fatal(err)
			}
			returned := make(chan error, 1)
			go func() {
				_, err := a.Alloc(t.Context(), 100)
				returned <- err
			}()
			time.Sleep(time.Duration(i%3) * time.Millisecond) // at any moment of the call
			if err := g.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			next := newGuest(t, host, m)
			if all, err := next.Call(t.Context(), "scan"); err != nil || all[0] != 0 {
				t.Fatalf("a fresh guest's memory holds %#x, %v", all, err)
			}
			if err := <-returned; err == nil {
				t.Error("an allocation that never returns returned")
			}
			if _, ok := g.Instance().Memory().ReadByte(0); ok {
				t.Error("a closed guest's memory can be read")
			}
		}
	})
}

// TestInstancesAreCharged: what an instance takes besides its memory is counted against the limit
// of memory.
func TestInstancesAreCharged(t *testing.T) {
	table := fmt.Sprintf("\x70\x00%s", number(5_000_000))
	wasm := handModule{memory: 1, funcs: []handFunc{{name: "f"}}, tables: []string{table}}.encode()
	host := newHost(t, virt.WithMemoryLimit(4<<20))
	if g, err := host.Instantiate(t.Context(), compiled(t, host, wasm)); err == nil {
		t.Error("a guest with 40 MB of tables was made within 4 MiB")
		g.Close(t.Context())
	} else {
		t.Log(err)
	}
	host = newHost(t, virt.WithMemoryLimit(64<<20), virt.WithSharedLimits(func(l *virt.Limits) { l.Memory = 64 << 20 }))
	m := compiled(t, host, wasm)
	for range 3 { // what one took it gave back
		g, err := host.Instantiate(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if other, err := host.Instantiate(t.Context(), m); err == nil {
			t.Error("80 MB of tables within 64 MiB")
			other.Close(t.Context())
		}
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
