package sched

import "github.com/wasivirt/wasivirt/wasip1"

// SchedYield is sched_yield: it lets others run. It always succeeds; that the thread has to
// end is seen by whoever called it for the guest ([Thread.Ended]).
func SchedYield(t *Thread) wasip1.Errno {
	_ = t.Yield(PointYield)
	return wasip1.ESUCCESS
}

// ThreadSpawn is wasi.thread-spawn: it starts a thread in t's group, which runs start, and returns its
// id, above 0, or the negative of an errno: EAGAIN if there are too many threads or the group has
// ended.
//
//	arg  what the guest wants its wasi_thread_start to get besides the id
func ThreadSpawn(t *Thread, arg uint32, start func(t *Thread, arg uint32)) int32 {
	id, err := t.group.Go(func(t *Thread) { start(t, arg) })
	if err != nil {
		return -int32(wasip1.EAGAIN)
	}
	_ = t.Yield(PointSpawn)
	return int32(id)
}
