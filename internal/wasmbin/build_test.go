package wasmbin

// testFunc is a function of a module written by hand.
type testFunc struct {
	export          string
	params, results []ValueType
	locals          []ValueType
	code            []byte // with its end
}

// testModule assembles a module: sections as given, in order.
type testModule struct {
	types, imports, funcs, tables, memories, tags, globals, exports [][]byte
	start                                                           *uint32
	elements                                                        [][]byte
	dataCount                                                       *uint32
	codes, data                                                     [][]byte
	custom                                                          [][2]string // at the end
}

func (m *testModule) add(f testFunc) {
	index := uint32(len(m.funcs))
	for _, i := range m.imports {
		if i[len(i)-2] == byte(KindFunc) {
			index++
		}
	}
	m.funcs = append(m.funcs, appendU32(nil, uint32(len(m.types)), 1))
	m.types = append(m.types, []byte("\x60"+encodeTypes(f.params)+encodeTypes(f.results)))
	body := []byte{byte(len(f.locals))}
	for _, l := range f.locals {
		body = append(body, 1, byte(l))
	}
	body = append(body, f.code...)
	m.codes = append(m.codes, append(appendU32(nil, uint32(len(body)), 1), body...))
	if f.export != "" {
		m.exports = append(m.exports, appendU32(append(appendName(nil, f.export), 0), index, 1))
	}
}

func (m *testModule) bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	raw := func(id byte, payload []byte) {
		out = append(appendU32(append(out, id), uint32(len(payload)), 1), payload...)
	}
	vector := func(id byte, entries [][]byte) {
		if len(entries) == 0 {
			return
		}
		payload := appendU32(nil, uint32(len(entries)), 1)
		for _, e := range entries {
			payload = append(payload, e...)
		}
		raw(id, payload)
	}
	vector(secType, m.types)
	vector(secImport, m.imports)
	vector(secFunction, m.funcs)
	vector(secTable, m.tables)
	vector(secMemory, m.memories)
	vector(secTag, m.tags)
	vector(secGlobal, m.globals)
	vector(secExport, m.exports)
	if m.start != nil {
		raw(secStart, appendU32(nil, *m.start, 1))
	}
	vector(secElement, m.elements)
	if m.dataCount != nil {
		raw(secDataCount, appendU32(nil, *m.dataCount, 1))
	}
	vector(secCode, m.codes)
	vector(secData, m.data)
	for _, c := range m.custom {
		raw(secCustom, append(appendName(nil, c[0]), c[1]...))
	}
	return out
}

// access writes a load or store.
func (a *asm) access(op opcode, offset uint32) {
	a.byte(byte(op))
	a.byte(0)
	a.code = appendU32(a.code, offset, 1)
}

const (
	opI32Store8 opcode = 0x3a
	opI32GeU    opcode = 0x4f
	opI64ExtU   opcode = 0xad
)

