package sched

import "github.com/wasivirt/wasivirt/wasip1"

// SchedYield is sched_yield: it lets other threads run. It always succeeds. The caller checks
// Thread.Ended afterwards.
func SchedYield(t *Thread) wasip1.Errno {
	_ = t.Yield(PointYield)
	return wasip1.ESUCCESS
}
