package wasmbin

import (
	"math/rand/v2"
	"slices"
)

// The fixed parts of a generated module: types 0 to 3, which the functions and blocks have, table 0
// of functions, table 1 of references to the host's values, tag 0 of an i32, data and element
// segments of index 1 that are passive.
var generatedTypes = []testFunc{
	{},
	{params: []ValueType{ValueI32}, results: []ValueType{ValueI32}},
	{params: []ValueType{ValueI64, ValueF64}, results: []ValueType{ValueI64}},
	{params: []ValueType{ValueI32, ValueF32, ValueV128}, results: []ValueType{ValueF64, ValueI32}},
	{params: []ValueType{ValueI32}},
}

// generator writes the body of a valid function at random.
type generator struct {
	*rand.Rand
	asm
	funcs  []int // the type of each function
	typ    int   // of this one
	locals []ValueType
	labels []ValueType // the type that a branch to each label takes, 0: none
	left   int         // how many instructions it may take still, roughly
}

// generate returns a valid module: everything that wazero offers occurs in one of a few.
func generate(seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 5))
	var m testModule
	for _, t := range generatedTypes {
		m.types = append(m.types, []byte("\x60"+encodeTypes(t.params)+encodeTypes(t.results)))
	}
	m.memories = [][]byte{{1, 1, 3}}
	if seed%2 == 0 {
		m.memories = [][]byte{{3, 1, 3}}
	}
	if seed%3 == 0 {
		m.memories[0] = append(appendName(appendName(nil, "env"), "memory"), append([]byte{byte(KindMemory)}, m.memories[0]...)...)
		m.imports, m.memories = m.memories, nil
	}
	imported := 0
	if seed%4 < 2 {
		m.imports = append(m.imports, append(appendName(appendName(nil, "env"), "f"), byte(KindFunc), 1))
		imported = 1
	}
	funcs := make([]int, imported+2+rnd.IntN(5))
	for i := range funcs {
		if funcs[i] = 1; i >= imported {
			funcs[i] = rnd.IntN(len(generatedTypes))
			m.funcs = append(m.funcs, []byte{byte(funcs[i])})
			m.exports = append(m.exports, append(appendName(nil, string(rune('a'+i))), byte(KindFunc), byte(i)))
		}
	}
	m.tables = [][]byte{{0x70, 1, byte(len(funcs)), 20}, {0x6f, 1, 3, 9}}
	m.tags = [][]byte{{0, 4}}
	for _, t := range numbersAndVectors {
		g := generator{Rand: rnd}
		g.constant(t)
		m.globals = append(m.globals, append(append([]byte{byte(t), 1}, g.code...), byte(opEnd)))
	}
	m.globals = append(m.globals, []byte{0x70, 1, byte(opRefFunc), 0, byte(opEnd)}, []byte{0x6f, 1, 0xd0, 0x6f, byte(opEnd)})
	all := appendU32(nil, uint32(len(funcs)), 1)
	for i := range funcs {
		all = append(all, byte(i))
	}
	m.elements = [][]byte{append([]byte{0, 0x41, 0, 0x0b}, all...), append([]byte{1, 0}, all...)}
	m.data = [][]byte{[]byte("\x00\x41\x08\x0b\x03abc"), []byte("\x01\x05hello")}
	m.dataCount = new(uint32)
	*m.dataCount = 2
	for _, typ := range funcs[imported:] {
		g := &generator{Rand: rnd, funcs: funcs, typ: typ, left: 120}
		g.locals = slices.Clone(generatedTypes[typ].params)
		body := []byte{byte(len(numbersAndVectors) + 2)}
		for _, t := range append(slices.Clone(numbersAndVectors), ValueFuncref, ValueExternref) {
			body = append(body, 1, byte(t))
			g.locals = append(g.locals, t)
		}
		g.labels = []ValueType{0} // the function's own, to which nothing branches
		if len(m.codes) == 0 {
			g.some(seed)
		}
		for range 1 + rnd.IntN(4) {
			g.statement(3)
		}
		for _, t := range generatedTypes[typ].results {
			g.value(t, 3)
		}
		g.ops(opEnd)
		body = append(body, g.code...)
		m.codes = append(m.codes, append(appendU32(nil, uint32(len(body)), 1), body...))
	}
	return m.bytes()
}

