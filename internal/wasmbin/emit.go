package wasmbin

import (
	"cmp"
	"slices"
)

// emitter writes bodies anew, one after the other.
type emitter struct {
	*rewriter
	p      patcher
	a      asm // writes to p.out
	body   *body
	counts Report   // Loops and the like, of the bodies that it wrote
	labels []label  // those that are open
	costs  []uint32 // what each point costs in fuel; point i stands before instruction i

	loops      []loop
	small      []uint32 // how many of the first i loops are small
	nextLoop   int
	open       []int   // scan: the loops that are open
	targets    []int   // scan: the loop that each open label is of, -1: none
	marks      []mark  // plan: the constructs that are open
	points     []point // the checks that are neither a loop's nor the entry's, the last first
	constructs []construct
	copied     int     // bytes that copies of loops add
	split      int     // scanFuel: the last point that is one of points
	summary    summary // of the body
	atLoop     bool    // no check is needed at the entry, a loop follows

	inFuelLocal, inStopLocal bool // the body counts in a local

	locals  []byte // groups of locals to add
	nlocals uint32
	wrapped bool // the body stands in a block, so that it has one way out
	hasTry  bool
	// firstBranch is the branch that the body begins with, -1: it begins otherwise, or nothing
	// was put before it.
	firstBranch int
	fuelLocal   int64 // the local that holds the fuel, -1: the global is used
	stopLocal   int64 // the same for the stop counter
	counters    []counter
	spares      spares

	// shortcuts: the constructs that are open, those of them that dispatch, and a reader of runs.
	opened     []opened
	dispatches []dispatch
	single     *bodyReader

	nanLocals [nanShapes]uint32 // where what may be a NaN is kept
}

func (e *emitter) emit(b *body) []byte {
	e.body = b
	e.p = patcher{data: e.data, last: b.locals, out: slices.Grow(e.p.out[:0], (b.end-b.locals)*9/8), trace: e.tune.trace}
	e.locals, e.nlocals = e.locals[:0], b.nlocals
	e.labels = append(e.labels[:0], label{op: opBlock, empty: len(e.Types[b.typ].Results) == 0})
	e.wrapped, e.fuelLocal, e.stopLocal = false, -1, -1
	e.counters = e.countersOf(b)
	if e.calls != nil {
		e.planBody(b)
	} else {
		e.findTry(b)
	}
	switch {
	case e.opts.Fuel:
		e.scanFuel()
		if e.inFuelLocal {
			e.fuelLocal = int64(e.addLocal(ValueI64))
			e.wrapped = true
		}
	case e.opts.Stop && e.inStopLocal:
		e.stopLocal = int64(e.addLocal(ValueI32))
		e.wrapped = true
	}
	if e.opts.SharedAccess {
		e.addSpares(b)
	}
	if e.opts.CanonicalNaNs {
		e.addNaNLocals(b)
	}
	e.firstBranch = -1
	entry := e.prologue()
	e.writeLocals()
	e.p.out = append(e.p.out, entry...)
	next := len(e.points) - 1
	for i := 0; i < len(b.instrs); i++ {
		e.p.out = roomFor(e.p.out, 256)
		if next >= 0 && e.points[next].before == uint32(i) {
			if e.opts.Stop || e.opts.Fuel {
				e.writePoint(i, e.points[next].weight)
			}
			next--
		}
		if l := e.loopAt(i); l != nil && l.copies > 1 {
			e.unroll(l)
			i = int(l.end)
			continue
		}
		e.instr(i, &b.instrs[i])
	}
	e.p.copyTo(b.end)
	return e.p.out
}

// roomFor returns s with room for n more. What does not fit doubles it: append grows large slices
// by a quarter, and what it leaves behind is five times as much.
func roomFor[T any](s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s
	}
	return slices.Grow(s, max(n, len(s)))
}

// findTry is all that planBody finds where nothing is checked.
func (e *emitter) findTry(*body) { e.loops, e.points, e.hasTry = e.loops[:0], e.points[:0], false }

