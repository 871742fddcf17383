package wasmbin

// A check costs as much as three or four instructions, which is little in most
// loops and half of a small one. So the body of a small loop without calls is
// written several times, and only the last has the check:
//
//	block $exit
//	  loop $again
//	    block $next
//	      body, where a branch to the loop leads to $next
//	      br $exit
//	    end
//	    body, where it leads to $again and is checked
//	  end
//	end
//
// The engine sees one straight line where the loop had its branch back, and
// keeps what it knows (base and length of memory, bounds that were checked).

// copies is how often the body of a tight loop is written.
func (e *emitter) copies(l *loop) int {
	switch {
	case l.weight <= 16:
		return 16
	case l.weight <= 32:
		return 4
	case l.weight <= 64:
		return 2
	}
	return 1
}

// withoutParams reports whether a loop certainly has no parameters: its block
// type is not the index of a function type.
func (e *emitter) withoutParams(l *loop) bool {
	in := &e.body.instrs[l.start]
	return in.end-in.at == 2 && e.data[in.at+1] >= 0x40
}

// loopAt returns the loop that instruction i opens, nil if it opens none.
func (e *emitter) loopAt(i int) *loop {
	for e.nextLoop < len(e.loops) && e.loops[e.nextLoop].start < i {
		e.nextLoop++
	}
	if e.nextLoop < len(e.loops) && e.loops[e.nextLoop].start == i {
		return &e.loops[e.nextLoop]
	}
	return nil
}

// unroll writes a whole loop.
func (e *emitter) unroll(l *loop) {
	ins := e.body.instrs
	in := &ins[l.start]
	blockType := e.data[in.at+1]
	e.report.Loops++
	e.p.copyTo(in.at)
	e.asm(func(a *asm) {
		a.ops(opBlock)
		a.byte(blockType)
		a.ops(opLoop)
		a.byte(blockType)
	})
	for i := range l.copies {
		last := i == l.copies-1
		extra := uint32(1)
		if !last {
			extra = 2
			e.asm(func(a *asm) { a.ops(opBlock, blockEmpty) })
		}
		again := label{op: opLoop, extra: extra, loop: l, pays: !last}
		e.labels = append(e.labels, again)
		e.p.last = ins[l.start].end
		for j := l.start + 1; j < l.end; j++ {
			e.instr(j, &ins[j])
		}
		e.p.copyTo(ins[l.end].at)
		e.labels = e.labels[:len(e.labels)-1]
		if !last {
			e.asm(func(a *asm) {
				a.op(opBr, 2)
				a.ops(opEnd)
			})
		}
	}
	e.asm(func(a *asm) { a.ops(opEnd, opEnd) })
	e.p.last = ins[l.end].end
}
