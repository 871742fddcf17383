package virt_test

import (
	"bytes"
	"os"
	"runtime/debug"
	"testing"
)

// imageMappings is how many mappings of snapshots' images the process has; 0 where the system does
// not tell.
func imageMappings() int {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0
	}
	return bytes.Count(maps, []byte("wasivirt-image"))
}

func TestForksInARowLeaveNothing(t *testing.T) {
	n := 500
	if full {
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
	before, mapped := measure(), imageMappings()
	debug.FreeOSMemory() // what tests before this one left goes back to the system now, not while it is measured
	memory := resident()
	fork(n)
	expectNothingLeft(t, before, 8<<20)
	if now := imageMappings(); now > mapped {
		t.Errorf("%d mappings of images, %d before", now, mapped)
	}
	debug.FreeOSMemory()
	// The race detector keeps a shadow of each address that was ever written, mapped still or not.
	if grown := resident() - memory; memory != 0 && !raceDetector && grown > 32<<20 {
		t.Errorf("%d forks left %d KiB", n, grown>>10)
	}
}
