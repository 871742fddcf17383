// Package clock has the clocks of Hosts. One [Clock] answers clock_time_get, ends sleeps and times
// out polls, so the three always agree.
//
//	Real()                  the machine's time
//	NewVirtual(...)         time that moves only when told, or jumps while everybody waits
//	Frozen(t)               time that stands still
//	Stepped(t, step)        time that moves by a step at each reading
//	Offset, Scaled, Deny    views of another clock
//
// # When virtual time moves
//
// A [Virtual] clock made with [WithAutoAdvance] turns an hour's sleep into microseconds: when
// everybody waits, time jumps to the earliest deadline. "Everybody" is a count. Code that time must
// not overtake calls [Virtual.Hold] before it works, and [Virtual.Release] when it is done or
// before it waits. The scheduler does this for every thread of every guest. A wake-up calls Hold
// for the thread that it wakes, before that thread runs and while the waker still holds, so time
// cannot pass in between.
//
// Host code follows the same rule. Code that only starts guests and waits for them need not hold.
// Code that acts beside guests, for example writes to a pipe or answers a request, holds while it
// does:
//
//	clk.Hold()                 // guests may time out only after this
//	conn.Write(request)        // wakes a guest, which then holds for itself
//	clk.Release()
//
// If a guest that waits meanwhile must not time out, call Hold before that guest starts. Otherwise
// the guest may already wait, and its deadline may already have passed.
//
// [Virtual.Sleep] is for callers that do not hold, [Virtual.Pause] for callers that do. A timer's
// function whose work goes on after it returns calls Hold before it returns.
//
// # Order
//
// Timers fire in the order of their deadlines, and timers with the same deadline in the order of
// their age. A timer fires when the clock reads exactly its deadline, or later on a real clock. The
// clock calls the functions one after the other and holds no lock of its own meanwhile.
//
// Release, AfterFunc and Advance may call timers' functions. Call none of them with a lock that
// such a function may take. Hold and readings may be called with any lock.
//
// # Bubbles
//
// Every clock works inside a testing/synctest bubble if it was made there. [Real] then follows the
// bubble's fake time. A [Virtual] moves by its own rules; its Sleep, Advance and BlockUntil block
// durably, as synctest.Wait wants it.
package clock

// boot is what the monotonic clocks of this package read at their start. It is not 0, which Go
// guests refuse, nor small: programs subtract minutes from the first reading they take.
const boot = int64(3600e9)