// kernels are small programs: each takes a size and answers an i64.
func kernels() []byte {
	i32, i64 := ValueI32, ValueI64
	in, out := []ValueType{i32}, []ValueType{i64}
	var m testModule
	m.memories = [][]byte{{0, 32}}

	var empty asm // for i++ < n {}
	empty.ops(opLoop, blockEmpty)
	empty.op(opLocalGet, 1)
	empty.i32Const(1)
	empty.ops(opI32Add)
	empty.op(opLocalTee, 1)
	empty.op(opLocalGet, 0)
	empty.ops(opI32LtU)
	empty.op(opBrIf, 0)
	empty.ops(opEnd)
	empty.op(opLocalGet, 1)
	empty.ops(opI64ExtU, opEnd)
	m.add(testFunc{"empty", in, out, []ValueType{i32}, empty.code})

	var mul asm // for i++ < n { acc = acc*6364136223846793005 + i }
	mul.ops(opLoop, blockEmpty)
	mul.op(opLocalGet, 2)
	mul.i64Const(6364136223846793005)
	mul.ops(opI64Mul)
	mul.op(opLocalGet, 1)
	mul.ops(opI64ExtU, opI64Add)
	mul.op(opLocalSet, 2)
	mul.op(opLocalGet, 1)
	mul.i32Const(1)
	mul.ops(opI32Add)
	mul.op(opLocalTee, 1)
	mul.op(opLocalGet, 0)
	mul.ops(opI32LtU)
	mul.op(opBrIf, 0)
	mul.ops(opEnd)
	mul.op(opLocalGet, 2)
	mul.ops(opEnd)
	m.add(testFunc{"muladd", in, out, []ValueType{i32, i64}, mul.code})

	m.add(testFunc{"sieve", in, out, []ValueType{i32, i32, i64}, sieve()})

	var fib asm // fib(n-1) + fib(n-2)
	fib.op(opLocalGet, 0)
	fib.i32Const(2)
	fib.ops(opI32LtU, opIf, byte64)
	fib.op(opLocalGet, 0)
	fib.ops(opI64ExtU, opElse)
	fib.op(opLocalGet, 0)
	fib.i32Const(1)
	fib.ops(opI32Sub)
	fib.op(opCall, 3)
	fib.op(opLocalGet, 0)
	fib.i32Const(2)
	fib.ops(opI32Sub)
	fib.op(opCall, 3)
	fib.ops(opI64Add, opEnd, opEnd)
	m.add(testFunc{"fib", in, out, nil, fib.code})
	return m.bytes()
}

const byte64 = opcode(ValueI64)

// sieve counts the primes below local 0: memory holds a byte for each number,
// cleared first; local 1 is i, 2 is j, 3 the count.
func sieve() []byte {
	var a asm
	// for i = 0; i < n; i++ { mem[i] = 0 }
	a.ops(opLoop, blockEmpty)
	a.op(opLocalGet, 1)
	a.i32Const(0)
	a.access(opI32Store8, 0)
	a.op(opLocalGet, 1)
	a.i32Const(1)
	a.ops(opI32Add)
	a.op(opLocalTee, 1)
	a.op(opLocalGet, 0)
	a.ops(opI32LtU)
	a.op(opBrIf, 0)
	a.ops(opEnd)
	a.i32Const(2)
	a.op(opLocalSet, 1)
	a.ops(opBlock, blockEmpty, opLoop, blockEmpty)
	{
		a.op(opLocalGet, 1)
		a.op(opLocalGet, 0)
		a.ops(opI32GeU)
		a.op(opBrIf, 1)
		a.op(opLocalGet, 1)
		a.access(opI32Load8U, 0)
		a.ops(opI32Eqz, opIf, blockEmpty)
		{
			a.op(opLocalGet, 3)
			a.i64Const(1)
			a.ops(opI64Add)
			a.op(opLocalSet, 3)
			a.op(opLocalGet, 1)
			a.op(opLocalGet, 1)
			a.ops(opI32Add)
			a.op(opLocalSet, 2)
			a.ops(opBlock, blockEmpty, opLoop, blockEmpty)
			{
				a.op(opLocalGet, 2)
				a.op(opLocalGet, 0)
				a.ops(opI32GeU)
				a.op(opBrIf, 1)
				a.op(opLocalGet, 2)
				a.i32Const(1)
				a.access(opI32Store8, 0)
				a.op(opLocalGet, 2)
				a.op(opLocalGet, 1)
				a.ops(opI32Add)
				a.op(opLocalSet, 2)
				a.op(opBr, 0)
			}
			a.ops(opEnd, opEnd)
		}
		a.ops(opEnd)
		a.op(opLocalGet, 1)
		a.i32Const(1)
		a.ops(opI32Add)
		a.op(opLocalSet, 1)
		a.op(opBr, 0)
	}
	a.ops(opEnd, opEnd)
	a.op(opLocalGet, 3)
	a.ops(opEnd)
	return a.code
}
