package wasmbin

import (
	"bytes"
	"math"

	"github.com/wasivirt/wasivirt/internal/safetext"
)

// Inspect reads the structure of a module: all sections but the bodies of the
// functions. It errs with a [*FormatError].
//
// What Inspect accepts need not be valid: types are not checked. What it refuses
// is not a module that wazero compiles.
func Inspect(module []byte) (*Module, error) {
	return parse(module)
}

func parse(module []byte) (*Module, error) {
	if err := checkHeader(module); err != nil {
		return nil, err
	}
	if uint64(len(module)) > math.MaxUint32 {
		return nil, &FormatError{Section: "header", Msg: "a module of more than 4 GiB"}
	}
	m := &Module{layout: layout{data: module}}
	if err := m.findSections(); err != nil {
		return nil, err
	}
	var constGlobal, constGlobalAt int // the highest that a constant expression names
	refs := &refs{
		global: func(at int, index uint32) {
			if int(index) >= constGlobal {
				constGlobal, constGlobalAt = int(index)+1, at
			}
		},
		fn: func(at, end int, index uint32) error {
			if int(index) >= len(m.funcs) {
				return m.errAt(at, "function %d of %d", index, len(m.funcs))
			}
			return nil
		},
	}
	for i := range m.sections {
		s := &m.sections[i]
		c := m.cursor(s)
		m.parseSection(c, s, refs)
		if c.err == nil && c.pos != s.end {
			c.fail(c.pos, "%d bytes left over", s.end-c.pos)
		}
		c.checkHeapTypes(len(m.Types))
		if c.err != nil {
			return nil, c.err
		}
	}
	if constGlobal > len(m.globals) {
		return nil, m.errAt(constGlobalAt, "global %d of %d", constGlobal-1, len(m.globals))
	}
	m.Functions = len(m.funcs)
	if defined := len(m.funcs) - m.importedFuncs; defined != m.bodies {
		at := len(module)
		if s := m.section(secCode); s != nil {
			at = s.pos
		}
		return nil, m.errAt(at, "%d functions are declared and %d have bodies", defined, m.bodies)
	}
	m.UsesAtomics = m.UsesAtomics || m.SharedMemory()
	return m, nil
}

// errAt is an error at an offset, in the section that holds it.
func (m *Module) errAt(at int, format string, args ...any) *FormatError {
	c := cursor{section: "module"}
	for i := range m.sections {
		if s := &m.sections[i]; at >= s.at && at <= s.end {
			c.section = sectionNames[s.id]
		}
	}
	c.fail(at, format, args...)
	return c.err
}

func (m *Module) cursor(s *section) *cursor {
	return &cursor{data: m.data, pos: s.pos, end: s.end, section: sectionNames[s.id]}
}

// findSections cuts the module into sections and checks their order.
func (m *Module) findSections() error {
	c := &cursor{data: m.data, pos: 8, end: len(m.data), section: "header"}
	lastRank := 0
	for c.pos < c.end {
		s := section{at: c.pos}
		s.id = c.byte()
		s.size = c.pos
		if int(s.id) >= len(sectionNames) {
			c.fail(s.at, "unknown section %d", s.id)
			return c.err
		}
		c.section = sectionNames[s.id]
		size := c.u32()
		s.pos = c.pos
		if uint64(size) > uint64(c.end-c.pos) {
			c.fail(s.size, "truncated: the section has %d bytes, %d are left", size, c.end-c.pos)
		}
		if c.err != nil {
			return c.err
		}
		s.end = s.pos + int(size)
		if s.id == secCustom {
			body := &cursor{data: m.data, pos: s.pos, end: s.end, section: c.section}
			s.name = body.name("section name")
			if s.name == "name" && m.FunctionNames {
				body.fail(s.at, "a second name section")
			}
			if body.err != nil {
				return body.err
			}
			s.pos = body.pos
			m.CustomSections = append(m.CustomSections, s.name)
			m.FunctionNames = m.FunctionNames || s.name == "name"
		} else {
			if sectionRank[s.id] <= lastRank {
				c.fail(s.at, "out of order, or a second one")
				return c.err
			}
			lastRank = sectionRank[s.id]
		}
		c.pos = s.end
		m.sections = append(m.sections, s)
	}
	return nil
}

