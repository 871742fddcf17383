package wasmbin

// loop is what is known of a loop before it is written.
type loop struct {
	start, end int    // the instructions loop and end
	weight     uint32 // instructions in it, loops inside and checked functions not counted
	tight      bool   // without loops, calls and waits inside
	copies     int    // how often its body is written
}

// scan finds out what has to be known before the first instruction is written.
func (e *emitter) scan() {
	e.wrapped, e.hasTry, e.fuelLocal, e.stopLocal = false, false, -1, -1
	e.loops, e.nextLoop, e.entryWeight = e.loops[:0], 0, 0
	if e.calls == nil {
		return
	}
	tight, calls := false, false
	weight := uint64(0)
	e.open = e.open[:0]
	for i := range e.body.instrs {
		in := &e.body.instrs[i]
		add := uint64(in.op.cost())
		switch op := in.op; {
		case op == opLoop:
			if n := len(e.open); n > 0 {
				e.loops[e.open[n-1]].tight = false
			}
			e.open = append(e.open, len(e.loops))
			e.outer = append(e.outer, weight)
			weight = 0
			e.loops = append(e.loops, loop{start: i, tight: true, copies: 1})
		case op == opEnd && len(e.open) > 0 && e.body.instrs[e.loops[e.open[len(e.open)-1]].start].depth == in.depth-1:
			l := &e.loops[e.open[len(e.open)-1]]
			l.end, l.weight = i, e.capped(weight)
			weight, e.outer = e.outer[len(e.outer)-1], e.outer[:len(e.outer)-1]
			e.open = e.open[:len(e.open)-1]
			tight = tight || l.tight
		case op == opTryTable:
			e.hasTry = true
		case op == opCall || op == opReturnCall:
			add += uint64(e.calls.weight[in.index])
			calls = true
			e.notTight()
		case op.isCall():
			add += uint64(e.calls.weight[len(e.calls.weight)-1])
			calls = true
			e.notTight()
		case op == opWait32 || op == opWait64 || op == opNotify || op == opMemoryGrow:
			calls = true
			e.notTight()
		}
		weight += add
	}
	e.entryWeight = e.capped(weight)
	e.atLoop = e.startsAtLoop()
	switch {
	case e.opts.Fuel:
		e.scanFuel()
		if tight && !e.hasTry && !e.opts.SharedAccess {
			e.fuelLocal = int64(e.addLocal(ValueI64))
			e.wrapped = true
		}
	case e.opts.Stop && !e.hasTry && !e.opts.SharedAccess:
		for i := range e.loops {
			if l := &e.loops[i]; l.tight {
				l.copies = e.copies(l)
			}
		}
		if tight && !calls {
			e.stopLocal = int64(e.addLocal(ValueI32))
			e.wrapped = true
		}
	}
}

// maxWeight is the most that one check counts. Of a large body, the dispatch
// loop of an interpreter or of a Go function, each turn runs a small part; to
// count all of it would call the host every few microseconds.
const maxWeight = 512

func (e *emitter) capped(weight uint64) uint32 {
	return uint32(min(weight, maxWeight, uint64(e.opts.Period)))
}

// startsAtLoop reports whether every call of the function comes to the header
// of a loop before it calls anything, so that the check there serves the entry
// too.
func (e *emitter) startsAtLoop() bool {
	for i := range e.body.instrs {
		switch op := e.body.instrs[i].op; {
		case op == opLoop:
			return true
		case op == opIf || op == opEnd || op == opBrIf || op == opBrOnNull || op == opBrOnNonNull,
			op.isCall(), op.endsPath():
			return false
		}
	}
	return false
}

// notTight says of the innermost open loop that it contains a call.
func (e *emitter) notTight() {
	if n := len(e.open); n > 0 {
		e.loops[e.open[n-1]].tight = false
	}
}

// scanFuel computes what each point of the body costs.
func (e *emitter) scanFuel() {
	ins := e.body.instrs
	e.costs = append(e.costs[:0], make([]uint32, len(ins)+1)...)
	labels := append(e.labels[:0:0], label{op: opBlock})
	point := 0 // where the current segment is paid, -1: it cannot be reached
	for i := range ins {
		op := ins[i].op
		if point >= 0 {
			e.costs[point] += op.cost()
		}
		switch {
		case op == opBlock || op == opTryTable:
			labels = append(labels, label{op: op})
		case op == opLoop || op == opIf:
			labels = append(labels, label{op: op})
			point = i + 1
		case op == opElse:
			point = i + 1
		case op == opEnd:
			if labels[len(labels)-1].op != opLoop {
				point = i + 1
			}
			labels = labels[:len(labels)-1]
		case op == opBrIf || op == opBrOnNull || op == opBrOnNonNull:
			point = i + 1
		case op.endsPath():
			point = -1
		}
	}
}
