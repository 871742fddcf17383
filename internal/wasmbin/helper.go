package wasmbin

// helper is a function that is added to the module.
type helper struct {
	name string
	typ  uint32
	code []byte // the body: locals and instructions
}

// addCheckHelper adds the function that the checks call: it fills the counter
// with a period and its parameter, and asks the host. As a function of its own it
// keeps the code that a loop jumps over to one call.
func (r *rewriter) addCheckHelper() uint32 {
	a := asm{}
	a.byte(0) // no locals
	a.i32Const(int32(r.opts.Period))
	a.op(opLocalGet, 0)
	a.ops(opI32Add)
	a.op(opGlobalSet, r.stopGlobal)
	a.op(opCall, r.callCheck)
	a.byte(byte(opEnd))
	return r.addHelper("check", "\x01\x7f", "\x00", a.code)
}

// addLookHelper adds the function that takes its parameter from the counter or the fuel, and calls
// the host when that is used up.
func (r *rewriter) addLookHelper() uint32 {
	cell, sub, params := r.stopGlobal, opI32Sub, "\x01\x7f"
	if r.opts.Fuel {
		cell, sub, params = r.fuelGlobal, opI64Sub, "\x01\x7e"
	}
	a := &asm{code: []byte{0}} // no locals
	a.op(opGlobalGet, cell)
	a.op(opLocalGet, 0)
	a.ops(sub)
	a.op(opGlobalSet, cell)
	r.lookIfSpent(a)
	a.ops(opEnd)
	return r.addHelper("look", params, "\x00", a.code)
}

// lookIfSpent calls the host if the fuel, or without fuel the counter, is used up.
func (r *rewriter) lookIfSpent(a *asm) {
	if r.opts.Fuel {
		a.op(opGlobalGet, r.fuelGlobal)
		a.i64Const(0)
		a.ops(opI64GeS)
		a.unlessCall(r.callFuel)
		return
	}
	a.op(opGlobalGet, r.stopGlobal)
	a.i32Const(0)
	a.ops(opI32GeS, opIf, blockEmpty, opElse)
	a.i32Const(0)
	a.op(opCall, r.callCheck)
	a.ops(opEnd)
}

func (r *rewriter) addHelper(name, params, results string, code []byte) uint32 {
	index := uint32(len(r.funcs)) + r.shift + uint32(len(r.helpers))
	r.helpers = append(r.helpers, helper{name: name, typ: r.typeOf(params, results), code: code})
	return index
}

// typeOf returns the index of a function type, adding it if no other addition
// has.
func (r *rewriter) typeOf(params, results string) uint32 {
	t := newType{params, results}
	i, ok := r.typeIndex[t]
	if !ok {
		if r.typeIndex == nil {
			r.typeIndex = map[newType]uint32{}
		}
		i = uint32(len(r.Types) + len(r.types))
		r.types, r.typeIndex[t] = append(r.types, t), i
	}
	return i
}

func encodeTypes(types []ValueType) string {
	raw := []byte{byte(len(types))}
	for _, t := range types {
		raw = append(raw, byte(t))
	}
	return string(raw)
}
