package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns how much processor time the process has used. A machine that does other things
// makes that little longer.
func cpuTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
