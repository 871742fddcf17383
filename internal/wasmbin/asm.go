package wasmbin

// asm assembles instructions.
type asm struct{ code []byte }

func (a *asm) byte(b byte) { a.code = append(a.code, b) }

func (a *asm) op(op opcode, index uint32) {
	a.code = appendU32(append(a.code, byte(op)), index, 1)
}

func (a *asm) i32Const(v int32) { a.code = appendS32(append(a.code, byte(opI32Const)), v) }
func (a *asm) i64Const(v int64) { a.code = appendS64(append(a.code, byte(opI64Const)), v) }

func (a *asm) ops(ops ...opcode) {
	for _, op := range ops {
		a.byte(byte(op))
	}
}

// unlessCall calls f if the i32 on the stack is 0. The call stands in the else
// branch because wazero's compiler lets the code behind an if begin with what the
// branch that comes first leaves in registers, and a call leaves nothing there.
func (a *asm) unlessCall(f uint32) {
	a.ops(opIf, blockEmpty, opElse)
	a.op(opCall, f)
	a.ops(opEnd)
}
