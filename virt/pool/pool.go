// Package pool keeps guests of a snapshot ready, for servers that answer each request with a guest
// that has started already.
package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/internal/link"
)

// Config says how large a [Pool] is.
type Config struct {
	// Ready is the number of guests that are kept waiting for work; they are made in the
	// background. 0 means that each guest is made when it is needed.
	Ready int
	// Max is the largest number of guests alive, ready and at work together. 0 stands for Ready,
	// but at least 1.
	Max int
	// Reset resets guests that were put back to the snapshot, and uses them again. Without it, each
	// guest is used once and then replaced by a new one.
	Reset bool
}

// Pool keeps guests of one snapshot ready. All its methods may be called from any goroutine.
//
// A guest that has ended, by a trap, a budget or its exit, is never given out again.
type Pool struct {
	snapshot *virt.Snapshot
	config   Config
	opts     []virt.GuestOption

	base    context.Context
	cancel  context.CancelFunc
	slots   chan struct{} // one for each guest that may still be made
	ready   chan *virt.Guest
	workers sync.WaitGroup

	mu     sync.Mutex
	busy   map[*virt.Guest]struct{} // that Get has given out
	usage  Usage
	closed bool
	failed error // of making guests in the background
}

// Usage counts the guests of a [Pool].
type Usage struct {
	// Ready is the number of guests that wait for work, Busy the number at work, Waiting the number
	// of callers that wait for a guest.
	Ready, Busy, Waiting int
	// Made is the number of guests made, Reset how often a guest was reset, Trapped the number of
	// guests that were put back after a trap, a budget's end or another end but an exit.
	Made, Reset, Trapped uint64
}

// New returns a Pool of guests that are started from s with opts. It begins to make Config.Ready
// guests in the background. The Pool does not close s: close it after the Pool.
func New(s *virt.Snapshot, c Config, opts ...virt.GuestOption) (*Pool, error) {
	if c.Max == 0 {
		c.Max = max(c.Ready, 1)
	}
	if c.Ready < 0 || c.Max < c.Ready {
		return nil, fmt.Errorf("make a pool: Config.Ready is %d and Config.Max is %d: want 0 <= Ready <= Max", c.Ready, c.Max)
	}
	if err := link.CheckOptions(s, opts); err != nil {
		return nil, fmt.Errorf("make a pool: %w", err)
	}
	p := &Pool{snapshot: s, config: c, opts: opts, slots: make(chan struct{}, c.Max), ready: make(chan *virt.Guest, c.Max),
		busy: map[*virt.Guest]struct{}{}}
	p.base, p.cancel = context.WithCancel(context.Background())
	for range c.Max {
		p.slots <- struct{}{}
	}
	p.fill()
	return p, nil
}

// fill makes guests in the background until enough are ready.
func (p *Pool) fill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for missing := p.config.Ready - p.usage.Ready; missing > 0 && !p.closed; missing-- {
		select {
		case <-p.slots:
		default:
			return
		}
		p.usage.Ready++
		p.workers.Go(func() {
			g, err := p.make(p.base)
			if err != nil {
				p.mu.Lock()
				p.usage.Ready--
				p.failed = err
				p.mu.Unlock()
				p.slots <- struct{}{} // who waits for one tries by itself, and is told
				return
			}
			link.Rest(g)
			p.ready <- g
		})
	}
}

// make makes a guest, unless ctx ends or the Pool is closed: the guest runs code at its start.
func (p *Pool) make(ctx context.Context) (*virt.Guest, error) {
	both, cancel := p.within(ctx)
	defer cancel()
	g, err := p.snapshot.Start(both, p.opts...)
	if err == nil {
		p.mu.Lock()
		p.usage.Made++
		p.mu.Unlock()
	}
	return g, err
}

// within returns a context that ends with ctx and with the Pool.
func (p *Pool) within(ctx context.Context) (both context.Context, cancel func()) {
	both, end := context.WithCancelCause(p.base)
	stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	return both, func() { stop(); end(nil) }
}

