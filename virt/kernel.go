package virt

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/wasip1"
)

const (
	// reservedModule is the module name of what rewritten guests import from the Host.
	reservedModule = "wasivirt"
	// memoryModuleName is where rewritten guests import their shared memory from.
	memoryModuleName = reservedModule + ".memory"
)

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// kernelFunction is a row of the table of a module other than preview1.
type kernelFunction struct {
	name            string
	params, results []api.ValueType
	call            func(t *thread, p []uint64)
}

// threadFunctions is the whole of wasi-threads.
var threadFunctions = []kernelFunction{
	{"thread-spawn", []api.ValueType{i32}, []api.ValueType{i32}, (*thread).spawnThrough},
}

// kernel is what the rewriter puts calls of into a module. See package internal/wasmbin for when
// each is called.
var kernel = []kernelFunction{
	{"check", nil, nil, func(t *thread, _ []uint64) { t.check() }},
	{"fuel", nil, nil, func(t *thread, _ []uint64) { t.refuel() }},
	{"depth", nil, nil, func(t *thread, _ []uint64) {
		t.guest.decide(&Result{Outcome: Exhausted, Budget: BudgetCallDepth, Thread: t.id()})
	}},
	{"wait32", []api.ValueType{i32, i32, i64, i32}, []api.ValueType{i32}, func(t *thread, p []uint64) {
		t.futex(p, func(addr uint64) (uint32, error) {
			return t.guest.shared.futex.Wait32(t.waiting, t.guest.host.clock, t.view.Bytes(), addr, uint32(p[1]), int64(p[2]))
		})
	}},
	{"wait64", []api.ValueType{i32, i64, i64, i32}, []api.ValueType{i32}, func(t *thread, p []uint64) {
		t.futex(p, func(addr uint64) (uint32, error) {
			return t.guest.shared.futex.Wait64(t.waiting, t.guest.host.clock, t.view.Bytes(), addr, p[1], int64(p[2]))
		})
	}},
	{"notify", []api.ValueType{i32, i32, i32}, []api.ValueType{i32}, (*thread).notify},
	{"grow", []api.ValueType{i32}, []api.ValueType{i32}, (*thread).grow},
	{"access", []api.ValueType{i32, i32, i64}, nil, (*thread).access},
	{checkpointName, []api.ValueType{i32, i32}, []api.ValueType{i32}, (*thread).checkpoint},
	{stackName, nil, nil, func(t *thread, _ []uint64) { t.growStack() }},
	{noteName, []api.ValueType{i32, i32, i32, i32, i64}, nil, (*thread).note},
	{tryName, nil, nil, func(t *thread, _ []uint64) { t.enterTry() }},
	{"tables", []api.ValueType{i32}, []api.ValueType{i32}, (*thread).growTable},
	{ungrownName, nil, nil, func(t *thread, _ []uint64) { t.tableStays() }},
}

// kernelModule makes the host module of a table other than preview1's.
func (h *Host) kernelModule(name string, table []kernelFunction) wazero.HostModuleBuilder {
	b := h.runtime.NewHostModuleBuilder(name)
	for i, f := range table {
		call := f.call
		// Recordings do not count what decides nothing, and what looks at the engine's own stacks.
		quiet := f.name == noteName || f.name == stackName || f.name == tryName || f.name == ungrownName
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
			t, ok := ctx.(*thread)
			if !ok || !same(t.mod, mod) {
				t = h.threadOf(ctx, mod)
			}
			if !t.guest.ended.Load() {
				t.attach()
				if b := t.observer(); b != nil && !quiet {
					b.enter(t)
					if name == reservedModule {
						b.kernel(t, i, stack)
					} else {
						call(t, stack)
					}
					b.back(t)
				} else {
					call(t, stack)
				}
			}
			if t.gone() {
				t.unwind(ctx)
			}
		}), f.params, f.results).WithName(f.name).Export(f.name)
	}
	return b
}

// check is called from time to time by guest code that makes no other calls.
func (t *thread) check() {
	t.count(0)
	t.yield(sched.PointFuel)
	t.heed()
}

// heed looks at the context of the call, after the thread has had to wait for its turn: where many
// guests compute, the goroutine that waits for the context's end has to wait for a processor longer
// than they do, and each of them would compute once more.
func (t *thread) heed() {
	if ctx := t.call.get(); ctx.Err() != nil {
		t.guest.decide(&Result{Outcome: Canceled, Err: context.Cause(ctx)})
	}
}

// yield is a switch point of the scheduler. A thread that waits while its module is being
// instantiated has no turn to give.
func (t *thread) yield(p sched.Point) {
	if t.task != nil {
		t.points++
		if l := t.guest.host.late; l != nil {
			l.at(t.guest.host.clock, t.id(), t.points)
		}
		defer t.pause()()
		t.loseTurn()
		_ = t.task.Yield(p) // the end of the group is the end of the guest, which the caller looks at
		t.haveTurn()
	}
}

// spawnErrno is what thread-spawn answers for an error: its negative.
func spawnErrno(e wasip1.Errno) uint64 { return uint64(uint32(-int32(e))) }
