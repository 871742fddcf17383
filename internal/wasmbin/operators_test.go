package wasmbin

import (
	"context"
	"slices"
	"sync"

	"github.com/tetratelabs/wazero"
)

// operator is an instruction that takes and leaves values and nothing else.
type operator struct {
	code   []byte
	params []ValueType
	result ValueType // 0: none
}

var numbersAndVectors = []ValueType{ValueI32, ValueI64, ValueF32, ValueF64, ValueV128}

// operators is every arithmetic, vector, memory and atomic instruction, with the signature under
// which wazero compiles it.
var operators = sync.OnceValue(func() (found []operator) {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, interpreterConfig())
	defer r.Close(ctx)
	valid := func(o operator) bool {
		var m testModule
		m.memories = [][]byte{{3, 1, 1}}
		var a asm
		for i := range o.params {
			a.op(opLocalGet, uint32(i))
		}
		a.code = append(append(a.code, o.code...), byte(opEnd))
		m.add(testFunc{params: o.params, results: resultsOf(o.result), code: a.code})
		return compiles(ctx, r, m.bytes()) == nil
	}
	results := append([]ValueType{0}, numbersAndVectors...)
	find := func(imm immediate, op ...byte) {
		var params [][]ValueType
		var endings [][]byte
		switch imm {
		case immNone:
			endings = [][]byte{{}}
		case immLane:
			endings = [][]byte{{0}}
		case imm16:
			endings = [][]byte{{0, 17, 2, 19, 4, 21, 6, 23, 8, 9, 10, 11, 28, 29, 30, 31}}
		case immMemArg:
			endings = [][]byte{{0, 5}, {1, 6}, {2, 4}, {3, 8}}
		case immMemLane:
			endings = [][]byte{{0, 3, 0}}
		default:
			return
		}
		for _, t := range numbersAndVectors {
			params = append(params, []ValueType{t}, []ValueType{t, t})
			if op[0] != prefixVec {
				params = append(params, []ValueType{ValueI32, t}, []ValueType{ValueI32, t, t})
			} else {
				params = append(params, []ValueType{ValueV128, t}, []ValueType{ValueI32, t})
			}
		}
		params = append(params, nil, []ValueType{ValueV128, ValueV128, ValueV128})
		for _, ending := range endings {
			for _, p := range params {
				for _, result := range results {
					o := operator{append(slices.Clone(op), ending...), p, result}
					if valid(o) {
						found = append(found, o)
						return
					}
				}
			}
		}
	}
	for op := 0x28; op <= 0xc4; op++ {
		if imm := immediates[op]; imm == immNone || imm == immMemArg {
			find(imm, byte(op))
		}
	}
	for sub := byte(0); sub <= 7; sub++ {
		find(immNone, prefixMisc, sub)
	}
	for sub, imm := range vecImmediates {
		find(imm, appendU32([]byte{prefixVec}, uint32(sub), 1)...)
	}
	for sub := byte(0x10); sub <= 0x4e; sub++ {
		find(immMemArg, prefixAtomic, sub)
	}
	find(immMemArg, prefixAtomic, byte(opNotify&0xff))
	return found
})

func resultsOf(t ValueType) []ValueType {
	if t == 0 {
		return nil
	}
	return []ValueType{t}
}

// allOpcodes is every one that the reader knows.
func allOpcodes() (all []opcode) {
	for op, imm := range immediates {
		if imm != immInvalid && imm != immLegacy && imm != immPrefix {
			all = append(all, opcode(op))
		}
	}
	for op, imm := range miscImmediates {
		if imm != immInvalid {
			all = append(all, prefixMisc<<8|opcode(op))
		}
	}
	for op, imm := range vecImmediates {
		if imm != immInvalid {
			all = append(all, prefixVec<<8|opcode(op))
		}
	}
	for op := opcode(0); op <= 0x4e; op++ {
		if op <= 3 || op >= 0x10 {
			all = append(all, prefixAtomic<<8|op)
		}
	}
	return all
}
