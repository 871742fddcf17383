package memfs

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// rwlock is a lock for many readers or one writer. It exists because a read and a write of a byte
// must cost little more than their lock: each way in and each way out is one atomic operation,
// where a sync.RWMutex needs two for a writer. It is not fair, but a waiting writer keeps new
// readers out and a reader waits for no second writer by the choice of the lock.
//
// Waiting happens in a parking shared by all locks of one file system.
type rwlock struct {
	state   atomic.Int32 // how many readers are in; -1 for a writer
	writers int32        // how many writers wait; used atomically, by functions, which inline better
	waiting atomic.Int32 // how many wait in the parking
	_       [52]byte     // alone on a cache line
}

// parking is where those wait that found a lock taken.
type parking struct {
	mu   sync.Mutex
	cond sync.Cond
}

// spins is how often a lock is looked at before its seeker yields, and yields before it parks. What
// the locks protect rarely takes more than 100 ns.
const (
	spins  = 32
	yields = 2
)

func (l *rwlock) lock(p *parking) {
	if !l.state.CompareAndSwap(0, -1) {
		l.lockSlow(p)
	}
}

func (l *rwlock) lockSlow(p *parking) {
	atomic.AddInt32(&l.writers, 1)
	defer atomic.AddInt32(&l.writers, -1)
	l.wait(p, func() bool { return l.state.Load() == 0 && l.state.CompareAndSwap(0, -1) })
}

func (l *rwlock) unlock(p *parking) {
	l.state.Store(0)
	if l.waiting.Load() != 0 {
		p.wake()
	}
}

func (l *rwlock) rlock(p *parking) {
	// Inlined, so it tries only what is most likely.
	if atomic.LoadInt32(&l.writers) != 0 || !l.state.CompareAndSwap(0, 1) {
		l.rlockSlow(p)
	}
}

func (l *rwlock) rlockSlow(p *parking) {
	tries := 0
	l.wait(p, func() bool {
		tries++
		for {
			s := l.state.Load()
			// Who has tried long enough no longer gives way to waiting writers.
			if s < 0 || atomic.LoadInt32(&l.writers) != 0 && tries <= spins {
				return false
			}
			if l.state.CompareAndSwap(s, s+1) {
				return true
			}
		}
	})
}

func (l *rwlock) runlock(p *parking) {
	l.state.Add(-1)
	if l.waiting.Load() != 0 {
		p.wake()
	}
}

// downgrade makes of a writer a reader, without anybody else in between.
func (l *rwlock) downgrade(p *parking) {
	l.state.Store(1)
	if l.waiting.Load() != 0 {
		p.wake()
	}
}

// wait returns when try has succeeded. No wake-up is lost: a waiter announces itself before it
// tries for the last time, and who unlocks looks for waiters after that.
func (l *rwlock) wait(p *parking, try func() bool) {
	for i := range spins + yields {
		if try() {
			return
		}
		if i >= spins {
			runtime.Gosched()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l.waiting.Add(1)
	defer l.waiting.Add(-1)
	for !try() {
		p.cond.Wait()
	}
}

func (p *parking) wake() {
	p.mu.Lock()
	p.cond.Broadcast()
	p.mu.Unlock()
}
