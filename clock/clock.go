package clock

import "github.com/wasivirt/wasivirt/wasip1"

// Clock is the one source of time of a Host: it tells the time and wakes those that
// wait for it, so that a sleep, a poll and a reading can never disagree.
//
// All methods may be called from any goroutine. Times are in nanoseconds.
type Clock interface {
	// Realtime returns the time since 1970-01-01T00:00:00Z.
	Realtime() int64

	// Monotonic returns the time since an arbitrary moment. It never decreases
	// and is never 0, which Go guests take for a broken clock.
	Monotonic() int64

	// AfterFunc arranges for f to be called once, as soon as Monotonic() >= at. f must not block.
	// Of the Clock it may call only readings and Hold. It may be called before AfterFunc returns,
	// on any goroutine. Timers fire in the order of their deadlines; those with the same deadline
	// by age.
	AfterFunc(at int64, f func()) Timer
}

// Timer is a pending AfterFunc.
type Timer interface {
	// Stop prevents the call and reports whether it did: false says that f has
	// been called, is being called, or was stopped before.
	Stop() bool
}

// Resolver is implemented by a Clock that knows its resolution. The resolution of
// other clocks is taken to be 1 ns for a monotonic clock and 1 µs for realtime.
type Resolver interface {
	// Resolution returns the resolution of the clock in nanoseconds, at least 1.
	Resolution(id wasip1.ClockID) int64
}

// Holder is implemented by a Clock whose time jumps when everybody waits for it. Running code holds
// time. A thread that waits releases it, and whoever wakes the thread holds time for it before it
// runs, so that no time passes between the two.
type Holder interface {
	// Hold keeps time from jumping until the matching Release. Holds are counted.
	Hold()
	// Release undoes one Hold. When it was the last, time may jump to the next
	// deadline, and timers may be fired, before Release returns.
	Release()
}
