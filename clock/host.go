package clock

import (
	"context"
	"time"
)

// After returns a channel that gets the realtime once d has passed.
func (v *Virtual) After(d time.Duration) <-chan time.Time { return v.NewTimer(d).C }

// Sleep waits until d has passed on the clock. The caller must not hold time: see Pause.
func (v *Virtual) Sleep(d time.Duration) { _ = v.SleepContext(context.Background(), d) }

// SleepContext is Sleep that gives up with the cause of ctx's end.
func (v *Virtual) SleepContext(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := v.NewTimer(d)
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		t.Stop()
		return context.Cause(ctx)
	}
}

// Pause waits until d has passed, for a caller that holds time. It releases time while it waits,
// and holds it again exactly at its deadline. It waits for all others that hold time, and so must
// not be called by a thread that has the turn of a scheduler: those that are ready hold time and
// wait for the turn. Such a thread moves the clock by Advance.
func (v *Virtual) Pause(d time.Duration) {
	if d <= 0 {
		return
	}
	done := make(chan struct{})
	v.AfterFunc(saturatingAdd(v.Monotonic(), int64(d)), func() {
		v.Hold()
		close(done)
	})
	v.Release()
	<-done
}

// ChanTimer is a timer for host code, in the manner of time.Timer.
type ChanTimer struct {
	// C gets the realtime when the timer fires. Stop and Reset take back what nobody received.
	C <-chan time.Time

	v *Virtual
	c chan time.Time
	t Timer
}

// NewTimer returns a timer that fires once d has passed.
func (v *Virtual) NewTimer(d time.Duration) *ChanTimer {
	c := make(chan time.Time, 1)
	t := &ChanTimer{C: c, c: c, v: v}
	t.set(d)
	return t
}

func (t *ChanTimer) set(d time.Duration) {
	c, v := t.c, t.v
	t.t = v.AfterFunc(saturatingAdd(v.Monotonic(), int64(max(0, d))), func() {
		select {
		case c <- v.Now():
		default:
		}
	})
}

// Stop keeps the timer from firing, and reports whether it did.
func (t *ChanTimer) Stop() bool {
	stopped := t.t.Stop()
	select {
	case <-t.c:
	default:
	}
	return stopped
}

// Reset makes the timer fire once d has passed from now. It reports whether the timer was
// still pending. It must not be called at the same time as Stop or another Reset.
func (t *ChanTimer) Reset(d time.Duration) bool {
	pending := t.Stop()
	t.set(d)
	return pending
}
