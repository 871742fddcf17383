package virt

import (
	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

// WithAccessObserver calls observe each time that a thread of the guest is about to access shared
// memory, has called the Host, or has computed long enough for the clock to move on. Nothing else
// of the guest runs meanwhile. The option needs threads that take turns, and [WithAccessSwitches]
// to see the guest's instructions. observe must not keep a.
func WithAccessObserver(observe func(a *trace.Access)) GuestOption {
	return guestOption("WithAccessObserver", func(c *config) error { c.accesses = observe; return nil })
}

// accessOps are the kinds as the rewriter knows them.
var accessOps = [...]trace.AccessOp{
	wasmbin.AccessLoad: trace.AccessLoad, wasmbin.AccessStore: trace.AccessStore, wasmbin.AccessAtomicLoad: trace.AccessAtomic,
	wasmbin.AccessAtomicStore: trace.AccessPut, wasmbin.AccessUpdate: trace.AccessUpdate, wasmbin.AccessWait: trace.AccessWait, wasmbin.AccessNotify: trace.AccessNotify,
}

// access is the switch point before an instruction that accesses shared memory.
func (t *thread) access(p []uint64) {
	does, offset := wasmbin.AccessOf(p[2])
	t.yield(sched.PointAccess)
	a := trace.Access{Op: accessOps[does.Kind], Addr: uint64(uint32(p[0])) + uint64(offset), Size: uint64(does.Size), At: uint32(p[1])}
	t.tell(&a)
	if a.Op == trace.AccessStore {
		t.delay(a.Addr, a.Size)
	} else if a.Op != trace.AccessLoad {
		t.drain()
	}
}

// noteName is the function that is told of what is no switch point.
const noteName = "note"

// note is told of memory.copy, fill and init, and of fences, which are no switch points.
func (t *thread) note(p []uint64) {
	does, _ := wasmbin.AccessOf(p[4])
	t.drain()
	if t.guest.config.accesses == nil || does.Kind == wasmbin.AccessFence {
		return
	}
	n := uint64(uint32(p[2]))
	if does.Kind == wasmbin.AccessCopy {
		t.tell(&trace.Access{Op: trace.AccessLoad, Addr: uint64(uint32(p[1])), Size: n, At: uint32(p[3])})
	}
	t.tell(&trace.Access{Op: trace.AccessStore, Addr: uint64(uint32(p[0])), Size: n, At: uint32(p[3])})
}

// tell tells the embedder's observer of an access.
func (t *thread) tell(a *trace.Access) {
	if observe := t.guest.config.accesses; observe != nil && !t.guest.ended.Load() {
		a.Thread, a.Memory = t.id(), t.view.Bytes()
		observe(a)
	}
}

// tellCall tells it of a call that touches no memory.
func (t *thread) tellCall(name string) { t.tell(&trace.Access{Op: trace.AccessCall, Call: name}) }

// tellAll tells it of a call that may have touched any memory.
func (t *thread) tellAll(name string) {
	t.tellCall(name)
	t.tell(&trace.Access{Op: trace.AccessStore, Size: t.view.Len()})
}

// watched tells it of calls. A thread that yields does nothing to others.
func watched(g *Guest, _ int, f *function, next callFunc) callFunc {
	if f.Subsystem == abi.SubsystemSched {
		return nil
	}
	if f.hosted != nil {
		return func(t *thread, f *function, p []uint64) wasip1.Errno {
			errno := next(t, f, p)
			t.tellAll(f.Name)
			return errno
		}
	}
	return func(t *thread, f *function, p []uint64) wasip1.Errno {
		// A call may wait in its middle: the first part of it has to be known too.
		t.tellCall(f.Name)
		if t.view.Log() != nil || g.observer != nil {
			errno := next(t, f, p)
			t.tellAll(f.Name)
			return errno
		}
		var log memory.Log
		t.view.SetLog(&log)
		errno := next(t, f, p)
		t.view.SetLog(nil)
		if g.ended.Load() { // by this call, of which the observer knows
			return errno
		}
		t.tellCall(f.Name)
		for _, r := range log.Reads {
			t.tell(&trace.Access{Op: trace.AccessLoad, Addr: uint64(r.Ptr), Size: uint64(r.Len)})
		}
		for _, r := range log.Writes {
			t.tell(&trace.Access{Op: trace.AccessStore, Addr: uint64(r.Ptr), Size: uint64(r.Len)})
		}
		return errno
	}
}
