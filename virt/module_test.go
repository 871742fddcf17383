package virt_test

import (
	"encoding/binary"

	"github.com/wasivirt/wasivirt/virt/abi"
)

// binary types and the opcodes that the modules written by hand are made of.
const (
	typeI32 = 0x7f
	typeI64 = 0x7e

	opUnreachable = 0x00
	opCall        = 0x10
	opDrop        = 0x1a
	opLocalGet    = 0x20
	opI32Const    = 0x41
	opEnd         = 0x0b
)

// signature is a function type.
type signature struct{ params, results []byte }

// handFunc is a function of a [handModule]: an import where module is set.
type handFunc struct {
	module, name string // what it is imported as, or exported as
	signature
	body []byte // without locals and without the end
}

// handModule is a module written by hand, byte by byte: what no toolchain makes, in a test that
// needs none.
type handModule struct {
	funcs  []handFunc // the imports first
	memory int        // pages of the memory that it exports; none where 0
	start  int        // the index of the start function, where it is not 0
	tables []string   // encoded
	tags   int        // of the type of the first function
	// elements are the functions that table 0 begins with.
	elements []byte
}

// calling is the body of a function that passes its parameters on to function f.
func calling(f, params int) []byte {
	var b []byte
	for i := range params {
		b = append(b, opLocalGet, byte(i))
	}
	return binary.AppendUvarint(append(b, opCall), uint64(f))
}

// encode returns the module in the binary format.
func (m handModule) encode() []byte {
	var types, imports, funcs, exports, code section
	for i, f := range m.funcs {
		types.entry(append(append(append(vector(nil), 0x60, byte(len(f.params))), f.params...), append([]byte{byte(len(f.results))}, f.results...)...))
		switch {
		case f.module != "":
			imports.entry(append(append(text(f.module), text(f.name)...), append([]byte{0}, number(i)...)...))
		default:
			funcs.entry(number(i))
			body := append(append([]byte{0}, f.body...), opEnd)
			code.entry(append(number(len(body)), body...))
			if f.name != "" {
				exports.entry(append(append(text(f.name), 0), number(i)...))
			}
		}
	}
	var tables section
	for _, t := range m.tables {
		tables.entry([]byte(t))
	}
	var memories section
	if m.memory != 0 {
		memories.entry(append([]byte{0}, number(m.memory)...))
		exports.entry(append(text("memory"), 2, 0))
	}
	out := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	out = types.appendTo(out, 1)
	out = imports.appendTo(out, 2)
	out = funcs.appendTo(out, 3)
	out = tables.appendTo(out, 4)
	out = memories.appendTo(out, 5)
	var tags, elements section
	for range m.tags {
		tags.entry([]byte{0, 0})
	}
	if len(m.elements) > 0 {
		elements.entry(append([]byte{0, opI32Const, 0, opEnd, byte(len(m.elements))}, m.elements...))
	}
	out = tags.appendTo(out, 13)
	out = exports.appendTo(out, 7)
	if m.start != 0 {
		start := number(m.start)
		out = append(append(append(out, 8), number(len(start))...), start...)
	}
	out = elements.appendTo(out, 9)
	return code.appendTo(out, 10)
}

// section is a section of a module: how many entries, and their bytes.
type section struct {
	count int
	bytes []byte
}

type vector []byte

func (s *section) entry(b []byte) { s.count, s.bytes = s.count+1, append(s.bytes, b...) }

func (s *section) appendTo(out []byte, id byte) []byte {
	if s.count == 0 {
		return out
	}
	content := append(number(s.count), s.bytes...)
	return append(append(append(out, id), number(len(content))...), content...)
}

func number(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func text(s string) []byte { return append(number(len(s)), s...) }

// preview1Type returns a signature by its parameters, i for i32 and I for i64, and its one result,
// an errno.
func preview1Type(params string) signature {
	s := signature{results: []byte{typeI32}}
	for _, p := range params {
		if p == 'I' {
			s.params = append(s.params, typeI64)
		} else {
			s.params = append(s.params, typeI32)
		}
	}
	return s
}

// imported is a function of preview1 as a module imports it.
func imported(name, params string) handFunc {
	s := preview1Type(params)
	if name == "proc_exit" {
		s.results = nil
	}
	return handFunc{module: abi.ModuleName, name: name, signature: s}
}
