package sched

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
)

// The results of a wait on an address (threads proposal: memory.atomic.wait).
const (
	WaitOK       uint32 = 0 // woken by a notify
	WaitNotEqual uint32 = 1 // the value there was another from the start
	WaitTimedOut uint32 = 2
)

// Trap is an error for which WebAssembly ends the thread.
type Trap uint8

const (
	TrapOutOfBounds Trap = iota + 1 // an address outside of the memory
	TrapUnaligned                   // an atomic access that is not aligned
)

func (t Trap) Error() string {
	switch t {
	case TrapOutOfBounds:
		return "out of bounds memory access"
	case TrapUnaligned:
		return "unaligned atomic"
	}
	return "trap"
}

// Futex is where the threads of one shared memory wait on its addresses. The zero value is ready to
// use.
type Futex struct {
	mu     sync.Mutex
	queues map[uint64]*waiter // by address: the head of a ring, first come first
	free   *waiter
}

// waiter is a thread that waits on an address.
type waiter struct {
	task       poll.Task
	next, prev *waiter
	woken      bool
}

// Wait32 is memory.atomic.wait32: if the 4 bytes at addr in mem are expected, t waits until it is
// notified or timeout nanoseconds of clock c have passed; below 0 means no timeout. Loading the
// value and starting the wait are one atomic step for Notify.
//
// It returns one of WaitOK, WaitNotEqual and WaitTimedOut. Errors: a [Trap], or the cause of the
// end of t's context.
func (f *Futex) Wait32(t poll.Task, c clock.Clock, mem []byte, addr uint64, expected uint32, timeout int64) (uint32, error) {
	if err := check(mem, addr, 4); err != nil {
		return 0, err
	}
	p := (*uint32)(unsafe.Pointer(&mem[addr]))
	w := poll.Wait{Op: "memory.atomic.wait32", On: addr, Clock: c}
	return f.wait(t, w, timeout, func() bool { return little32(atomic.LoadUint32(p)) == expected })
}

// Wait64 is memory.atomic.wait64: Wait32 for the 8 bytes at addr.
func (f *Futex) Wait64(t poll.Task, c clock.Clock, mem []byte, addr uint64, expected uint64, timeout int64) (uint32, error) {
	if err := check(mem, addr, 8); err != nil {
		return 0, err
	}
	p := (*uint64)(unsafe.Pointer(&mem[addr]))
	w := poll.Wait{Op: "memory.atomic.wait64", On: addr, Clock: c}
	return f.wait(t, w, timeout, func() bool { return little64(atomic.LoadUint64(p)) == expected })
}

// Notify is memory.atomic.notify: it wakes up to count threads that wait on addr, those that have
// waited longest first. It returns how many it woke. The error is a Trap.
func (f *Futex) Notify(mem []byte, addr uint64, count uint32) (uint32, error) {
	if err := check(mem, addr, 4); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := uint32(0)
	for n < count {
		w := f.queues[addr]
		if w == nil {
			break
		}
		f.remove(addr, w)
		w.woken = true
		w.task.Wake()
		n++
	}
	return n, nil
}

// Waiting returns how many wait on addr.
func (f *Futex) Waiting(addr uint64) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	head, n := f.queues[addr], 0
	for w := head; w != nil; {
		n++
		if w = w.next; w == head {
			break
		}
	}
	return n
}

// check says whether an atomic access of size bytes may be made. A memory begins at an aligned
// address of the machine.
func check(mem []byte, addr, size uint64) error {
	if addr%size != 0 {
		return TrapUnaligned
	}
	if n := uint64(len(mem)); n < size || addr > n-size {
		return TrapOutOfBounds
	}
	return nil
}

func (f *Futex) wait(t poll.Task, pw poll.Wait, timeout int64, equal func() bool) (uint32, error) {
	pw.By, pw.Deadline = poll.ByGroup, poll.NoDeadline
	f.mu.Lock()
	if !equal() {
		f.mu.Unlock()
		return WaitNotEqual, nil
	}
	if timeout == 0 {
		f.mu.Unlock()
		return WaitTimedOut, nil
	}
	w := f.add(pw.On, t)
	f.mu.Unlock()
	if timeout > 0 {
		if now := pw.Clock.Monotonic(); timeout < math.MaxInt64-now {
			pw.Deadline = now + timeout
		}
	}
	for {
		err := t.Park(pw)
		late := pw.Deadline != poll.NoDeadline && pw.Clock.Monotonic() >= pw.Deadline
		f.mu.Lock()
		switch {
		case w.woken:
			f.recycle(w)
			f.mu.Unlock()
			return WaitOK, nil
		case err != nil, late:
			f.remove(pw.On, w)
			f.recycle(w)
			f.mu.Unlock()
			return WaitTimedOut, err
		}
		f.mu.Unlock()
	}
}

func (f *Futex) add(addr uint64, t poll.Task) *waiter {
	w := f.free
	if w != nil {
		f.free = w.next
	} else {
		w = &waiter{}
	}
	w.task = t
	if f.queues == nil {
		f.queues = make(map[uint64]*waiter)
	}
	head := f.queues[addr]
	if head == nil {
		w.next, w.prev = w, w
		f.queues[addr] = w
	} else {
		w.next, w.prev = head, head.prev
		head.prev.next, head.prev = w, w
	}
	return w
}

// remove takes w out of the queue of addr.
func (f *Futex) remove(addr uint64, w *waiter) {
	if w.next == w {
		delete(f.queues, addr)
	} else {
		w.prev.next, w.next.prev = w.next, w.prev
		if f.queues[addr] == w {
			f.queues[addr] = w.next
		}
	}
	w.next, w.prev = nil, nil
}

func (f *Futex) recycle(w *waiter) {
	*w = waiter{next: f.free}
	f.free = w
}

// bigEndian tells whether the machine stores the high byte first; WebAssembly does not.
var bigEndian = *(*byte)(unsafe.Pointer(&[]uint16{1}[0])) == 0

func little32(x uint32) uint32 {
	if bigEndian {
		return bits.ReverseBytes32(x)
	}
	return x
}

func little64(x uint64) uint64 {
	if bigEndian {
		return bits.ReverseBytes64(x)
	}
	return x
}
