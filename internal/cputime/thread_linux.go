package cputime

import (
	"time"

	"golang.org/x/sys/unix"
)

func thread() (id int, used time.Duration) {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0, 0
	}
	return unix.Gettid(), time.Duration(ts.Nano())
}
