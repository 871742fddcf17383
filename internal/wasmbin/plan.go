package wasmbin

import (
	"cmp"
	"slices"
)

// point is a check that stands before an instruction.
type point struct {
	before uint32
	weight uint32 // what it counts
}

// reach is what lies ahead of a place in the code.
type reach struct {
	ahead uint32 // the most that a path weighs until a check or the end of the function
	tail  int32  // the same of paths that come to the end without a check, -1 if there are none
}

// then returns what lies ahead before something of that weight.
func (r reach) then(weight uint32) reach {
	r.ahead += weight
	if r.tail >= 0 {
		r.tail += int32(weight)
	}
	return r
}

// heavyTail is the tail of a path with a heavy instruction: too much for a function that is called
// in a cycle.
func (r reach) heavyTail() int32 {
	if r.tail < 0 {
		return r.tail
	}
	return max(r.tail, maxTail+1)
}

// or returns what lies ahead where two ways part.
func (r reach) or(other reach) reach {
	return reach{max(r.ahead, other.ahead), max(r.tail, other.tail)}
}

// counted is what lies ahead before a check.
var counted = reach{0, -1}

// mark is a construct that is open, on the way from the end of a body to its beginning.
type mark struct {
	label reach // what lies ahead where a branch to its label leads
	after reach // behind it
	other reach // at the beginning of else
	loop  *loop
	// points is how many there were at its end.
	points  int
	hasElse bool
}

// plan walks over the body from its end to its beginning, and places checks such that no path
// between two weighs more than a piece. What a check counts is the most that can come until the
// next.
func (e *emitter) plan(once bool) {
	ins := e.body.instrs
	e.marks = e.marks[:0]
	rest := int32(0)
	now := reach{}
	for i := len(ins) - 1; i >= 0; i-- {
		in := &ins[i]
		switch op := in.op; {
		case op == opRun:
			now = now.then(in.weight())
			if in.heavy() {
				now.tail = now.heavyTail()
			}
		case op == opEnd:
			if now.ahead > maxPiece/2 && i < len(ins)-1 && e.hasSmallLoop(in.index, uint32(i)) {
				e.point(i+1, now.ahead)
				now = counted
			}
			m := mark{label: now, after: now, points: len(e.points)}
			if i < len(ins)-1 && ins[in.index].op == opLoop {
				m.label, m.loop = counted, e.loopOf(in.index)
				var first reach
				if first, m.loop.sure = e.firstCall(in.index); m.loop.sure {
					m.label = first
				}
			}
			e.marks = append(e.marks, m)
		case op == opElse:
			m := &e.marks[len(e.marks)-1]
			m.other, m.hasElse = now, true
			now = m.after
		case op == opIf:
			m := e.closeMark()
			if !m.hasElse {
				m.other = m.after
			}
			now = now.or(m.other).then(op.weight())
		case op == opBlock:
			e.closeMark()
		case op == opTryTable: // a check stands before it, in its place
			e.closeMark()
			now = reach{op.weight(), -1}
		case op == opLoop:
			m := e.closeMark()
			now = e.planLoop(m.loop, now, once || m.points != len(e.points))
		case op == opBr:
			now = e.labelled(in.index).then(op.weight())
		case op == opBrIf || op == opBrOnNull || op == opBrOnNonNull:
			now = now.or(e.labelled(in.index)).then(op.weight())
		case op == opBrTable:
			now = counted
			e.eachLabel(in, func(_, _ int, label uint32) { now = now.or(e.labelled(label)) })
			now = now.then(op.weight())
		case op == opReturn:
			now = reach{}.then(op.weight())
		case op == opUnreachable:
			now = reach{ahead: 1, tail: -1}
		case op == opThrow || op == opThrowRef || op == opMemoryGrow && !e.opts.Fuel:
			now = reach{op.weight(), -1}
		case op.isCall():
			var after reach
			after, now = e.planCall(i, in, now)
			if after.tail >= 0 {
				rest = max(rest, after.tail+int32(e.restOf(in)))
			}
		case op.isBulk() || op == opMemoryGrow: // a function of ours
			now = now.then(2 * weightCall)
		case op == opWait32 || op == opWait64 || op == opNotify:
			now = now.then(weightHostCall)
		default:
			now = now.then(e.weightOf(op))
			if in.heavy() {
				now.tail = now.heavyTail()
			}
		}
		rest = max(rest, now.tail)
		if now.ahead > maxPiece && in.op != opEnd && in.op != opElse {
			e.point(i, now.ahead)
			now = counted
		}
	}
	e.summary = summary{head: now.ahead, through: now.tail, rest: uint32(rest)}
}

func (e *emitter) point(before int, weight uint32) {
	e.points = append(roomFor(e.points, 1), point{uint32(before), max(weight, 1)})
}

