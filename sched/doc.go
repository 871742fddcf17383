// Package sched runs the threads of guests. It keeps which threads exist, which run and which wait,
// and how they end.
//
// # Threads and groups
//
// A [Group] is the threads of one guest: one context, one clock, thread ids that are never used
// twice. [Group.Run] lends the calling goroutine to the guest as its main thread, number 0, as
// often as the host calls an export; [Group.Go] starts a thread. [Group.End] ends them all:
// whatever one waits in returns at once, and who computes finds out at the next [Thread.Yield].
// [Group.Close] waits for it.
//
// A [Thread] is a poll.Task: whatever waits in this library waits in Thread.Park. There it gives up
// its turn to others and lets go of time (see package clock), and whoever wakes it takes hold of
// time in its name before it runs.
//
// # Schedulers
//
// The mechanism above is the same for all; a [Scheduler] decides who has a turn.
//
//	Parallel  every thread on its own goroutine; a limit on those alive and on those running
//	Seeded    one thread at a time in all guests of the Host, which one drawn from a seed
//
// With Seeded, a run depends on nothing but the seed: threads become ready in the order in which
// the running thread, or a timer, woke them, and the turn goes on at the switch points only
// ([Point]): calls, waits, notifies, spawns, ends, slices of fuel. Time stands still while a thread
// runs; when none can, a virtual clock jumps. Each choice among several threads is a number that
// can be kept, given back, and shortened.
//
// # Deadlock
//
// A guest is deadlocked if all its threads wait, without a deadline, for what only they could do. A
// scheduler that was asked to find deadlocks then ends the guest with a [DeadlockError], which
// tells which thread waits for what. A wait says who can end it (poll.Reach). Waits that host code
// might end never count.
//
// # Locks
//
// In this order: locks of [Futex] and of everything else that wakes threads, then Group, Thread,
// the scheduler, the clock.
package sched
