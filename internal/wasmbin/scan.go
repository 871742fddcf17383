package wasmbin

// loop is what is known of a loop before it is written.
type loop struct {
	start, end uint32 // the instructions loop and end
	weight     uint32 // what its check counts
	cost       uint32 // in fuel, of what a check pays for
	size       uint32 // instructions
	whole      uint64 // what all instructions weigh together
	copies     uint32 // how often its body is written
	branches   uint16 // those that lead back, as far as counted
	tight      bool   // without loops, calls and waits inside

	// atBranches: the check is not made at the header but at the branches that
	// lead back to it. That is the cheaper place: what the code computes in a loop
	// is in registers there, while wazero's compiler would store the variables of a
	// loop in every turn to have them after a call at the header.
	atBranches bool
	// sure: each turn begins with a call of a function that makes a check, so that the loop needs
	// none.
	sure     bool
	atHeader bool // a br_table, say, leads back: there is no place for a check
}

// maxBranches is how many branches back to a loop get a check each. More, as the
// dispatch loop of an interpreter has, would make the code larger than is gained.
const maxBranches = 4

// planBody finds out what has to be known before the first instruction is written.
func (e *emitter) planBody(b *body) {
	e.body = b
	e.loops, e.nextLoop, e.points = e.loops[:0], 0, e.points[:0]
	e.hasTry, e.atLoop, e.copied = false, false, 0
	if !e.opts.Turns && (e.opts.Stop || e.opts.Fuel) {
		e.shortcuts()
	}
	tight, calls := e.scan()
	once := e.hasTry || e.opts.SharedAccess
	e.plan(once)
	e.inFuelLocal = !once && e.opts.Fuel && tight
	e.atLoop = e.startsAtLoop()
	e.inStopLocal = !once && e.opts.Stop && tight && !calls
}

// scan finds the loops, and what leads back to them. It reports whether one of them is tight, and
// whether the body has calls.
func (e *emitter) scan() (tight, calls bool) {
	size, weight := uint32(0), uint64(0)
	e.open, e.targets = e.open[:0], append(e.targets[:0], -1)
	for i := range e.body.instrs {
		in := &e.body.instrs[i]
		weight += uint64(in.weight())
		switch op := in.op; {
		case op == opRun:
		case op == opLoop:
			e.notTight()
			e.open = append(e.open, len(e.loops))
			e.targets = append(e.targets, len(e.loops))
			e.loops = append(roomFor(e.loops, 1), loop{start: uint32(i), size: size, whole: weight, tight: true, copies: 1})
		case op == opBlock || op == opIf || op == opTryTable:
			e.targets = append(e.targets, -1)
			if op == opTryTable {
				e.hasTry = true
				e.leadsBack(in)
			}
		case op == opEnd:
			if n := len(e.targets) - 1; e.targets[n] >= 0 {
				l := &e.loops[e.targets[n]]
				l.end, l.size, l.whole = uint32(i), size-l.size, weight-l.whole
				l.atBranches = l.branches == 0 || !l.atHeader && l.branches <= maxBranches && e.withoutParams(l)
				tight = tight || l.tight
				e.open = e.open[:len(e.open)-1]
			}
			e.targets = e.targets[:len(e.targets)-1]
		case op == opBr || op == opBrIf || op == opBrTable || op == opBrOnNull || op == opBrOnNonNull:
			e.leadsBack(in)
		case op.isCall(), op.isBulk(), op == opWait32 || op == opWait64 || op == opNotify || op == opMemoryGrow:
			calls = true
			e.notTight()
		}
		size += uint32(in.cost)
	}
	e.small = append(e.small[:0], 0)
	for i := range e.loops {
		n := e.small[i]
		if l := &e.loops[i]; l.tight && l.branches > 0 && l.whole <= maxPiece/2 {
			n++
		}
		e.small = append(roomFor(e.small, 1), n)
	}
	return tight, calls
}

// leadsBack notes the loops that a branch leads back to.
func (e *emitter) leadsBack(in *instr) {
	note := func(label uint32, simple bool) {
		if n := e.targets[len(e.targets)-1-int(label)]; n >= 0 {
			l := &e.loops[n]
			l.branches = min(l.branches+1, maxBranches+1)
			l.atHeader = l.atHeader || !simple
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

// startsAtLoop reports whether every call of the function comes to a check at the
// header of a loop before it calls anything, so that it serves the entry too.
func (e *emitter) startsAtLoop() bool {
	weight := uint32(0)
	for i := range e.body.instrs {
		in := &e.body.instrs[i]
		switch op := in.op; {
		case op == opLoop:
			l := &e.loops[0]
			return weight <= maxTail && l.branches > 0 && !l.sure && (e.looksBefore(l) || !l.atBranches)
		case op == opRun:
			weight += in.weight()
		case op == opIf || op == opEnd || op == opBrIf || op == opBrOnNull || op == opBrOnNonNull,
			op.isCall(), op.isBulk(), op.endsPath():
			return false
		default:
			weight += op.weight()
		}
	}
	return false
}

// notTight says of the innermost open loop that it contains a call, or a loop.
func (e *emitter) notTight() {
	if n := len(e.open); n > 0 {
		e.loops[e.open[n-1]].tight = false
	}
}
