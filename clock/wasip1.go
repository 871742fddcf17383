package clock

import (
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/wasip1"
)

// CPU tells how long something has computed. Threads and groups of a scheduler implement it.
//
// On the clocks of this package that is the time that has passed on the monotonic clock, without
// the time spent waiting. A virtual clock stands still while anybody computes, so only what it was
// advanced meanwhile counts.
type CPU interface {
	// CPUTime returns nanoseconds, never less than before.
	CPUTime() int64
}

// Times is what a thread's clock functions read.
type Times struct {
	Clock Clock
	// Process and Thread answer for the CPU-time clocks. Where nil, there is no such clock.
	Process, Thread CPU
}

// read returns the reading of a clock. Realtimes before 1970, which preview1 cannot
// express, are 0.
func (t *Times) read(id wasip1.ClockID) (uint64, wasip1.Errno) {
	if d, ok := t.Clock.(Denier); ok {
		if errno := d.Denied(id); errno != wasip1.ESUCCESS {
			return 0, errno
		}
	}
	switch {
	case id == wasip1.ClockMonotonic:
		return uint64(t.Clock.Monotonic()), wasip1.ESUCCESS
	case id == wasip1.ClockRealtime:
		return uint64(max(0, t.Clock.Realtime())), wasip1.ESUCCESS
	case id == wasip1.ClockProcessCPUTime && t.Process != nil:
		return uint64(t.Process.CPUTime()), wasip1.ESUCCESS
	case id == wasip1.ClockThreadCPUTime && t.Thread != nil:
		return uint64(t.Thread.CPUTime()), wasip1.ESUCCESS
	}
	return 0, wasip1.EINVAL
}

// ResGet is clock_res_get: it stores the resolution of a clock, in nanoseconds.
//
//	id      clockid
//	result  where the timestamp (8 bytes) goes
//
// Errors: EINVAL for a clock that does not exist, what [Deny] says for one that is denied,
// EFAULT for a result out of memory. preview1: a resolution is never 0.
func ResGet(t *Times, v *memory.View, id, result uint32) wasip1.Errno {
	c := wasip1.ClockID(id)
	switch {
	case DeniedBy(t.Clock, c) != wasip1.ESUCCESS:
		return DeniedBy(t.Clock, c)
	case !c.Valid(),
		c == wasip1.ClockProcessCPUTime && t.Process == nil,
		c == wasip1.ClockThreadCPUTime && t.Thread == nil:
		return wasip1.EINVAL
	}
	return v.PutUint64(result, uint64(ResolutionOf(t.Clock, c)))
}

// TimeGet is clock_time_get: it stores the reading of a clock, in nanoseconds.
//
//	id         clockid
//	precision  how much too early or late is still good: not used, readings are exact
//	result     where the timestamp (8 bytes) goes
//
// Errors: EINVAL for a clock that does not exist, what [Deny] says for one that is denied,
// EFAULT for a result out of memory.
func TimeGet(t *Times, v *memory.View, id uint32, precision uint64, result uint32) wasip1.Errno {
	now, errno := t.read(wasip1.ClockID(id))
	if errno != wasip1.ESUCCESS {
		return errno
	}
	return v.PutUint64(result, now)
}
