package virt

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// newAllowance is n of something, or nil, which has no end, for 0.
func newAllowance(n uint64) *allowance {
	if n == 0 {
		return nil
	}
	a := new(allowance)
	a.left.Store(int64(min(n, math.MaxInt64)))
	return a
}

// budgets are what is left of budgets that are not counted elsewhere. Nil fields have no end.
type budgets struct {
	calls, fuel, memory, threads, descriptors, output, random, sleep, cpu, stack *allowance

	disk *quotafs.Quota
}

func newBudgets(l *Limits) budgets {
	p := budgets{
		calls: newAllowance(l.HostCalls), fuel: newAllowance(l.Fuel), memory: newAllowance(l.Memory),
		threads: newAllowance(uint64(max(l.Threads, 0))), descriptors: newAllowance(uint64(l.Descriptors)),
		output: newAllowance(l.OutputBytes), random: newAllowance(l.RandomBytes), sleep: newAllowance(uint64(l.Sleep)),
		cpu: newAllowance(uint64(l.CPUTime)), stack: newAllowance(l.Stack),
	}
	if l.DiskBytes != 0 || l.Inodes != 0 {
		p.disk = quotafs.NewQuota(int64(min(l.DiskBytes, math.MaxInt64)), int64(min(l.Inodes, math.MaxInt64)))
	}
	return p
}

// takeBoth takes as much of n as both allowances have.
func takeBoth(a, b *allowance, n int64) int64 {
	n = a.take(n)
	got := b.take(n)
	a.giveBack(n - got)
	return got
}

// exhaust ends the guest because b is used up.
func (t *thread) exhaust(b Budget) {
	t.guest.decide(&Result{Outcome: Exhausted, Budget: b, Thread: t.id()})
}

// countedCalls is the layer of the budget of host calls.
func countedCalls(g *Guest, _ int, _ *function, next callFunc) callFunc {
	if g.budgets.calls == nil && g.host.budgets.calls == nil {
		return nil
	}
	return func(t *thread, f *function, p []uint64) wasip1.Errno {
		if takeBoth(g.budgets.calls, g.host.budgets.calls, 1) == 0 { // Reset gives the guest others
			t.exhaust(BudgetHostCalls)
			return wasip1.ECANCELED // the guest is left where the call came in
		}
		return next(t, f, p)
	}
}

// charge takes memory from the Host's budget up to size bytes in all for this guest, and reports
// whether there was enough. One thread of a guest grows its memory at a time.
func (g *Guest) charge(size uint64) bool {
	if size <= g.charged {
		return true
	}
	n := int64(size - g.charged)
	if !g.family.budget.takeAll(n) {
		return false
	}
	if !g.host.takeMemory(n) {
		g.family.budget.giveBack(n)
		return false
	}
	g.charged = size
	return true
}

// takeMemory takes n from the Host's budget of memory, and before it fails what closed guests have
// left for others.
func (h *Host) takeMemory(n int64) bool {
	if h.budgets.memory.takeAll(n) {
		return true
	}
	some, _ := h.first().spares.forget(nil) // a mapping that cannot be unmapped is not used any more
	return some && h.budgets.memory.takeAll(n)
}

// discharge gives back to the Host's budget what the guest has taken of it beyond size bytes.
func (g *Guest) discharge(size uint64) {
	if g.charged > size {
		g.family.budget.giveBack(int64(g.charged - size))
		g.host.budgets.memory.giveBack(int64(g.charged - size))
		g.charged = size
	}
}

// takeAll takes n if there is as much.
func (a *allowance) takeAll(n int64) bool {
	if a == nil {
		return true
	}
	for {
		left := a.left.Load()
		if n > left {
			return false
		}
		if a.left.CompareAndSwap(left, left-n) {
			return true
		}
	}
}

// Take and Give make an allowance the semaphore that tables of descriptors, or groups of threads,
// share.

// Take implements [sched.Semaphore], for descriptors too.
func (a *allowance) Take() bool { return a.takeAll(1) }

// Give implements [sched.Semaphore], for descriptors too.
func (a *allowance) Give() { a.giveBack(1) }

// drawFrom makes src the guest's randomness, within its budgets. The guest's own is asked first:
// one that has used its own up takes nothing of the Host's, not even for a moment.
func (g *Guest) drawFrom(src random.Source) {
	g.source = src
	if g.config.random == nil {
		src = endlessRandom{src, g}
	}
	if a := g.host.budgets.random; a != nil {
		src = budgetedRandom{src, a, "the Host's"}
	}
	if a := g.budgets.random; a != nil {
		src = budgetedRandom{src, a, "the guest's"}
	}
	g.random = src
}

// randomPiece is how many bytes are drawn before a guest that has ended is looked for: a
// millisecond's work.
const randomPiece = 1 << 20

