package virt

import (
	"context"
	"errors"
	"fmt"

	"github.com/wasivirt/wasivirt/virt/internal/recording"
	"github.com/wasivirt/wasivirt/virt/trap"
	"github.com/wasivirt/wasivirt/wasip1"
)

// finish records the end: how, and where the thread was that ran last.
func (b *recorder) finish(ctx context.Context, g *Guest) (err error) {
	b.tellPrinted(nil)
	var entries, fuel uint64
	if b.last != nil {
		b.flush(b.last)
		entries, fuel = b.last.position()
	}
	b.Finish(endingOf(g.Result()), entries, fuel)
	if b.hash != nil {
		g.mu.Lock()
		canceled := g.result.Outcome == Canceled
		g.mu.Unlock()
		switch err = hashTrees(ctx, b.hash, g); {
		case err == nil:
			g.mu.Lock()
			b.hash.Sum(g.result.Hash[:0])
			g.mu.Unlock()
		case canceled && ctx.Err() != nil:
			err = nil // what ended the guest ends the hash too
		default:
			err = fmt.Errorf("WithHash: %w", err)
		}
	}
	if e := b.Close(); e != nil {
		err = errors.Join(err, fmt.Errorf("WithRecording: %w", e))
	}
	return err
}

// maxEndText is how much of an error's text a recording keeps.
const maxEndText = 4 << 10

// endingOf is a result as a recording has it.
func endingOf(r *Result) recording.Ending {
	e := recording.Ending{Outcome: uint8(r.Outcome), Signal: uint8(r.Signal), ExitCode: r.ExitCode, Thread: r.Thread, Budget: string(r.Budget)}
	if r.Trap != nil {
		e.Trap, e.Text = uint8(r.Trap.Kind), r.Trap.Message
	} else if r.Err != nil {
		e.Text = r.Err.Error()
	}
	e.Text = e.Text[:min(len(e.Text), maxEndText)]
	return e
}

// resultOfEnding is a recorded result.
func resultOfEnding(e *recording.Ending) *Result {
	r := &Result{Outcome: Outcome(e.Outcome), ExitCode: e.ExitCode, Signal: wasip1.Signal(e.Signal), Budget: Budget(e.Budget), Thread: e.Thread}
	switch {
	case r.Outcome == Trapped:
		r.Trap = &Trap{Kind: trap.Kind(e.Trap), Message: e.Text}
		if e.Text == "" {
			r.Trap.Message = r.Trap.Kind.String()
		}
	case e.Text != "":
		r.Err = errors.New(e.Text)
	}
	return r
}
