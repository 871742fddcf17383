package wasmbin

import "hash/crc32"

// What finding lines of source code needs of a module.

// CustomSection returns the contents of the first custom section of that name, which belong to the
// module, or nil.
func (m *Module) CustomSection(name string) []byte {
	for i := range m.sections {
		if s := &m.sections[i]; s.id == secCustom && s.name == name {
			return m.data[s.pos:s.end]
		}
	}
	return nil
}

// ImportedFunctions is how many of the functions are imported.
func (m *Module) ImportedFunctions() int { return m.importedFuncs }

// FixedData returns the data segments that lie at constant addresses from the beginning. The bytes
// belong to the module.
func (m *Module) FixedData() []Segment {
	s := m.section(secData)
	if s == nil {
		return nil
	}
	var all []Segment
	c := m.cursor(s)
	for range c.u32() {
		seg, active, fixed := parseFixedData(c)
		if c.err != nil {
			return all
		}
		if active && fixed && len(seg.Bytes) > 0 {
			all = append(all, seg)
		}
	}
	return all
}

// ResumePoint tells where an instruction of a function compiled by Go is. Such a function is a nest
// of blocks with a br_table in the innermost, which continues behind the block that the program
// counter names. ResumePoint returns the last program counter that leads into the piece of code in
// which the offset, in the contents of the code section, is.
func (m *Module) ResumePoint(function uint32, offset uint64) (pc uint32, ok bool) {
	s := m.section(secCode)
	if s == nil || int(function) < m.importedFuncs || int(function)-m.importedFuncs >= m.bodies {
		return 0, false
	}
	bodies := newBodyReader(m)
	for range int(function) - m.importedFuncs { // passes bodies without decoding them
		size := bodies.c.count("bytes of a body", 1)
		bodies.c.pos += size
	}
	bodies.fn = function
	b, ok, err := bodies.next()
	if err != nil || !ok {
		return 0, false
	}
	at := uint64(s.pos) + offset
	depth, table, passed := 0, -1, 0
	var nest []int // the depth at which each block around the table ends, the innermost last
	for i := range b.instrs {
		in := &b.instrs[i]
		if uint64(in.at) > at {
			break
		}
		switch in.op {
		case opBlock, opLoop, opIf, opTryTable:
			depth++
			if table < 0 {
				nest = append(nest, depth)
			}
		case opEnd:
			if table < 0 && len(nest) > 0 {
				nest = nest[:len(nest)-1]
			}
			if n := len(nest) - 1 - passed; table >= 0 && n >= 0 && depth == nest[n] {
				passed++
			}
			depth--
		case opBrTable:
			if table < 0 {
				table = i
			}
		}
	}
	if table < 0 || passed == 0 {
		return 0, false
	}
	e := emitter{rewriter: &rewriter{Module: m}}
	n := uint32(0)
	e.eachLabel(&b.instrs[table], func(_, _ int, label uint32) {
		if int(label) == passed-1 {
			pc, ok = n, true
		}
		n++
	})
	return pc, ok
}

// Checksum identifies the module among others that nobody made to have the same.
func (m *Module) Checksum() uint32 {
	return crc32.Checksum(m.data, crc32.MakeTable(crc32.Castagnoli))
}
