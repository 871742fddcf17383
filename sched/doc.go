// Package sched runs the threads of guests. It knows which threads exist, run and wait, and how
// they end.
//
// # Threads and groups
//
// A [Group] is the threads of one guest: one context, one clock, thread ids that are never used
// twice. Group.Run lends the calling goroutine to the guest as its main thread, number 0; the host
// calls it for each call of an export. Group.Go starts a thread. Group.End ends all threads: every
// wait returns at once, and a thread that computes learns of the end at its next Thread.Yield.
// Group.Close waits until all have ended.
//
// A Thread is a poll.Task: everything in this library that waits, waits in Thread.Park. There the
// thread gives up its turn and releases time (see package clock). Whoever wakes it holds time for
// it before it runs.
//
// # Schedulers
//
// This mechanism is the same for all schedulers. A Scheduler decides which thread has a turn.
//
//	Parallel  every thread on its own goroutine; a limit on those alive and on those running
//	Seeded    one thread at a time in all guests of the Host, which one drawn from a seed
//
// With Seeded, a run depends only on the seed. Threads become ready in the order in which the
// running thread, or a timer, woke them. The turn changes only at switch points (Point): calls,
// waits, notifies, spawns, ends, slices of fuel. Time stands still while a thread runs. If no
// thread can run, a virtual clock jumps. Each choice among several threads is a number, which can
// be recorded and given back.
//
// # Deadlock
//
// A guest is deadlocked if all its threads wait, without a deadline, for something that only these
// threads could do. A scheduler that looks for deadlocks then ends the guest with a DeadlockError,
// which tells what each thread waits for. A wait says who can end it (poll.Reach). A wait that host
// code might end is never a deadlock.
//
// # Locks
//
// In this order: locks of [Futex] and of everything else that wakes threads, then Group, Thread,
// the scheduler, the clock.
package sched
