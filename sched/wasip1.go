package sched

import "github.com/wasivirt/wasivirt/wasip1"

// SchedYield is sched_yield: it lets others run. It always succeeds; that the thread has to
// end is seen by whoever called it for the guest ([Thread.Ended]).
func SchedYield(t *Thread) wasip1.Errno {
	_ = t.Yield(PointYield)
	return wasip1.ESUCCESS
}
