package wasmbin

import "slices"

// MaxLocals is how many locals a function may have beside its parameters. The
// format allows 2^32-1, for which an engine allocates before it looks further;
// browsers stop here too.
const MaxLocals = 50_000

// instr is one instruction of a body, or several that mean nothing to the rewriter. It is small,
// because a body may consist of millions.
type instr struct {
	at, end uint32
	// index is the function, label, local, global, type, tag, table, element or data segment; for a
	// memory access its offset; for an opRun its weight, and runHeavy; for block, loop, if and
	// try_table the instruction that ends it, and for an end the one that it ends.
	index uint32
	op    opcode
	cost  uint16 // in fuel
}

// runHeavy in the index of an opRun says that one of its instructions is heavy.
const runHeavy = 1 << 16

// weight is what an instruction weighs without what it calls.
func (in *instr) weight() uint32 {
	if in.op == opRun {
		return in.index &^ runHeavy
	}
	return in.op.weight()
}

// heavy reports whether an instruction may take as long as many simple ones.
func (in *instr) heavy() bool {
	if in.op == opRun {
		return in.index&runHeavy != 0
	}
	return in.op.weight() >= weightHeavy
}

// indexAt is where the index of a call, reference or branch stands.
func (in *instr) indexAt() int { return int(in.at) + 1 }

// body is a function's code, decoded.
type body struct {
	fn     uint32 // its index
	typ    uint32
	at     int // where its size is
	locals int // where the vector of locals is
	groups int // where the groups of equal locals begin, after their count
	code   int // where its first instruction is
	end    int
	// nlocals counts the parameters too: it is the index of the first local
	// that can be added.
	nlocals uint32
	ngroups int
	instrs  []instr
}

// bodyReader decodes function bodies one after the other.
type bodyReader struct {
	m         *Module
	c         *cursor
	fn        uint32
	body      body
	labels    []opener
	hasMemory bool
	merge     bool // decode what is plain as opRun
	accesses  bool // but not what accesses memory
	nans      bool // nor what may give a NaN
	dead      bool // what comes cannot be reached
}

// opener is what opened a label that is open.
type opener struct {
	op    opcode
	instr uint32
}

func newBodyReader(m *Module) *bodyReader {
	r := &bodyReader{m: m, fn: uint32(m.importedFuncs), hasMemory: len(m.Memories) > 0}
	if s := m.section(secCode); s != nil {
		r.c = m.cursor(s)
		r.c.pos = s.vector
	}
	return r
}

// seek has next decode the body of a function that was decoded before, where its size stands.
func (r *bodyReader) seek(fn uint32, at int) {
	r.fn, r.c.pos = fn, at
}

// next decodes the next body. The body is valid until the next call; ok is
// false after the last one.
func (r *bodyReader) next() (b *body, ok bool, err error) {
	if r.c == nil || int(r.fn)-r.m.importedFuncs >= r.m.bodies {
		if r.c != nil && r.c.pos != r.c.end {
			r.c.fail(r.c.pos, "%d bytes left over", r.c.end-r.c.pos)
			return nil, false, r.c.err
		}
		return nil, false, nil
	}
	r.read()
	if r.c.err != nil {
		return nil, false, r.c.err
	}
	r.fn++
	return &r.body, true, nil
}

func (r *bodyReader) read() {
	c, b := r.c, &r.body
	*b = body{fn: r.fn, typ: r.m.funcs[r.fn], at: c.pos, instrs: b.instrs[:0]}
	size := c.count("bytes of a body", 1)
	b.locals, b.end = c.pos, c.pos+size
	sectionEnd := c.end
	c.end = b.end
	r.readLocals()
	b.code = c.pos
	r.labels = append(r.labels[:0], opener{op: opBlock}) // the function's own
	r.dead = false
	b.instrs = slices.Grow(b.instrs, size/32)
	for len(r.labels) > 0 && c.err == nil {
		if r.merge {
			r.readRun()
		}
		r.readInstr()
	}
	if c.err == nil && c.pos != b.end {
		c.fail(c.pos, "%d bytes after the end of function %d", b.end-c.pos, b.fn)
	}
	c.checkHeapTypes(len(r.m.Types))
	c.end = sectionEnd
}

func (r *bodyReader) readLocals() {
	c, b := r.c, &r.body
	at := c.pos
	b.ngroups = c.count("groups of locals", 2)
	b.groups = c.pos
	var n uint64
	for i := 0; i < b.ngroups && c.err == nil; i++ {
		n += uint64(c.u32())
		parseValueType(c)
	}
	if n > MaxLocals {
		c.fail(at, "function %d has %d locals, more than %d", b.fn, n, MaxLocals)
		return
	}
	b.nlocals = uint32(n) + uint32(len(r.m.Types[b.typ].Params))
}

// short is what readRun has to know of an opcode of one byte.
type short struct {
	immediate    immediate // immInvalid where readInstr has to read it
	weight, cost uint8
}

var shorts = func() (t [256]short) {
	for first := range t {
		op, imm := opcode(first), immediates[first]
		switch imm {
		case immNone, immLocal, immGlobal, immI32, immI64, immMemArg:
			if op.isPlain() {
				t[first] = short{imm, uint8(op.weight()), uint8(op.cost())}
			}
		}
	}
	return t
}()

