package wasmbin

// opcode is an instruction: one byte, or a prefix byte in the upper half and
// what follows it in the lower.
type opcode uint16

const (
	opUnreachable        opcode = 0x00
	opNop                opcode = 0x01
	opBlock              opcode = 0x02
	opLoop               opcode = 0x03
	opIf                 opcode = 0x04
	opElse               opcode = 0x05
	opThrow              opcode = 0x08
	opThrowRef           opcode = 0x0a
	opEnd                opcode = 0x0b
	opBr                 opcode = 0x0c
	opBrIf               opcode = 0x0d
	opBrTable            opcode = 0x0e
	opReturn             opcode = 0x0f
	opCall               opcode = 0x10
	opCallIndirect       opcode = 0x11
	opReturnCall         opcode = 0x12
	opReturnCallIndirect opcode = 0x13
	opCallRef            opcode = 0x14
	opReturnCallRef      opcode = 0x15
	opTryTable           opcode = 0x1f
	opDrop               opcode = 0x1a
	opSelect             opcode = 0x1b
	opLocalGet           opcode = 0x20
	opLocalSet           opcode = 0x21
	opLocalTee           opcode = 0x22
	opGlobalGet          opcode = 0x23
	opGlobalSet          opcode = 0x24
	opTableGet           opcode = 0x25
	opTableSet           opcode = 0x26
	opI32Load8U          opcode = 0x2d
	opMemorySize         opcode = 0x3f
	opMemoryGrow         opcode = 0x40
	opI32Const           opcode = 0x41
	opI64Const           opcode = 0x42
	opI32Eqz             opcode = 0x45
	opI32Eq              opcode = 0x46
	opI32LtU             opcode = 0x49
	opI32GtU             opcode = 0x4b
	opI32LeU             opcode = 0x4d
	opI32GeS             opcode = 0x4e
	opI64LtS             opcode = 0x53
	opI64GtU             opcode = 0x56
	opI64LeU             opcode = 0x58
	opI64GeS             opcode = 0x59
	opF64Ge              opcode = 0x66
	opI32Add             opcode = 0x6a
	opI32Sub             opcode = 0x6b
	opI32Shl             opcode = 0x74
	opI64Add             opcode = 0x7c
	opI64Sub             opcode = 0x7d
	opI64Mul             opcode = 0x7e
	opI64Shl             opcode = 0x86
	opI64ShrU            opcode = 0x88
	opI64ExtendU         opcode = 0xad
	opRefFunc            opcode = 0xd2
	opBrOnNull           opcode = 0xd5
	opBrOnNonNull        opcode = 0xd6

	prefixMisc   = 0xfc
	prefixVec    = 0xfd
	prefixAtomic = 0xfe

	opNotify opcode = prefixAtomic << 8
	opWait32 opcode = prefixAtomic<<8 | 0x01
	opWait64 opcode = prefixAtomic<<8 | 0x02
	opFence  opcode = prefixAtomic<<8 | 0x03
)

// blockEmpty is the block type without parameters and results.
const blockEmpty = 0x40

// immediate is what follows an opcode.
type immediate uint8

const (
	immInvalid      immediate = iota
	immNone                   // nothing
	immBlock                  // a block type
	immTry                    // a block type and catch clauses
	immLabel                  // a label
	immLabels                 // a vector of labels and one more
	immFunc                   // a function
	immCallIndirect           // a type and a table
	immType                   // a type
	immTag                    // a tag
	immLocal                  // a local
	immGlobal                 // a global
	immU32                    // an index that nothing here shifts: table, data, element
	immU32x2                  // two of them
	immMemArg                 // alignment and offset
	immZero                   // one reserved byte
	immZero2                  // two
	immU32Zero                // an index and a reserved byte
	immI32
	immI64
	imm4       // four bytes
	imm8       // eight
	imm16      // sixteen
	immLane    // a lane
	immMemLane // alignment, offset and lane
	immHeap    // ref.null's type
	immSelect  // select's types
	immPrefix  // more of the opcode
	immLegacy  // the first exception proposal, which wazero refuses
)

