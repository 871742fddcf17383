package wasmbin

import "slices"

// What a bulk instruction does depends on a length that is known only when it runs. Most become a
// call of a function of ours, which does the same in chunks with a check before each. Bounds are
// checked before the first, so that nothing is written by what traps. Where the length is bounded,
// by a segment or a table, the instruction stays, and a function of ours that answers its parameter
// pays for the length.

// bulkKey says what a function of ours does: the instruction, and its indices.
type bulkKey struct {
	op            opcode
	first, second uint32
}

// bulkHelpers are the functions for the bulk instructions of a module.
type bulkHelpers struct {
	index  map[bulkKey]uint32 // of each function, after addBulkHelpers
	grown  uint32             // the function that looks at what table.grow answered
	wanted []bulkKey
	tables []Table
	data   []uint32 // the lengths of segments
	elems  []uint32
	read   bool
}

// maxBulkHelpers is for how many combinations of instruction, tables and segments there is a
// function. Others are paid as a whole.
const maxBulkHelpers = 64

// Keys of the functions that only pay.
var (
	payBytes    = bulkKey{op: opMemoryInit, first: 1<<32 - 1}
	payElements = bulkKey{op: opTableInit, first: 1<<32 - 1}
)

func (b *bulkHelpers) want(k bulkKey) {
	if b.index == nil {
		b.index = map[bulkKey]uint32{}
	}
	if _, ok := b.index[k]; !ok {
		b.index[k] = 0
		b.wanted = append(b.wanted, k)
	}
}

// noteBulk notes that the module has a bulk instruction or memory.grow.
func (r *rewriter) noteBulk(in *instr) {
	if !r.opts.Stop && !r.opts.Fuel || in.op == opMemoryGrow && !r.opts.Fuel {
		return
	}
	k, pay := r.bulkKey(in)
	if _, ok := r.bulk.index[k]; !ok && len(r.bulk.wanted) >= maxBulkHelpers {
		k = pay
	}
	r.bulk.want(k)
}

// bulkKey is the function that an instruction calls, and the one that pays for it if there are too
// many.
func (r *rewriter) bulkKey(in *instr) (k, pay bulkKey) {
	b := &r.bulk
	if !b.read {
		b.read = true
		r.readLengths()
	}
	switch in.op {
	case opMemoryGrow, opMemoryCopy, opMemoryFill:
		k = bulkKey{op: in.op}
		return k, k
	case opMemoryInit:
		if int(in.index) >= len(b.data) || b.data[in.index] <= chunkBytes {
			return payBytes, payBytes
		}
		return bulkKey{op: in.op, first: in.index}, payBytes
	}
	k = bulkKey{op: in.op, first: in.index}
	short := func(table uint32) bool {
		return int(table) >= len(b.tables) || b.tables[table].HasMax && b.tables[table].Max <= chunkElements
	}
	switch in.op {
	case opTableGrow:
		return payElements, payElements
	case opTableFill:
		if short(k.first) || !plainReference(b.tables[k.first].Type) {
			return payElements, payElements
		}
	case opTableCopy:
		k.second = r.secondIndex(in)
		if short(k.first) || short(k.second) {
			return payElements, payElements
		}
	case opTableInit:
		k.second = r.secondIndex(in)
		if short(k.second) || int(k.first) >= len(b.elems) || b.elems[k.first] <= chunkElements {
			return payElements, payElements
		}
	}
	return k, payElements
}

func plainReference(t ValueType) bool {
	return t == ValueFuncref || t == ValueExternref || t == ValueExnref
}

// secondIndex is the second immediate of table.copy and table.init.
func (r *rewriter) secondIndex(in *instr) uint32 {
	c := cursor{data: r.data, pos: int(in.at) + 1, end: int(in.end)}
	c.u32()
	c.u32()
	return c.u32()
}

// readLengths reads how long the segments are, and what the tables are.
func (r *rewriter) readLengths() {
	b := &r.bulk
	for _, i := range r.Imports {
		if i.Kind == KindTable {
			b.tables = append(b.tables, i.Table)
		}
	}
	b.tables = append(b.tables, r.ownTables...)
	refs := &refs{global: func(int, uint32) {}, fn: func(_, _ int, _ uint32) error { return nil }}
	for _, id := range []byte{secElement, secData} {
		s := r.section(id)
		if s == nil {
			continue
		}
		c := r.cursor(s)
		for n := c.u32(); n > 0 && c.err == nil; n-- {
			if id == secElement {
				_, length := parseElement(c, refs)
				b.elems = append(b.elems, uint32(length))
			} else {
				b.data = append(b.data, uint32(parseData(c, refs)))
			}
		}
	}
}

