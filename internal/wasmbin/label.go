package wasmbin

// label is a label that is open.
type label struct {
	op    opcode // what opened it
	extra uint32 // how many labels of ours stand around it, and around those that enclose it
	loop  *loop  // the loop whose check a branch to the label makes, nil for none
	empty bool   // a branch to the label certainly takes no values along
}

// shiftLabel is the label k in the rewritten function.
func (e *emitter) shiftLabel(k uint32) uint32 {
	top := len(e.labels) - 1
	return k + e.labels[top].extra - e.labels[top-int(k)].extra
}

// eachLabel calls f for each label of a br_table, with where it stands.
func (e *emitter) eachLabel(in *instr, f func(at, end int, label uint32)) {
	c := cursor{data: e.data, pos: in.indexAt(), end: int(in.end)}
	for n := c.u32(); ; n-- {
		at := c.pos
		label := c.u32()
		f(at, c.pos, label)
		if n == 0 {
			return
		}
	}
}

// eachCatch does the same for the catch clauses of a try_table. Their labels are
// counted from outside of it.
func (e *emitter) eachCatch(in *instr, f func(at, end int, label uint32)) {
	c := cursor{data: e.data, pos: in.indexAt(), end: int(in.end)}
	if t := c.signed(5); t == -29 || t == -28 { // the block type, a reference
		c.signed(5)
	}
	for n := c.u32(); n > 0; n-- {
		if c.byte() <= 1 {
			c.u32()
		}
		at := c.pos
		label := c.u32()
		f(at, c.pos, label)
	}
}