func (e *emitter) closeMark() mark {
	n := len(e.marks) - 1
	m := e.marks[n]
	e.marks = e.marks[:n]
	return m
}

func (e *emitter) labelled(label uint32) reach { return e.marks[len(e.marks)-1-int(label)].label }

// loopOf is the loop that an instruction opens.
func (e *emitter) loopOf(start uint32) *loop { return &e.loops[e.loopsBefore(start)] }

// loopsBefore is how many loops begin before an instruction.
func (e *emitter) loopsBefore(i uint32) int {
	n, _ := slices.BinarySearchFunc(e.loops, i, func(l loop, i uint32) int { return cmp.Compare(l.start, i) })
	return n
}

// hasSmallLoop reports whether there is a small loop between two instructions. Where much lies
// ahead behind it, a check stands there, and not in the loop, which runs more often. Where threads
// take turns seeds rely on where checks are.
func (e *emitter) hasSmallLoop(from, to uint32) bool {
	return !e.opts.Turns && e.small[e.loopsBefore(from)] < e.small[e.loopsBefore(to)]
}

// planLoop decides how a loop is written, and returns what lies ahead before it.
func (e *emitter) planLoop(l *loop, body reach, once bool) reach {
	l.copies = 1
	if l.sure {
		return body
	}
	if l.tight && l.branches > 0 && e.withoutParams(l) && !once && (e.opts.Fuel || e.opts.Stop && l.atBranches) {
		l.copies = e.copies(l)
		for l.copies > 1 && l.copies*body.ahead > maxPiece {
			l.copies /= 2
		}
		l.copies = e.affordable(l)
	}
	if l.copies > 1 && e.opts.Fuel {
		l.atBranches = false // it has its own form
	}
	l.weight = l.copies * max(body.ahead, 1)
	switch {
	case l.copies > 1 && e.opts.Fuel, !l.atBranches:
		return counted
	case l.copies > 1 && body.tail >= 0:
		body.tail += int32((l.copies - 1) * body.ahead)
	}
	body.ahead *= l.copies
	return body
}

// firstCall looks whether a loop begins with a call of a function that makes a check whatever it
// does, and returns what lies ahead of the loop's beginning then.
func (e *emitter) firstCall(loop uint32) (ahead reach, ok bool) {
	weight := uint32(0)
	for i := loop + 1; ; i++ {
		in := &e.body.instrs[i]
		switch op := in.op; {
		case op == opRun:
			weight += in.weight()
		case op == opBlock || op.isPlain():
			weight += e.weightOf(op)
		case op == opCall || op == opCallIndirect || op == opCallRef:
			to := e.calls.to(in)
			s := &e.calls.summary[to]
			if int(to) < e.importedFuncs || s.through >= 0 {
				return reach{}, false
			}
			weight += op.weight() + s.head
			return reach{weight, -1}, weight <= maxPiece
		default:
			return reach{}, false
		}
	}
}

// affordable is how often a loop may be written: code becomes at most a few times as long by
// copies, large code at most twice, but in small functions, if there are not very many of them.
func (e *emitter) affordable(l *loop) uint32 {
	ins := e.body.instrs
	size := int(ins[l.end].end-ins[l.start].at) + 10
	code := e.body.end - e.body.code
	room := min(8*code, code+1<<14) + min(1024, 4*len(e.data)/(e.bodies+1)) - e.copied
	n := min(l.copies, uint32(max(room/size, 1)))
	e.copied += int(n-1) * size
	return n
}

// planCall returns what lies ahead behind a call and before it. Behind a call that may be one of a
// cycle a check stands unless there is little left to do: each of the frames of a recursion may
// come back there.
func (e *emitter) planCall(i int, in *instr, now reach) (after, before reach) {
	c := e.calls
	to := c.to(in)
	if in.op.isTailCall() {
		now = reach{}
	}
	if now.tail >= 0 && !in.op.isTailCall() {
		over := uint32(now.tail)+c.summary[to].rest > 2*maxPiece
		if c.component[to] == c.component[e.body.fn] {
			over = now.tail > maxTail
		}
		if over {
			e.point(i+1, now.ahead)
			now = counted
		}
	}
	after = now
	weight := in.op.weight()
	switch s := &c.summary[to]; {
	case int(to) < e.importedFuncs:
		now = now.then(weightHostCall + maxHead)
	case s.through < 0:
		now = reach{now.ahead + weight + s.head, -1}
	default:
		tail := now.tail
		if tail >= 0 {
			tail += int32(weight) + s.through
		}
		now = reach{now.ahead + weight + s.head, tail}
	}
	return after, now
}

// restOf is what may have run when a call of another component returns.
func (e *emitter) restOf(in *instr) uint32 {
	to := e.calls.to(in)
	if e.calls.component[to] == e.calls.component[e.body.fn] {
		return 0
	}
	return e.calls.summary[to].rest
}
