package wasmbin

// readCode reads the instructions of a body, whose locals have been read.
func (k *checker) readCode(f *functionCost) {
	for len(f.labels) > 0 && k.stopped() == nil {
		at := k.pos
		first := k.byte()
		op, imm := opcode(first), immediates[first]
		if imm == immPrefix {
			op, imm = k.prefixed(first)
		}
		if op == opThrowRef && k.NoThrowRef {
			k.never("NoThrowRef", "instructions throw_ref", at)
			return
		}
		switch imm {
		case immNone:
			k.plain(op, f)
		case immBlock, immTry:
			k.openBlock(op, f)
		case immLabel:
			f.height += stackEffect(op)
			f.branch(k.u32())
			f.next()
		case immLabels: // each by a block of its own that lists nothing
			f.known = 0
			k.each("BranchTargets", "branch targets of one br_table", k.BranchTargets, 1, func() { f.branch(k.u32()); f.next() })
			f.branch(k.u32())
			f.height--
		case immLocal:
			f.height += stackEffect(op)
			f.access(k.u32(), op != opLocalGet)
		case immFunc:
			if index := int(k.u32()); op != opRefFunc {
				f.call(k.signature(index))
			} else {
				f.height++
			}
		case immCallIndirect:
			f.height--
			f.call(k.typeArity(k.u32()))
			k.u32()
		case immType:
			f.height--
			f.call(k.typeArity(k.u32()))
		case immInvalid, immLegacy:
			if op > 0xff {
				k.fail(at, "unknown opcode %#x %#x", op>>8, op&0xff)
			}
			k.fail(at, "unknown opcode %#x", op)
		default:
			f.height += stackEffect(op)
			if op.isAccess() {
				f.known++
			}
			k.skipImmediate(imm)
		}
		f.height = max(f.height, 0)
		f.dead = f.dead || op.endsPath()
	}
}

// plain reads an instruction without immediates.
func (k *checker) plain(op opcode, f *functionCost) {
	switch op {
	case opElse:
		l := &f.labels[len(f.labels)-1]
		if l.op == opIf {
			l.op = opElse
		}
		f.height = l.height + int(l.arity.params)
		f.branch(0) // the end of what stood before it
		f.known, f.dead = l.known, false
		f.next()
	case opEnd:
		f.close()
	default:
		f.height += stackEffect(op)
	}
}

// openBlock reads a block type, and the catch clauses of a try_table.
func (k *checker) openBlock(op opcode, f *functionCost) {
	a := k.blockArity()
	if op == opIf {
		f.height--
	}
	if op == opTryTable {
		n := k.count("catch clauses", 2)
		k.catches += 1 + uint64(n)
		k.over("Catches", "try_tables and catch clauses in one function", k.catches, k.Catches)
		for i := 0; i < n && k.stopped() == nil; i++ {
			if k.byte() <= 1 {
				k.u32()
			}
			f.branch(k.u32())
			f.next()
		}
	}
	f.open(op, a)
	switch op {
	case opLoop: // and what the rewriter puts at its head
		f.next()
		f.next()
		f.next()
	case opIf, opTryTable:
		f.next()
	}
	k.over("Nesting", "blocks inside each other", uint64(len(f.labels)), k.Nesting)
}

func (k *checker) blockArity() arity {
	switch t := k.signed(5); {
	case t == -64:
		return arity{}
	case t == -29, t == -28:
		k.heapType()
		return arity{results: 1}
	case t < 0:
		return arity{results: 1}
	default:
		return k.typeArity(uint32(t))
	}
}

// call pops the parameters of a call and pushes its results, which are values that live on.
func (f *functionCost) call(a arity) {
	f.height = max(f.height-int(a.params), 0) + int(a.results)
	f.live += uint64(a.params) + uint64(a.results)
}

// prefixed reads the rest of an opcode that has a prefix.
func (k *checker) prefixed(prefix byte) (opcode, immediate) {
	if prefix == prefixMisc {
		sub := k.u32()
		if int(sub) >= len(miscImmediates) {
			return opcode(prefix) << 8, immInvalid
		}
		return opcode(prefix)<<8 | opcode(sub), miscImmediates[sub]
	}
	sub := k.byte()
	op := opcode(prefix)<<8 | opcode(sub)
	switch {
	case prefix == prefixAtomic && sub == 3:
		return op, immZero
	case prefix == prefixAtomic && (sub <= 2 || 0x10 <= sub && sub <= 0x4e):
		return op, immMemArg
	case prefix == prefixAtomic:
		return op, immInvalid
	}
	if sub >= 0x80 {
		k.byte()
	}
	return op, vecImmediates[sub]
}

// skipImmediate passes what follows an opcode and means nothing for its cost.
func (k *checker) skipImmediate(imm immediate) {
	switch imm {
	case immTag, immGlobal, immU32:
		k.u32()
	case immU32x2, immMemArg:
		k.u32()
		k.u32()
	case immMemLane:
		k.u32()
		k.u32()
		k.byte()
	case immU32Zero:
		k.u32()
		k.byte()
	case immZero, immLane:
		k.byte()
	case immZero2:
		k.bytes(2)
	case immI32:
		k.signed(5)
	case immI64:
		k.signed(10)
	case imm4:
		k.bytes(4)
	case imm8:
		k.bytes(8)
	case imm16:
		k.bytes(16)
	case immHeap:
		parseHeapType(&k.cursor)
	case immSelect:
		k.count("types of a select", 1)
		parseValueType(&k.cursor)
	}
}
