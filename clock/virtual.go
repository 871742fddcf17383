package clock

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Virtual is a clock that host code moves, and that jumps by itself if asked to
// ([WithAutoAdvance]). Reading it is an atomic load.
//
// The package comment has the rule by which it jumps: whoever runs holds time.
type Virtual struct {
	mono   atomic.Int64 // written under mu
	offset atomic.Int64 // realtime minus monotonic
	firing atomic.Bool  // somebody is in advance; written under mu
	start  int64        // monotonic at the start

	// mu is a leaf: nothing is called with it held.
	mu       sync.Mutex
	timers   timers
	target   int64 // how far Advance has told the clock to go
	holds    int
	auto     bool
	rested   sync.Cond // firing fell
	blockers []*blocker
	watchers []*watcher // those of AfterSet, by age
	settle   []func()
}

// Option changes how [NewVirtual] makes a clock.
type Option func(*Virtual)

// WithStart sets the realtime that the clock starts at. The default is 2000-01-01T00:00:00Z.
func WithStart(t time.Time) Option {
	return func(v *Virtual) { v.offset.Store(saturatingSub(t.UnixNano(), v.start)) }
}

// maxJump is how far time jumps by itself: ten years, in nanoseconds.
const maxJump = int64(3652 * 24 * time.Hour)

// WithAutoAdvance makes time jump to the earliest deadline whenever nobody holds it. A jump is at
// most ten years: a longer wait lasts until host code moves the clock. Otherwise one wait could
// carry the clock to the end of time, where it would stand still for all guests.
func WithAutoAdvance() Option { return func(v *Virtual) { v.auto = true } }

// defaultStart is 2000-01-01T00:00:00Z.
const defaultStart = int64(946684800e9)

// NewVirtual returns a clock that stands still until it is moved, or until everybody waits if it is
// made [WithAutoAdvance]. A guest that sleeps on a clock that nobody moves waits until its timeout
// or its context ends it.
func NewVirtual(options ...Option) *Virtual {
	v := &Virtual{start: boot, target: boot}
	v.rested.L = &v.mu
	v.mono.Store(v.start)
	v.offset.Store(defaultStart - v.start)
	for _, o := range options {
		o(v)
	}
	return v
}

// Realtime returns the time since 1970 in nanoseconds.
func (v *Virtual) Realtime() int64 { return saturatingAdd(v.mono.Load(), v.offset.Load()) }

// Monotonic returns the time since an hour before the clock was made, in nanoseconds.
func (v *Virtual) Monotonic() int64 { return v.mono.Load() }

// Resolution returns 1.
func (v *Virtual) Resolution(wasip1.ClockID) int64 { return 1 }

// Now returns the realtime, in UTC.
func (v *Virtual) Now() time.Time { return time.Unix(0, v.Realtime()).UTC() }

// Elapsed returns how far the clock has moved since it was made.
func (v *Virtual) Elapsed() time.Duration { return time.Duration(v.mono.Load() - v.start) }

// AfterFunc implements [Clock]. f may be called before AfterFunc returns: if at has been
// reached, or if the clock jumps there because nobody holds it.
func (v *Virtual) AfterFunc(at int64, f func()) Timer {
	t := &timer{mu: &v.mu, at: at, f: f}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.timers.add(t)
	v.unblock()
	v.advance()
	return t
}

// Hold keeps the clock from jumping until the matching Release. Advance moves it all the same.
func (v *Virtual) Hold() {
	v.mu.Lock()
	v.holds++
	v.mu.Unlock()
}

// Release undoes one Hold. If it was the last, a clock made WithAutoAdvance jumps to the earliest
// deadline and fires timers before Release returns, unless another goroutine is doing so already.
// It panics if nobody holds the clock.
func (v *Virtual) Release() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.holds == 0 {
		panic("clock: Release of a clock that nobody holds")
	}
	v.holds--
	if v.holds == 0 {
		v.advance()
		v.unblock()
	}
}

// Holds returns how many hold the clock.
func (v *Virtual) Holds() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.holds
}

// Pending returns how many timers are set.
func (v *Virtual) Pending() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.timers.heap)
}

// Firing reports whether timers are being fired at this moment.
func (v *Virtual) Firing() bool { return v.firing.Load() }

// OnSettle arranges for f to be called each time that timers have been fired and none is due any
// more, on the goroutine that fired them. A scheduler waits for it so that its choice does not
// depend on the order of several timers. It cannot be undone.
func (v *Virtual) OnSettle(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.settle = append(v.settle[:len(v.settle):len(v.settle)], f)
}

// Advance moves the clock by d, stopping at each deadline on the way to fire its timers. It returns
// when they have been called. A d below 0 moves nothing. A timer's function must not call it.
func (v *Virtual) Advance(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.advanceTo(saturatingAdd(max(v.target, v.mono.Load()), int64(max(0, d))))
}

// AdvanceTo moves the clock to the realtime t, as Advance does. A t that has passed moves nothing.
func (v *Virtual) AdvanceTo(t time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.advanceTo(saturatingSub(t.UnixNano(), v.offset.Load()))
}

// UntilNext returns how far ahead the earliest deadline is, in nanoseconds, and false if no timer
// is set.
func (v *Virtual) UntilNext() (ahead int64, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.timers.first()
	if t == nil {
		return 0, false
	}
	return max(0, t.at-v.mono.Load()), true
}