// writePoint writes a check that stands before instruction i.
func (e *emitter) writePoint(i int, weight uint32) {
	e.p.copyTo(int(e.body.instrs[i].at))
	cost := uint32(0)
	if e.opts.Fuel {
		cost = e.costs[i]
	}
	e.asm(func(a *asm) {
		switch {
		case !manyPoints(e.points):
			e.check(a, weight, cost)
		case e.opts.Fuel:
			e.storeFuel(a)
			a.i64Const(int64(cost))
			a.op(opCall, e.callLook)
			e.loadFuel(a)
		default:
			e.storeStop(a)
			a.i32Const(int32(max(weight, 1)))
			a.op(opCall, e.callLook)
			e.loadStop(a)
		}
	})
}

// manyPoints reports whether the checks of a body are calls of one function. Each check of its own
// adds a branch, and wazero's compiler lists at each branch what it knows of every address that was
// used before.
func manyPoints(points []point) bool { return len(points) > maxInlinePoints }

// pointBefore reports whether a check stands before instruction i.
func (e *emitter) pointBefore(i int) bool {
	_, ok := slices.BinarySearchFunc(e.points, uint32(i), func(p point, i uint32) int { return cmp.Compare(i, p.before) })
	return ok
}

// asm appends code at the place that the patcher has reached.
func (e *emitter) asm(f func(a *asm)) {
	e.a.code = e.p.out
	f(&e.a)
	e.p.out = e.a.code
}

func (e *emitter) addLocal(t ValueType) uint32 {
	e.locals = append(e.locals, 1, byte(t))
	e.nlocals++
	return e.nlocals - 1
}

func (e *emitter) writeLocals() {
	b := e.body
	if n := len(e.locals) / 2; n > 0 {
		e.p.u32(b.locals, b.groups, uint32(b.ngroups+n))
		e.p.copyTo(b.code)
		e.p.out = append(e.p.out, e.locals...)
	} else {
		e.p.copyTo(b.code)
	}
}

// prologue is the code at the function's entry.
func (e *emitter) prologue() []byte {
	var a asm
	checked := e.calls != nil && e.calls.checked[e.body.fn]
	for i := range e.counters {
		c := &e.counters[i]
		a.op(opGlobalGet, c.cell)
		a.i32Const(c.weight)
		a.ops(opI32Add)
		a.op(opGlobalSet, c.cell)
		if e.hasTry {
			c.saved = e.addLocal(ValueI32)
			a.op(opGlobalGet, c.cell)
			a.op(opLocalSet, c.saved)
		}
		a.op(opGlobalGet, c.cell)
		if c.end >= 0 {
			a.op(opGlobalGet, uint32(c.end))
		} else {
			a.i32Const(int32(e.opts.CallDepth))
		}
		a.ops(opI32LeU)
		a.unlessCall(c.call)
		e.wrapped = true
	}
	checked = checked && !e.atLoop
	if checked && (e.opts.Stop || e.opts.Fuel) {
		e.counts.Entries++
	}
	switch {
	case e.opts.Fuel:
		if e.fuelLocal >= 0 {
			a.op(opGlobalGet, e.fuelGlobal)
			a.op(opLocalSet, uint32(e.fuelLocal))
		}
		switch {
		case e.pointBefore(0): // which pays
			if checked {
				e.check(&a, 0, 0)
			}
		case checked:
			e.check(&a, 0, e.costs[0])
		default:
			e.charge(&a, int64(e.costs[0]))
		}
	case e.opts.Stop:
		if e.stopLocal >= 0 {
			a.op(opGlobalGet, e.stopGlobal)
			a.op(opLocalSet, uint32(e.stopLocal))
		}
		if checked {
			e.check(&a, max(e.summary.head, minEntry), 0)
		}
	}
	if slices.Contains(a.code, byte(opGlobalSet)) { // or what looks so
		e.firstBranch = e.findFirstBranch()
	}
	if e.wrapped {
		a.ops(opBlock)
		results := e.Types[e.body.typ].Results
		raw := e.Types[e.body.typ].rawResults
		switch len(results) {
		case 0:
			a.byte(blockEmpty)
		case 1:
			a.code = append(a.code, raw[1:]...)
		default:
			a.code = appendS32(a.code, int32(e.typeOf("\x00", string(raw))))
		}
	}
	return a.code
}

