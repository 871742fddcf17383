package wasmbin

// AccessKind says what an instruction does with memory.
type AccessKind uint8

const (
	AccessLoad AccessKind = iota
	AccessStore
	AccessAtomicLoad
	AccessAtomicStore
	AccessUpdate // an atomic read-modify-write
	AccessWait
	AccessNotify
	AccessFence // no address
	AccessCopy
	AccessFill
	AccessInit
)

// Access is what an instruction does of which the host is told by Options.SharedAccess.
type Access struct {
	Kind AccessKind
	Size uint8 // in bytes; 0 where it is known only when it runs
}

// AccessOf explains the operand what of access and note: what the instruction does, and what it
// adds to its address.
func AccessOf(what uint64) (a Access, offset uint32) {
	return accesses[what>>40&3][byte(what>>32)], uint32(what)
}

// whatOf is the operand for an instruction.
func whatOf(in *instr) int64 {
	what := int64(in.op&0x3ff) << 32 // of the prefix, two bits tell which one it is
	if in.op.isAccess() {
		what |= int64(in.index)
	}
	return what
}

// accesses are indexed by two bits of the prefix and the opcode.
var accesses = func() (t [4][256]Access) {
	for _, prefix := range []opcode{0, prefixMisc, prefixVec, prefixAtomic} {
		for sub := range opcode(256) {
			if op := prefix<<8 | sub; op.isHooked() && (prefix != prefixAtomic || sub <= 3 || 0x10 <= sub && sub <= 0x4e) {
				kind, size, _ := op.access()
				t[prefix&3][sub] = Access{kind, size}
			}
		}
	}
	return t
}()

// isHooked reports whether the host is told of the instruction if Options.SharedAccess is set:
// accesses, the bulk operations of memory, and fences.
func (op opcode) isHooked() bool {
	return op.isAccess() || op == opFence || op == opMemoryCopy || op == opMemoryFill || op == opMemoryInit
}

// atomicSizes are those of each seven atomic instructions: i32, i64, then parts of them.
var atomicSizes = [7]uint8{4, 8, 1, 2, 1, 2, 4}

// atomicType is the type of the value that the n-th of seven atomic instructions works on.
func atomicType(n opcode) ValueType {
	if n == 0 || n == 2 || n == 3 {
		return ValueI32
	}
	return ValueI64
}

// plainSizes are those of 0x28, i32.load, to 0x3e, i64.store32.
var plainSizes = [...]uint8{4, 8, 4, 8, 1, 1, 2, 2, 1, 1, 2, 2, 4, 4, 4, 8, 4, 8, 1, 2, 1, 2, 4}

// access returns what an instruction does, and the types of the operands above its first, which is
// the address.
func (op opcode) access() (kind AccessKind, size uint8, operands []ValueType) {
	i32, i64 := ValueI32, ValueI64
	switch op >> 8 {
	case 0:
		size = plainSizes[op-0x28]
		if op < 0x36 {
			return AccessLoad, size, nil
		}
		t := [...]ValueType{i32, i64, ValueF32, ValueF64, i32, i32, i64, i64, i64}[op-0x36]
		return AccessStore, size, []ValueType{t}
	case prefixMisc:
		kind = map[opcode]AccessKind{opMemoryCopy: AccessCopy, opMemoryFill: AccessFill, opMemoryInit: AccessInit}[op]
		return kind, 0, []ValueType{i32, i32}
	case prefixVec:
		return vectorAccess(op & 0xff)
	}
	switch n := op & 0xff; {
	case op == opNotify:
		return AccessNotify, 4, []ValueType{i32}
	case op == opWait32:
		return AccessWait, 4, []ValueType{i32, i64}
	case op == opWait64:
		return AccessWait, 8, []ValueType{i64, i64}
	case op == opFence:
		return AccessFence, 0, nil
	case n < 0x17:
		return AccessAtomicLoad, atomicSizes[n-0x10], nil
	case n < 0x1e:
		return AccessAtomicStore, atomicSizes[n-0x17], []ValueType{atomicType(n - 0x17)}
	default:
		n -= 0x1e
		operands = []ValueType{atomicType(n % 7)}
		if n/7 == 6 { // compare and exchange
			operands = append(operands, operands[0])
		}
		return AccessUpdate, atomicSizes[n%7], operands
	}
}

func vectorAccess(sub opcode) (kind AccessKind, size uint8, operands []ValueType) {
	v128 := []ValueType{ValueV128}
	switch {
	case sub == 0x0b:
		return AccessStore, 16, v128
	case sub >= 0x58 && sub <= 0x5b:
		return AccessStore, 1 << (sub - 0x58), v128
	case sub >= 0x54 && sub <= 0x57:
		return AccessLoad, 1 << (sub - 0x54), v128
	case sub == 0x5c:
		return AccessLoad, 4, nil
	case sub >= 0x07 && sub <= 0x0a:
		return AccessLoad, 1 << (sub - 0x07), nil
	case sub == 0:
		return AccessLoad, 16, nil
	}
	return AccessLoad, 8, nil
}

// spares are the locals in which the operands of an access lie while the host is told of it.
type spares struct{ of map[ValueType][]uint32 }

// addSpares adds the locals that the accesses of the body need.
func (e *emitter) addSpares(b *body) {
	e.spares.of = nil
	most := map[ValueType]int{}
	for i := range b.instrs {
		op := b.instrs[i].op
		if op == opRun || !op.isHooked() || op == opFence {
			continue
		}
		_, _, operands := op.access()
		n := map[ValueType]int{ValueI32: 1}
		for _, t := range operands {
			n[t]++
		}
		for t := range n {
			most[t] = max(most[t], n[t])
		}
	}
	for _, t := range []ValueType{ValueI32, ValueI64, ValueF32, ValueF64, ValueV128} {
		for range most[t] {
			if e.spares.of == nil {
				e.spares.of = map[ValueType][]uint32{}
			}
			e.spares.of[t] = append(e.spares.of[t], e.addLocal(t))
		}
	}
}

// tellAccess writes the call that tells the host of an access, and leaves its operands as they are.
func (e *emitter) tellAccess(in *instr) {
	_, _, operands := in.op.access()
	if in.op.isAccess() {
		e.counts.Accesses++
	}
	e.p.copyTo(int(in.at))
	e.asm(func(a *asm) {
		if in.op == opFence {
			for range 3 { // no address, no second operand, no length
				a.i32Const(0)
			}
			a.i32Const(int32(in.at))
			a.i64Const(whatOf(in))
			a.op(opCall, e.callNote)
			return
		}
		address := e.spares.of[ValueI32][0]
		used := map[ValueType]int{ValueI32: 1}
		places := make([]uint32, len(operands))
		for i, t := range operands {
			places[i] = e.spares.of[t][used[t]]
			used[t]++
		}
		for i := len(operands) - 1; i >= 0; i-- {
			a.op(opLocalSet, places[i])
		}
		a.op(opLocalTee, address)
		a.op(opLocalGet, address)
		if in.op.isBulk() {
			a.op(opLocalGet, places[0])
			a.op(opLocalGet, places[1])
			a.i32Const(int32(in.at))
			a.i64Const(whatOf(in))
			a.op(opCall, e.callNote)
		} else {
			a.i32Const(int32(in.at))
			a.i64Const(whatOf(in))
			a.op(opCall, e.callAccess)
		}
		for _, place := range places {
			a.op(opLocalGet, place)
		}
	})
}
