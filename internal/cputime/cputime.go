// Package cputime measures how much processor time the machine's thread that runs a goroutine has
// used.
package cputime

import "time"

// Mark is a moment on the thread that the goroutine runs on.
type Mark struct {
	real   time.Time
	used   time.Duration // processor time of the thread
	thread int           // of the machine; 0 where the system does not tell
}

// Now returns the present moment.
func Now() Mark {
	m := Mark{real: time.Now()}
	m.thread, m.used = thread()
	return m
}

// Since returns how much processor time the goroutine has used since m, and the present moment. It
// returns the real time where the goroutine is on another thread than at m, and on systems that do
// not tell.
func Since(m Mark) (time.Duration, Mark) {
	now := Now()
	d := now.real.Sub(m.real)
	if now.thread != 0 && now.thread == m.thread {
		d = min(d, now.used-m.used)
	}
	return max(d, 0), now
}

// Real returns the real time since m.
func (m Mark) Real() time.Duration { return time.Since(m.real) }