// addBulkHelpers adds the functions.
func (r *rewriter) addBulkHelpers() {
	i32 := byte(ValueI32)
	for _, k := range r.bulk.wanted {
		name, params, results := "pay", "\x01\x7f", "\x01\x7f"
		var code []byte
		switch {
		case k == payBytes:
			code = r.payHelper(3, chunkBytes)
		case k == payElements:
			code = r.payHelper(0, 1<<27)
		case k.op == opMemoryGrow:
			name, code = "memory.grow", r.growHelper()
		default:
			value := i32
			if k.op == opTableFill {
				value = byte(r.bulk.tables[k.first].Type)
			}
			name, params, results = bulkNames[k.op], string([]byte{3, i32, value, i32}), "\x00"
			code = r.chunkHelper(k)
		}
		r.bulk.index[k] = r.addHelper(name, params, results, code)
	}
	if r.callTables != 0 { // what makes it wanted is imported before it
		r.bulk.grown = r.addGrownHelper()
	}
}

// addGrownHelper adds the function that answers its parameter, the result of a table.grow, and
// tells the host if that failed.
func (r *rewriter) addGrownHelper() uint32 {
	a := &asm{code: []byte{0}} // no locals
	a.op(opLocalGet, 0)
	a.i32Const(-1)
	a.ops(opI32Eq, opIf, blockEmpty)
	a.op(opCall, r.callUngrown)
	a.ops(opEnd)
	a.op(opLocalGet, 0)
	a.ops(opEnd)
	return r.addHelper("table.grow", "\x01\x7f", "\x01\x7f", a.code)
}

var bulkNames = map[opcode]string{
	opMemoryInit: "memory.init", opMemoryCopy: "memory.copy", opMemoryFill: "memory.fill",
	opTableInit: "table.init", opTableCopy: "table.copy", opTableFill: "table.fill",
}

// payFor takes what local k says from the fuel, one for 1<<shift, or from the counter as much as it
// weighs, and calls the host if that is used up.
func (r *rewriter) payFor(a *asm, k uint32, shift byte) {
	if r.opts.Fuel {
		a.op(opGlobalGet, r.fuelGlobal)
		a.op(opLocalGet, k)
		a.ops(opI64ExtendU)
		a.i64Const(int64(shift))
		a.ops(opI64ShrU, opI64Sub)
		a.op(opGlobalSet, r.fuelGlobal)
		r.lookIfSpent(a)
		return
	}
	a.op(opGlobalGet, r.stopGlobal)
	a.op(opLocalGet, k)
	a.i32Const(3 - int32(shift)) // a byte weighs 1, an element of 8 bytes 8
	a.ops(opI32Shl, opI32Sub)
	a.i32Const(minEntry)
	a.ops(opI32Sub)
	a.op(opGlobalSet, r.stopGlobal)
	r.lookIfSpent(a)
}

// payHelper is a function that pays for the number it is given, if that is at most most: more
// traps, or fails.
func (r *rewriter) payHelper(shift byte, most int32) []byte {
	a := &asm{code: []byte{1, 1, byte(ValueI32)}}
	a.op(opLocalGet, 0)
	a.i32Const(0)
	a.op(opLocalGet, 0)
	a.i32Const(most)
	a.ops(opI32LeU, opSelect)
	a.op(opLocalSet, 1)
	r.payFor(a, 1, shift)
	a.op(opLocalGet, 0)
	a.ops(opEnd)
	return a.code
}

// growHelper is memory.grow, paid before, and paid back if it fails.
func (r *rewriter) growHelper() []byte {
	a := &asm{code: []byte{2, 1, byte(ValueI64), 1, byte(ValueI32)}}
	a.op(opLocalGet, 0)
	a.ops(opI64ExtendU)
	a.i64Const(fuelPage)
	a.ops(opI64Mul)
	a.i64Const(0)
	a.op(opLocalGet, 0)
	a.ops(opI64ExtendU)
	a.op(opMemorySize, 0)
	a.ops(opI64ExtendU, opI64Add)
	a.i64Const(1 << 16)
	a.ops(opI64LeU, opSelect)
	a.op(opLocalSet, 1)
	change := func(op opcode) {
		a.op(opGlobalGet, r.fuelGlobal)
		a.op(opLocalGet, 1)
		a.ops(op)
		a.op(opGlobalSet, r.fuelGlobal)
	}
	change(opI64Sub)
	r.lookIfSpent(a)
	a.op(opLocalGet, 0)
	if r.opts.Grow {
		a.op(opCall, r.callGrow)
	} else {
		a.op(opMemoryGrow, 0)
	}
	a.op(opLocalTee, 2)
	a.i32Const(-1)
	a.ops(opI32Eq, opIf, blockEmpty)
	change(opI64Add)
	a.ops(opEnd)
	a.op(opLocalGet, 2)
	a.ops(opEnd)
	return a.code
}