// frameBytes is about what a call of the function takes of the engine's stack at most: wazero's
// compiler keeps there what is alive during calls, each value in a place of its own.
func frameBytes(b *body) int32 {
	const frame, value, perByte, most = 64, 8, 4, 1 << 24
	return int32(min(frame+value*uint64(b.nlocals)+perByte*uint64(b.end-b.code), most))
}

// findFirstBranch returns the instruction that ends the straight code at the beginning of the body.
func (e *emitter) findFirstBranch() int {
	return slices.IndexFunc(e.body.instrs, func(in instr) bool { return in.op != opRun && in.op != opBlock })
}

// leave is the code before control leaves the function for good.
func (e *emitter) leave(a *asm) {
	if e.opts.Fuel {
		e.storeFuel(a)
	}
	e.storeStop(a)
	for _, c := range e.counters {
		if e.hasTry {
			a.op(opLocalGet, c.saved)
		} else {
			a.op(opGlobalGet, c.cell)
		}
		a.i32Const(c.weight)
		a.ops(opI32Sub)
		a.op(opGlobalSet, c.cell)
	}
}

// instr writes one instruction, with what stands before and after it.
func (e *emitter) instr(i int, in *instr) {
	op := in.op
	if op == opRun {
		return // nothing happens around it: it is copied with the next that counts
	}
	counts := e.opts.Stop || e.opts.Fuel
	switch {
	case op == opEnd:
		e.end(i, in)
		return
	case op == opRefFunc:
		if global, ok := e.referenced[in.index]; ok {
			e.p.skip(int(in.at), int(in.end))
			e.asm(func(a *asm) { a.op(opGlobalGet, global) })
		} else {
			e.p.u32(in.indexAt(), int(in.end), e.fn(in.index))
		}
		return
	case op == opCall || op == opReturnCall:
		e.beforeCall(in)
		e.p.u32(in.indexAt(), int(in.end), e.fn(in.index))
		if op == opCall {
			e.asm(e.loadFuel)
		}
		return
	case op.isCall():
		e.beforeCall(in)
		e.p.copyTo(int(in.end))
		if !op.isTailCall() {
			e.asm(e.loadFuel)
		}
		return
	}
	if e.opts.SharedAccess && op.isHooked() {
		e.tellAccess(in)
	}
	switch {
	case counts && (op.isBulk() || op == opMemoryGrow && e.opts.Fuel):
		e.bulk(in)
		return
	case op == opDataDrop && e.captured != nil:
		segment := in.segment(e.data)
		e.p.skip(int(in.at), int(in.end))
		e.asm(func(a *asm) { a.dropData(segment, e.captured.dropCells[segment]) })
	case op == opUnreachable || op == opThrow || op == opThrowRef:
		e.p.copyTo(int(in.at))
		if op != opUnreachable {
			e.asm(e.look)
		}
		e.asm(e.storeFuel)
		e.asm(e.storeStop)
	case op == opReturn && e.wrapped:
		e.p.skip(int(in.at), int(in.end))
		e.asm(func(a *asm) { a.op(opBr, e.shiftLabel(uint32(len(e.labels)-1))) })
		return
	case op == opBlock || op == opTryTable || op == opIf || op == opLoop:
		if op == opTryTable {
			e.p.copyTo(int(in.at))
			if counts {
				e.asm(func(a *asm) { e.storeFuel(a); a.op(opCall, e.callTry) })
			}
			e.asm(e.look)
			e.eachCatch(in, func(at, end int, k uint32) { e.p.u32(at, end, e.shiftLabel(k)) })
		}
		e.labels = append(e.labels, label{op: op, extra: e.labels[len(e.labels)-1].extra, empty: e.data[in.at+1] == blockEmpty})
		if op == opLoop {
			if l := e.loopAt(i); counts && l != nil && l.atBranches && l.branches > 0 && (!l.sure || e.opts.Fuel) {
				e.labels[len(e.labels)-1].loop = l
				if !l.sure && e.looksBefore(l) {
					e.p.copyTo(int(in.at))
					e.asm(func(a *asm) { e.check(a, 0, 0) })
				}
			}
		}
	case op == opElse:
		e.labels[len(e.labels)-1].op = opElse
	case op == opBr || op == opBrIf || op == opBrOnNull || op == opBrOnNonNull:
		switch to := &e.labels[len(e.labels)-1-int(in.index)]; {
		case to.loop != nil:
			e.branchBack(in, to.loop)
		case op == opBrIf && to.empty && i == e.firstBranch && e.compares(in):
			e.branchByIf(in)
		default:
			e.p.u32(in.indexAt(), int(in.end), e.shiftLabel(in.index))
		}
	case op == opBrTable:
		e.eachLabel(in, func(at, end int, k uint32) { e.p.u32(at, end, e.shiftLabel(k)) })
	}
	if e.opts.Waits && (op == opWait32 || op == opWait64 || op == opNotify) {
		e.wait(in)
		return
	}
	if op == opMemoryGrow && e.opts.Stop {
		e.p.copyTo(int(in.at))
		e.asm(e.look)
	}
	if e.opts.Grow && op == opMemoryGrow {
		e.grow(in)
		return
	}
	e.after(i, in)
}

