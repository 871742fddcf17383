package virt

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
)

// gate counts who uses something until it is shut. Its zero value is open, with nobody inside.
type gate struct {
	state atomic.Int64 // how many are inside, and isShut
	empty func()       // called once, when the gate is shut and nobody is inside any more
}

// isShut is added to the state of a gate that is shut.
const isShut = math.MinInt64

// enter lets the caller in, who calls leave at the end, unless the gate is shut.
func (g *gate) enter() bool {
	for {
		n := g.state.Load()
		if n < 0 {
			return false
		}
		if g.state.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (g *gate) leave() {
	if g.state.Add(-1) == isShut {
		g.empty()
	}
}

// shut lets nobody in any more, and calls empty as soon as nobody is inside. It is called once.
func (g *gate) shut(empty func()) {
	g.empty = empty
	if g.state.Add(isShut) == isShut {
		empty()
	}
}

// used reports whether anybody is inside.
func (g *gate) used() bool { return g.state.Load()&math.MaxInt64 != 0 }

// shutAndWait shuts the gate and waits until nobody is inside.
func (g *gate) shutAndWait() {
	left := make(chan struct{})
	g.shut(func() { close(left) })
	<-left
}

// closing is a Close that is carried out once, and that everybody waits for who calls it.
type closing struct {
	mu   sync.Mutex
	done chan struct{} // nil where nobody has called it
	err  error
}

// close has finish carried out, unless that was begun before, and waits until it has returned.
// Where ctx ends before, finish goes on, and the error is that of late. Who comes after the end
// gets nil.
func (c *closing) close(ctx context.Context, finish func() error, late func(cause error) error) error {
	c.mu.Lock()
	done, first := c.done, c.done == nil
	if first {
		done = make(chan struct{})
		c.done = done
	}
	c.mu.Unlock()
	run := func() {
		c.err = finish()
		close(done)
	}
	switch {
	case !first:
		select {
		case <-done:
			return nil
		default:
		}
	case ctx.Done() == nil:
		run()
		return c.err
	default:
		go run()
	}
	select {
	case <-done:
		return c.err
	case <-ctx.Done():
	}
	if waited(done) {
		return c.err
	}
	return late(context.Cause(ctx))
}