// AdvanceToNext moves the clock to the earliest deadline and fires the timers that have it. It
// returns how far the clock moved, and false if no timer is set.
func (v *Virtual) AdvanceToNext() (time.Duration, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.timers.first()
	if t == nil {
		return 0, false
	}
	before := v.mono.Load()
	v.advanceTo(t.at)
	return time.Duration(max(0, t.at-before)), true
}

func (v *Virtual) advanceTo(at int64) {
	v.target = max(v.target, at)
	v.advance()
	for v.firing.Load() {
		v.rested.Wait()
	}
}

// SetAutoAdvance switches jumping on or off.
func (v *Virtual) SetAutoAdvance(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.auto = on
	v.advance()
}

// AutoAdvances reports whether time jumps by itself; see [WithAutoAdvance].
func (v *Virtual) AutoAdvances() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.auto
}

// SetRealtime sets the realtime clock, as an administrator would. The monotonic clock and waits for
// it are not affected. Waits for a realtime read the clock again.
func (v *Virtual) SetRealtime(t time.Time) {
	v.mu.Lock()
	v.offset.Store(saturatingSub(t.UnixNano(), v.mono.Load()))
	watchers := slices.Clone(v.watchers)
	v.mu.Unlock()
	for _, w := range watchers {
		w.f()
	}
}

// advance fires what is due, moves time as far as it may go, and fires what becomes due
// by that. It is called with mu held and lets go of it while it calls a timer's function. Whoever
// comes while another is at it leaves the work to that one, so that timers fire one at a time.
func (v *Virtual) advance() {
	if v.firing.Load() {
		return
	}
	fired := false
	for v.move() {
		t := v.timers.first()
		v.timers.remove(t)
		v.firing.Store(true)
		v.call(t.f)
		fired = true
	}
	if !fired {
		return
	}
	v.firing.Store(false)
	v.rested.Broadcast()
	v.unblock()
	for _, f := range v.settle {
		v.call(f)
	}
}

// call calls f without mu, which is held before and after.
func (v *Virtual) call(f func()) {
	v.mu.Unlock()
	defer v.mu.Lock()
	f()
}

// move sets the time to the first deadline that it may reach, and reports whether
// there is one.
func (v *Virtual) move() bool {
	now, t := v.mono.Load(), v.timers.first()
	if t != nil && t.at <= max(now, v.target) {
		v.mono.Store(max(now, t.at))
		return true
	}
	if v.target > now {
		v.mono.Store(v.target)
	}
	if t != nil && v.auto && v.holds == 0 && t.at-now <= maxJump {
		v.mono.Store(t.at)
		return true
	}
	return false
}

// watcher is the Timer of AfterSet.
type watcher struct {
	v *Virtual
	f func()
}

// AfterSet implements [Settable].
func (v *Virtual) AfterSet(f func()) Timer {
	w := &watcher{v, f}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.watchers = append(v.watchers, w)
	return w
}

func (w *watcher) Stop() bool {
	w.v.mu.Lock()
	defer w.v.mu.Unlock()
	i := slices.Index(w.v.watchers, w)
	if i < 0 {
		return false
	}
	w.v.watchers = slices.Delete(w.v.watchers, i, i+1)
	return true
}

// blocker is a BlockUntil or BlockUntilIdle that waits.
type blocker struct {
	n     int
	idle  bool
	ready chan struct{}
}

// met reports whether what b waits for is so.
func (v *Virtual) met(b *blocker) bool {
	return len(v.timers.heap) >= b.n && !(b.idle && (v.holds > 0 || v.firing.Load()))
}

// BlockUntil waits until at least n timers are set: at least n waits for the clock have begun. A
// guest sets its timer a moment before it counts as waiting; [Virtual.BlockUntilIdle] waits for
// that too.
func (v *Virtual) BlockUntil(n int) { _ = v.block(context.Background(), n, false) }

// BlockUntilContext is BlockUntil that gives up with the cause of ctx's end.
func (v *Virtual) BlockUntilContext(ctx context.Context, n int) error { return v.block(ctx, n, false) }

// BlockUntilIdle waits until at least n timers are set and nobody holds the clock: all threads of
// guests wait, at least n of them for a time. An Advance after that finds every run in the same
// state. If ctx ends first, it returns the cause. The caller must not hold the clock.
func (v *Virtual) BlockUntilIdle(ctx context.Context, n int) error { return v.block(ctx, n, true) }

func (v *Virtual) block(ctx context.Context, n int, idle bool) error {
	b := &blocker{n, idle, make(chan struct{})}
	v.mu.Lock()
	if v.met(b) {
		v.mu.Unlock()
		return nil
	}
	v.blockers = append(v.blockers, b)
	v.mu.Unlock()
	select {
	case <-b.ready:
		return nil
	case <-ctx.Done():
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	i := slices.Index(v.blockers, b)
	if i < 0 {
		return nil // it was met at the same moment
	}
	v.blockers = slices.Delete(v.blockers, i, i+1)
	return context.Cause(ctx)
}

// unblock lets those go on who have what they wait for.
func (v *Virtual) unblock() {
	v.blockers = slices.DeleteFunc(v.blockers, func(b *blocker) bool {
		if v.met(b) {
			close(b.ready)
			return true
		}
		return false
	})
}
