package virt

import (
	"math"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt/trace"
)

// Fuel is handed out in slices: fuelSlice instructions, after which the thread looks at the Host,
// and where threads share what is nearly used up less, so that at most an eighth of it lies with
// those that do not run: a sixteenth with the first, a sixteenth with all that it starts.
const (
	fuelSlice    = 100_000
	minFuelSlice = 1_000
	// fuelPart is the most of a slice that the instance's cell holds: between two parts the thread
	// looks at its context. Where all instructions wait for memory a part takes some milliseconds,
	// else some microseconds, of which the call of the Host should be little.
	fuelPart = 1 << 15
)

// fuelCell is the global that holds the fuel of an instance whose module counts it, or nil.
func fuelCell(mod api.Module, m *Module) api.MutableGlobal {
	if m.report == nil || m.report.FuelGlobal == "" {
		return nil
	}
	cell, _ := mod.ExportedGlobal(m.report.FuelGlobal).(api.MutableGlobal)
	return cell
}

// resetDepth sets the call depth to 0, which a trap leaves as it was.
func (t *thread) resetDepth() {
	if r := t.module.report; r != nil && r.DepthGlobal != "" {
		t.mod.ExportedGlobal(r.DepthGlobal).(api.MutableGlobal).Set(0)
	}
}

// refuel is called by an instance whose fuel has run out. Fuel is handed out in slices, so that
// threads can share a budget and take turns; what a slice was overdrawn by is owed from the next.
func (t *thread) refuel() {
	if t.fuel == nil {
		// A start function runs before the instance is handed out.
		t.fuel = fuelCell(t.mod, t.module)
	}
	t.count(meterGrain)
	left, slice := int64(t.fuel.Get()), int64(fuelSlice)
	if t.reserve > 0 {
		if left += t.reserve; left >= 0 {
			t.setFuel(left)
			t.heed()
			return
		}
		t.reserve = 0
	}
	if own, shared := t.fuelBudget(), t.guest.host.budgets.fuel; own != nil || shared != nil {
		// Where threads take turns a slice ends at the same instruction with a limit as without,
		// until the limit is reached: it decides who runs next and what time it is.
		if g := t.guest; own != nil && g.config.limits.Threads != NoThreads && !g.host.takesTurns() {
			slice = min(slice, max(own.left.Load()/int64(16*max(g.group.Alive(), 1)), minFuelSlice))
		}
		slice = takeBoth(own, shared, slice)
		// A negative rest is owed: it has been paid for instructions that run now, or ran already.
		if slice == 0 || left+slice < 0 && left+slice+leftOfBoth(own, shared) < 0 {
			// What comes next does not run: it took all there was, and not more.
			t.guest.usage.fuel.Add(slice)
			t.setFuel(0)
			t.guest.decide(&Result{Outcome: Exhausted, Budget: BudgetFuel, Thread: t.id()})
			return
		}
	}
	if b := t.observer(); b != nil {
		slice = b.refueled(slice)
	}
	t.guest.usage.fuel.Add(slice)
	t.record.handed += uint64(slice)
	t.setFuel(left + slice)
	if v := t.guest.host.movable; v != nil {
		// Where one thread runs at a time and time stands still meanwhile, computing has to take
		// time: a loop that waits for another thread's deadline would never see it come. An
		// instruction takes a nanosecond, also where the limit has less than a slice left: time
		// does not depend on limits.
		v.Advance(fuelSlice)
		t.tell(&trace.Access{Op: trace.AccessTick})
	}
	if !t.fueled {
		t.fueled = true // it has only begun
		return
	}
	t.yield(sched.PointFuel)
	t.heed()
}

// setFuel sets what the thread has: a part in the instance's cell, the rest in reserve.
func (t *thread) setFuel(n int64) {
	part := min(n, fuelPart)
	t.reserve = n - part
	t.fuel.Set(uint64(part))
}

// leftOfBoth is what two allowances have left.
func leftOfBoth(a, b *allowance) int64 {
	left := int64(math.MaxInt64 / 2)
	for _, a := range []*allowance{a, b} {
		if a != nil {
			left = min(left, max(a.left.Load(), 0))
		}
	}
	return left
}

// settleFuel gives back what a thread that stops running has left of its slice, or takes what it
// owes: straight code pays, but is stopped at the next loop or recursion only. Who owes more than
// there is has used more than it may. settleFuel reports whether that was so.
func (t *thread) settleFuel() (exhausted bool) {
	if t.fuel == nil {
		return false
	}
	left := int64(t.fuel.Get()) + t.reserve
	if left == 0 {
		return false
	}
	t.record.handed -= uint64(left)
	t.setFuel(0)
	t.guest.usage.fuel.Add(-left)
	own, shared := t.fuelBudget(), t.guest.host.budgets.fuel
	own.giveBack(left)
	shared.giveBack(left)
	if own.overdrawn() || shared.overdrawn() {
		t.guest.decide(&Result{Outcome: Exhausted, Budget: BudgetFuel, Thread: t.id()})
		return true
	}
	return false
}

// overdrawn reports whether more was used than there was.
func (a *allowance) overdrawn() bool { return a != nil && a.left.Load() < 0 }

// AddFuel adds instructions to the fuel of a guest that was made with [WithFuel]. It may be called
// at any time, also from a host function. It has no effect on a guest without that limit, or after
// the guest's end.
func (g *Guest) AddFuel(instructions uint64) {
	a := g.budgets.fuel
	if a == nil {
		return
	}
	more := int64(min(instructions, math.MaxInt64))
	for {
		left := a.left.Load()
		sum := left + more
		if left > 0 && sum < 0 {
			sum = math.MaxInt64
		}
		if a.left.CompareAndSwap(left, sum) {
			return
		}
	}
}