// readRun reads what is plain, as most of a body is, until an instruction that is not, or has an
// immediate of more than two bytes, or is wrong. It is readInstr for these, only faster.
func (r *bodyReader) readRun() {
	c, b := r.c, &r.body
	data, pos, end := c.data, c.pos, c.end-4
	in := instr{at: uint32(pos), end: uint32(pos), op: opRun}
	n := len(b.instrs) - 1
	if n >= 0 && b.instrs[n].op == opRun { // it goes on
		in = b.instrs[n]
		b.instrs = b.instrs[:n]
	}
	for pos < end {
		s := &shorts[data[pos]]
		if r.nans && nanShapesOf[data[pos]] != nanNone {
			break
		}
		next := pos + 2
		index := uint32(data[pos+1])
		if index >= 0x80 {
			index = index&0x7f | uint32(data[pos+2])<<7
			next++
		}
		switch s.immediate {
		case immNone:
			next = pos + 1
		case immLocal:
			if index >= b.nlocals || data[next-1] >= 0x80 {
				s = nil
			}
		case immGlobal:
			if int(index) >= len(r.m.globals) || data[next-1] >= 0x80 {
				s = nil
			}
		case immI32, immI64:
			if data[next-1] >= 0x80 {
				s = nil
			}
		case immMemArg:
			next = pos + 3 // one byte of alignment, one or two of the offset
			if data[pos+2] >= 0x80 {
				next++
			}
			if data[pos+1] >= 32 || data[next-1] >= 0x80 || !r.hasMemory || r.accesses {
				s = nil
			}
		default:
			s = nil
		}
		if s == nil {
			break
		}
		weight, cost := uint32(s.weight), uint16(s.cost)
		if r.dead {
			weight, cost = 0, 0
		}
		if in.weight()+weight > maxRun {
			b.append(in)
			in = instr{at: uint32(pos), op: opRun}
		}
		if weight >= weightHeavy {
			in.index |= runHeavy
		}
		in.index, in.cost, in.end = in.index+weight, in.cost+cost, uint32(next)
		pos = next
	}
	c.pos = pos
	if in.end > in.at {
		b.append(in)
	}
}

// append appends an instruction.
func (b *body) append(in instr) {
	if n := len(b.instrs); n == cap(b.instrs) {
		// As many as there will be if the rest is like what was read.
		more := uint64(n) * uint64(b.end-int(in.at)) / uint64(max(int(in.at)-b.code, 1))
		b.instrs = slices.Grow(b.instrs, max(int(more+more/32), n/8, 32))
	}
	b.instrs = append(b.instrs, in)
}

// add appends an instruction to the body.
func (r *bodyReader) add(in instr) {
	b := &r.body
	in.cost = uint16(in.op.cost())
	weight := in.op.weight()
	switch op := in.op; {
	case !r.merge:
		b.append(in)
		return
	case r.dead && (op.isPlain() || op == opUnreachable || op == opReturn || op == opThrow || op == opThrowRef):
		in.cost, weight = 0, 0
	case !op.isPlain() || r.accesses && op.isHooked() || r.nans && op.nanShape() != nanNone:
		r.dead = op.endsPath() || r.dead && op != opEnd && op != opElse
		b.append(in)
		return
	}
	heavy := uint32(0)
	if weight >= weightHeavy {
		heavy = runHeavy
	}
	if n := len(b.instrs); n > 0 && b.instrs[n-1].op == opRun && b.instrs[n-1].weight()+weight <= maxRun {
		last := &b.instrs[n-1]
		last.end, last.index, last.cost = in.end, (last.index+weight)|heavy, last.cost+in.cost
		return
	}
	in.op, in.index = opRun, weight|heavy
	b.append(in)
}

