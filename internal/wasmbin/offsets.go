package wasmbin

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// wazero tells where in a module's code each function of a stack was if the module has debug
// information. Options.Offsets gives it as little of that as there can be: one unit, all of whose
// code is line 1 of a file named by Options.Offsets.

// debugSections are the custom sections of such a module.
func debugSections(file string) [][2]string {
	const (
		first  = 1          // 0 means that the linker dropped the code
		length = 0x7fffff00 // code has no more
	)
	u32 := func(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
	sized := func(b []byte) string { return string(append(u32(nil, uint32(len(b))), b...)) }

	abbreviations := "\x01\x11\x00" + // number 1: a unit without children
		"\x10\x17" + "\x11\x01" + "\x12\x06" + "\x00\x00" + // where its lines are, the first address, how many follow
		"\x00"
	unit := []byte{4, 0, 0, 0, 0, 0, 4, 1} // version 4, the abbreviations, 4 bytes an address, number 1
	unit = u32(u32(u32(unit, 0), first), length)

	header := []byte("\x01\x01\x01\x00\x01\x0a\x00\x01\x01\x01\x01\x00\x00\x00\x01") // of opcodes
	header = append(append(header, 0), file...)                                      // no directories
	header = append(header, 0, 0, 0, 0, 0)                                           // the only file
	lines := append(u32([]byte{4, 0}, uint32(len(header))), header...)
	lines = u32(append(lines, 0, 5, 2), first) // set the address
	lines = append(lines, 1)                   // a line
	lines = appendU32(append(lines, 2), length, 1)
	lines = append(lines, 0, 1, 1) // the end
	return [][2]string{{".debug_abbrev", abbreviations}, {".debug_info", sized(unit)}, {".debug_line", sized(lines)}}
}

// writeDebug adds the sections.
func (r *rewriter) writeDebug() {
	for _, s := range debugSections(r.opts.Offsets) {
		payload := append(appendName(nil, s[0]), s[1]...)
		r.out = appendU32(append(r.out, secCustom), uint32(len(payload)), 1)
		r.out = append(r.out, payload...)
	}
}

// OffsetMap tells where code of a rewritten module comes from.
type OffsetMap struct {
	functions []movedFunction
	moves     []byte // of each function: the differences of new and old offset to the last, and how many bytes stay
	section   int    // where the contents of the original code section begin in the module
	imported  uint32
}

// movedFunction is where a function lies in the contents of the rewritten code section, and where
// its moves are.
type movedFunction struct{ at, end, moves uint32 }

// tracing collects the map while bodies are written.
type tracing struct {
	m        OffsetMap
	new, old int // the last move of the function
	base     int // of the batch in the rewritten section
}

// Offsets returns the map of what [Rewrite] makes of the module with the same options. It takes as
// long as Rewrite does, and a few bytes for each instruction that was changed.
func Offsets(m *Module, opts Options) (*OffsetMap, error) {
	t := &tracing{}
	if _, _, err := rewrite(m.data, opts, tuning{force: true, trace: t}); err != nil {
		return nil, err
	}
	return &t.m, nil
}

// move notes that at an offset in the new body stand n bytes that are at an old offset in the
// module.
func (t *tracing) move(new, old, n int) {
	if n == 0 {
		return
	}
	t.m.moves = binary.AppendVarint(t.m.moves, int64(new-t.new))
	t.m.moves = binary.AppendVarint(t.m.moves, int64(old-t.old))
	t.m.moves = binary.AppendUvarint(t.m.moves, uint64(n))
	t.new, t.old = new, old
}

// begin begins a body, end notes where it lies in its batch.
func (t *tracing) begin() {
	t.new, t.old = 0, 0
	t.m.functions = append(t.m.functions, movedFunction{moves: uint32(len(t.m.moves))})
}

func (t *tracing) end(at, end int) {
	f := &t.m.functions[len(t.m.functions)-1]
	f.at, f.end = uint32(t.base+at), uint32(t.base+end)
}

// Original returns the place in the original module of the instruction at an offset in the contents
// of the rewritten module's code section: the function's index, and the offset in the contents of
// the original code section, by which DWARF counts. Code that the rewriter added stands for the
// instruction that follows it. ok is false for functions that it added.
func (m *OffsetMap) Original(offset uint64) (function uint32, original uint64, ok bool) {
	n, found := slices.BinarySearchFunc(m.functions, offset, func(f movedFunction, at uint64) int { return cmp.Compare(uint64(f.at), at) })
	if !found {
		n--
	}
	if n < 0 || offset >= uint64(m.functions[n].end) {
		return 0, 0, false
	}
	f := m.functions[n]
	moves := m.moves[f.moves:]
	if n+1 < len(m.functions) {
		moves = m.moves[f.moves:m.functions[n+1].moves]
	}
	at := int64(offset - uint64(f.at))
	var new, old, length int64
	for len(moves) > 0 {
		d, a := binary.Varint(moves)
		e, b := binary.Varint(moves[a:])
		n, c := binary.Uvarint(moves[a+b:])
		if new+d > at {
			break
		}
		new, old, length = new+d, old+e, int64(n)
		moves = moves[a+b+c:]
	}
	return m.imported + uint32(n), uint64(old + min(at-new, length) - int64(m.section)), true
}
