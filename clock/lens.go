package clock

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Settable is implemented by a Clock whose realtime can be set by hand.
type Settable interface {
	// AfterSet arranges for f to be called after each setting of the realtime clock, until the
	// Timer is stopped. The rules for the function of [Clock.AfterFunc] apply to f.
	AfterSet(f func()) Timer
}

// Denier is implemented by a Clock of which some readings are denied to guests; see [Deny].
type Denier interface {
	// Denied returns what is answered instead of a reading, ESUCCESS if none is denied.
	Denied(id wasip1.ClockID) wasip1.Errno
}

// MachineUser is implemented by a Clock that knows whether its time is the machine's.
type MachineUser interface {
	UsesMachine() bool
}

// UsesMachine reports whether the time of c is the machine's. It asks the first [MachineUser] in
// the chain of c; see [As]. Defaults: a chain without one has time of its own.
func UsesMachine(c Clock) bool {
	m, ok := As[MachineUser](c)
	return ok && m.UsesMachine()
}

// Mover is implemented by a Clock whose time does not pass by itself, such as [Virtual]. A Host
// whose threads take turns moves it while guests compute.
type Mover interface {
	// Advance moves the time on by d and fires the timers whose deadlines have come.
	Advance(d time.Duration)
	// UntilNext returns the nanoseconds until the next deadline, or false if there is none.
	UntilNext() (ahead int64, ok bool)
	// AdvanceToNext moves the time on to the next deadline. It returns by how much, or false if
	// there is none.
	AdvanceToNext() (time.Duration, bool)
}

// ResolutionOf returns the resolution of c in nanoseconds, at least 1. A clock that is no
// [Resolver] has 1 µs in realtime and 1 ns else.
func ResolutionOf(c Clock, id wasip1.ClockID) int64 {
	if r, ok := c.(Resolver); ok {
		return max(1, r.Resolution(id))
	}
	if id == wasip1.ClockRealtime {
		return 1000
	}
	return 1
}

// DeniedBy returns the errno with which c denies readings of id, or ESUCCESS if it does not.
func DeniedBy(c Clock, id wasip1.ClockID) wasip1.Errno {
	if d, ok := c.(Denier); ok {
		return d.Denied(id)
	}
	return wasip1.ESUCCESS
}

// As returns the first clock in the chain of c that is a T, as errors.As does for errors. The chain
// of a view of another clock continues with Unwrap() Clock. Views of this package pass Hold and
// Release on.
func As[T any](c Clock) (T, bool) {
	for c != nil {
		if t, ok := c.(T); ok {
			return t, true
		}
		u, ok := c.(interface{ Unwrap() Clock })
		if !ok {
			break
		}
		c = u.Unwrap()
	}
	var zero T
	return zero, false
}

// lens is a Clock seen unchanged, with whatever it offers besides. A lens embeds it.
type lens struct{ Clock }

func (l lens) Unwrap() Clock { return l.Clock }

func (l lens) Resolution(id wasip1.ClockID) int64 { return ResolutionOf(l.Clock, id) }

func (l lens) Denied(id wasip1.ClockID) wasip1.Errno { return DeniedBy(l.Clock, id) }

func (l lens) Hold() {
	if h, ok := l.Clock.(Holder); ok {
		h.Hold()
	}
}

func (l lens) Release() {
	if h, ok := l.Clock.(Holder); ok {
		h.Release()
	}
}

func (l lens) AfterSet(f func()) Timer {
	if s, ok := l.Clock.(Settable); ok {
		return s.AfterSet(f)
	}
	return stopped{}
}

// stopped is a Timer that is not pending.
type stopped struct{}

func (stopped) Stop() bool { return false }

// never is a Timer for a time that the clock below cannot reach.
type never struct{ stopped atomic.Bool }

func (n *never) Stop() bool { return !n.stopped.Swap(true) }

// Offset returns c with its realtime moved by d.
func Offset(c Clock, d time.Duration) Clock { return &offset{lens{c}, int64(d)} }

type offset struct {
	lens
	d int64
}

func (o *offset) Realtime() int64 { return saturatingAdd(o.Clock.Realtime(), o.d) }

// Scaled returns c running factor times as fast from now on: with 60, a minute passes in
// each second. It panics if factor is not a number above 0.
func Scaled(c Clock, factor float64) Clock {
	if !(factor > 0) || math.IsInf(factor, 0) {
		panic("clock: Scaled by a factor that is not above 0")
	}
	return &scaled{lens{c}, factor, c.Monotonic(), c.Realtime()}
}

type scaled struct {
	lens
	factor     float64
	mono, real int64 // of the clock below, when the scaling began
}

func (s *scaled) scale(d int64) int64 {
	f := float64(d) * s.factor
	if f >= math.MaxInt64 {
		return math.MaxInt64
	}
	if f <= math.MinInt64 {
		return math.MinInt64
	}
	return int64(f)
}

func (s *scaled) Monotonic() int64 {
	return saturatingAdd(s.mono, s.scale(s.Clock.Monotonic()-s.mono))
}

func (s *scaled) Realtime() int64 {
	return saturatingAdd(s.real, s.scale(s.Clock.Realtime()-s.real))
}

func (s *scaled) Resolution(id wasip1.ClockID) int64 {
	return max(1, s.scale(s.lens.Resolution(id)))
}

func (s *scaled) AfterFunc(at int64, f func()) Timer {
	want := saturatingSub(at, s.mono)
	if want <= 0 {
		return s.Clock.AfterFunc(s.mono, f)
	}
	below := float64(want) / s.factor
	if below >= math.MaxInt64 {
		return new(never)
	}
	d := int64(math.Ceil(below))
	// The division is rounded; a timer must not fire while the clock still reads less than at.
	for ulp := int64(1); s.scale(d) < want && d < math.MaxInt64; ulp *= 2 {
		d = saturatingAdd(d, ulp)
	}
	return s.Clock.AfterFunc(saturatingAdd(s.mono, d), f)
}

// Deny returns c with readings of ids denied to guests: clock_time_get, clock_res_get and
// subscriptions to them are answered by errno (ENOTSUP, EINVAL, EPERM, …). Host code and other
// clocks are not affected. A guest that is denied the monotonic clock cannot sleep.
func Deny(c Clock, errno wasip1.Errno, ids ...wasip1.ClockID) Clock {
	d := &denied{lens: lens{c}}
	for _, id := range ids {
		if id.Valid() {
			d.errno[id] = errno
		}
	}
	return d
}

type denied struct {
	lens
	errno [wasip1.ClockThreadCPUTime + 1]wasip1.Errno
}

func (d *denied) Denied(id wasip1.ClockID) wasip1.Errno {
	if id.Valid() && d.errno[id] != wasip1.ESUCCESS {
		return d.errno[id]
	}
	return d.lens.Denied(id)
}
