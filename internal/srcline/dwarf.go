package srcline

import (
	"math"
	"path"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// Sections of DWARF. The tables of lines stand one after the other in one section, and say
// themselves which code each is of.
const (
	lineSection     = ".debug_line"
	stringSection   = ".debug_str"
	strings5Section = ".debug_line_str"
)

// Opcodes of a line program.
const (
	lnsCopy           = 1
	lnsAdvancePC      = 2
	lnsAdvanceLine    = 3
	lnsSetFile        = 4
	lnsSetColumn      = 5
	lnsConstAddPC     = 8
	lnsFixedAdvancePC = 9
	lneEndSequence    = 1
	lneSetAddress     = 2
	lowestTombstone   = 0xfffffffe // of code that the linker dropped
)

// maxNames is how many bytes the tables of directories and files of one unit may have: they are
// read for each place.
const maxNames = 512 << 10

// Forms of the names in a header of version 5, and what they may be of.
const (
	formData2   = 0x05
	formData4   = 0x06
	formData8   = 0x07
	formString  = 0x08
	formBlock   = 0x09
	formData1   = 0x0b
	formStrp    = 0x0e
	formUdata   = 0x0f
	formData16  = 0x1e
	formLineStr = 0x1f

	contentPath      = 1
	contentDirectory = 2
)

// row is what a line program knows at an address.
type row struct {
	address            uint64
	file, line, column uint64
}

// match is the best that was found for a place.
type match struct {
	row  row
	unit *unit
}

// unit is one line table.
type unit struct {
	version, addressSize   uint64
	header                 []byte // the tables of directories and files
	program                reader
	least                  uint64 // the length of an instruction
	base                   int8
	lines, opcodes         byte
	lengths                []byte // of the operands of opcodes
	strings, stringsOfLine []byte
}

// findDWARF looks places up.
func findDWARF(m *wasmbin.Module, places []Place, lines []Line) {
	section := reader{b: m.CustomSection(lineSection)}
	if len(section.b) == 0 {
		return
	}
	f := finder{matches: make([]match, len(places)), order: make([]int, len(places)), places: places}
	for i := range f.order {
		f.order[i] = i
	}
	slices.SortFunc(f.order, func(a, b int) int { return int(int64(places[a].Offset) - int64(places[b].Offset)) })
	strs, line := m.CustomSection(stringSection), m.CustomSection(strings5Section)
	for len(section.b) > 0 {
		u, ok := readUnit(&section)
		if !ok {
			continue
		}
		u.strings, u.stringsOfLine = strs, line
		f.run(u)
	}
	for i, found := range f.matches {
		if found.unit != nil && len(found.unit.header) <= maxNames {
			lines[i] = Line{File: found.unit.file(found.row.file), Line: int(min(found.row.line, 1<<31)), Column: int(min(found.row.column, 1<<31))}
		}
	}
}

// readUnit reads the beginning of the next table, and passes it.
func readUnit(section *reader) (*unit, bool) {
	length := section.uint(4)
	if length >= 0xfffffff0 { // 64 bits: of no use for code of 32
		section.b = nil
		return nil, false
	}
	r := reader{b: section.bytes(length)}
	u := &unit{version: r.uint(2), addressSize: 4}
	if u.version < 2 || u.version > 5 {
		return nil, false
	}
	if u.version == 5 {
		u.addressSize = r.uint(1)
		r.uint(1)
	}
	header := reader{b: r.bytes(r.uint(4))}
	u.program = r
	u.least = header.uint(1)
	if u.version >= 4 {
		header.uint(1) // operations of an instruction: wide ones
	}
	header.uint(1)
	u.base, u.lines, u.opcodes = int8(header.u8()), header.u8(), header.u8()
	if u.opcodes > 0 {
		u.lengths = header.bytes(uint64(u.opcodes) - 1)
	}
	u.header = header.b
	return u, !header.bad && !r.bad && u.lines > 0 && u.opcodes > 0
}

// finder looks for places while line programs run.
type finder struct {
	places  []Place
	order   []int // by offset
	matches []match
}

// run runs the program of a table.
func (f *finder) run(u *unit) {
	r := &u.program
	start := row{file: 1, line: 1}
	now, last := start, start
	open := false // last is a row of this sequence
	emit := func() {
		if open {
			f.between(u, last, now.address)
		}
		last, open = now, true
	}
	for len(r.b) > 0 {
		switch op := r.u8(); {
		case op >= u.opcodes:
			op -= u.opcodes
			now.address += uint64(op/u.lines) * u.least
			now.line += uint64(int64(u.base) + int64(op%u.lines))
			emit()
		case op == 0:
			e := reader{b: r.bytes(r.uleb())}
			switch e.u8() {
			case lneEndSequence:
				emit()
				now, open = start, false
			case lneSetAddress:
				now.address = e.uint(min(uint64(len(e.b)), 8))
			}
		case op == lnsCopy:
			emit()
		case op == lnsAdvancePC:
			now.address += r.uleb() * u.least
		case op == lnsAdvanceLine:
			now.line += uint64(r.sleb())
		case op == lnsSetFile:
			now.file = r.uleb()
		case op == lnsSetColumn:
			now.column = r.uleb()
		case op == lnsConstAddPC:
			now.address += uint64((255-u.opcodes)/u.lines) * u.least
		case op == lnsFixedAdvancePC:
			now.address += r.uint(2)
		default:
			for range u.lengths[op-1] {
				r.uleb()
			}
		}
	}
}

// between notes for the places from one row to the address of the next that they are of that row,
// unless a later row began nearer.
func (f *finder) between(u *unit, from row, end uint64) {
	if from.address == 0 || from.address >= lowestTombstone || end <= from.address {
		return
	}
	n, _ := slices.BinarySearchFunc(f.order, from.address, func(i int, address uint64) int {
		if f.places[i].Offset < address {
			return -1
		}
		return 1
	})
	for ; n < len(f.order) && f.places[f.order[n]].Offset < end; n++ {
		if m := &f.matches[f.order[n]]; m.unit == nil || m.row.address <= from.address {
			*m = match{from, u}
		}
	}
}

// file returns the name of a file of the table, with its directory.
func (u *unit) file(index uint64) string {
	r := reader{b: u.header}
	if u.version == 5 {
		return u.file5(&r, index)
	}
	directories := r
	for name := r.name(); len(name) > 1; name = r.name() {
	}
	for i := uint64(1); !r.bad; i++ {
		name := r.name()
		if len(name) <= 1 {
			return ""
		}
		directory := r.uleb()
		r.uleb()
		r.uleb()
		if i == index {
			var in []byte
			for j := uint64(0); j < directory && !directories.bad; j++ {
				in = directories.name()
			}
			return join(text(in), text(name))
		}
	}
	return ""
}

// file5 does the same for version 5.
func (u *unit) file5(r *reader, index uint64) string {
	directories := *r
	u.entry(r, math.MaxUint64)
	name, directory := u.entry(r, index)
	at := directories
	in, _ := u.entry(&at, directory)
	if directory > 0 {
		root, _ := u.entry(&directories, 0)
		in = join(root, in)
	}
	return join(in, name)
}

// entry reads a table of directories or files, and returns the name and the directory of one of its
// entries.
func (u *unit) entry(r *reader, index uint64) (name string, directory uint64) {
	type field struct{ content, form uint64 }
	var format []field
	for range r.u8() {
		format = append(format, field{r.uleb(), r.uleb()})
	}
	n := r.uleb()
	if len(format) == 0 {
		return "", 0
	}
	for i := uint64(0); i < n && !r.bad; i++ {
		for _, f := range format {
			b, v := u.value(r, f.form)
			switch {
			case i != index:
			case f.content == contentPath:
				name = text(b)
			case f.content == contentDirectory:
				directory = v
			}
		}
	}
	return name, directory
}

// value reads a text or a number.
func (u *unit) value(r *reader, form uint64) (b []byte, v uint64) {
	switch form {
	case formString:
		return r.name(), 0
	case formLineStr, formStrp:
		from := u.strings
		if form == formLineStr {
			from = u.stringsOfLine
		}
		at := r.uint(4)
		return from[min(at, uint64(len(from))):], 0
	case formData1:
		return nil, r.uint(1)
	case formData2:
		return nil, r.uint(2)
	case formData4:
		return nil, r.uint(4)
	case formData8:
		return nil, r.uint(8)
	case formUdata:
		return nil, r.uleb()
	case formData16:
		return r.bytes(16), 0
	case formBlock:
		return r.bytes(r.uleb()), 0
	}
	r.b, r.bad = nil, true // a form that nobody uses here
	return nil, 0
}

func join(directory, name string) string {
	if directory == "" || strings.HasPrefix(name, "/") {
		return name
	}
	return path.Join(directory, name)
}
