package wasmbin

// stackEffect is by how much an instruction without labels and types changes the height of the
// operand stack.
func stackEffect(op opcode) int {
	switch op >> 8 {
	case prefixMisc:
		return miscEffects[min(int(byte(op)), len(miscEffects)-1)]
	case prefixVec:
		return vecEffect(byte(op))
	case prefixAtomic:
		return atomicEffect(byte(op))
	}
	return int(effects[byte(op)])
}

// effects is indexed by an opcode of one byte. Calls, branches and what ends a block are not in it.
var effects = func() (t [256]int8) {
	set := func(from, to, effect int) {
		for op := from; op <= to; op++ {
			t[op] = int8(effect)
		}
	}
	set(0x1a, 0x1a, -1) // drop
	set(0x1b, 0x1c, -2) // select
	t[0x20], t[0x21], t[0x23], t[0x24] = 1, -1, 1, -1
	t[0x26] = -2        // table.set
	set(0x36, 0x3e, -2) // stores
	t[0x3f] = 1         // memory.size
	set(0x41, 0x44, 1)  // constants
	for _, r := range [][2]int{{0x46, 0x4f}, {0x51, 0x66}, {0x6a, 0x78}, {0x7c, 0x8a}, {0x92, 0x98}, {0xa0, 0xa6}} {
		set(r[0], r[1], -1) // comparisons and arithmetic of two operands
	}
	t[0xd0], t[0xd2] = 1, 1 // ref.null, ref.func
	t[0x04], t[0x0d], t[0x08] = -1, -1, 0
	t[0xd6] = -1 // br_on_non_null
	return t
}()

// miscEffects is indexed by what follows prefixMisc.
var miscEffects = [...]int{8: -3, 10: -3, 11: -3, 12: -3, 14: -3, 15: -1, 16: 1, 17: -3, 18: 0}

func atomicEffect(sub byte) int {
	switch {
	case sub == 0:
		return -1
	case sub <= 2:
		return -2
	case sub <= 0x16:
		return 0
	case sub <= 0x1d:
		return -2
	case sub <= 0x47:
		return -1
	}
	return -2
}

func vecEffect(sub byte) int {
	switch vecImmediates[sub] {
	case immMemArg:
		if sub == 0x0b {
			return -2
		}
		return 0
	case immMemLane:
		if sub >= 0x58 {
			return -2
		}
		return -1
	case immLane:
		switch sub {
		case 0x17, 0x1a, 0x1c, 0x1e, 0x20, 0x22:
			return -1
		}
		return 0
	}
	switch {
	case sub == 0x0c:
		return 1
	case sub == 0x52:
		return -2
	case sub >= 0x0f && sub <= 0x14, sub == 0x4d, sub == 0x53, sub >= 0x5e && sub <= 0x64, sub >= 0x67 && sub <= 0x6a,
		sub == 0x74, sub == 0x75, sub == 0x7a, sub == 0x94, sub >= 0x7c && sub <= 0x84 && sub != 0x82, sub >= 0xf8:
		return 0
	case sub >= 0xa0: // the shapes of 32 and 64 bits repeat each other
		switch sub & 0x1f {
		case 0x00, 0x01, 0x03, 0x04, 0x07, 0x08, 0x09, 0x0a, 0x0c, 0x0d, 0x0f:
			return 0
		}
	case sub >= 0x87 && sub <= 0x8a:
		return 0
	}
	return -1
}