func (g *generator) constant(t ValueType) {
	small := []int64{0, 1, -1, 3, 8, 127, -128, 1 << 20, -1 << 31, 1<<31 - 1}[g.IntN(10)]
	switch t {
	case ValueI32:
		g.i32Const(int32(small))
	case ValueI64:
		g.i64Const(small << (8 * g.IntN(4)))
	case ValueF32:
		g.code = append(g.code, 0x43, 0, 0, byte(g.IntN(256)), byte(g.IntN(0x7f)))
	case ValueF64:
		g.code = append(g.code, 0x44, 0, 0, 0, 0, 0, 0, byte(g.IntN(240)), byte(g.IntN(0x7f)))
	case ValueV128:
		g.code = append(g.code, prefixVec, 0x0c)
		for range 16 {
			g.code = append(g.code, byte(g.IntN(256)))
		}
	default:
		g.code = append(g.code, 0xd0, byte(t))
	}
}

// local returns a local of that type.
func (g *generator) local(t ValueType) uint32 {
	var of []uint32
	for i, l := range g.locals {
		if l == t {
			of = append(of, uint32(i))
		}
	}
	return of[g.IntN(len(of))]
}

func globalOf(t ValueType) uint32 {
	return uint32(slices.Index(append(slices.Clone(numbersAndVectors), ValueFuncref, ValueExternref), t))
}

// value writes what leaves one value.
func (g *generator) value(t ValueType, depth int) {
	g.left--
	if t == ValueExnref { // of which there are no locals
		g.constant(t)
		return
	}
	if depth <= 0 || g.left <= 0 {
		if g.IntN(2) == 0 {
			g.op(opLocalGet, g.local(t))
		} else {
			g.constant(t)
		}
		return
	}
	number := t != ValueFuncref && t != ValueExternref
	switch n := g.IntN(24); {
	case n == 0:
		g.op(opGlobalGet, globalOf(t))
	case n == 1:
		g.value(t, depth-1)
		g.op(opLocalTee, g.local(t))
	case n == 2 || n == 3:
		g.block(opBlock, t, depth)
	case n == 4:
		g.block(opLoop, t, depth)
	case n == 5:
		g.value(ValueI32, depth-1)
		g.block(opIf, t, depth)
	case n == 6: // select
		g.value(t, depth-1)
		g.value(t, depth-1)
		g.value(ValueI32, depth-1)
		g.code = append(g.code, 0x1c, 1, byte(t))
	case n == 7:
		g.call(t, depth)
	case n == 8 && t == ValueI32: // a loop with a parameter
		g.value(ValueI32, depth-1)
		g.labels = append(g.labels, ValueI32)
		g.code = append(g.code, byte(opLoop), 1)
		g.op(opLocalSet, g.local(ValueI32))
		g.statement(depth - 1)
		g.value(ValueI32, depth-1)
		g.value(ValueI32, depth-1)
		g.op(opBrIf, 0)
		g.ops(opEnd)
		g.labels = g.labels[:len(g.labels)-1]
	case n == 9 && t == ValueI32:
		switch g.IntN(5) {
		case 0:
			g.value(ValueFuncref, depth-1)
			g.code = append(g.code, 0xd1)
		case 1:
			g.value(ValueI32, 0)
			g.code = append(g.code, 0x40, 0)
		case 2:
			g.code = append(g.code, 0x3f, 0)
		case 3:
			g.value(ValueExternref, depth-1)
			g.i32Const(int32(g.IntN(3)))
			g.code = append(g.code, prefixMisc, 0x0f, 1)
		case 4:
			g.code = append(g.code, prefixMisc, 0x10, byte(g.IntN(2)))
		}
	case n == 10 && t == ValueI32: // a wait, which must not block
		g.i32Const(8)
		if g.IntN(2) == 0 {
			g.value(ValueI32, depth-1)
			g.i64Const(0)
			g.code = append(g.code, prefixAtomic, byte(opWait32&0xff), 2, 4)
		} else {
			g.value(ValueI64, depth-1)
			g.i64Const(0)
			g.code = append(g.code, prefixAtomic, byte(opWait64&0xff), 3, 8)
		}
	case !number && n < 14:
		g.i32Const(int32(g.IntN(4)))
		g.code = append(g.code, 0x25, byte(globalOf(t)-5))
	case t == ValueFuncref:
		g.op(opRefFunc, uint32(g.IntN(len(g.funcs))))
	case number:
		var of []operator
		for _, o := range operators() {
			if o.result == t {
				of = append(of, o)
			}
		}
		g.operator(of[g.IntN(len(of))], depth)
	default:
		g.constant(t)
	}
}

