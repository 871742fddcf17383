package wasmbin

// loop is what is known of a loop before it is written.
type loop struct {
	start, end int    // the instructions loop and end
	weight     uint32 // instructions between two checks, loops inside and checked functions not counted
	cost       uint32 // in fuel, of what a check pays for
	tight      bool   // without loops, calls and waits inside
	copies     int    // how often its body is written

	// atBranches: the check is not made at the header but at the branches that
	// lead back to it. That is the cheaper place: what the code computes in a loop
	// is in registers there, while wazero's compiler would store the variables of a
	// loop in every turn to have them after a call at the header.
	atBranches bool
	atHeader   bool // a br_table, say, leads back: there is no place for a check
	branches   int  // those that lead back
}

// maxBranches is how many branches back to a loop get a check each. More, as the
// dispatch loop of an interpreter has, would make the code larger than is gained.
const maxBranches = 4

// scan finds out what has to be known before the first instruction is written.
func (e *emitter) scan() {
	e.wrapped, e.hasTry, e.fuelLocal, e.stopLocal = false, false, -1, -1
	e.loops, e.nextLoop, e.entryWeight = e.loops[:0], 0, 0
	if e.calls == nil {
		return
	}
	tight, calls := false, false
	weight := uint64(0)
	e.open, e.targets = e.open[:0], append(e.targets[:0], -1)
	for i := range e.body.instrs {
		in := &e.body.instrs[i]
		add := uint64(in.op.cost())
		switch op := in.op; {
		case op == opLoop:
			if n := len(e.open); n > 0 {
				e.loops[e.open[n-1]].tight = false
			}
			e.open = append(e.open, len(e.loops))
			e.targets = append(e.targets, len(e.loops))
			e.outer = append(e.outer, weight)
			weight = 0
			e.loops = append(e.loops, loop{start: i, tight: true, copies: 1})
		case op == opBlock || op == opIf || op == opTryTable:
			e.targets = append(e.targets, -1)
			if op == opTryTable {
				e.hasTry = true
				e.leadsBack(in)
			}
		case op == opEnd:
			if n := len(e.targets) - 1; e.targets[n] >= 0 {
				l := &e.loops[e.targets[n]]
				l.end = i
				e.endLoop(l, weight)
				weight, e.outer = e.outer[len(e.outer)-1], e.outer[:len(e.outer)-1]
				if l.atBranches {
					// A turn that does not lead back comes to no check.
					weight += uint64(l.weight)
				}
				e.open = e.open[:len(e.open)-1]
				tight = tight || l.tight
			}
			e.targets = e.targets[:len(e.targets)-1]
		case op == opBr || op == opBrIf || op == opBrTable || op == opBrOnNull || op == opBrOnNonNull:
			e.leadsBack(in)
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
	once := e.hasTry || e.opts.SharedAccess
	for i := range e.loops {
		if l := &e.loops[i]; once {
			l.copies = 1
		} else if e.opts.Fuel && l.copies > 1 {
			l.atBranches = false // it has its own form
		}
	}
	if e.opts.Fuel {
		e.scanFuel()
	}
	switch {
	case once:
	case e.opts.Fuel && tight:
		e.fuelLocal = int64(e.addLocal(ValueI64))
		e.wrapped = true
	case e.opts.Stop && tight && !calls:
		e.stopLocal = int64(e.addLocal(ValueI32))
		e.wrapped = true
	}
}

// leadsBack notes the loops that a branch leads back to.
func (e *emitter) leadsBack(in *instr) {
	note := func(label uint32, simple bool) {
		if n := e.targets[len(e.targets)-1-int(label)]; n >= 0 {
			e.loops[n].branches++
			e.loops[n].atHeader = e.loops[n].atHeader || !simple
		}
	}
	switch in.op {
	case opBr, opBrIf:
		note(in.index, true)
	case opBrTable:
		e.eachLabel(in, func(_, _ int, label uint32) { note(label, false) })
	case opTryTable:
		e.eachCatch(in, func(_, _ int, label uint32) { note(label+1, false) }) // counted from outside
	default:
		note(in.index, false)
	}
}

// endLoop decides how a loop is written.
func (e *emitter) endLoop(l *loop, weight uint64) {
	l.atBranches = !l.atHeader && l.branches <= maxBranches && e.withoutParams(l)
	l.weight = e.capped(weight)
	if l.tight && e.withoutParams(l) && (e.opts.Fuel || e.opts.Stop && l.atBranches) {
		l.copies = e.copies(l)
	}
	if e.opts.Stop {
		l.weight *= uint32(l.copies)
	}
}

// maxWeight is the most that one check counts. Of a large body, the dispatch
// loop of an interpreter or of a Go function, each turn runs a small part; to
// count all of it would call the host every few microseconds.
const maxWeight = 512

func (e *emitter) capped(weight uint64) uint32 {
	return uint32(min(weight, maxWeight, uint64(e.opts.Period)))
}

// startsAtLoop reports whether every call of the function comes to a check at the
// header of a loop before it calls anything, so that it serves the entry too.
func (e *emitter) startsAtLoop() bool {
	for i := range e.body.instrs {
		switch op := e.body.instrs[i].op; {
		case op == opLoop:
			return e.opts.Fuel || !e.loops[0].atBranches
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
