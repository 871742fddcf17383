package cputime

import (
	"runtime"
	"testing"
	"time"
)

// TestWaitingIsNotCounted: on Linux a thread that is blocked in the system uses no processor.
func TestWaitingIsNotCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the system does not tell the processor time of a thread")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const wait = 50 * time.Millisecond
	m := Now()
	time.Sleep(wait) // what is measured
	d, now := Since(m)
	if real := m.Real(); real < wait || d >= real {
		t.Errorf("%v of processor time in a sleep of %v", d, real)
	}
	for sum := uint64(0); d < 10*time.Millisecond; d, _ = Since(now) {
		sum += uint64(now.thread)
	}
}