func (g *generator) operator(o operator, depth int) {
	for i, p := range o.params {
		if i == 0 && p == ValueI32 && len(o.code) > 2 && g.IntN(8) > 0 {
			g.i32Const(int32(16 * g.IntN(100))) // likely an address
			continue
		}
		g.value(p, depth-1)
	}
	g.code = append(g.code, o.code...)
}

// some writes a part of the operators: each is in one of so many modules.
func (g *generator) some(seed uint64) {
	const parts = 24
	all := operators()
	for i := int(seed % parts); i < len(all); i += parts {
		for j, p := range all[i].params {
			if j == 0 && p == ValueI32 {
				g.i32Const(int32(16 * g.IntN(100)))
			} else {
				g.value(p, 0)
			}
		}
		g.code = append(g.code, all[i].code...)
		if t := all[i].result; t != 0 {
			g.op(opLocalSet, g.local(t))
		}
	}
	g.left = 120
}

// block writes a block, loop or if that leaves a value, or with 0 none.
func (g *generator) block(op opcode, t ValueType, depth int) {
	label := t
	if op == opLoop {
		label = 0
	}
	g.labels = append(g.labels, label)
	typ := byte(t)
	if t == 0 {
		typ = blockEmpty
	}
	g.ops(op)
	g.byte(typ)
	inside := func() {
		for range g.IntN(3) {
			g.statement(depth - 1)
		}
		if t != 0 {
			g.value(t, depth-1)
		}
	}
	inside()
	if op == opIf && (t != 0 || g.IntN(2) == 0) {
		g.ops(opElse)
		inside()
	}
	g.ops(opEnd)
	g.labels = g.labels[:len(g.labels)-1]
}

// call writes a call that leaves a value of that type, or with 0 none.
func (g *generator) call(t ValueType, depth int) {
	f := g.IntN(len(g.funcs))
	typ := &generatedTypes[g.funcs[f]]
	for _, p := range typ.params {
		g.value(p, depth-1)
	}
	switch g.IntN(3) {
	case 0:
		g.op(opCall, uint32(f))
	case 1:
		g.op(opRefFunc, uint32(f))
		g.op(opCallRef, uint32(g.funcs[f]))
	default:
		g.i32Const(int32(f))
		g.op(opCallIndirect, uint32(g.funcs[f]))
		g.byte(0)
	}
	for i := len(typ.results) - 1; i >= 0; i-- {
		if typ.results[i] == t {
			g.op(opLocalSet, g.local(t))
		} else {
			g.ops(opDrop)
		}
	}
	if t != 0 {
		g.op(opLocalGet, g.local(t))
	}
}

