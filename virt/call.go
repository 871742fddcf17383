package virt

import (
	"context"
	"encoding/binary"
	"unsafe"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/wasivirt/wasivirt/internal/vfslink"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// unwind leaves the guest's code for good. What it is left with is decided by then; a module that
// the embedder instantiated itself is closed, and its caller told, as wazero's own proc_exit does.
func (t *thread) unwind(ctx context.Context) {
	var code uint32
	if t.guest.adopted {
		code = t.guest.Result().sysExitCode()
		// What closing answers is for nobody: the caller gets the code.
		_ = t.mod.CloseWithExitCode(ctx, code)
	}
	if t.guest.stacked() {
		panic(errUnwound)
	}
	panic(sys.NewExitError(code))
}

// adapted is a row of the table as a host function. It is no api.GoModuleFunc, which would be one
// call more at every call.
type adapted struct {
	host *Host
	call handler // the row's
	row  *function
	at   int // in the table
}

// adapt makes a row of the table a host function.
func (h *Host) adapt(i int) api.GoModuleFunction { return &adapted{h, row(i).call, row(i), i} }

// Call answers a call of mod's.
func (a *adapted) Call(ctx context.Context, mod api.Module, stack []uint64) {
	t, ok := ctx.(*thread)
	if !ok || !same(t.mod, mod) {
		t = a.host.threadOf(ctx, mod)
		if t.guest.adopted {
			t.guest.visit(ctx, func(t *thread) { a.Call(t, mod, stack) })
			return
		}
	}
	t.attach()
	noting := t.guest.noting.Load()
	if noting {
		t.noteCall(a.row, stack)
	}
	var errno wasip1.Errno
	if s := t.calls; s == nil {
		errno = a.call(t, stack)
	} else {
		// Counting is spelled out here because a call of it would cost as much again.
		if u := s.usage; u != nil {
			n := &u.functions[a.at].calls
			if *n++; *n%showEvery == 0 {
				u.show()
			}
		}
		if s.calls == nil {
			errno = a.call(t, stack)
		} else {
			call, b := s.calls[a.at], s.observer
			if b != nil {
				b.enter(t)
			}
			if call == nil {
				errno = a.call(t, stack)
			} else {
				errno = call(t, a.row, stack)
			}
			if b != nil {
				b.back(t)
			}
		}
		if u := s.usage; u != nil {
			if errno != wasip1.ESUCCESS {
				u.failed(a.at)
			} else if flow := flows[a.at]; flow.way < none {
				// Not by the View's accessors: they would note the reading as one of the
				// call's.
				if mem, at := t.view.Bytes(), uint64(uint32(stack[flow.at])); at+4 <= uint64(len(mem)) {
					u.bytes[flow.way] += uint64(binary.LittleEndian.Uint32(mem[at:]))
				}
			}
		}
	}
	if noting {
		t.noteCall(nil, nil)
	}
	if t.over() && t.gone() {
		t.unwind(ctx)
	}
	stack[0] = uint64(errno)
}

// same reports whether two modules are one instance. All of wazero's are pointers of one type:
// comparing these alone saves what comparing interfaces costs, which is asked at every call.
func same(a, b api.Module) bool {
	return (*[2]unsafe.Pointer)(unsafe.Pointer(&a))[1] == (*[2]unsafe.Pointer)(unsafe.Pointer(&b))[1]
}

// threadOf finds the thread that called where the context does not tell: a call that did not come
// through [Guest.Call], or the first of a module that the embedder instantiated itself.
func (h *Host) threadOf(ctx context.Context, mod api.Module) *thread {
	if t, ok := h.threads.Load(mod); ok {
		return t.(*thread)
	}
	if t, ok := ctx.Value(threadKey{}).(*thread); ok && t.mod == nil && t.guest.host.first() == h {
		// A start function: wazero has not handed out the instance yet.
		t.mod = mod
		return t
	}
	if g := h.guestOf(mod); g != nil {
		return g.beside(mod)
	}
	return h.adopt(ctx, mod)
}

// guestOf returns the guest whose instance mod is, or nil.
func (h *Host) guestOf(mod api.Module) *Guest {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.instances[mod]
}

// beside makes a thread for calls of the guest's instance that do not come through [Guest.Call],
// such as those of its allocator. It is not the main thread's, because that may be in the middle of
// a call.
func (g *Guest) beside(mod api.Module) *thread {
	vfslink.Share(g.files)
	t := g.newThread(g.main.args, g.main.env)
	vfslink.Alone(&t.files, false)
	t.call.set(g.base)
	t.mod = mod
	t.files.Task = poll.NewTask(g.group.Context())
	t.poller.Task = t.files.Task
	kept, _ := g.host.first().threads.LoadOrStore(mod, t)
	return kept.(*thread)
}
