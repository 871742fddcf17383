package clock

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Real returns a clock that tells the machine's time. Inside a testing/synctest bubble it
// tells the bubble's.
//
// Its timers are fired one after the other, by a goroutine that lives only while some are due.
func Real() Clock {
	c := &realClock{base: time.Now()}
	c.timers.emptied = c.disarm
	return c
}

// UsesMachine implements [MachineUser].
func (c *realClock) UsesMachine() bool { return true }

type realClock struct {
	base time.Time // with its monotonic reading

	offset atomic.Int64 // realtime minus monotonic, as of synced
	synced atomic.Int64 // monotonic; 0 before the first time

	mu     sync.Mutex
	timers timers
	wake   *time.Timer // calls fire
	armed  int64       // for when; 0 if it is not
	firing bool
}

// resync is how long an offset between realtime and monotonic is taken for true: so long it may
// take until a guest sees that the machine's realtime was set.
const resync = int64(10e6)

// Realtime reads one clock of the machine instead of the two that time.Now reads, which
// is half of its cost.
func (c *realClock) Realtime() int64 {
	mono := c.Monotonic()
	if s := c.synced.Load(); s == 0 || mono-s > resync {
		now := time.Now()
		c.offset.Store(now.UnixNano() - boot - int64(now.Sub(c.base)))
		c.synced.Store(mono)
	}
	return mono + c.offset.Load()
}

func (c *realClock) Monotonic() int64 { return boot + int64(time.Since(c.base)) }

// Resolution is 1 ns: what the runtime gets from the kernel is counted in those.
func (c *realClock) Resolution(wasip1.ClockID) int64 { return 1 }

func (c *realClock) AfterFunc(at int64, f func()) Timer {
	t := &timer{mu: &c.mu, at: at, f: f}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timers.add(t)
	if !c.firing && c.timers.first() == t {
		c.arm()
	}
	return t
}

// disarm stops the runtime's timer, which would keep the clock alive, when there is nothing to
// fire.
func (c *realClock) disarm() {
	if c.armed != 0 {
		c.wake.Stop() // fire looks for itself if it runs already
		c.armed = 0
	}
}

// arm sets the runtime's timer for the first of ours. One of several that was stopped leaves it
// set: firing too early costs less than setting it anew.
func (c *realClock) arm() {
	t := c.timers.first()
	if t == nil || c.armed != 0 && c.armed <= t.at {
		return
	}
	c.armed = t.at
	d := time.Duration(max(0, saturatingSub(t.at, c.Monotonic())))
	if c.wake == nil {
		c.wake = time.AfterFunc(d, c.fire)
	} else {
		c.wake.Reset(d)
	}
}

func (c *realClock) fire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = 0
	if c.firing {
		return
	}
	c.firing = true
	for t := c.timers.first(); t != nil && t.at <= c.Monotonic(); t = c.timers.first() {
		c.timers.remove(t)
		c.mu.Unlock()
		t.f()
		c.mu.Lock()
		if next := c.timers.first(); next != nil && next.at > t.at && next.at <= c.Monotonic() {
			// Where the machine was too busy to fire in time, what t has woken goes first
			// nevertheless: the runtime would begin with what was woken last. Now and then it goes
			// on with who has just yielded.
			c.mu.Unlock()
			runtime.Gosched()
			runtime.Gosched()
			c.mu.Lock()
		}
	}
	c.firing = false
	c.arm()
}

// saturatingAdd returns a+b, or the nearest int64.
func saturatingAdd(a, b int64) int64 {
	s := a + b
	switch {
	case b > 0 && s < a:
		return math.MaxInt64
	case b < 0 && s > a:
		return math.MinInt64
	}
	return s
}

// saturatingSub returns a-b, or the nearest int64.
func saturatingSub(a, b int64) int64 {
	d := a - b
	switch {
	case b < 0 && d < a:
		return math.MaxInt64
	case b > 0 && d > a:
		return math.MinInt64
	}
	return d
}
