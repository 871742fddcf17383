package virt_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
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

// TestForksKeepNoAncestors: of a row of guests, each made of a snapshot of the one before, those
// that were closed are not kept by the last.
func TestForksKeepNoAncestors(t *testing.T) {
	for name, opts := range map[string][]virt.Option{
		"default world": nil,
		"memfs":         {virt.WithMount("/", memfs.New())},
		"limits":        {virt.Untrusted()},
		"streams":       {virt.WithStdout(io.Discard), virt.WithStdin(strings.NewReader(""))},
	} {
		t.Run(name, func(t *testing.T) {
			host := newHost(t, opts...)
			g, err := host.Instantiate(t.Context(), compiled(t, host, warmWasm))
			if err != nil {
				t.Fatal(err)
			}
			var before []weak.Pointer[virt.Guest]
			for range 4 {
				s, err := g.Snapshot(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				next, err := s.Start(t.Context())
				if err = errors.Join(err, g.Close(t.Context()), s.Close()); err != nil {
					t.Fatal(err)
				}
				before = append(before, weak.Make(g))
				g = next
			}
			before = before[:len(before)-1]
			kept := func(w weak.Pointer[virt.Guest]) bool { return w.Value() != nil }
			// A pool keeps what it was given for one collection more, and goroutines that are about
			// to end what they have used: on a busy machine they have to wait for a processor.
			for patience := time.Now().Add(10 * time.Second); time.Now().Before(patience); runtime.Gosched() {
				if runtime.GC(); !slices.ContainsFunc(before, kept) {
					break
				}
			}
			for i, w := range before {
				if kept(w) {
					t.Errorf("guest %d of %d is kept", i, len(before)+1)
				}
			}
			if err := g.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