// immediates is indexed by the first byte of an instruction. The set is what
// wazero 1.12 compiles with every feature on.
var immediates = func() (t [256]immediate) {
	t = [256]immediate{
		0x00: immNone, 0x01: immNone, 0x02: immBlock, 0x03: immBlock, 0x04: immBlock, 0x05: immNone,
		0x06: immLegacy, 0x07: immLegacy, 0x08: immTag, 0x09: immLegacy, 0x0a: immNone, 0x0b: immNone,
		0x0c: immLabel, 0x0d: immLabel, 0x0e: immLabels, 0x0f: immNone,
		0x10: immFunc, 0x11: immCallIndirect, 0x12: immFunc, 0x13: immCallIndirect, 0x14: immType, 0x15: immType,
		0x18: immLegacy, 0x19: immLegacy, 0x1a: immNone, 0x1b: immNone, 0x1c: immSelect, 0x1f: immTry,
		0x20: immLocal, 0x21: immLocal, 0x22: immLocal, 0x23: immGlobal, 0x24: immGlobal, 0x25: immU32, 0x26: immU32,
		0x28: immMemArg, 0x29: immMemArg, 0x2a: immMemArg, 0x2b: immMemArg, 0x2c: immMemArg, 0x2d: immMemArg,
		0x2e: immMemArg, 0x2f: immMemArg, 0x30: immMemArg, 0x31: immMemArg, 0x32: immMemArg, 0x33: immMemArg,
		0x34: immMemArg, 0x35: immMemArg, 0x36: immMemArg, 0x37: immMemArg, 0x38: immMemArg, 0x39: immMemArg,
		0x3a: immMemArg, 0x3b: immMemArg, 0x3c: immMemArg, 0x3d: immMemArg, 0x3e: immMemArg,
		0x3f: immZero, 0x40: immZero, 0x41: immI32, 0x42: immI64, 0x43: imm4, 0x44: imm8,
		0xd0: immHeap, 0xd1: immNone, 0xd2: immFunc, 0xd4: immNone, 0xd5: immLabel, 0xd6: immLabel,
		prefixMisc: immPrefix, prefixVec: immPrefix, prefixAtomic: immPrefix,
	}
	for op := 0x45; op <= 0xc4; op++ { // comparison, arithmetic, conversion, sign extension
		t[op] = immNone
	}
	return t
}()

// miscImmediates is indexed by what follows prefixMisc.
var miscImmediates = [...]immediate{
	0x00: immNone, 0x01: immNone, 0x02: immNone, 0x03: immNone, 0x04: immNone, 0x05: immNone, 0x06: immNone, 0x07: immNone,
	0x08: immU32Zero, // memory.init
	0x09: immU32,     // data.drop
	0x0a: immZero2,   // memory.copy
	0x0b: immZero,    // memory.fill
	0x0c: immU32x2,   // table.init
	0x0d: immU32,     // elem.drop
	0x0e: immU32x2,   // table.copy
	0x0f: immU32, 0x10: immU32, 0x11: immU32,
}

// vecImmediates is indexed by what follows prefixVec.
var vecImmediates = func() (t [256]immediate) {
	for op := range t {
		switch {
		case op <= 0x0b, op == 0x5c, op == 0x5d:
			t[op] = immMemArg
		case op == 0x0c, op == 0x0d:
			t[op] = imm16
		case 0x15 <= op && op <= 0x22:
			t[op] = immLane
		case 0x54 <= op && op <= 0x5b:
			t[op] = immMemLane
		default:
			t[op] = immNone
		}
	}
	for _, op := range []byte{
		0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6, 0xcf,
		0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee,
	} {
		t[op] = immInvalid
	}
	return t
}()

// isCall reports whether control leaves the function and comes back, or leaves
// it for good by a tail call.
func (op opcode) isCall() bool { return op >= opCall && op <= opReturnCallRef }

func (op opcode) isTailCall() bool {
	return op == opReturnCall || op == opReturnCallIndirect || op == opReturnCallRef
}

// isAccess reports whether the instruction reads or writes memory at an
// address: loads, stores and atomics, not the bulk operations.
func (op opcode) isAccess() bool {
	switch op >> 8 {
	case 0:
		return op >= 0x28 && op <= 0x3e
	case prefixVec:
		imm := vecImmediates[byte(op)]
		return imm == immMemArg || imm == immMemLane
	case prefixAtomic:
		return op != opFence
	}
	return false
}

// endsPath reports whether what follows in the same block cannot be reached.
func (op opcode) endsPath() bool {
	switch op {
	case opUnreachable, opThrow, opThrowRef, opBr, opBrTable, opReturn:
		return true
	}
	return op.isTailCall()
}

// cost is what an instruction takes from the fuel, whatever its operands: 1, nothing for what only
// delimits code, and more for what has to do with exceptions. What depends on a length is not in
// it.
func (op opcode) cost() uint32 {
	switch op {
	case opNop, opBlock, opLoop, opElse, opEnd:
		return 0
	case opTryTable, opThrow, opThrowRef:
		return fuelThrow
	}
	return 1
}
