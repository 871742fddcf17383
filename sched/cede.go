package sched

import (
	"runtime"
	"time"
)

// maxTurns is how many turns a group's threads take until one of them lets other goroutines run
// first.
const maxTurns = 64

// awaitTurn waits for Resume. Go runs a goroutine that another has woken at once, in the other's
// time slice. Threads that wake each other, or start each other, would pass one processor around
// among them for many milliseconds, and other goroutines would not run.
func (t *Thread) awaitTurn() {
	if t.group.turns.Add(1)%maxTurns == 0 {
		runtime.Gosched()
	}
	<-t.turn
}

const (
	// slice is how long Go lets a goroutine run while others wait for a processor.
	slice = 10 * time.Millisecond
	// maxLooks is how many slices of fuel a thread uses up that computes alone before it cedes. It
	// is a power of 2.
	maxLooks = 16
)

// crowded is implemented by schedulers whose threads run at the same time.
type crowded interface {
	// computing is how many have a turn.
	computing() int
}

// ceding is what a thread that computes knows of its last cede.
type ceding struct {
	looks uint32
	last  time.Time
	owed  time.Duration // how long it runs from last on before it cedes again
}

// cede lets other goroutines run, since Go does not preempt compiled guest code. Without it they
// would wait for a slice of Go's each time on one processor, which runtime.GC does once for every
// few spans of the heap.
//
// The others may compute for a whole slice themselves. The threads that cede so then run as long
// together, each its part of that time, before they cede again. They do not run longer, because the
// machine may have taken the processor away from the others.
func (t *Thread) cede() {
	c, among := &t.ceding, 1
	if s, ok := t.sched.(crowded); ok {
		among = max(s.computing(), 1)
	}
	// Several threads may wait for each other in loops.
	if c.looks++; among == 1 && c.looks%maxLooks != 0 {
		return
	}
	now := time.Now()
	ran := min(now.Sub(c.last), slice)
	if ran < c.owed {
		return
	}
	runtime.Gosched()
	c.last = time.Now()
	processors := runtime.GOMAXPROCS(0)
	c.owed = share(c.last.Sub(now), ran, (among+processors-1)/processors)
}

// share is how long a thread runs that was away, where so many threads cede on one processor, it
// included: its part of the time that was not theirs, or of a slice if that is less. The others are
// taken to have run as long as it did before.
func share(away, ran time.Duration, threads int) time.Duration {
	foreign := away - time.Duration(threads-1)*ran
	return min(max(foreign, 0), slice) / time.Duration(threads)
}
