package virt

import (
	"time"

	"github.com/wasivirt/wasivirt/internal/cputime"
	"github.com/wasivirt/wasivirt/wasip1"
)

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
	if t.guest.chargeComputing(d) {
		t.exhaust(BudgetCPUTime)
	}
}

// chargeComputing charges the guest for computing time, and reports whether it has used up more
// than it had.
func (g *Guest) chargeComputing(d time.Duration) (overdrawn bool) {
	g.usage.cpu.Add(int64(d))
	for _, a := range []*allowance{g.budgets.cpu, g.host.budgets.cpu} {
		a.giveBack(-int64(d))
		overdrawn = overdrawn || a.overdrawn()
	}
	return overdrawn
}

// meteredCalls is the layer that counts what long calls take.
func meteredCalls(_ *Guest, _ int, _ *function, next callFunc) callFunc {
	return func(t *thread, f *function, p []uint64) wasip1.Errno {
		errno := next(t, f, p)
		t.count(10 * meterGrain)
		return errno
	}
}