// Get returns a guest in the state of the snapshot. If all guests are at work, it waits for one. A
// guest's budget of wall time begins when Get returns it. Give the guest back to [Pool.Put].
// Errors: virt.ErrClosed; the cause of ctx's end; those of [virt.Snapshot.Start].
func (p *Pool) Get(ctx context.Context) (g *virt.Guest, err error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, fmt.Errorf("get a guest: the pool is %w", virt.ErrClosed)
	}
	p.usage.Waiting++
	p.mu.Unlock()
	for again := true; again; {
		var ahead bool
		g, ahead, err = p.next(ctx)
		again = err == nil && !link.Resume(g) && ahead
		p.mu.Lock()
		if ahead {
			p.usage.Ready--
		}
		p.mu.Unlock()
		if again { // it ended while it was ready, by the end of the Host's time for instance
			_ = g.Close(context.WithoutCancel(ctx)) // it has done nothing for anybody
			p.slots <- struct{}{}
		}
	}
	p.mu.Lock()
	p.usage.Waiting--
	if err == nil {
		p.busy[g] = struct{}{}
	}
	p.mu.Unlock()
	p.fill()
	return g, err
}

// next returns the next guest, and whether it was made ahead.
func (p *Pool) next(ctx context.Context) (g *virt.Guest, ahead bool, err error) {
	select {
	case g := <-p.ready:
		return g, true, nil
	default:
	}
	select {
	case g := <-p.ready:
		return g, true, nil
	case <-p.slots:
		if g, err = p.make(ctx); err != nil {
			p.slots <- struct{}{}
		}
		return g, false, err
	case <-p.base.Done():
		return nil, false, fmt.Errorf("get a guest: the pool is %w", virt.ErrClosed)
	case <-ctx.Done():
		return nil, false, fmt.Errorf("get a guest: %w", context.Cause(ctx))
	}
}

// Put takes back a guest that Get returned. Do not use the guest afterwards. Errors: those of
// [virt.Guest.Reset] and [virt.Guest.Close]; a guest that is not at work for the Pool, because Get
// has not returned it or Put has taken it back, to which nothing is done. A guest that could not be
// reset is closed, and another takes its place.
//
// Resetting runs the guest's "wasivirt_reseed", and ends with ctx: the guest is then closed, which
// is no error.
func (p *Pool) Put(ctx context.Context, g *virt.Guest) (err error) {
	p.mu.Lock()
	_, busy := p.busy[g]
	delete(p.busy, g)
	p.mu.Unlock()
	if !busy {
		return errors.New("put a guest into a pool: Get has not returned it, or it was put back before")
	}
	both, cancel := p.within(ctx)
	defer cancel()
	r := g.Result()
	keep := p.config.Reset && r.Outcome == virt.Running && both.Err() == nil
	if keep {
		err = g.Reset(both)
		if both.Err() != nil { // the guest has ended, or will
			lost, _ := errors.AsType[*virt.OutputError](err)
			if err = nil; lost != nil {
				err = lost
			}
		}
		keep = err == nil && both.Err() == nil
	}
	if keep {
		link.Rest(g)
	} else {
		err = errors.Join(err, g.Close(context.WithoutCancel(ctx)))
	}
	p.mu.Lock()
	switch {
	case keep && !p.closed:
		p.usage.Reset++
		p.usage.Ready++
	case r.Outcome != virt.Running && r.Outcome != virt.Exited:
		p.usage.Trapped++
	}
	give := keep && !p.closed
	if give {
		p.ready <- g // there is room for as many as may be alive
	}
	p.mu.Unlock()
	if give {
		return nil
	}
	if keep {
		err = g.Close(context.WithoutCancel(ctx))
	}
	p.slots <- struct{}{}
	p.fill()
	return err
}

// Do calls Get, then f with the guest, then Put, with ctx. Errors: those of the three.
func (p *Pool) Do(ctx context.Context, f func(*virt.Guest) error) (err error) {
	g, err := p.Get(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Put(ctx, g)) }()
	return f(g)
}

// Usage counts the Pool's guests.
func (p *Pool) Usage() Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.usage
	u.Busy = len(p.busy)
	return u
}

// Close closes the guests that are ready or being made. Guests in use go on; [Pool.Put] closes
// them. Waiting calls of [Pool.Get] return [virt.ErrClosed]. Errors: the last one of making guests
// in the background; those of closing guests.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	err := p.failed
	p.mu.Unlock()
	if closed {
		return nil
	}
	p.cancel()
	p.workers.Wait()
	for {
		select {
		case g := <-p.ready:
			err = errors.Join(err, g.Close(ctx))
		default:
			p.mu.Lock()
			p.usage.Ready = 0
			p.mu.Unlock()
			return err
		}
	}
}