// endlessRandom is a source of the Host's that never runs out, in pieces, between which the guest's
// end is seen: a guest with 4 GiB of memory can ask for as much at once, which takes seconds.
type endlessRandom struct {
	src   random.Source
	guest *Guest
}

func (s endlessRandom) Read(p []byte) (n int, err error) {
	for len(p)-n > randomPiece {
		if s.guest.ended.Load() {
			return n, wasip1.ECANCELED
		}
		k, err := s.src.Read(p[n : n+randomPiece])
		if n += k; err != nil {
			return n, err
		}
	}
	k, err := s.src.Read(p[n:])
	return n + k, err
}

// budgetedRandom is a source with a budget that other sources share.
type budgetedRandom struct {
	src  random.Source
	left *allowance
	of   string
}

func (s budgetedRandom) Read(p []byte) (int, error) {
	if !s.left.takeAll(int64(len(p))) {
		return 0, fmt.Errorf("%s budget of random bytes: %w", s.of, wasip1.EDQUOT)
	}
	n, err := s.src.Read(p)
	s.left.giveBack(int64(len(p) - max(n, 0)))
	return n, err
}

// shareDisk begins what the guest's own file systems take of the Host's budget of disk. What they
// took before is given back.
func (g *Guest) shareDisk() {
	if g.sharedDisk != nil {
		g.sharedDisk.Return()
	}
	if shared := g.host.budgets.disk; shared != nil {
		g.sharedDisk = shared.Share()
	}
}

// onBudget puts the budgets of disk before a file system. m is what it was mounted by, nil for the
// default world.
func (g *Guest) onBudget(fsys vfs.FS, m *mount) vfs.FS {
	if !vfs.KeepsWrites(fsys) || m != nil && m.forked {
		return fsys
	}
	if g.sharedDisk != nil && m == nil {
		fsys = quotafs.New(fsys, quotafs.Limits{}, quotafs.WithQuota(g.sharedDisk))
	} else if g.sharedDisk != nil {
		fsys = g.host.onSharedBudget(fsys, m)
	}
	if own := g.budgets.disk; own != nil {
		fsys = quotafs.New(fsys, quotafs.Limits{}, quotafs.WithQuota(own))
	}
	return fsys
}

// onSharedBudget counts what a file system that several guests have mounted holds in one place,
// whoever wrote it.
func (h *Host) onSharedBudget(fsys vfs.FS, m *mount) vfs.FS {
	wrap := func() vfs.FS { return quotafs.New(fsys, quotafs.Limits{}, quotafs.WithQuota(h.budgets.disk)) }
	if m.fsys == nil || !reflect.ValueOf(fsys).Comparable() {
		return wrap()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if f, ok := h.disks[fsys]; ok {
		return f
	}
	if h.disks == nil {
		h.disks = map[vfs.FS]vfs.FS{}
	}
	f := wrap()
	h.disks[fsys] = f
	return f
}

// wallTime is how much real time the guest has, or false where there is no limit.
func (g *Guest) wallTime() (time.Duration, bool) {
	d, limited := g.config.limits.WallTime, g.config.limits.WallTime > 0
	if end := g.host.deadline; !end.IsZero() {
		if left := time.Until(end); !limited || left < d {
			d, limited = left, true
		}
	}
	return max(d, 0), limited
}

// waiter is a thread as that waits which its waits are counted for.
type waiter struct {
	poll.Task
	t *thread
}

// waits returns what the thread waits with: task itself where nothing is counted.
func (t *thread) waits(task poll.Task) poll.Task {
	if t.guest.budgets.sleep == nil && t.guest.host.budgets.sleep == nil && t.meter == nil && (t.calls == nil || t.calls.usage == nil) {
		return task
	}
	return waiter{task, t}
}

// Park implements [poll.Task].
func (w waiter) Park(x poll.Wait) error {
	defer w.t.pause()()
	if w.t.calls != nil && w.t.calls.usage != nil {
		defer w.t.calls.usage.wait(w.t.guest, x)()
	}
	own, shared := w.t.guest.budgets.sleep, w.t.guest.host.budgets.sleep
	if own == nil && shared == nil || !x.Timed() {
		return w.Task.Park(x)
	}
	now := x.Clock.Monotonic()
	want := x.Deadline - now
	if want <= 0 {
		return w.Task.Park(x)
	}
	got := takeBoth(own, shared, want)
	x.Deadline = now + got
	err := error(nil)
	if got > 0 {
		err = w.Task.Park(x)
	}
	slept := min(max(x.Clock.Monotonic()-now, 0), got)
	own.giveBack(got - slept)
	shared.giveBack(got - slept)
	if err == nil && got < want && slept == got {
		w.t.exhaust(BudgetSleep)
		return context.Cause(w.t.guest.group.Context())
	}
	return err
}
