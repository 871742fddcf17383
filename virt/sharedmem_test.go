package virt_test

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
)

// resident is how much of the machine's memory the process holds, in bytes; 0 where the system does
// not tell.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, err := strconv.ParseInt(string(bytes.Fields(text)[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// TestSharedMemoryCostsWhatIsTouched keeps many guests alive that may each have 64 MiB of shared
// memory.
func TestSharedMemoryCostsWhatIsTouched(t *testing.T) {
	const guests = 300
	host := newHost(t, virt.WithMaxThreads(8))
	m := compiled(t, host, threadsGuest(t))
	// What tests before this one left to the collector goes back to the system now, not while it is
	// measured.
	debug.FreeOSMemory()
	before := measure()
	residentBefore := resident()
	var all []*virt.Guest
	for range guests {
		g, err := host.Instantiate(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
		if n, err := g.Call(t.Context(), "with_mutex", 1); err != nil || n[0] != 8 {
			t.Fatalf("%v, %v", n, err)
		}
	}
	// Both may be negative: what was there before may have gone meanwhile.
	heap, held := int64(measure().heap)-int64(before.heap), resident()-residentBefore
	t.Logf("%d guests: %d KiB of heap, %d KiB resident", guests, heap>>10, held>>10)
	if heap > 100<<20 || held > 300<<20 && residentBefore != 0 && !raceDetector { // the race detector keeps a shadow of what is touched
		t.Errorf("want no more than 100 MiB of heap and 300 MiB resident")
	}
	for _, g := range all {
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	clear(all)
	expectNothingLeft(t, before, 16<<20)
}

// TestSharedMemoryIsGivenBack makes guests with threads one after the other.
func TestSharedMemoryIsGivenBack(t *testing.T) {
	rounds := 1000
	if full {
		rounds = 10_000
	}
	if testing.Short() || raceDetector {
		rounds = 300
	}
	host := newHost(t, virt.WithMaxThreads(100))
	m := compiled(t, host, threadsGuest(t))
	round := func() {
		g, err := host.Instantiate(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := g.Call(t.Context(), "with_mutex", 1); err != nil || n[0] != 8 {
			t.Fatalf("%v, %v", n, err)
		}
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		round() // what the engine and Go's runtime keep, they have got by then
	}
	before, mapped, residentBefore := measure(), mappings(), resident()
	for range rounds {
		round()
	}
	expectNothingLeft(t, before, 8<<20)
	if n := mappings(); n > mapped+50 {
		t.Errorf("%d mappings of memory, %d before", n, mapped)
	}
	t.Logf("%d guests: resident %d KiB, before %d KiB", rounds, resident()>>10, residentBefore>>10)
}

// mappings is how many mappings of memory the process has; 0 where the system does not tell.
func mappings() int {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0
	}
	return bytes.Count(text, []byte("\n"))
}

// TestSharedMemoryGrows grows it after a thread has ended, which has taken wazero's allocator
// along, and by several threads at once.
func TestSharedMemoryGrows(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		const limit = 100
		host := newHost(t, engine, virt.WithMaxThreads(100), virt.WithMemoryLimit(limit<<16))
		m := compiled(t, host, threadsGuest(t))
		g := newGuest(t, host, m)
		first, err := callI32(t.Context(), g, "grow_after_a_thread", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, more := range []int32{1, 5, 7} {
			first += more
			if n, err := callI32(t.Context(), g, "grow_after_a_thread", more); err != nil || n != first {
				t.Fatalf("grown to %d, %v; want %d", n, err, first)
			}
		}
		rest := limit - first
		if n, err := callI32(t.Context(), g, "grow_after_a_thread", rest+1); err != nil || n != -1 {
			t.Errorf("grown over the limit: %d, %v", n, err)
		}
		// All take what is left, page by page, and no page is given out twice.
		if n, err := g.Call(t.Context(), "grow_together", limit); err != nil || int32(n[0]) != rest {
			t.Errorf("threads grew the memory by %v pages, %v; want %d", n, err, rest)
		}
		if used := g.Usage().PeakMemory; used != limit<<16 {
			t.Errorf("the usage says %d bytes, want %d", used, limit<<16)
		}
	})
}

// TestSharedMemoryIsUnmappedLast closes guests while their threads use the memory: what is unmapped
// too soon is a fault that ends the whole program.
func TestSharedMemoryIsUnmappedLast(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	host := newHost(t, virt.WithMaxThreads(100))
	m := compiled(t, host, threadsGuest(t))
	for range rounds {
		g, err := host.Instantiate(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := callI32(t.Context(), g, "leave_threads", hangSpin, 4, 0); err != nil || id <= 0 {
			t.Fatalf("%d, %v", id, err)
		}
		runtime.Gosched()
		if err := g.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}
