package virt

import (
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/sched"
)

// fuelSlice is how many instructions a thread runs between two looks at the Host where others run beside it.
const fuelSlice = 100_000

// fuelCell is the global that holds the fuel of an instance whose module counts it, or nil.
func fuelCell(mod api.Module, m *Module) api.MutableGlobal {
	if m.report == nil || m.report.FuelGlobal == "" {
		return nil
	}
	cell, _ := mod.ExportedGlobal(m.report.FuelGlobal).(api.MutableGlobal)
	return cell
}

// refuel is called by an instance whose fuel has run out. Fuel is handed out in slices, so that threads can share a
// budget and take turns; what a slice was overdrawn by is owed from the next.
func (t *thread) refuel() {
	if t.fuel == nil {
		return
	}
	left := int64(t.fuel.Get())
	slice := int64(fuelSlice)
	if own, shared := t.guest.purse.fuel, t.guest.host.purse.fuel; own != nil || shared != nil {
		// A negative rest is owed: the guest has used it already.
		owed := min(left, 0)
		slice = takeBoth(own, shared, fuelSlice-owed)
		if slice+owed < 0 || slice == 0 {
			t.guest.decide(&Result{Outcome: Exhausted, Budget: Fuel, Thread: t.id()})
			return
		}
	}
	t.guest.usage.fuel.Add(slice)
	t.fuel.Set(uint64(left + slice))
	if v, ok := t.guest.host.clock.(*clock.Virtual); ok && t.guest.host.takesTurns() {
		// Where one thread runs at a time and time stands still meanwhile, computing has to take time:
		// a loop that waits for another thread's deadline would never see it come. An instruction takes a nanosecond.
		v.Advance(time.Duration(slice))
	}
	if !t.fueled {
		t.fueled = true // it has only begun
		return
	}
	t.yield(sched.PointFuel)
}

// settleFuel gives back what a thread that stops running has left of its slice.
func (t *thread) settleFuel() {
	if t.fuel == nil {
		return
	}
	left := int64(t.fuel.Get())
	t.guest.usage.fuel.Add(-left)
	t.guest.purse.fuel.giveBack(max(left, 0))
	t.guest.host.purse.fuel.giveBack(max(left, 0))
	t.fuel.Set(0)
}
