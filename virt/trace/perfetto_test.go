package trace

import (
	"io"
	"testing"
)

// A guest that starts threads without end makes the writer remember those that are in a call, and
// no more than fit the trace.
func TestPerfettoForgetsThreads(t *testing.T) {
	for _, tc := range []struct {
		limit int64
		most  int
	}{{10_000, 100}, {0, maxTracks}} {
		w := Perfetto(io.Discard).Limit(tc.limit)
		for i := range uint32(10_000) {
			e := &Event{Guest: 1, Thread: i, Call: "sched_yield"}
			w.Begin(e)
			w.End(e)
		}
		if len(w.open) != 0 || len(w.tracks) > tc.most {
			t.Errorf("a limit of %d: the writer remembers %d threads in calls, and %d in all", tc.limit, len(w.open), len(w.tracks))
		}
	}
}
