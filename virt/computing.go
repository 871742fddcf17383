package virt

import (
	"fmt"
	"time"

	"github.com/wasivirt/wasivirt/internal/cputime"
	"github.com/wasivirt/wasivirt/wasip1"
)

// BudgetCPUTime is the budget of computing time. Its end ends the guest.
const BudgetCPUTime Budget = "processor time"

// WithMaxCPUTime bounds the time that a guest's threads compute, all of them added up. The guest
// ends when it has computed for d, with a Result that says [Exhausted] and [BudgetCPUTime]. 0 is no
// limit.
//
// The time in guest code and in calls of the Host counts, Handlers of the embedder included.
// Waiting does not count: for a time, a stream, another thread or a turn. On Linux, time that the
// machine gave to other programs does not count either, if the thread stayed on one thread of the
// machine; elsewhere it counts.
//
// The Host checks the budget in guest code, at most some hundred microseconds of computing apart,
// and at the end of calls. A guest may exceed d by that much for each thread, or by one call. How
// far a guest comes differs from run to run; [WithFuel] is the limit that repeats. A Host
// [WithoutPreemption] does not check in guest code.
func WithMaxCPUTime(d time.Duration) GuestOption {
	return guestOption("WithMaxCPUTime", func(c *config) error {
		if d < 0 {
			return fmt.Errorf("%v is negative", d)
		}
		c.control.limits.CPUTime = d
		return nil
	})
}

// meterGrain is how much real time passes at least between two readings of the thread's clock,
// which take a system call.
const meterGrain = 100 * time.Microsecond

// meter counts the computing time of one thread. Only the thread itself uses it.
type meter struct {
	mark    cputime.Mark // when what has not been counted yet began
	running bool
}

// metered reports whether the guest's computing time is counted.
func (g *Guest) metered() bool {
	return g.budgets.cpu != nil || g.host.budgets.cpu != nil
}

// compute begins to count, until the returned function is called. A thread that computes already
// goes on.
func (t *thread) compute() (stop func()) {
	m := t.meter
	if m == nil || m.running {
		return func() {}
	}
	m.mark, m.running = cputime.Now(), true
	return func() {
		t.count(0)
		m.running = false
	}
}

// pause stops counting until the returned function is called.
func (t *thread) pause() (resume func()) {
	m := t.meter
	if m == nil || !m.running {
		return func() {}
	}
	t.count(0)
	m.running = false
	return func() { m.mark, m.running = cputime.Now(), true }
}

// count takes what the thread has computed since the last time from the budgets, if that may be
// grain or more.
func (t *thread) count(grain time.Duration) {
	m := t.meter
	if m == nil || !m.running || m.mark.Real() < grain {
		return
	}
	var d time.Duration
	d, m.mark = cputime.Since(m.mark)
	g := t.guest
	g.usage.cpu.Add(int64(d))
	for _, a := range []*allowance{g.budgets.cpu, g.host.budgets.cpu} {
		if a.giveBack(-int64(d)); a.overdrawn() {
			t.exhaust(BudgetCPUTime)
		}
	}
}

// meteredCalls is the layer that counts what long calls take.
func meteredCalls(_ *Guest, _ int, _ *function, next callFunc) callFunc {
	return func(t *thread, f *function, p []uint64) wasip1.Errno {
		errno := next(t, f, p)
		t.count(10 * meterGrain)
		return errno
	}
}
