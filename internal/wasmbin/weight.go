package wasmbin

// The weight of an instruction is the machine time that it may take, in units of which a simple
// instruction takes one: about a fifth of a nanosecond in wazero's compiler. What reads or writes
// memory weighs more, because it may miss every cache.
const (
	weightAccess   = 16
	weightDivision = 32
	weightVector   = 8
	weightCall     = 16
	weightHostCall = 128

	// weightHeavy is the least that an instruction weighs that may wait for memory or divides.
	weightHeavy = weightAccess
)

// Bounds of the pieces between checks, in units of weight.
const (
	// maxPiece is the most that a path may weigh, from one check to the next. One more instruction
	// may come on top.
	maxPiece = 512
	// maxHead is the most that a call of a function without a check at its entry may weigh until
	// the first.
	maxHead = 256
	// maxTail is the most that a function that may be called in a cycle runs, without a check,
	// between the return of a call in the cycle and its own return: as much for each frame as a
	// recursion is deep. There is nothing heavy in it.
	maxTail = 24
	// minEntry is the least that the check at a function's entry counts. It pays for what a caller
	// runs after the return as well.
	minEntry = 128
	// maxRun is the most that instructions decoded as one weigh.
	maxRun = 64
	// maxInlinePoints is how many checks in the straight code of one function are written in place.
	maxInlinePoints = 64
)

// The fuel that instructions take whose work is not that of one.
const (
	fuelThrow    = 1000 // throw, throw_ref, try_table: wazero's compiler copies its stack at each try_table
	fuelPage     = 4096 // each page that memory.grow adds
	bytesPerFuel = 8    // memory.copy, fill and init
	// Each element that table.copy, fill, init and grow move takes 1.
)

// Pieces that bulk instructions are cut into.
const (
	chunkBytes    = 1 << 16
	chunkElements = 1 << 13
)

// opRun stands for instructions that mean nothing to the rewriter, one after the other.
const opRun opcode = 0xffff

// Bulk instructions.
const (
	opMemoryInit opcode = prefixMisc<<8 | 0x08
	opMemoryCopy opcode = prefixMisc<<8 | 0x0a
	opMemoryFill opcode = prefixMisc<<8 | 0x0b
	opTableInit  opcode = prefixMisc<<8 | 0x0c
	opTableCopy  opcode = prefixMisc<<8 | 0x0e
	opTableGrow  opcode = prefixMisc<<8 | 0x0f
	opTableSize  opcode = prefixMisc<<8 | 0x10
	opTableFill  opcode = prefixMisc<<8 | 0x11
)

// isBulk reports whether what an instruction does depends on a length.
func (op opcode) isBulk() bool {
	switch op {
	case opMemoryInit, opMemoryCopy, opMemoryFill, opTableInit, opTableCopy, opTableFill, opTableGrow:
		return true
	}
	return false
}

// isPlain reports whether an instruction neither moves control nor is ever changed, unless as an
// access to memory.
func (op opcode) isPlain() bool {
	switch {
	case op >= opRefFunc && op < 0x100:
		return op == 0xd4
	case op < 0x100:
		return op == opNop || op > opTryTable && op != opMemoryGrow && op != opTableSetTo || 0x1a <= op && op <= 0x1c
	}
	return !op.isBulk() && op != opDataDrop && op != opWait32 && op != opWait64 && op != opNotify
}

// weight is what an instruction weighs without what it calls.
func (op opcode) weight() uint32 {
	if op < 0x100 {
		return uint32(weights[op])
	}
	switch op >> 8 {
	case prefixVec:
		switch {
		case op.isAccess():
			return weightAccess
		case vectorDivides[byte(op)]:
			return weightDivision
		}
		return weightVector
	case prefixAtomic:
		return weightAccess
	}
	if op&0xff <= 7 { // saturating conversions
		return 4
	}
	return weightAccess
}

// weights is indexed by the opcodes of one byte.
var weights = func() (t [256]uint8) {
	for op := range t {
		switch op := opcode(op); {
		case op == opNop || op == opBlock || op == opElse || op == opEnd || op == opLoop:
		case op.isAccess(), op == opTableGet, op == opTableSet:
			t[op] = weightAccess
		case op == opIf || op == opBr || op == opBrIf:
			t[op] = 2
		case op == opBrTable || op.isCall() || op == opTryTable || op == opThrow || op == opThrowRef || op == opMemoryGrow:
			t[op] = weightCall
		case 0x6d <= op && op <= 0x70, 0x7f <= op && op <= 0x82: // div and rem of integers
			t[op] = weightDivision
		case op == 0x91 || op == 0x95 || op == 0x9f || op == 0xa3: // sqrt and div of floats
			t[op] = weightDivision
		case 0x8b <= op && op <= 0xa6, 0xa8 <= op && op <= 0xb1: // other arithmetic of floats, conversions that check
			t[op] = 4
		default:
			t[op] = 1
		}
	}
	return t
}()

// vectorDivides tells of the vector opcodes that divide or take roots.
var vectorDivides = [256]bool{0xe3: true, 0xe7: true, 0xef: true, 0xf3: true}
