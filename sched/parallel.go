package sched

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Parallel runs every thread on its own goroutine, at the same time as the others. Its limits can
// be changed at any time. The zero value has no limits and is ready to use.
type Parallel struct {
	mu       sync.Mutex
	waits    waitTable
	limits   Limits
	stats    Stats
	spawned  int
	running  atomic.Int32 // changes under mu
	queue    fifo
	crowd    atomic.Bool // more than one thread is alive
	queued   atomic.Bool // a thread that yields may lose its turn
	deadlock bool
}

// Limits are the limits of a Parallel; 0 is none.
type Limits struct {
	// Threads is how many threads besides main threads may be alive, in all groups.
	Threads int
	// Running is how many threads, main threads included, may run at the same time. One that waits
	// does not run.
	Running int
}

// Stats counts the threads of a Parallel, main threads included.
type Stats struct {
	Alive   int
	Running int    // have a turn
	Ready   int    // would run but for Limits.Running
	Waiting int    // wait, or are outside
	Peak    int    // most alive at the same time
	Started uint64 // in all
	Refused uint64 // not started because of Limits.Threads
}

// NewParallel returns a Parallel with limits.
func NewParallel(limits Limits) *Parallel { return &Parallel{limits: limits} }

// DetectDeadlock makes p end guests whose threads wait for each other; see DeadlockError. Call it
// before threads are started.
func (p *Parallel) DetectDeadlock() *Parallel {
	p.deadlock = true
	return p
}

// SetLimits changes the limits. Threads above a lower limit stay alive. Running threads above it
// lose their turn when they next wait or yield.
func (p *Parallel) SetLimits(l Limits) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits = l
	p.dispatch()
}

// Limits returns the limits.
func (p *Parallel) Limits() Limits {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limits
}

// Stats returns the counts of the moment.
func (p *Parallel) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Alive = p.waits.threads.len
	s.Running, s.Ready = p.computing(), p.queue.len()
	s.Waiting = s.Alive - s.Running - s.Ready
	return s
}

// TakesTurns implements [TurnTaker]: threads run in parallel.
func (p *Parallel) TakesTurns() bool { return false }

// Start implements Scheduler.
func (p *Parallel) Start(t *Thread) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !t.main {
		if p.limits.Threads > 0 && p.spawned >= p.limits.Threads {
			p.stats.Refused++
			return wasip1.EAGAIN
		}
		p.spawned++
	}
	p.waits.start(t)
	p.stats.Started++
	p.stats.Peak = max(p.stats.Peak, p.waits.threads.len)
	p.note()
	return nil
}

// Ready implements Scheduler.
func (p *Parallel) Ready(t *Thread) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits.ready(t)
	p.queue.push(t)
	p.dispatch()
}

// Block implements Scheduler.
func (p *Parallel) Block(t *Thread, w *poll.Wait) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits.block(t, w)
	p.running.Add(-1)
	p.dispatch()
}

// End implements Scheduler.
func (p *Parallel) End(t *Thread) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits.end(t)
	if !t.main {
		p.spawned--
	}
	p.running.Add(-1)
	p.note()
	p.dispatch()
}

// Yield implements Scheduler. Calls, notifies and accesses are no switch points, because the Go
// scheduler distributes the processors.
func (p *Parallel) Yield(t *Thread, at Point) bool {
	switch {
	case at != PointYield && at != PointFuel || !p.crowd.Load():
	case p.queued.Load():
		return p.yield(t)
	case at == PointYield:
		// A guest that yields in a loop waits for another thread, which may lack a processor:
		// compiled guest code is not preempted.
		runtime.Gosched()
	}
	return false
}

// yield is Yield where another thread may be ready.
func (p *Parallel) yield(t *Thread) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queue.len() == 0 && !p.tooMany() {
		return false
	}
	p.running.Add(-1)
	p.queue.push(t)
	p.dispatch()
	return true
}

// Next implements Scheduler.
func (p *Parallel) Next(t *Thread) {
	if !p.deadlock {
		return
	}
	p.mu.Lock()
	threads := p.waits.deadlocked(t)
	p.mu.Unlock()
	endDeadlocked(threads)
}

// dispatch gives turns to those ready as long as there are some to give.
func (p *Parallel) dispatch() {
	for p.queue.len() > 0 && (p.limits.Running <= 0 || p.computing() < p.limits.Running) {
		p.running.Add(1)
		p.queue.pop().Resume()
	}
	p.queued.Store(p.queue.len() > 0 || p.tooMany())
}

// tooMany reports whether more threads run than may: the limit was lowered.
func (p *Parallel) tooMany() bool { return p.limits.Running > 0 && p.computing() > p.limits.Running }

// computing implements [crowded].
func (p *Parallel) computing() int { return int(p.running.Load()) }

// note makes the number of threads known to Yield.
func (p *Parallel) note() { p.crowd.Store(p.waits.threads.len > 1) }

// fifo is a queue of threads.
type fifo struct {
	threads []*Thread
	head    int
}

func (q *fifo) len() int { return len(q.threads) - q.head }

func (q *fifo) push(t *Thread) {
	if q.head == len(q.threads) {
		q.threads, q.head = q.threads[:0], 0
	} else if q.head > len(q.threads)/2 && len(q.threads) == cap(q.threads) {
		n := copy(q.threads, q.threads[q.head:])
		clear(q.threads[n:])
		q.threads, q.head = q.threads[:n], 0
	}
	q.threads = append(q.threads, t)
}

func (q *fifo) pop() *Thread {
	t := q.threads[q.head]
	q.threads[q.head] = nil
	q.head++
	return t
}

var _ Scheduler = (*Parallel)(nil)
