package wasmbin

// counter is a cell that tells how much the calls take that are under way.
type counter struct {
	cell   uint32 // a global
	weight int32  // what a call of the function takes
	end    int64  // the global that says how much is too much; -1: Options.CallDepth does
	call   uint32 // the host function that is called when it is too much
	saved  uint32 // the local that holds what it is in this activation, if an exception may be caught here
}

// countersOf are the counters that calls of a function count for.
func (e *emitter) countersOf(b *body) []counter {
	all := e.counters[:0]
	if e.opts.CallDepth > 0 && e.calls.cyclic[b.fn] {
		all = append(all, counter{cell: e.depthGlobal, weight: 1, end: -1, call: e.callDepth})
	}
	if e.opts.Stack > 0 && e.calls.stacked[b.fn] {
		all = append(all, counter{cell: e.stackGlobal, weight: frameBytes(b), end: int64(e.stackEndGlobal), call: e.callStack})
	}
	return all
}

// charge takes cost from the fuel.
func (e *emitter) charge(a *asm, cost int64) {
	if cost == 0 {
		return
	}
	get, set, cell := opGlobalGet, opGlobalSet, e.fuelGlobal
	if e.fuelLocal >= 0 {
		get, set, cell = opLocalGet, opLocalSet, uint32(e.fuelLocal)
	}
	a.op(get, cell)
	a.i64Const(cost)
	a.ops(opI64Sub)
	a.op(set, cell)
}

// fuelLeft leaves the fuel on the stack.
func (e *emitter) fuelLeft(a *asm) {
	if e.fuelLocal >= 0 {
		a.op(opLocalGet, uint32(e.fuelLocal))
	} else {
		a.op(opGlobalGet, e.fuelGlobal)
	}
}

func (e *emitter) storeFuel(a *asm) {
	if e.fuelLocal >= 0 {
		a.op(opLocalGet, uint32(e.fuelLocal))
		a.op(opGlobalSet, e.fuelGlobal)
	}
}

// storeStop puts the counter back where others find it. An exception takes it
// along too: who throws in a loop must not count from the start each time.
func (e *emitter) storeStop(a *asm) {
	if e.stopLocal >= 0 {
		a.op(opLocalGet, uint32(e.stopLocal))
		a.op(opGlobalSet, e.stopGlobal)
	}
}

func (e *emitter) loadStop(a *asm) {
	if e.stopLocal >= 0 {
		a.op(opGlobalGet, e.stopGlobal)
		a.op(opLocalSet, uint32(e.stopLocal))
	}
}

func (e *emitter) loadFuel(a *asm) {
	if e.fuelLocal >= 0 {
		a.op(opGlobalGet, e.fuelGlobal)
		a.op(opLocalSet, uint32(e.fuelLocal))
	}
}

// check takes what comes next from the count, weight instructions for the stop
// counter or cost for the fuel, and calls the host when that is used up.
func (e *emitter) check(a *asm, weight, cost uint32) {
	if e.opts.Fuel && (e.opts.Turns || e.fuelLocal >= 0) {
		e.count(a, weight, cost)
		a.ops(opIf, blockEmpty, opElse) // as in unlessCall
		e.callHost(a, 0)
		a.ops(opEnd)
		return
	}
	// The call leads back to the look, which takes again what the call has given back. So the code
	// that goes on is reached from the look alone, and wazero's compiler puts the call at the end
	// of the function: nothing is jumped over. It does not pay where the fuel is in a local. Where
	// threads take turns one look is one turn.
	weight = max(weight, 1)
	a.ops(opLoop, blockEmpty)
	e.count(a, weight, cost)
	a.ops(opIf, blockEmpty, opElse)
	e.callHost(a, weight)
	if e.opts.Fuel {
		e.charge(a, -int64(cost))
	}
	a.op(opBr, 1)
	a.ops(opEnd, opEnd)
}

