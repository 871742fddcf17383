// Package clock is the time of a Host. One [Clock] answers clock_time_get, ends
// sleeps and times out polls, so that the three can never disagree.
//
//	Real()                  the machine's time
//	NewVirtual(...)         time that moves only when told, or jumps while everybody waits
//	Frozen(t)               time that stands still
//	Stepped(t, step)        time that moves by a step at each reading
//	Offset, Scaled, Deny    another clock seen through a lens
//
// # Whoever runs holds time
//
// A [Virtual] clock made with [WithAutoAdvance] turns an hour's sleep into microseconds: when
// everybody waits, time jumps to the earliest deadline. "Everybody" is a count: whoever does
// something that must not be outrun holds time ([Virtual.Hold]) and lets go of it when done or
// before waiting ([Virtual.Release]). The scheduler does so for every thread of every guest.
// A wake-up takes hold in the name of the one it wakes, before that one runs and while the
// waker still holds: time cannot slip in between.
//
// Host code follows the same rule. Code that only starts guests and waits for them need not
// hold. Code that acts beside them (writes to a pipe, answers a request) holds while it does:
//
//	clk.Hold()                 // guests may time out only after this
//	conn.Write(request)        // wakes a guest, which then holds for itself
//	clk.Release()
//
// Where a guest waits meanwhile that must not time out, the Hold comes before that guest is started: what
// is started in between may already be waiting, and time be past its deadline.
//
// [Virtual.Sleep] is for callers that do not hold, [Virtual.Pause] for those that do. A timer's
// function that wants to go on after it returned takes hold before it returns.
//
// # Order
//
// Timers fire in the order of their deadlines, those with the same by age, each when the
// clock reads exactly its deadline (or later, on a real clock). The functions are called one after
// the other, with no lock of the clock held, so that they may wake threads, which hold the clock.
//
// They may be called from within Release, AfterFunc and Advance. So none of these is called with a
// lock that a timer's function may take. Hold and readings may be called with any lock.
//
// # Bubbles
//
// Every clock works inside a testing/synctest bubble if it was made there. [Real] then follows the
// bubble's fake time. A [Virtual] moves by its own rules; its Sleep, Advance and BlockUntil block
// durably, so that synctest.Wait sees through them.
package clock

// boot is what the monotonic clocks of this package read at their start. It is not 0, which Go
// guests refuse, nor small: programs subtract minutes from the first reading they take.
const boot = int64(3600e9)
