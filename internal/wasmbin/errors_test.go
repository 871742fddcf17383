package wasmbin

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestBadInput(t *testing.T) {
	const header = "\x00asm\x01\x00\x00\x00"
	// One function of no parameters with this body.
	body := func(code string) string {
		var m testModule
		m.add(testFunc{code: []byte(code)})
		return string(m.bytes())
	}
	start := len(body("")) // where the instructions are
	for _, c := range []struct {
		name, module string
		offset       int
		msg          string
	}{
		{"nothing", "", 0, "empty file"},
		{"text", " ;; a comment\n (; one more ;) ( module)", 0, "WebAssembly text"},
		{"another file", "\x7fELF", 0, "not a WebAssembly file"},
		{"cut in the header", "\x00asm\x01", 4, "truncated"},
		{"component", "\x00asm\x0d\x00\x01\x00", 4, "component"},
		{"version", "\x00asm\x02\x00\x00\x00", 4, "unknown version"},
		{"unknown section", header + "\x0e\x00", 8, "unknown section 14"},
		{"section past the end", header + "\x01\x05\x00", 9, "truncated"},
		{"section twice", header + "\x01\x01\x00\x01\x01\x00", 11, "out of order"},
		{"sections swapped", header + "\x02\x01\x00\x01\x01\x00", 11, "out of order"},
		{"long LEB128", header + "\x01\x06\xff\xff\xff\xff\xff\x00", 10, "does not fit 32 bits"},
		{"cut LEB128", header + "\x01\x01\x80", 11, "truncated"},
		{"count", header + "\x01\x05\xff\xff\xff\xff\x0f", 10, "4294967295 types in 0 bytes"},
		{"names twice", header + "\x00\x05\x04name\x00\x05\x04name", 15, "second name section"},
		{"not UTF-8", header + "\x02\x06\x01\x01\xff\x01a\x00", 12, "not UTF-8"},
		{"64-bit memory", header + "\x05\x03\x01\x04\x01", 11, "64-bit memory"},
		{"a body too few", header + "\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00", 18, "1 functions are declared and 0 have bodies"},
		{"unknown opcode", body("\x01\x27\x0b"), start + 1, "unknown opcode 0x27"},
		{"unknown second byte", body("\xfe\x4f\x0b"), start, "unknown opcode 0xfe 0x4f"},
		{"relaxed SIMD", body("\xfd\x80\x02\x0b"), start, "unknown vector opcode"},
		{"old exceptions", body("\x06\x40\x0b\x0b"), start, "first exception proposal"},
		{"function", body("\x10\x01\x0b"), start + 1, "function 1 of 1"},
		{"label", body("\x0c\x01\x0b"), start + 1, "label 1 of 1"},
		{"global", body("\x23\x00\x1a\x0b"), start + 1, "global 0 of 0"},
		{"local", body("\x20\x00\x1a\x0b"), start + 1, "local 0 of 0"},
		{"memory", body("\x41\x00\x28\x02\x00\x1a\x0b"), start + 2, "without memory"},
		{"after the end", body("\x0b\x0b"), start + 1, "1 bytes after the end"},
		{"no end", body("\x01"), start + 1, "truncated"},
	} {
		_, _, err := Rewrite([]byte(c.module), Options{})
		var format *FormatError
		if !errors.As(err, &format) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if format.Offset != c.offset || !strings.Contains(format.Msg, c.msg) {
			t.Errorf("%s: %v; want %q at %#x", c.name, err, c.msg, c.offset)
		}
	}
}

func TestTooManyLocals(t *testing.T) {
	var m testModule
	m.add(testFunc{code: []byte{byte(opEnd)}})
	m.codes = [][]byte{{8, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0x0b}}
	if _, _, err := Rewrite(m.bytes(), Options{}); err == nil || !strings.Contains(err.Error(), "4294967295 locals") {
		t.Error(err)
	}
}

func TestInspect(t *testing.T) {
	var m testModule
	m.types = [][]byte{[]byte("\x60\x02\x7f\x7e\x01\x7d")}
	entry := func(module, name string, rest ...byte) []byte {
		return append(appendName(appendName(nil, module), name), rest...)
	}
	m.imports = [][]byte{
		entry("wasi", "f", 0, 0),
		entry("env", "t", 1, 0x70, 1, 3, 4),
		entry("env", "mem", 2, 3, 2, 0x80, 0x80, 4),
		entry("env", "g", 3, 0x7e, 1),
		entry("env", "e", 4, 0, 0),
	}
	m.exports = [][]byte{append(appendName(nil, "mem"), 2, 0)}
	m.custom = [][2]string{{"producers", ""}}
	got, err := Inspect(m.bytes())
	if err != nil {
		t.Fatal(err)
	}
	f := FuncType{Params: []ValueType{ValueI32, ValueI64}, Results: []ValueType{ValueF32}}
	mem := Memory{Min: 2, Max: 65536, HasMax: true, Shared: true, Imported: true, Module: "env", Name: "mem"}
	want := &Module{
		Types: []FuncType{f},
		Imports: []Import{
			{Module: "wasi", Name: "f", Kind: KindFunc, Func: f},
			{Module: "env", Name: "t", Kind: KindTable, Table: Table{Type: ValueFuncref, Min: 3, Max: 4, HasMax: true}},
			{Module: "env", Name: "mem", Kind: KindMemory, Memory: mem},
			{Module: "env", Name: "g", Kind: KindGlobal, Global: GlobalType{Type: ValueI64, Mutable: true}},
			{Module: "env", Name: "e", Kind: KindTag, Func: f},
		},
		Exports:        []Export{{Name: "mem", Kind: KindMemory}},
		Memories:       []Memory{mem},
		Functions:      1,
		CustomSections: []string{"producers"},
		UsesAtomics:    true,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Module{}, FuncType{})); diff != "" {
		t.Error(diff)
	}
}

// TestDeepNesting rewrites a function with very many blocks in one another and as many branches out
// of all of them: the work grows with the size of the module, not with its square.
func TestDeepNesting(t *testing.T) {
	const depth = 100_000
	var a asm
	for range depth {
		a.ops(opBlock, blockEmpty)
	}
	for range depth {
		a.i32Const(0)
		a.op(opBrIf, depth)
	}
	a.ops(opLoop, blockEmpty)
	a.i32Const(0)
	a.op(opBrIf, 0)
	a.ops(opEnd)
	for range depth + 1 {
		a.ops(opEnd)
	}
	var m testModule
	m.add(testFunc{code: a.code})
	for _, opts := range everything {
		if _, _, err := Rewrite(m.bytes(), opts); err != nil {
			t.Fatal(err)
		}
	}
}