// count takes what comes next from the count, and leaves on the stack whether the
// guest may go on.
func (e *emitter) count(a *asm, weight, cost uint32) {
	switch {
	case e.opts.Fuel:
		e.charge(a, int64(cost))
		e.fuelLeft(a)
		a.i64Const(0)
		a.ops(opI64GeS)
		return
	case e.stopLocal >= 0:
		a.op(opLocalGet, uint32(e.stopLocal))
		a.i32Const(int32(max(weight, 1)))
		a.ops(opI32Sub)
		a.op(opLocalTee, uint32(e.stopLocal))
	default:
		a.op(opGlobalGet, e.stopGlobal)
		a.i32Const(int32(max(weight, 1)))
		a.ops(opI32Sub)
		a.op(opGlobalSet, e.stopGlobal)
		a.op(opGlobalGet, e.stopGlobal)
	}
	a.i32Const(0)
	a.ops(opI32GeS)
}

// look calls the host before an instruction that may take long, or where there is fuel looks
// whether it is paid for.
func (e *emitter) look(a *asm) {
	switch {
	case e.opts.Fuel:
		e.check(a, 0, 0)
	case e.opts.Stop:
		e.callHost(a, 0)
	}
}

// callHost calls the host because the count is used up, and fills the stop counter with weight more
// than a period.
func (e *emitter) callHost(a *asm, weight uint32) {
	if e.opts.Fuel {
		e.storeFuel(a)
		a.op(opCall, e.callFuel)
		e.loadFuel(a)
		return
	}
	a.i32Const(int32(weight))
	a.op(opCall, e.callCheck)
	e.loadStop(a)
}

// branchBack writes a br or br_if to a loop with the loop's check. Every
// conditional jump in it is an if with a way of its own: wazero's compiler joins
// comparison and jump only where the jump's target is reached from nowhere else.
func (e *emitter) branchBack(in *instr, l *loop) {
	e.p.skip(int(in.at), int(in.end))
	label := e.shiftLabel(in.index)
	e.asm(func(a *asm) {
		if in.op == opBrIf {
			a.ops(opIf, blockEmpty)
			label++
		}
		if l.sure {
			e.charge(a, int64(l.cost))
		} else {
			e.count(a, l.weight, l.cost)
			a.ops(opIf, blockEmpty)
			a.op(opBr, label+1)
			a.ops(opEnd)
			e.callHost(a, 0)
		}
		a.op(opBr, label)
		if in.op == opBrIf {
			a.ops(opEnd)
		}
	})
}

// looksBefore reports whether there is a look at the fuel before a loop whose checks stand at its
// branches. None is needed: the first turn is paid with what is before, and part of its piece. It
// stays where threads take turns, because seeds rely on where looks are, and around a tight loop,
// where wazero's compiler makes better code with it.
func (e *emitter) looksBefore(l *loop) bool {
	return e.opts.Fuel && (e.opts.Turns || e.inFuelLocal && !l.tight)
}

// compares reports whether the instruction before a branch seems to be a comparison: the last byte
// of another may look so too.
func (e *emitter) compares(in *instr) bool {
	before := opcode(e.data[in.at-1])
	return before >= opI32Eqz && before <= opF64Ge
}

// branchByIf writes a br_if as a br in an if. wazero's compiler joins a comparison and the br_if
// behind it in the first instructions of a function, but not behind those that were put there.
func (e *emitter) branchByIf(in *instr) {
	e.p.skip(int(in.at), int(in.end))
	label := e.shiftLabel(in.index) + 1
	e.asm(func(a *asm) {
		a.ops(opIf, blockEmpty)
		a.op(opBr, label)
		a.ops(opEnd)
	})
}

// restoreCounters sets the counters to what they are in this activation: an
// exception caught here has left others without counting them down. Where a
// catch clause may lead, the end of a block and the header of a loop, it stands.
func (e *emitter) restoreCounters(a *asm) {
	for _, c := range e.counters {
		a.op(opLocalGet, c.saved)
		a.op(opGlobalSet, c.cell)
	}
}
