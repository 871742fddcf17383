package clock

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Frozen returns a clock that always reads t. No deadline ever comes: a wait for one lasts until
// something else ends it. For sleeps that end, use [Stepped] or [NewVirtual].
func Frozen(t time.Time) Clock { return NewVirtual(WithStart(t)) }

// Stepped returns a clock that starts at start and moves by step at each reading. A program that
// polls the time sees it pass, the same in every run. A wait moves the clock to its deadline at
// once. A step below 1 ns counts as 1 ns.
func Stepped(start time.Time, step time.Duration) Clock {
	c := &stepped{step: int64(max(1, step)), offset: saturatingSub(start.UnixNano(), boot)}
	c.mono.Store(boot)
	return c
}

type stepped struct {
	mono   atomic.Int64 // the next reading
	step   int64
	offset int64

	mu     sync.Mutex
	timers timers
	firing bool
}

func (c *stepped) read() int64 {
	for {
		now := c.mono.Load()
		if now == math.MaxInt64 || c.mono.CompareAndSwap(now, saturatingAdd(now, c.step)) {
			return now
		}
	}
}

func (c *stepped) Monotonic() int64 { return c.read() }

func (c *stepped) Realtime() int64 { return saturatingAdd(c.read(), c.offset) }

func (c *stepped) Resolution(wasip1.ClockID) int64 { return c.step }

// AfterFunc moves the clock to at and calls f before it returns, unless it is called by
// a timer's function: then f has its turn after that one.
func (c *stepped) AfterFunc(at int64, f func()) Timer {
	t := &timer{mu: &c.mu, at: at, f: f}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timers.add(t)
	if c.firing {
		return t
	}
	c.firing = true
	for t := c.timers.first(); t != nil; t = c.timers.first() {
		c.timers.remove(t)
		for now := c.mono.Load(); now < t.at && !c.mono.CompareAndSwap(now, t.at); now = c.mono.Load() {
		}
		c.mu.Unlock()
		t.f()
		c.mu.Lock()
	}
	c.firing = false
	return t
}
