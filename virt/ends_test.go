package virt

import (
	"testing"
)

// TestEndsOfManyThreads notes the ends of 300,000 threads in the reverse of their order. It takes
// minutes if each has to be put in its place.
func TestEndsOfManyThreads(t *testing.T) {
	const threads = 300_000
	g := &Guest{module: &Module{}, result: &Result{Outcome: Canceled, Thread: 7}}
	g.ended.Store(true)
	for id := uint32(threads); id > 0; id-- {
		g.noteEnd(id, errUnwound)
	}
	g.noteEnd(5, nil) // the call that it was in, too
	ends := g.sortedEnds()
	if len(ends) != threads {
		t.Fatalf("%d ends of %d threads", len(ends), threads)
	}
	for i, e := range ends {
		want := Canceled
		if e.Thread == 5 {
			want = Exited
		}
		if e.Thread != uint32(i+1) || e.Outcome != want {
			t.Fatalf("end %d: %v", i, e)
		}
	}
}