// chunkHelper is a bulk instruction in chunks. Its parameters are those of the instruction.
func (r *rewriter) chunkHelper(k bulkKey) []byte {
	const dst, src, n, chunk = 0, 1, 2, 3
	table := k.op == opTableInit || k.op == opTableCopy || k.op == opTableFill
	fill := k.op == opMemoryFill || k.op == opTableFill
	shift, size := byte(3), int32(chunkBytes)
	if table {
		shift, size = 0, chunkElements
	}
	a := &asm{code: []byte{1, 1, byte(ValueI32)}}
	instruction := func() {
		a.byte(prefixMisc)
		a.byte(byte(k.op))
		switch k.op {
		case opMemoryInit:
			a.code = append(appendU32(a.code, k.first, 1), 0)
		case opMemoryCopy:
			a.code = append(a.code, 0, 0)
		case opMemoryFill:
			a.code = append(a.code, 0)
		case opTableFill:
			a.code = appendU32(a.code, k.first, 1)
		default:
			a.code = appendU32(appendU32(a.code, k.first, 1), k.second, 1)
		}
	}
	a.op(opLocalGet, n)
	a.i32Const(size)
	a.ops(opI32LeU, opIf, blockEmpty)
	r.payFor(a, n, shift)
	a.op(opLocalGet, dst)
	a.op(opLocalGet, src)
	a.op(opLocalGet, n)
	instruction()
	a.ops(opReturn, opEnd)

	// Whether it traps: no table and no address goes as far as what the trap is made by.
	within := func(at uint32, length func()) {
		a.op(opLocalGet, at)
		a.ops(opI64ExtendU)
		a.op(opLocalGet, n)
		a.ops(opI64ExtendU, opI64Add)
		length()
		a.ops(opI64GtU, opIf, blockEmpty)
		a.i32Const(-1)
		if table {
			t := k.first
			if k.op == opTableInit {
				t = k.second
			}
			a.op(opTableGet, t)
		} else {
			a.ops(opI32Load8U, 0)
			a.code = appendU32(a.code, 1<<32-1, 1)
		}
		a.ops(opDrop, opEnd)
	}
	memory := func() {
		a.op(opMemorySize, 0)
		a.ops(opI64ExtendU)
		a.i64Const(16)
		a.ops(opI64Shl)
	}
	tableSize := func(t uint32) func() {
		return func() {
			a.code = appendU32(append(a.code, prefixMisc, byte(opTableSize&0xff)), t, 1)
			a.ops(opI64ExtendU)
		}
	}
	constant := func(v uint32) func() { return func() { a.i64Const(int64(v)) } }
	switch k.op {
	case opMemoryInit:
		within(dst, memory)
		within(src, constant(r.bulk.data[k.first]))
	case opMemoryCopy:
		within(dst, memory)
		within(src, memory)
	case opMemoryFill:
		within(dst, memory)
	case opTableInit:
		within(dst, tableSize(k.second))
		within(src, constant(r.bulk.elems[k.first]))
	case opTableCopy:
		within(dst, tableSize(k.first))
		within(src, tableSize(k.second))
	case opTableFill:
		within(dst, tableSize(k.first))
	}
	next := func() { // how long the chunk is
		a.op(opLocalGet, n)
		a.i32Const(size)
		a.op(opLocalGet, n)
		a.i32Const(size)
		a.ops(opI32LtU, opSelect)
		a.op(opLocalSet, chunk)
		r.payFor(a, chunk, shift)
		a.op(opLocalGet, n)
		a.op(opLocalGet, chunk)
		a.ops(opI32Sub)
		a.op(opLocalSet, n)
	}
	again := func() {
		a.op(opLocalGet, n)
		a.op(opBrIf, 0)
	}
	if k.op == opMemoryCopy || k.op == opTableCopy { // what lies higher is copied from its end
		a.op(opLocalGet, dst)
		a.op(opLocalGet, src)
		a.ops(opI32GtU, opIf, blockEmpty, opLoop, blockEmpty)
		next()
		for _, l := range []uint32{dst, src} {
			a.op(opLocalGet, l)
			a.op(opLocalGet, n)
			a.ops(opI32Add)
		}
		a.op(opLocalGet, chunk)
		instruction()
		again()
		a.ops(opEnd, opReturn, opEnd)
	}
	a.ops(opLoop, blockEmpty)
	next()
	a.op(opLocalGet, dst)
	a.op(opLocalGet, src)
	a.op(opLocalGet, chunk)
	instruction()
	for _, l := range []uint32{dst, src} {
		if l == src && fill {
			break
		}
		a.op(opLocalGet, l)
		a.op(opLocalGet, chunk)
		a.ops(opI32Add)
		a.op(opLocalSet, l)
	}
	again()
	a.ops(opEnd, opEnd)
	return a.code
}

// bulk writes a bulk instruction, or memory.grow.
func (e *emitter) bulk(in *instr) {
	k, pay := e.bulkKey(in)
	index, ok := e.rewriter.bulk.index[k]
	if !ok {
		k = pay
		index = e.rewriter.bulk.index[k]
	}
	if in.op == opMemoryGrow && e.opts.Grow {
		e.counts.Grows++
	}
	e.p.copyTo(int(in.at))
	e.asm(func(a *asm) {
		if in.op == opTableGrow {
			e.storeFuel(a)
			a.op(opCall, e.callTables)
			e.look(a)
		}
		e.storeFuel(a)
		a.op(opCall, index)
	})
	if pays := []bulkKey{payBytes, payElements}; slices.Contains(pays, k) {
		e.p.copyTo(int(in.end))
	} else {
		e.p.skip(int(in.at), int(in.end))
	}
	if in.op == opTableGrow {
		e.asm(func(a *asm) { a.op(opCall, e.rewriter.bulk.grown) })
	}
	e.asm(e.loadFuel)
}
