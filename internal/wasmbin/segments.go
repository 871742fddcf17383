package wasmbin

// parseConstExpr reads a constant expression to its end.
func parseConstExpr(c *cursor, refs *refs) {
	for c.err == nil {
		at := c.pos
		switch op := c.byte(); op {
		case 0x0b:
			return
		case 0x23: // global.get
			at := c.pos
			if index := c.u32(); c.err == nil {
				refs.global(at, index)
			}
		case 0x41:
			c.signed(5)
		case 0x42:
			c.signed(10)
		case 0x43:
			c.bytes(4)
		case 0x44:
			c.bytes(8)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // extended-const: add, sub, mul
		case 0xd0:
			parseHeapType(c)
		case 0xd2:
			refs.visitFunc(c)
		case prefixVec:
			at := c.pos
			if sub := c.byte(); sub != 0x0c {
				c.fail(at, "vector opcode %#x in a constant expression", sub)
			}
			c.bytes(16)
		default:
			c.fail(at, "opcode %#x in a constant expression", op)
		}
	}
}

// parseHeapType reads what ref.null is null of: an abstract type, or an index
// (which wazero reads unsigned).
func parseHeapType(c *cursor) {
	if c.pos < c.end {
		switch ValueType(c.data[c.pos]) {
		case ValueFuncref, ValueExternref, ValueExnref:
			c.pos++
			return
		}
	}
	at := c.pos
	if t := c.u32(); int(t) >= c.heapTypes {
		c.heapTypes, c.heapTypeAt = int(t)+1, at
	}
}

// parseElement reads an element segment, of any of the eight forms: bit 0 says
// passive or declarative, bit 1 that a table is named (or declarative), bit 2
// that the elements are expressions. It tells how many elements there are, and
// whether the segment is kept for table.init.
func parseElement(c *cursor, refs *refs) (passive bool, n int) {
	at := c.pos
	flags := c.u32()
	if flags > 7 {
		c.fail(at, "unknown form %d of an element segment", flags)
		return false, 0
	}
	active, explicit, exprs := flags&1 == 0, flags&2 != 0, flags&4 != 0
	if active {
		if explicit {
			c.u32() // table
		}
		parseConstExpr(c, refs)
	}
	if !active || explicit {
		if exprs {
			parseValueType(c)
		} else {
			c.zero("the kind of an element segment")
		}
	}
	n = c.count("elements", 1)
	for i := 0; i < n && c.err == nil; i++ {
		if exprs {
			parseConstExpr(c, refs)
		} else {
			refs.visitFunc(c)
		}
	}
	return !active && !explicit, n
}

// parseData reads a data segment, and returns its length.
func parseData(c *cursor, refs *refs) int {
	at := c.pos
	flags := c.u32()
	switch flags {
	case 0:
		parseConstExpr(c, refs)
	case 1:
	case 2:
		at := c.pos
		if index := c.u32(); index != 0 {
			c.fail(at, "a data segment of memory %d", index)
		}
		parseConstExpr(c, refs)
	default:
		c.fail(at, "unknown form %d of a data segment", flags)
	}
	return len(c.bytes(c.count("bytes of a data segment", 1)))
}
