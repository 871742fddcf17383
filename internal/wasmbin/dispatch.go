package wasmbin

// Compilers write code that has no structured control flow, or can be resumed, as a loop that
// dispatches: a br_table over a local leads to one of the blocks in the loop, and each branch of
// the program sets the local to a constant and goes back to the loop. Every branch would pay for
// the loop's check, although most lead ahead. A branch that does leads to its block directly in the
// rewritten code, which no check has to know of. It takes the fuel of what it leaves out.

// dispatch is a loop that begins with a br_table over a local.
type dispatch struct {
	local  uint32
	cost   uint16   // in fuel, of what a branch leaves out
	labels []uint32 // of the br_table, counted from the loop: 1 is the first block in it
}

// opened is a construct that is open.
type opened struct {
	start    uint32 // the instruction that opens it
	dispatch int    // which of the dispatching loops it is, -1: none
}

// shortcuts leads branches to the blocks that dispatching loops would lead them to.
func (e *emitter) shortcuts() {
	ins := e.body.instrs
	e.opened, e.dispatches = e.opened[:0], e.dispatches[:0]
	for i := range ins {
		in := &ins[i]
		switch op := in.op; {
		case op == opRun:
		case op == opBlock || op == opIf || op == opTryTable:
			e.opened = append(e.opened, opened{uint32(i), -1})
		case op == opLoop:
			e.opened = append(e.opened, opened{uint32(i), e.findDispatch(i)})
		case op == opEnd && len(e.opened) > 0:
			n := len(e.opened) - 1
			if d := e.opened[n].dispatch; d >= 0 {
				e.dispatches = e.dispatches[:d]
			}
			e.opened = e.opened[:n]
		case op == opBr && len(e.dispatches) > 0:
			e.shortcut(in, &ins[i-1])
		}
	}
}

// findDispatch returns which of the dispatching loops the one that instruction i opens is.
func (e *emitter) findDispatch(i int) int {
	ins := e.body.instrs
	empty := func(in *instr) bool { return in.end-in.at == 2 && e.data[in.at+1] == blockEmpty }
	first := i + 1
	for empty(&ins[i]) && (i < first || ins[i].op == opBlock) {
		i++
	}
	get, table := &ins[i], &ins[i+1]
	if i < first || get.op != opRun || table.op != opBrTable || opcode(e.data[get.at]) != opLocalGet {
		return -1
	}
	c := cursor{data: e.data, pos: get.indexAt(), end: int(get.end)}
	d := dispatch{local: c.u32(), cost: get.cost + table.cost}
	if c.pos != c.end {
		return -1
	}
	blocks := uint32(i - first)
	e.eachLabel(table, func(_, _ int, label uint32) {
		if label >= blocks { // the loop, or what is around it
			label = blocks
		}
		d.labels = append(d.labels, blocks-label)
	})
	e.dispatches = append(e.dispatches, d)
	return len(e.dispatches) - 1
}

// shortcut changes a branch to a dispatching loop behind code that sets the loop's local.
func (e *emitter) shortcut(in, before *instr) {
	at := len(e.opened) - 1 - int(in.index)
	if at < 0 || e.opened[at].dispatch < 0 || before.op != opRun {
		return
	}
	d := &e.dispatches[e.opened[at].dispatch]
	local, value, ok := e.endsWithConst(before)
	if !ok || local != d.local {
		return
	}
	label := d.labels[min(value, uint32(len(d.labels)-1))]
	to := at + int(label)
	if label == 0 || to >= len(e.opened) || e.opened[to].start != e.opened[at].start+label {
		return // it does not lead ahead
	}
	in.index -= label
	in.cost += d.cost
}

// endsWithConst returns the local and the value if a run ends with i32.const and local.set.
func (e *emitter) endsWithConst(run *instr) (local, value uint32, ok bool) {
	if e.single == nil {
		e.single = newBodyReader(e.Module)
	}
	r := e.single
	r.c.pos, r.c.end = int(run.at), int(run.end)
	r.body = body{nlocals: e.body.nlocals, code: int(run.at), end: int(run.end), instrs: r.body.instrs[:0]}
	var constant, set instr
	for r.c.pos < r.c.end {
		if r.readInstr(); len(r.body.instrs) == 0 {
			return 0, 0, false
		}
		constant, set = set, r.body.instrs[0]
		r.body.instrs = r.body.instrs[:0]
	}
	if constant.op != opI32Const || set.op != opLocalSet {
		return 0, 0, false
	}
	c := cursor{data: e.data, pos: constant.indexAt(), end: int(constant.end)}
	return set.index, uint32(c.signed(5)), true
}
