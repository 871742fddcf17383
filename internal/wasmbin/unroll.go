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
func (e *emitter) copies(l *loop) uint32 {
	switch {
	case l.size <= 16:
		return 16
	case l.size <= 32:
		return 4
	case l.size <= 64:
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
	for e.nextLoop < len(e.loops) && e.loops[e.nextLoop].start < uint32(i) {
		e.nextLoop++
	}
	if e.nextLoop < len(e.loops) && e.loops[e.nextLoop].start == uint32(i) {
		return &e.loops[e.nextLoop]
	}
	return nil
}

// unroll writes a whole loop.
func (e *emitter) unroll(l *loop) {
	in := &e.body.instrs[l.start]
	e.counts.Loops++
	e.p.copyTo(int(in.at))
	if e.opts.Fuel {
		e.unrollPaid(l, e.data[in.at+1])
	} else {
		e.unrollCounted(l, e.data[in.at+1])
	}
	e.p.last = int(e.body.instrs[l.end].end)
}

func (e *emitter) unrollCounted(l *loop, blockType byte) {
	e.asm(func(a *asm) {
		a.ops(opBlock)
		a.byte(blockType)
		a.ops(opLoop)
		a.byte(blockType)
	})
	for range l.copies - 1 {
		e.asm(func(a *asm) { a.ops(opBlock, blockEmpty) })
		e.turn(l, label{op: opLoop, extra: 2})
		e.asm(func(a *asm) {
			a.op(opBr, 2)
			a.ops(opEnd)
		})
	}
	e.turn(l, label{op: opLoop, extra: 1, loop: l})
	e.asm(func(a *asm) { a.ops(opEnd, opEnd) })
}

// unrollPaid unrolls for fuel, which must not run out between two checks:
//
//	block $exit
//	  loop $again
//	    block $checked
//	      br_if $checked, if there is not fuel for all of these turns
//	      block $next
//	        pay, body, where a branch to the loop leads to $next
//	        br $exit
//	      end
//	      pay, body, where it leads to $checked
//	      br $exit
//	    end
//	    pay, check, body, where it leads to $again
//	  end
//	end
func (e *emitter) unrollPaid(l *loop, blockType byte) {
	fast := l.copies - 1
	e.asm(func(a *asm) {
		a.ops(opBlock)
		a.byte(blockType)
		a.ops(opLoop)
		a.byte(blockType)
		a.ops(opBlock, blockEmpty)
		e.fuelLeft(a)
		a.i64Const(int64(fast) * int64(l.cost))
		a.ops(opI64LtS)
		a.op(opBrIf, 0)
	})
	for i := range fast {
		last := i == fast-1
		to := label{op: opLoop, extra: 3}
		if last {
			to.extra = 2
		}
		e.asm(func(a *asm) {
			if !last {
				a.ops(opBlock, blockEmpty)
			}
			e.charge(a, int64(l.cost))
		})
		e.turn(l, to)
		e.asm(func(a *asm) {
			a.op(opBr, to.extra)
			a.ops(opEnd)
		})
	}
	e.asm(func(a *asm) { e.check(a, 0, l.cost) })
	e.turn(l, label{op: opLoop, extra: 1})
	e.asm(func(a *asm) { a.ops(opEnd, opEnd) })
}

// turn writes the body of a loop, where branches to the loop lead to a label.
func (e *emitter) turn(l *loop, to label) {
	ins := e.body.instrs
	to.extra += e.labels[len(e.labels)-1].extra
	e.labels = append(e.labels, to)
	e.p.last = int(ins[l.start].end)
	for j := l.start + 1; j < l.end; j++ {
		e.p.out = roomFor(e.p.out, 256)
		e.instr(int(j), &ins[j])
	}
	e.p.copyTo(int(ins[l.end].at))
	e.labels = e.labels[:len(e.labels)-1]
}
