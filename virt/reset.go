package virt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/wasivirt/wasivirt/vfs"
)

// Reset puts the guest back to its state after _initialize, or after [Snapshot.Start] if it was
// made from a snapshot. Memory, globals, descriptors, files and budgets are those of a fresh guest;
// randomness is drawn again. The first Reset of a guest that was not made from a snapshot makes a
// fresh guest to copy from. Later ones cost time in proportion to the memory that the guest has
// touched.
//
// Errors: [ErrBusy] while a call is under way; an [*ExitError] if the guest has ended, because it
// cannot begin again; an [*OutputError] if a writer returned an error for what the guest wrote
// before: that output is lost, and the guest has been reset. After any other error only Close the
// guest.
func (g *Guest) Reset(ctx context.Context) error {
	s, err := g.beginning(ctx)
	if err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	return g.ResetTo(ctx, s)
}

// ResetTo puts the guest into the state of a snapshot of its module. Options that were given to
// [Snapshot.Start], mounts and budgets too, remain in force. See [Guest.Reset].
func (g *Guest) ResetTo(ctx context.Context, s *Snapshot) error {
	lost, err := g.resetTo(ctx, s)
	if err == nil {
		err = g.reseed(ctx)
	}
	return errors.Join(err, lost)
}

// reseedName is the export that a guest may have to draw again what it keeps of randomness.
const reseedName = "wasivirt_reseed"

// reseed tells the guest that it is a copy.
func (g *Guest) reseed(ctx context.Context) error {
	if !g.module.exportsFunc(reseedName) {
		return nil
	}
	if _, err := g.Call(ctx, reseedName); err != nil {
		return fmt.Errorf("%s: %w", reseedName, err)
	}
	return nil
}

// resetTo returns apart from the error what says that output from before was lost.
func (g *Guest) resetTo(ctx context.Context, s *Snapshot) (lost, err error) {
	if s.module.compilation != g.module.compilation {
		return nil, errors.New("reset: the snapshot is of another module: give one of the guest's module")
	}
	if err := s.use(); err != nil {
		return nil, err
	}
	if g.observer != nil {
		return nil, errors.New("reset: the guest is recorded or hashed: start one of the snapshot instead")
	}
	if ctx.Value(threadKey{}) != nil {
		return nil, fmt.Errorf("reset: %w", ErrBusy)
	}
	if !g.uses.enter() {
		return nil, &ExitError{Result: g.Result()}
	}
	defer g.uses.leave()
	if _, err := g.enter(ctx); err != nil {
		return nil, err
	}
	defer func() { <-g.calls }()
	if g.ended.Load() {
		return nil, &ExitError{Result: g.Result()}
	}
	if n := len(g.group.Threads()); n > 0 {
		return nil, fmt.Errorf("reset: %d threads of the guest are alive: wait for their end, or start a guest of the snapshot instead", n)
	}
	for _, c := range g.Children() {
		if c.Result() == nil {
			return nil, fmt.Errorf("reset: the guest's child %d runs: wait for its end, or start a guest of the snapshot instead", c.PID())
		}
	}
	err = contained(func() error {
		lost, _ = g.flushWithin(ctx) // what was written before is written before what comes
		return g.reset(ctx, s)
	})
	if err != nil {
		err = fmt.Errorf("reset: %w", err)
		g.decide(&Result{Outcome: Failed, Err: err})
	}
	return lost, err
}

// beginning is the snapshot that Reset goes back to.
func (g *Guest) beginning(ctx context.Context) (*Snapshot, error) {
	if g.origin != nil {
		return g.origin, nil
	}
	if g.home != nil {
		return g.home, nil
	}
	if err := g.checkSnapshot(); err != nil {
		return nil, err
	}
	quiet := *g.config
	quiet.stdin, quiet.given, quiet.recording, quiet.hash = nil, nil, nil, false
	quiet.streams, quiet.writers = [3]vfs.Stream{}, [2]io.Writer{}
	m := g.module
	if !m.uses.enter() {
		return nil, fmt.Errorf("the module is %w", ErrClosed)
	}
	fresh, err := g.host.makeGuest(ctx, m, &quiet, nil, nil)
	if err != nil {
		m.uses.leave()
		return nil, err
	}
	defer func() { _ = fresh.close(context.WithoutCancel(ctx)) }() // it has done nothing that closing could tell of
	fresh.uses.enter()
	err = fresh.begin(ctx)
	fresh.uses.leave()
	if err != nil {
		return nil, err
	}
	g.home, err = fresh.Snapshot(ctx)
	return g.home, err
}

// reset makes the guest, of which nothing runs, what s is.
func (g *Guest) reset(ctx context.Context, s *Snapshot) error {
	c := *g.config
	c.mounts = s.mountsFor(g)
	g.config, g.forks = &c, forks{}
	g.budgets = newBudgets(&c.limits)
	if g.reserved && g.module.stacked() {
		g.budgets.stack.giveBack(-stackAtStart) // of the first thread, which stays
	}
	g.shareDisk()
	s.takeOver(g, g.given)
	g.draw()
	g.ran.Store(false)
	g.unread.clear()
	for _, c := range g.Children() { // which have ended
		g.Forget(c)
	}
	ns, err := g.namespace()
	if err != nil {
		return err
	}
	g.ns = ns
	if err := s.become(ctx, g); err != nil {
		return err
	}
	if d, limited := g.wallTime(); limited && g.timer != nil {
		g.deadline = time.Now().Add(d)
		g.timer.Reset(d)
	}
	return nil
}