// statement writes what leaves nothing.
func (g *generator) statement(depth int) {
	g.left--
	if depth <= 0 || g.left <= 0 {
		g.byte(byte(opNop))
		return
	}
	types := append(slices.Clone(numbersAndVectors), ValueFuncref, ValueExternref)
	t := types[g.IntN(len(types))]
	switch n := g.IntN(25); n {
	case 0, 1:
		g.value(t, depth-1)
		g.op(opLocalSet, g.local(t))
	case 2:
		g.value(t, depth-1)
		g.op(opGlobalSet, globalOf(t))
	case 3:
		g.call(0, depth)
	case 4:
		g.block(opBlock, 0, depth)
	case 5:
		g.value(ValueI32, depth-1)
		g.block(opIf, 0, depth)
	case 6:
		g.block(opLoop, 0, depth)
	case 7: // a counted loop
		i := g.local(ValueI32)
		g.i32Const(int32(2 + g.IntN(60)))
		g.op(opLocalSet, i)
		g.labels = append(g.labels, 0)
		g.ops(opLoop, blockEmpty)
		g.statement(depth - 1)
		g.op(opLocalGet, i)
		g.i32Const(1)
		g.ops(opI32Sub)
		g.op(opLocalTee, i)
		g.op(opBrIf, 0)
		g.ops(opEnd)
		g.labels = g.labels[:len(g.labels)-1]
	case 8, 9: // a branch, if it is so
		k := g.branchTo()
		if k < 0 {
			return
		}
		t := g.labels[len(g.labels)-1-k]
		if t != 0 {
			g.value(t, depth-1)
		}
		g.value(ValueI32, depth-1)
		g.op(opBrIf, uint32(k))
		if t != 0 {
			g.ops(opDrop)
		}
	case 10: // the same, out of a block that ends there
		if k := g.branchTo(); k >= 0 {
			g.value(ValueI32, depth-1)
			g.ops(opIf, blockEmpty)
			if t := g.labels[len(g.labels)-1-k]; t != 0 {
				g.value(t, depth-1)
			}
			g.op(opBr, uint32(k)+1)
			g.ops(opEnd)
		}
	case 11: // a table of blocks
		g.ops(opBlock, blockEmpty, opBlock, blockEmpty)
		g.labels = append(g.labels, 0, 0)
		g.value(ValueI32, depth-1)
		g.ops(opBrTable)
		g.code = append(g.code, 3, 0, 1, 0)
		if k := g.branchTo(); k >= 0 && g.labels[len(g.labels)-1-k] == 0 {
			g.byte(byte(k))
		} else {
			g.byte(1)
		}
		g.ops(opEnd)
		g.labels = g.labels[:len(g.labels)-1]
		g.statement(depth - 1)
		g.ops(opEnd)
		g.labels = g.labels[:len(g.labels)-1]
	case 23: // a loop that dispatches
		g.dispatch(depth)
	case 12: // an exception, caught outside of a block that the clause leaves with the payload
		g.ops(opBlock)
		g.byte(byte(ValueI32))
		g.labels = append(g.labels, ValueI32)
		g.code = append(g.code, byte(opTryTable), blockEmpty, 1, 0, 0, 0)
		g.labels = append(g.labels, 0)
		g.statement(depth - 1)
		if g.IntN(2) == 0 {
			g.value(ValueI32, depth-1)
			g.op(opThrow, 0)
		}
		g.ops(opEnd)
		g.labels = g.labels[:len(g.labels)-1]
		g.value(ValueI32, depth-1)
		g.ops(opEnd, opDrop)
		g.labels = g.labels[:len(g.labels)-1]
	case 19: // any exception
		g.ops(opBlock, blockEmpty)
		g.code = append(g.code, byte(opTryTable), blockEmpty, 1, 2, 0)
		g.labels = append(g.labels, 0, 0)
		g.statement(depth - 1)
		g.call(0, depth)
		g.ops(opEnd, opEnd)
		g.labels = g.labels[:len(g.labels)-2]
	case 20: // an exception that is thrown again
		g.ops(opBlock, blockEmpty)
		g.value(ValueI32, depth-1)
		g.op(opBrIf, 0)
		g.ops(opBlock)
		g.byte(byte(ValueExnref))
		g.code = append(g.code, byte(opTryTable), blockEmpty, 1, 3, 0)
		g.labels = append(g.labels, 0, ValueExnref, 0)
		g.call(0, depth)
		g.ops(opEnd)
		g.labels = g.labels[:len(g.labels)-3]
		g.code = append(g.code, 0xd0, byte(ValueExnref))
		g.ops(opEnd, opThrowRef, opEnd)
	case 21: // a reference that is perhaps null
		g.ops(opBlock)
		g.byte(byte(ValueFuncref))
		g.value(ValueFuncref, 0)
		g.op(opBrOnNonNull, 0)
		g.code = append(g.code, 0xd0, byte(ValueFuncref))
		g.ops(opEnd, opDrop)
	case 22: // the other select, and an end of everything
		g.value(ValueI64, depth-1)
		g.value(ValueI64, depth-1)
		g.value(ValueI32, depth-1)
		g.code = append(g.code, 0x1b)
		g.i64Const(77)
		g.code = append(g.code, 0x51) // i64.eq
		g.ops(opIf, blockEmpty, opUnreachable, opEnd)
	case 13: // leave
		g.value(ValueI32, depth-1)
		g.ops(opI32Eqz, opIf, blockEmpty)
		for _, r := range generatedTypes[g.typ].results {
			g.value(r, depth-1)
		}
		g.ops(opReturn, opEnd)
	case 14: // leave by a tail call of a function of the same type
		for f, typ := range g.funcs {
			if typ == g.typ && g.IntN(2) == 0 {
				g.value(ValueI32, depth-1)
				g.ops(opI32Eqz, opIf, blockEmpty)
				for _, p := range generatedTypes[typ].params {
					g.value(p, depth-1)
				}
				switch g.IntN(3) {
				case 0:
					g.op(opReturnCall, uint32(f))
				case 1:
					g.op(opRefFunc, uint32(f))
					g.op(opReturnCallRef, uint32(typ))
				default:
					g.i32Const(int32(f))
					g.op(opReturnCallIndirect, uint32(typ))
					g.byte(0)
				}
				g.ops(opEnd)
				return
			}
		}
	case 15: // bulk operations
		for range 3 {
			g.i32Const(int32(g.IntN(4)))
		}
		ops := [][]byte{{0x08, 1, 0}, {0x0a, 0, 0}, {0x0b, 0}, {0x0c, 1, 0}, {0x0e, 0, 0}}
		g.code = append(append(g.code, prefixMisc), ops[g.IntN(len(ops))]...)
	case 16:
		ops := [][]byte{{prefixMisc, 0x09, 1}, {prefixMisc, 0x0d, 1}, {prefixAtomic, 3, 0}, {byte(opNop)}}
		g.code = append(g.code, ops[g.IntN(len(ops))]...)
	case 17: // table.set, table.fill
		g.i32Const(int32(g.IntN(3)))
		g.value(ValueExternref, depth-1)
		if g.IntN(2) == 0 {
			g.code = append(g.code, 0x26, 1)
		} else {
			g.i32Const(1)
			g.code = append(g.code, prefixMisc, 0x11, 1)
		}
	case 18: // branches on references
		g.ops(opBlock, blockEmpty)
		g.value(ValueFuncref, depth-1)
		if g.IntN(2) == 0 {
			g.op(opBrOnNull, 0)
			g.code = append(g.code, 0x1a)
		} else {
			g.code = append(g.code, 0xd4, 0x1a) // ref.as_non_null
		}
		g.ops(opEnd)
	default:
		var of []operator
		for _, o := range operators() {
			if o.result == 0 {
				of = append(of, o)
			}
		}
		g.operator(of[g.IntN(len(of))], depth)
	}
}