func (m *Module) parseSection(c *cursor, s *section, refs *refs) {
	vector := func(what string, minSize int) int {
		n := c.count(what, minSize)
		s.vector = c.pos
		return n
	}
	switch s.id {
	case secCustom:
		if s.name == "target_features" && bytes.Contains(c.data[s.pos:s.end], []byte("+\x07atomics")) {
			m.UsesAtomics = true
		}
		if s.name == "name" {
			parseNames(c)
			return
		}
		c.pos = s.end
	case secType:
		n := vector("types", 2)
		m.typeEntries = n
		for i := 0; i < n && c.err == nil; i++ {
			m.parseTypeEntry(c)
		}
	case secImport:
		n := vector("imports", 4)
		for i := 0; i < n && c.err == nil; i++ {
			m.parseImport(c)
		}
		m.importedFuncs, m.importedGlobs = len(m.funcs), len(m.globals)
	case secFunction:
		n := vector("functions", 1)
		for i := 0; i < n && c.err == nil; i++ {
			m.parseFunc(c)
		}
	case secTable:
		n := vector("tables", 3)
		for i := 0; i < n && c.err == nil; i++ {
			m.ownTables = append(m.ownTables, m.parseTable(c, refs))
		}
	case secMemory:
		n := vector("memories", 2)
		for i := 0; i < n && c.err == nil; i++ {
			m.Memories = append(m.Memories, parseMemory(c))
		}
	case secTag:
		n := vector("tags", 2)
		for i := 0; i < n && c.err == nil; i++ {
			m.parseTag(c)
		}
	case secGlobal:
		n := vector("globals", 4)
		for i := 0; i < n && c.err == nil; i++ {
			m.globals = append(m.globals, parseGlobalType(c))
			parseConstExpr(c, refs)
		}
	case secExport:
		n := vector("exports", 3)
		for i := 0; i < n && c.err == nil; i++ {
			m.parseExport(c)
		}
	case secStart:
		at := c.pos
		index := c.u32()
		if int(index) >= len(m.funcs) {
			c.fail(at, "function %d of %d", index, len(m.funcs))
		}
		m.Start = &index
	case secElement:
		n := vector("element segments", 2)
		m.segments += n
		for i := 0; i < n && c.err == nil; i++ {
			passive, elements := parseElement(c, refs)
			m.elements += uint64(elements)
			if passive {
				m.passive += uint64(elements)
			}
		}
	case secDataCount:
		c.u32()
	case secCode:
		m.bodies = vector("function bodies", 2)
		c.pos = s.end
	case secData:
		n := vector("data segments", 2)
		m.segments += n
		for i := 0; i < n && c.err == nil; i++ {
			parseData(c, refs)
		}
	}
}

// refs is told of the indices that constant expressions and element segments
// hold.
type refs struct {
	// fn is told of a function and where its index stands.
	fn func(at, end int, index uint32) error
	// global is told of a global.
	global func(at int, index uint32)
	// table, unless nil, is told of a table and where its limits stand.
	table func(t *Table, limits span)
}

func (r *refs) visitFunc(c *cursor) {
	at := c.pos
	index := c.u32()
	if c.err != nil {
		return
	}
	if err := r.fn(at, c.pos, index); err != nil {
		c.fail(at, "%s", err.(*FormatError).Msg)
	}
}

const (
	typeFunc     = 0x60
	typeRecGroup = 0x4e
)

func (m *Module) parseTypeEntry(c *cursor) {
	at := c.pos
	switch form := c.byte(); form {
	case typeFunc:
		m.parseFuncType(c)
	case typeRecGroup:
		n := c.count("types of a group", 3)
		for i := 0; i < n && c.err == nil; i++ {
			at := c.pos
			if form := c.byte(); form != typeFunc {
				c.fail(at, "unknown type form %#x", form)
			}
			m.parseFuncType(c)
		}
	default:
		c.fail(at, "unknown type form %#x", form)
	}
}

func (m *Module) parseFuncType(c *cursor) {
	var t FuncType
	t.Params = parseValueTypes(c, "parameters")
	start := c.pos
	t.Results = parseValueTypes(c, "results")
	if c.err == nil {
		t.rawResults = c.data[start:c.pos]
	}
	m.Types = append(m.Types, t)
}

func parseValueTypes(c *cursor, what string) []ValueType {
	n := c.count(what, 1)
	if n == 0 {
		return nil
	}
	types := make([]ValueType, 0, n)
	for i := 0; i < n && c.err == nil; i++ {
		types = append(types, parseValueType(c))
	}
	return types
}

func parseValueType(c *cursor) ValueType {
	at := c.pos
	switch t := ValueType(c.byte()); t {
	case ValueI32, ValueI64, ValueF32, ValueF64, ValueV128, ValueFuncref, ValueExternref, ValueExnref:
		return t
	case ValueRefNull, ValueRef:
		c.heapType()
		return t
	default:
		c.fail(at, "unknown value type %#x", byte(t))
		return 0
	}
}

