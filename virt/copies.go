package virt

import "fmt"

// Each thread of a guest is an instance of its module, with globals, tables and segments of its
// own. What they take together besides the linear memory is a budget as large as that of the
// memory.

// leastCopies is what the instances of a guest may take in any case, in bytes: what the modules of
// toolchains take.
const leastCopies = 1 << 20

// chargeInstance takes what one more instance of a module needs, before it is made.
func (g *Guest) chargeInstance(m *Module) error {
	n := int64(m.info.InstanceBytes())
	if n == 0 {
		return nil
	}
	if limit := int64(max(g.limit(), leastCopies)); g.copies.Add(n) > limit {
		g.copies.Add(-n)
		return fmt.Errorf("an instance of the module takes %d bytes besides its memory (globals, tables, element segments), and the instances of a guest may take %d: raise WithMemoryLimit, or lower WithMaxThreads", n, limit)
	}
	if n > leastCopies && !g.host.takeMemory(n) {
		g.copies.Add(-n)
		return fmt.Errorf("an instance of the module takes %d bytes besides its memory (globals, tables, element segments), and the Host's budget of memory (WithSharedLimits) has %d", n, g.host.budgets.memory.left.Load())
	}
	return nil
}

// dischargeInstance gives back what an instance took.
func (g *Guest) dischargeInstance(m *Module) {
	n := int64(m.info.InstanceBytes())
	g.copies.Add(-n)
	if n > leastCopies {
		g.host.budgets.memory.giveBack(n)
	}
}
