package wasmbin

import "slices"

// A straight piece of code is paid at a point, which is where a path enters it
// first; point i stands before instruction i, and 0 is the entry of the function.
// What comes after a block, if or try_table runs as often as what stands before
// it, unless a branch leads past the end, and is paid there then. So most turns of a
// loop pay once. Behind a loop nothing is paid before: it may run for ever.

// construct is one that is open.
type construct struct {
	op      opcode
	loop    int // which of the loops it is
	before  int // the point that pays for what stands before it, -1: it cannot be reached
	first   int // the point of its first instruction, or of the first of if's then
	other   int // that of the first of else
	escapes int // the outermost construct that a path leaves otherwise than at its end, or perhaps never
}

// scanFuel computes what each point and each check of a loop costs.
func (e *emitter) scanFuel() {
	ins := e.body.instrs
	next := len(e.points) - 1
	e.split = -1
	e.costs = slices.Grow(e.costs[:0], len(ins)+1)[:len(ins)+1]
	clear(e.costs)
	e.constructs = append(e.constructs[:0], construct{op: opBlock, escapes: len(ins)})
	point, loops := 0, 0
	for i := range ins {
		in := &ins[i]
		if next >= 0 && e.points[next].before == uint32(i) {
			if next--; point >= 0 {
				point, e.split = i, i
			}
		}
		if point >= 0 {
			e.costs[point] += uint32(in.cost)
		}
		switch op := in.op; {
		case op == opRun:
		case op == opBlock || op == opTryTable || op == opLoop || op == opIf:
			c := construct{op: op, before: point, escapes: len(ins)}
			if op == opLoop {
				c.loop = loops
				loops++
				c.escapes = 0
			}
			if point >= 0 && (op == opLoop || op == opIf) {
				c.first = i + 1
				point = i + 1
			}
			e.constructs = append(e.constructs, c)
			if op == opTryTable {
				e.eachCatch(in, func(_, _ int, label uint32) { e.escapes(label + 1) })
			}
		case op == opElse:
			c := &e.constructs[len(e.constructs)-1]
			c.op = opElse
			if point = -1; c.before >= 0 {
				c.other, point = i+1, i+1
			}
		case op == opEnd:
			point = e.endFuel(i, point)
		case op == opBr || op == opBrIf || op == opBrOnNull || op == opBrOnNonNull:
			e.escapes(in.index)
			if point >= 0 {
				point = i + 1
			}
		case op == opBrTable:
			e.eachLabel(in, func(_, _ int, label uint32) { e.escapes(label) })
		case op == opReturn || op == opThrow || op == opThrowRef || op.isTailCall():
			e.escapes(uint32(len(e.constructs) - 1))
		}
		if in.op.endsPath() {
			point = -1
		}
	}
}

// escapes notes that a branch to a label leads past the ends of what is inside of
// it. Only the innermost construct is told, which tells the one around it at its end.
func (e *emitter) escapes(label uint32) {
	n := len(e.constructs)
	c := &e.constructs[n-1]
	c.escapes = min(c.escapes, n-int(label))
}

// endFuel ends the innermost construct at instruction i, and returns the point
// that pays for what follows.
func (e *emitter) endFuel(i, point int) int {
	c := e.constructs[len(e.constructs)-1]
	n := len(e.constructs) - 1
	e.constructs = e.constructs[:n]
	if n == 0 {
		return -1
	}
	around := &e.constructs[n-1]
	around.escapes = min(around.escapes, c.escapes)
	if c.before < 0 {
		return -1
	}
	switch c.op {
	case opLoop:
		l := &e.loops[c.loop]
		l.cost, e.costs[c.first] = e.costs[c.first], 0
		if l.atBranches {
			e.costs[c.before] += l.cost
		}
	case opElse:
		// What both branches pay at least is paid before.
		both := min(e.costs[c.first], e.costs[c.other])
		e.costs[c.before] += both
		e.costs[c.first] -= both
		e.costs[c.other] -= both
	}
	switch {
	case e.split >= c.before && (c.escapes > n || point == c.first) && c.op != opLoop:
		return i + 1 // what was paid before a check in between pays for nothing behind it
	case c.escapes > n, point == c.first && c.op == opLoop: // or a loop that never leads back
		return c.before
	case c.op == opLoop:
		return point
	}
	return i + 1
}
