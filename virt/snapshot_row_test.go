package virt_test

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// holdings are what of the machine the process holds: mappings, descriptors, goroutines. Where the system does not tell, it is zero.
type holdings struct{ Mappings, Descriptors, Goroutines int }

func holding(t *testing.T) (h holdings) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err == nil {
		h.Mappings = strings.Count(string(maps), "wasivirt-image")
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err == nil {
		h.Descriptors = len(fds)
	}
	h.Goroutines = runtime.NumGoroutine()
	return h
}

func TestForksInARowLeaveNothing(t *testing.T) {
	n := 500
	if os.Getenv("WASIVIRT_FULL") != "" {
		n = 100_000
	}
	host := newHost(t)
	g := newGuest(t, host, compiled(t, host, warmWasm))
	one(t, g, "grow", 100)
	one(t, g, "poke", 50<<16, 1)
	s := snapshotOf(t, g)
	fork := func(n int) {
		for range n {
			f, err := s.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := one(t, f, "bump"); got != 107 {
				t.Fatalf("a fork counts to %d", got)
			}
			one(t, f, "poke", 60<<16, 1)
			if err := f.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	fork(100) // what is kept for the next ones is there
	before := holding(t)
	debug.FreeOSMemory() // what tests before this one left goes back to the system now, not while it is measured
	memory := resident()
	fork(n)
	after := holding(t)
	for end := time.Now().Add(time.Minute); after.Goroutines > before.Goroutines && time.Now().Before(end); after = holding(t) {
		runtime.Gosched() // one that is ending is gone soon
	}
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("%d forks left something (-before +after):\n%s", n, d)
	}
	debug.FreeOSMemory()
	// The race detector keeps a shadow of each address that was ever written, mapped still or not.
	if grown := resident() - memory; memory != 0 && !raceDetector && grown > 32<<20 {
		t.Errorf("%d forks left %d KiB", n, grown>>10)
	}
}
