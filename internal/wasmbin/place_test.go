package wasmbin

import "testing"

// FunctionAt finds the function of every instruction, and nothing outside of the code.
func TestFunctionAt(t *testing.T) {
	module := kernels()
	m, err := Inspect(module)
	if err != nil {
		t.Fatal(err)
	}
	bodies := newBodyReader(m)
	for {
		b, ok, err := bodies.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		for _, in := range b.instrs {
			function, offset, found := m.FunctionAt(in.at)
			if !found || function != b.fn || int(offset) != int(in.at)-m.section(secCode).pos {
				t.Fatalf("the instruction at %d is in function %d at %d, %t; want function %d", in.at, function, offset, found, b.fn)
			}
		}
	}
	for _, at := range []uint32{0, 8, uint32(len(module))} {
		if function, _, ok := m.FunctionAt(at); ok {
			t.Errorf("%d is in function %d", at, function)
		}
	}
}

// The operand what tells the kind, size and offset of every instruction that accesses memory.
func TestAccessOf(t *testing.T) {
	for _, c := range []struct {
		op   opcode
		kind AccessKind
		size uint8
	}{
		{0x28, AccessLoad, 4}, {0x31, AccessLoad, 1}, {0x35, AccessLoad, 4}, {0x37, AccessStore, 8}, {0x3e, AccessStore, 4},
		{prefixVec << 8, AccessLoad, 16}, {prefixVec<<8 | 0x0b, AccessStore, 16}, {prefixVec<<8 | 0x5a, AccessStore, 4}, {prefixVec<<8 | 0x5d, AccessLoad, 8},
		{opWait64, AccessWait, 8}, {opNotify, AccessNotify, 4}, {opFence, AccessFence, 0},
		{prefixAtomic<<8 | 0x10, AccessAtomicLoad, 4}, {prefixAtomic<<8 | 0x1c, AccessAtomicStore, 2}, {prefixAtomic<<8 | 0x4e, AccessUpdate, 4},
		{opMemoryCopy, AccessCopy, 0}, {opMemoryFill, AccessFill, 0}, {opMemoryInit, AccessInit, 0},
	} {
		in := instr{op: c.op, index: 0xfffffff0}
		a, offset := AccessOf(uint64(whatOf(&in)))
		want := uint32(0)
		if c.op.isAccess() {
			want = 0xfffffff0
		}
		if a.Kind != c.kind || a.Size != c.size || offset != want {
			t.Errorf("%#x: %+v, offset %#x", c.op, a, offset)
		}
	}
}
