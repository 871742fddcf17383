package virt

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/wasip1"
)

// threadStart is what a module with threads exports (wasi-threads).
const threadStart = "wasi_thread_start"

// spawn is thread-spawn: it starts a thread, a new instance of the guest's module on the same
// memory, and answers the thread's id, or a negative errno: EAGAIN where there are too many,
// ENOTSUP where the module is not made for threads.
func (t *thread) spawn(p []uint64) {
	g, arg := t.guest, p[0]
	switch {
	case !g.module.exportsFunc(threadStart) || g.shared == nil || g.shared.module == nil || t.task == nil:
		p[0] = spawnErrno(wasip1.ENOTSUP)
		return
	case g.config.limits.Threads == NoThreads:
		p[0] = spawnErrno(wasip1.EAGAIN)
		return
	}
	if g.chargeInstance(g.module) != nil {
		p[0] = spawnErrno(wasip1.EAGAIN)
		return
	}
	if g.reserveStack() != nil {
		g.dischargeInstance(g.module)
		p[0] = spawnErrno(wasip1.EAGAIN)
		return
	}
	id, err := g.group.Go(func(task *sched.Thread) {
		defer g.dischargeInstance(g.module)
		defer g.releaseStack()
		g.runThread(t, task, arg)
	})
	if err != nil {
		g.dischargeInstance(g.module)
		g.releaseStack()
		p[0] = spawnErrno(wasip1.FromError(err))
		return
	}
	g.usage.spawned.Add(1)
	t.drain()
	t.tellCall("thread-spawn")
	p[0] = uint64(id)
	t.yield(sched.PointSpawn)
}

// runThread is the life of a thread that parent spawned.
func (g *Guest) runThread(parent *thread, task *sched.Thread, arg uint64) {
	if g.ended.Load() {
		g.noteEnd(task.ID(), errUnwound) // it has not begun
		return
	}
	ctx := g.base
	returned := false
	defer func() {
		if v := recover(); v != nil {
			_ = g.fail(v, task.ID()) // nobody waits for the thread's own answer
		} else if !returned {
			g.decide(&Result{Outcome: Failed, Err: goexit(task.ID()), Thread: task.ID()})
		}
	}()
	t := g.newThread(parent.args, parent.env)
	defer t.dischargeTables()
	defer t.leaveUsage()
	t.bind(task)
	defer t.compute()()
	if g.observer != nil {
		g.observer.back(t)
		if g.ended.Load() {
			g.noteEnd(t.id(), errUnwound)
			returned = true
			return
		}
	}
	if err := g.instantiateThread(ctx, t); err != nil {
		g.decide(failure(err, t))
		g.noteEnd(t.id(), err)
		returned = true
		return
	}
	// The instance's end frees nothing that others use; an error of it has nobody left to go to but
	// the result.
	defer func() {
		if err := g.shared.close(ctx, t.mod); err != nil {
			g.decide(failure(err, t))
		}
	}()
	t.call.set(ctx)
	defer t.settleFuel()
	var err error
	start := t.mod.ExportedFunction(threadStart)
	task.Enter(threadStart)
	t.onStack(start, func() {
		g.mark(func() { _, err = start.Call(t, uint64(task.ID()), arg) })
	})
	returned = true
	t.drain()
	if g.observer != nil {
		g.observer.end(t)
	}
	if err != nil {
		g.noteStack(t, err)
		r := g.module.resultOf(err)
		r.Thread = t.id()
		g.decide(r)
	}
	g.noteEnd(t.id(), err)
}

func failure(err error, t *thread) *Result {
	return &Result{Outcome: Failed, Err: err, Thread: t.id()}
}

// instantiateThread makes the WebAssembly instance of thread t.
func (g *Guest) instantiateThread(ctx context.Context, t *thread) error {
	resolve := g.resolve
	s, preview1 := g.shared, t.module.preview1
	if s != nil && s.module != nil || preview1 != nil {
		resolve = func(name string) api.Module {
			switch {
			case name == memoryModuleName && s != nil && s.module != nil:
				return s.module
			case name == abi.ModuleName && preview1 != nil:
				return preview1
			}
			return g.resolve(name)
		}
	}
	t.call.set(experimental.WithImportResolver(t.allocating(ctx), resolve))
	mod, err := g.host.runtime.InstantiateModule(t, t.module.compiled, g.host.plain)
	if err != nil {
		return err
	}
	t.mod = mod
	t.fuel = fuelCell(mod, t.module)
	if c := t.module.captured(); c != nil && c.Start != "" && (g.origin == nil || t != g.main) {
		start := mod.ExportedFunction(c.Start)
		t.onStack(start, func() { _, err = start.Call(t) })
		if err != nil {
			return err // as the engine says it of a start function: its text tells the trap
		}
	}
	return nil
}

// allocating makes the thread's instance take its memory from the guest's.
func (t *thread) allocating(ctx context.Context) context.Context {
	return experimental.WithMemoryAllocator(ctx, (*allocator)(t))
}

// allocator is a thread as wazero's instances ask it for memory.
type allocator thread

// Allocate implements [experimental.MemoryAllocator].
func (a *allocator) Allocate(_, _ uint64) experimental.LinearMemory {
	if s := a.guest.shared; s != nil {
		return s
	}
	return a.lin
}

// limit is how large the guest's memory may become, in bytes.
func (g *Guest) limit() uint64 {
	if g.config.limits.Memory != 0 {
		return g.config.limits.Memory
	}
	return 1 << 32
}

// checkMemory refuses a module that starts with more than its limit, before anything is allocated.
func (g *Guest) checkMemory(module *Module) error {
	for _, m := range module.info.Memories {
		if m.Imported && !m.Shared {
			continue // it is a library's
		}
		if min := m.Min*pageSize + g.memoryBesides(nil); min > g.limit() {
			return &BudgetError{Budget: BudgetMemory, Err: wasip1.ENOMEM, Reason: fmt.Sprintf(
				"the module starts with %d bytes of memory, and its limit is %d: raise WithMemoryLimit", min, g.limit())}
		} else if !g.charge(min) {
			reason := "the budget that it shares with its parent has fewer left: end other children, or raise WithMemoryLimit"
			if a := g.host.budgets.memory; a != nil && int64(min) > a.left.Load() {
				reason = fmt.Sprintf("the Host's budget has no more than %d: wait for other guests, or raise WithSharedLimits", a.left.Load())
			}
			return &BudgetError{Budget: BudgetMemory, Err: wasip1.ENOMEM, Reason: fmt.Sprintf(
				"the module starts with %d bytes of memory, and %s", min, reason)}
		}
	}
	return nil
}

// futex answers wait32 and wait64, whose last parameter is the offset that the instruction adds to
// its address.
func (t *thread) futex(p []uint64, wait func(addr uint64) (uint32, error)) {
	if t.guest.shared == nil || t.task == nil {
		panic(errWaitUnshared)
	}
	r, err := wait(uint64(uint32(p[0])) + uint64(uint32(p[3])))
	if err != nil && !t.gone() {
		t.trap(err)
	}
	p[0] = uint64(r)
}

var errWaitUnshared = errors.New("a wait on memory that is not shared")

// notify answers memory.atomic.notify.
func (t *thread) notify(p []uint64) {
	addr := uint64(uint32(p[0])) + uint64(uint32(p[2]))
	if t.guest.shared == nil {
		p[0] = 0
		return
	}
	n, err := t.guest.shared.futex.Notify(t.view.Bytes(), addr, uint32(p[1]))
	if err != nil {
		t.trap(err)
	}
	p[0] = uint64(n)
	t.yield(sched.PointNotify)
}
