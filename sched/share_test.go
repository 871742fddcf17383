package sched

import (
	"testing"
	"time"
)

// TestShare: on one processor, threads that cede get together half of the time beside a goroutine
// that computes for the whole of each slice, let others wait for no more than a slice, and each
// other for one look where there are none.
func TestShare(t *testing.T) {
	const look = 20 * time.Microsecond // a thread runs at least for one
	for _, threads := range []int{1, 2, 8, 100} {
		for _, foreign := range []time.Duration{0, slice, 10 * slice} { // in each round
			want := max(min(foreign, slice)/time.Duration(threads), look)
			ran := look
			for range 1000 {
				ran = max(share(foreign+time.Duration(threads-1)*ran, ran, threads), look)
			}
			if ran != want {
				t.Errorf("each of %d threads runs for %v beside %v of others, want %v", threads, ran, foreign, want)
			}
		}
	}
}
