// Package leak finds goroutines that tests leave behind.
package leak

import (
	"runtime"
	"testing"
	"time"
)

// Check fails t if there are more goroutines after the test than there are now. Those that were
// told to end are given the time for it. It is for tests that run alone.
func Check(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		// Nothing tells when a goroutine has ended: it has to be asked for again and again.
		for range 2000 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(time.Millisecond)
		}
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
	})
}
