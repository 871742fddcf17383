package wasmbin

// WebAssembly leaves open which NaN arithmetic gives: its sign, and where an operand is a NaN, most
// of its bits. Options.CanonicalNaNs writes behind each instruction that may give a NaN what turns
// any into the canonical one with sign 0. For f64.add:
//
//	f64.add
//	local.tee $t
//	f64.const nan
//	local.get $t
//	local.get $t
//	f64.eq
//	select
//
// Lanes of vectors are selected by v128.bitselect. Instructions that only move bits (abs, neg,
// copysign, pmin, pmax, loads, constants) give what WebAssembly says, and stay.

// nanShape is what an instruction gives that may be a NaN.
type nanShape uint8

const (
	nanNone nanShape = iota
	nanF32
	nanF64
	nanF32x4
	nanF64x2
	nanShapes
)

// nanShapesOf are indexed by an opcode of one byte, and by what follows prefixVec.
var nanShapesOf, nanShapesOfVec = func() (plain, vec [256]nanShape) {
	set := func(t *[256]nanShape, shape nanShape, from, to int) {
		for op := from; op <= to; op++ {
			t[op] = shape
		}
	}
	set(&plain, nanF32, 0x8d, 0x97) // ceil, floor, trunc, nearest, sqrt, add, sub, mul, div, min, max
	set(&plain, nanF64, 0x9b, 0xa5)
	plain[0xb6], plain[0xbb] = nanF32, nanF64 // demote, promote
	set(&vec, nanF32x4, 0x67, 0x6a)           // ceil, floor, trunc, nearest
	set(&vec, nanF64x2, 0x74, 0x75)           // ceil, floor
	vec[0x7a], vec[0x94] = nanF64x2, nanF64x2 // trunc, nearest
	set(&vec, nanF32x4, 0xe3, 0xe9)           // sqrt, add, sub, mul, div, min, max
	set(&vec, nanF64x2, 0xef, 0xf5)
	vec[0x5e], vec[0x5f] = nanF32x4, nanF64x2 // demote, promote
	return plain, vec
}()

// nanShape tells what the instruction gives that may be a NaN.
func (op opcode) nanShape() nanShape {
	switch op >> 8 {
	case 0:
		return nanShapesOf[op]
	case prefixVec:
		return nanShapesOfVec[byte(op)]
	}
	return nanNone
}

// nanForm is how a shape is made canonical.
type nanForm struct {
	local  ValueType
	nan    string // the constant
	equal  string // compares, which tells NaNs: they are not equal to themselves
	choose string
	weight uint32
}

var nanForms = [nanShapes]nanForm{
	nanF32: {ValueF32, "\x43\x00\x00\xc0\x7f", "\x5b", "\x1b", 6},
	nanF64: {ValueF64, "\x44\x00\x00\x00\x00\x00\x00\xf8\x7f", "\x61", "\x1b", 6},
	nanF32x4: {ValueV128, "\xfd\x0c" + "\x00\x00\xc0\x7f\x00\x00\xc0\x7f\x00\x00\xc0\x7f\x00\x00\xc0\x7f",
		"\xfd\x41", "\xfd\x52", 3 + 3*weightVector},
	nanF64x2: {ValueV128, "\xfd\x0c" + "\x00\x00\x00\x00\x00\x00\xf8\x7f\x00\x00\x00\x00\x00\x00\xf8\x7f",
		"\xfd\x47", "\xfd\x52", 3 + 3*weightVector},
}

// addNaNLocals adds the locals in which a body keeps what may be a NaN.
func (e *emitter) addNaNLocals(b *body) {
	added := map[ValueType]uint32{}
	for i := range b.instrs {
		if b.instrs[i].op == opRun {
			continue
		}
		shape := b.instrs[i].op.nanShape()
		if shape == nanNone {
			continue
		}
		t := nanForms[shape].local
		local, ok := added[t]
		if !ok {
			local = e.addLocal(t)
			added[t] = local
		}
		e.nanLocals[shape] = local
	}
}

// canonicalize writes what stands behind an instruction that may give a NaN.
func (e *emitter) canonicalize(a *asm, shape nanShape) {
	f, local := &nanForms[shape], e.nanLocals[shape]
	a.op(opLocalTee, local)
	a.code = append(a.code, f.nan...)
	a.op(opLocalGet, local)
	a.op(opLocalGet, local)
	a.code = append(a.code, f.equal...)
	a.code = append(a.code, f.choose...)
}

// weightOf is what an instruction weighs, with what is written behind it.
func (e *emitter) weightOf(op opcode) uint32 {
	if e.opts.CanonicalNaNs {
		return op.weight() + nanForms[op.nanShape()].weight
	}
	return op.weight()
}
