package wasmbin

// FunctionAt returns the function that the instruction at an offset of the module belongs to, and
// the instruction's offset in the contents of the code section, by which DWARF counts.
func (m *Module) FunctionAt(at uint32) (function uint32, offset uint64, ok bool) {
	s := m.section(secCode)
	if s == nil || int(at) < s.vector {
		return 0, 0, false
	}
	c := m.cursor(s)
	c.pos = s.vector
	for n := range m.bodies {
		size := c.count("bytes of a body", 1)
		if c.err != nil {
			return 0, 0, false
		}
		if c.pos += size; int(at) < c.pos {
			return uint32(m.importedFuncs + n), uint64(at) - uint64(s.pos), true
		}
	}
	return 0, 0, false
}

// NamesOfFunctions returns the names of functions that the module has for people.
func (m *Module) NamesOfFunctions() map[uint32]string {
	names := map[uint32]string{}
	section := m.CustomSection("name")
	c := &cursor{data: section, end: len(section), section: "name"}
	for c.pos < c.end && c.err == nil {
		id := c.byte()
		size := c.count("bytes of names", 1)
		end := c.pos + size
		if id != nameFunctions || c.err != nil {
			c.bytes(size)
			continue
		}
		for n := c.count("names", 2); n > 0 && c.err == nil && c.pos < end; n-- {
			index := c.u32()
			names[index] = c.name("function name")
		}
		break
	}
	return names
}