func (m *Module) typeIndex(c *cursor) uint32 {
	at := c.pos
	index := c.u32()
	if int(index) >= len(m.Types) {
		c.fail(at, "type %d of %d", index, len(m.Types))
	}
	return index
}

func (m *Module) parseFunc(c *cursor) {
	if t := m.typeIndex(c); c.err == nil {
		m.funcs = append(m.funcs, t)
	}
}

func (m *Module) parseTag(c *cursor) FuncType {
	c.zero("the attribute of a tag")
	t := m.typeIndex(c)
	if c.err != nil {
		return FuncType{}
	}
	m.tags++
	return m.Types[t]
}

func (m *Module) parseImport(c *cursor) {
	var i Import
	from := span{at: c.pos}
	i.Module = c.name("import module")
	from.end = c.pos
	i.Name = c.name("import name")
	at := c.pos
	i.Kind = Kind(c.byte())
	switch i.Kind {
	case KindFunc:
		m.parseFunc(c)
		if c.err == nil {
			i.Func = m.Types[m.funcs[len(m.funcs)-1]]
		}
	case KindTable:
		i.Table = m.parseTable(c, nil)
	case KindMemory:
		i.Memory = parseMemory(c)
		i.Memory.Imported, i.Memory.Module, i.Memory.Name = true, i.Module, i.Name
		m.Memories = append(m.Memories, i.Memory)
		if i.Memory.Shared {
			m.memoryFrom = from
		}
	case KindGlobal:
		i.Global = parseGlobalType(c)
		m.globals = append(m.globals, i.Global)
	case KindTag:
		i.Func = m.parseTag(c)
	default:
		c.fail(at, "unknown kind of import %d", i.Kind)
	}
	m.Imports = append(m.Imports, i)
}

func parseLimits(c *cursor, what string) (lo, hi uint64, hasMax, shared bool) {
	at := c.pos
	flags := c.byte()
	if flags > 3 {
		if flags <= 7 {
			c.fail(at, "a 64-bit %s, which is not offered", what)
		} else {
			c.fail(at, "unknown flags %#x of a %s", flags, what)
		}
		return
	}
	lo = uint64(c.u32())
	if hasMax = flags&1 != 0; hasMax {
		hi = uint64(c.u32())
	}
	return lo, hi, hasMax, flags&2 != 0
}

func parseMemory(c *cursor) (mem Memory) {
	mem.Min, mem.Max, mem.HasMax, mem.Shared = parseLimits(c, "memory")
	return mem
}

// parseTable reads a table; the form with an initial value (typed function
// references) has an expression, which an imported table has not.
func (m *Module) parseTable(c *cursor, refs *refs) (t Table) {
	withInit := false
	if c.pos < c.end && c.data[c.pos] == 0x40 && refs != nil {
		withInit = true
		c.pos++
		c.zero("the byte after a table's prefix")
	}
	t.Type = parseValueType(c)
	at := c.pos
	var shared bool
	t.Min, t.Max, t.HasMax, shared = parseLimits(c, "table")
	if shared {
		c.fail(at, "a shared table")
	}
	if refs != nil && refs.table != nil {
		refs.table(&t, span{at, c.pos})
	}
	if withInit {
		parseConstExpr(c, refs)
	}
	m.tables++
	return t
}

func parseGlobalType(c *cursor) (g GlobalType) {
	g.Type = parseValueType(c)
	at := c.pos
	mutable := c.byte()
	if mutable > 1 {
		c.fail(at, "mutability is %#x", mutable)
	}
	g.Mutable = mutable == 1
	return g
}

func (m *Module) parseExport(c *cursor) {
	e := Export{Name: c.name("export name")}
	at := c.pos
	e.Kind = Kind(c.byte())
	indexAt := c.pos
	e.Index = c.u32()
	var n int
	switch e.Kind {
	case KindFunc:
		n = len(m.funcs)
	case KindTable:
		n = m.tables
		m.tableExports++
	case KindMemory:
		n = len(m.Memories)
	case KindGlobal:
		n = len(m.globals)
	case KindTag:
		n = m.tags
	default:
		c.fail(at, "unknown kind of export %d", e.Kind)
		return
	}
	if int(e.Index) >= n {
		c.fail(indexAt, "export %s is %s %d of %d", safetext.Quote(e.Name), e.Kind, e.Index, n)
	}
	m.Exports = append(m.Exports, e)
}