// dispatch writes a loop that begins with a br_table over a local, with branches that set the
// local. Most lead ahead.
func (g *generator) dispatch(depth int) {
	n := 2 + g.IntN(3)
	i := g.local(ValueI32)
	g.i32Const(int32(g.IntN(n)))
	g.op(opLocalSet, i)
	g.ops(opLoop, blockEmpty)
	g.labels = append(g.labels, 0)
	for range n {
		g.ops(opBlock, blockEmpty)
		g.labels = append(g.labels, 0)
	}
	g.op(opLocalGet, i)
	g.op(opBrTable, uint32(n))
	for k := range n + 1 {
		g.byte(byte(min(k, n-1)))
	}
	for k := range n {
		g.ops(opEnd)
		g.labels = g.labels[:len(g.labels)-1]
		g.statement(depth - 1)
		if k == n-1 {
			break
		}
		sure := g.IntN(3) == 0
		label := uint32(n - 1 - k)
		if !sure {
			g.value(ValueI32, depth-1)
			g.ops(opIf, blockEmpty)
			label++
		}
		to := k + 1 + g.IntN(n)
		if g.IntN(8) == 0 {
			to = -1 // the default
		}
		g.i32Const(int32(to))
		if g.IntN(8) > 0 {
			g.op(opLocalSet, i)
		} else {
			g.op(opLocalSet, g.local(ValueI32))
		}
		g.op(opBr, label)
		if !sure {
			g.ops(opEnd)
		}
	}
	g.ops(opEnd)
	g.labels = g.labels[:len(g.labels)-1]
}

// branchTo is a label that a branch may take, -1 if there is none.
func (g *generator) branchTo() int {
	if len(g.labels) < 2 {
		return -1
	}
	return g.IntN(len(g.labels) - 1)
}
