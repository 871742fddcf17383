package virt

import (
	"fmt"
	"math"

	"github.com/wasivirt/wasivirt/virt/inspect"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Each thread of a guest is an instance of its module, with globals, tables and segments of its
// own. What they take together besides the linear memory is a budget as large as that of the
// memory. What tables grow by counts for it too.

// leastCopies is what the instances of a guest, and of a family, may take in any case, in bytes:
// what the modules of toolchains take.
const leastCopies = 1 << 20

// countsForAll reports whether an instance of n bytes counts for the guest's family and for the
// Host's budget of memory. Small ones of guests that host code made do not.
func (g *Guest) countsForAll(n int64) bool { return n > leastCopies || g.family.root != nil }

// instanceBytes is about what an instance of the module takes besides its linear memory.
func (m *Module) instanceBytes() int64 {
	n := m.info.InstanceBytes(m.host.interprets)
	if m.report != nil {
		n += m.report.InstanceBytes()
	}
	return int64(n)
}

// chargeInstance takes what one more instance of a module needs, before it is made.
func (g *Guest) chargeInstance(m *Module) error {
	n := m.instanceBytes()
	if n == 0 {
		return nil
	}
	if limit := int64(max(g.limit(), leastCopies)); g.copies.Add(n) > limit {
		g.copies.Add(-n)
		return fmt.Errorf("an instance of the module takes %d bytes besides its memory (globals, tables, element segments), and the instances of a guest may take %d: raise WithMemoryLimit, or lower WithMaxThreads", n, limit)
	}
	if !g.countsForAll(n) {
		return nil
	}
	limit, family := int64(max(g.limit(), leastCopies)), &g.family.top().copies
	if all := family.Add(n); all > limit {
		family.Add(-n)
		g.copies.Add(-n)
		return fmt.Errorf("an instance of the module takes %d bytes besides its memory (globals, tables, element segments), and the guests that one started may take %d together with it: raise WithMemoryLimit: %w",
			n, limit, wasip1.ENOMEM)
	}
	if !g.host.takeMemory(n) {
		family.Add(-n)
		g.copies.Add(-n)
		return fmt.Errorf("an instance of the module takes %d bytes besides its memory (globals, tables, element segments), and the Host's budget of memory (WithSharedLimits) has %d", n, g.host.budgets.memory.left.Load())
	}
	return nil
}

// dischargeInstance gives back what an instance took.
func (g *Guest) dischargeInstance(m *Module) {
	n := m.instanceBytes()
	g.copies.Add(-n)
	if g.countsForAll(n) {
		g.family.top().copies.Add(-n)
		g.host.budgets.memory.giveBack(n)
	}
}

// ungrownName is the function that is called after a table.grow that failed.
const ungrownName = "ungrown"

// elementBytes is what an element of a table takes.
const elementBytes = 8

// growTable is called before table.grow adds elements. It answers how many may be added: all, or a
// number that no table has room for.
func (t *thread) growTable(p []uint64) {
	t.growing = 0
	n, g := int64(uint32(p[0])), t.guest
	if n == 0 || n > inspect.MaxTableElements { // more than the table can have in any case
		return
	}
	size := n * elementBytes
	if !g.takeTables(size) {
		p[0] = math.MaxUint32
		return
	}
	t.grown += size
	t.growing = size
}

// tableStays is called after table.grow has added no elements: the table has a maximum.
func (t *thread) tableStays() {
	t.guest.giveTables(t.growing)
	t.grown -= t.growing
	t.growing = 0
}

// takeTables takes size bytes for growing tables. Together the guests of a family may take no more
// than one.
func (g *Guest) takeTables(size int64) bool {
	limit := int64(max(g.limit(), leastCopies))
	own, all := g.copies.Add(size), g.family.top().copies.Add(size)
	if own > limit || all > limit || !g.host.takeMemory(size) {
		g.copies.Add(-size)
		g.family.top().copies.Add(-size)
		return false
	}
	g.grown.Add(size)
	return true
}

// giveTables gives back what takeTables took.
func (g *Guest) giveTables(size int64) {
	g.copies.Add(-size)
	g.family.top().copies.Add(-size)
	g.host.budgets.memory.giveBack(size)
	g.grown.Add(-size)
}

// dischargeTables gives back what tables of the thread's instance grew by.
func (t *thread) dischargeTables() {
	t.guest.giveTables(t.grown)
	t.grown = 0
}