// after writes an instruction and what has to stand behind it: checks and
// charges.
func (e *emitter) after(i int, in *instr) {
	var a asm
	if shape := in.op.nanShape(); shape != nanNone && e.opts.CanonicalNaNs {
		e.canonicalize(&a, shape)
	}
	switch {
	case in.op == opLoop:
		if e.hasTry {
			e.restoreCounters(&a)
		}
		switch l := e.loopAt(i); {
		case l == nil:
		case l.sure:
			if e.opts.Fuel && !l.atBranches {
				e.charge(&a, int64(l.cost))
			}
		default:
			e.counts.Loops++
			if !l.atBranches && (e.opts.Stop || e.opts.Fuel) {
				e.check(&a, l.weight, l.cost)
			}
		}
	case e.opts.Fuel && !e.pointBefore(i+1):
		e.charge(&a, int64(e.costs[i+1]))
	}
	if len(a.code) > 0 {
		e.p.copyTo(int(in.end))
		e.p.out = append(e.p.out, a.code...)
	}
}

// end writes the end of a block, or of the function.
func (e *emitter) end(i int, in *instr) {
	top := e.labels[len(e.labels)-1]
	opened := top.op
	e.labels = e.labels[:len(e.labels)-1]
	if len(e.labels) == 0 {
		if e.wrapped {
			e.p.copyTo(int(in.at))
			e.asm(func(a *asm) {
				a.ops(opEnd)
				e.leave(a)
			})
		}
		return
	}
	if e.hasTry && opened != opLoop && len(e.counters) > 0 {
		e.p.copyTo(int(in.end))
		e.asm(e.restoreCounters)
	}
	e.after(i, in)
}

// beforeCall writes what has to stand before a call: the fuel is exact in the
// global whenever other code runs.
func (e *emitter) beforeCall(in *instr) {
	var a asm
	switch {
	case in.op.isTailCall():
		e.leave(&a)
	default:
		e.storeFuel(&a)
	}
	if len(a.code) > 0 {
		e.p.copyTo(int(in.at))
		e.p.out = append(e.p.out, a.code...)
	}
}

// wait makes a wait or notify a call: its offset becomes the last operand.
func (e *emitter) wait(in *instr) {
	e.counts.Waits++
	f := e.callNotify
	switch in.op {
	case opWait32:
		f = e.callWait32
	case opWait64:
		f = e.callWait64
	}
	e.p.skip(int(in.at), int(in.end))
	e.asm(func(a *asm) {
		e.storeFuel(a)
		a.i32Const(int32(in.index))
		a.op(opCall, f)
		e.loadFuel(a)
	})
}

// grow makes memory.grow a call.
func (e *emitter) grow(in *instr) {
	e.counts.Grows++
	e.p.skip(int(in.at), int(in.end))
	e.asm(func(a *asm) {
		e.storeFuel(a)
		a.op(opCall, e.callGrow)
		e.loadFuel(a)
	})
}