func (r *bodyReader) readInstr() {
	c := r.c
	in := instr{at: uint32(c.pos)}
	first := c.byte()
	in.op = opcode(first)
	imm := immediates[first]
	if imm == immPrefix {
		imm = r.readPrefixed(&in)
	}
	switch imm {
	case immNone:
		switch in.op {
		case opElse:
			if r.labels[len(r.labels)-1].op != opIf {
				c.fail(int(in.at), "else without if")
			}
			r.labels[len(r.labels)-1].op = opElse
		case opEnd:
			if n := len(r.labels) - 1; n > 0 {
				in.index = r.labels[n].instr
				r.body.instrs[in.index].index = uint32(len(r.body.instrs))
			}
			r.labels = r.labels[:len(r.labels)-1]
		}
	case immBlock:
		r.readBlockType()
		r.labels = append(r.labels, opener{in.op, uint32(len(r.body.instrs))})
	case immTry:
		r.readTry()
	case immLabel:
		in.index = r.label()
	case immLabels:
		n := c.count("labels", 1)
		for i := 0; i <= n && c.err == nil; i++ {
			r.label()
		}
	case immFunc:
		in.index = r.index("function", len(r.m.funcs))
	case immCallIndirect:
		in.index = r.index("type", len(r.m.Types))
		c.u32()
	case immType:
		in.index = r.index("type", len(r.m.Types))
	case immTag:
		in.index = r.index("tag", r.m.tags)
	case immLocal:
		in.index = r.index("local", int(r.body.nlocals))
	case immGlobal:
		in.index = r.index("global", len(r.m.globals))
	case immU32:
		in.index = c.u32()
	case immU32x2:
		in.index = c.u32()
		c.u32()
	case immU32Zero:
		in.index = c.u32()
		c.zero("the memory of a bulk operation")
	case immMemArg, immMemLane:
		in.index = r.memArg(&in)
		if imm == immMemLane {
			c.byte()
		}
	case immZero:
		c.zero("the memory of an instruction")
	case immZero2:
		c.zero("the memory of a bulk operation")
		c.zero("the memory of a bulk operation")
	case immI32:
		c.signed(5)
	case immI64:
		c.signed(10)
	case imm4:
		c.bytes(4)
	case imm8:
		c.bytes(8)
	case imm16:
		c.bytes(16)
	case immLane:
		c.byte()
	case immHeap:
		parseHeapType(c)
	case immSelect:
		at := c.pos
		if n := c.u32(); n != 1 || c.pos != at+1 {
			c.fail(at, "select of %d types", n)
		}
		parseValueType(c)
	case immLegacy:
		c.fail(int(in.at), "opcode %#x of the first exception proposal: translate the module (wasm-opt --translate-to-exnref)", first)
	default:
		if in.op > 0xff {
			c.fail(int(in.at), "unknown opcode %#x %#x", first, byte(in.op))
		} else {
			c.fail(int(in.at), "unknown opcode %#x", first)
		}
	}
	in.end = uint32(c.pos)
	r.add(in)
}

// readPrefixed reads the rest of an opcode that has a prefix. It accepts the
// encodings that wazero reads as it does, because a body that rewriter and
// engine read differently could hide code from the rewriter: wazero takes one
// byte for vector and atomic opcodes, and the second byte that the canonical
// encoding of 128 and more has (always 1) for a nop.
func (r *bodyReader) readPrefixed(in *instr) immediate {
	c, prefix := r.c, in.op
	if prefix == prefixMisc {
		sub := c.u32()
		if sub > 0xff {
			c.fail(int(in.at), "unknown opcode %#x %#x", prefix, sub)
			return immNone
		}
		in.op = prefix<<8 | opcode(sub)
		if int(sub) < len(miscImmediates) {
			return miscImmediates[sub]
		}
		return immInvalid
	}
	sub := c.byte()
	in.op = prefix<<8 | opcode(sub)
	if prefix == prefixAtomic {
		switch {
		case sub <= 2, 0x10 <= sub && sub <= 0x4e:
			return immMemArg
		case sub == 3:
			return immZero
		}
		return immInvalid
	}
	if sub >= 0x80 {
		if second := c.byte(); second != 1 && c.err == nil {
			c.fail(int(in.at), "unknown vector opcode %#x %#x %#x", prefix, sub, second)
		}
	}
	return vecImmediates[sub]
}

func (r *bodyReader) index(what string, n int) uint32 {
	at := r.c.pos
	index := r.c.u32()
	if uint64(index) >= uint64(n) {
		r.c.fail(at, "%s %d of %d", what, index, n)
	}
	return index
}

func (r *bodyReader) label() uint32 { return r.index("label", len(r.labels)) }

func (r *bodyReader) readBlockType() {
	c := r.c
	at := c.pos
	t := c.signed(5)
	switch {
	case t == -29, t == -28: // a typed reference: its heap type follows
		c.heapType()
	case t >= int64(len(r.m.Types)):
		c.fail(at, "type %d of %d", t, len(r.m.Types))
	}
}

// readTry reads a try_table. The labels of its catch clauses are counted from
// outside of it.
func (r *bodyReader) readTry() {
	c := r.c
	r.readBlockType()
	n := c.count("catch clauses", 2)
	for i := 0; i < n && c.err == nil; i++ {
		at := c.pos
		switch kind := c.byte(); kind {
		case 0, 1:
			r.index("tag", r.m.tags)
		case 2, 3:
		default:
			c.fail(at, "unknown kind %d of a catch clause", kind)
		}
		r.label()
	}
	r.labels = append(r.labels, opener{opTryTable, uint32(len(r.body.instrs))})
}

// memArg reads alignment and offset. What a wait's rewriting takes away from
// the engine is checked here: that there is a memory, and the alignment.
func (r *bodyReader) memArg(in *instr) uint32 {
	c := r.c
	at := c.pos
	align := c.u32()
	offset := c.u32()
	switch {
	case c.err != nil:
	case align >= 32:
		c.fail(at, "alignment 2^%d, or one of several memories, which are not offered", align)
	case !r.hasMemory:
		c.fail(int(in.at), "a memory access in a module without memory")
	case (in.op == opNotify || in.op == opWait32) && align > 2, in.op == opWait64 && align > 3:
		c.fail(at, "alignment 2^%d of a wait or notify", align)
	}
	return offset
}
