package srcline

import (
	"bytes"
	"math"

	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// goSection is a custom section that Go's linker writes.
const goSection = "go:buildid"

// goTable is the table by which the runtime of a Go program finds lines (pclntab), as of Go 1.20.
// In WebAssembly a program counter is the number of a function, from goText, and of a piece of it,
// in 16 bits.
type goTable struct {
	functions               uint64 // how many
	files, units, values, f []byte // names of files, the files of each package, values by program counter, functions
}

const (
	goMagic = "\xf1\xff\xff\xff\x00\x00\x01\x08" // with the length of instructions and the size of words
	// maxImage is how much of the memory, from the table on, is looked at.
	maxImage = 1 << 28
	// maxTries is at how many places the table is looked for.
	maxTries = 4
	// goText is the number of the first function in program counters.
	goText = 0x1000
)

// openGo finds the table in the data of the module. Long runs of zeros in it are not in the module.
func openGo(m *wasmbin.Module) *goTable {
	if m.CustomSection(goSection) == nil {
		return nil
	}
	data := m.FixedData()
	tries := 0
	for i, s := range data {
		for at := 0; tries < maxTries; at, tries = at+1, tries+1 {
			n := bytes.Index(s.Bytes[at:], []byte(goMagic))
			if n < 0 {
				break
			}
			at += n
			if t := newGoTable(image(data[i:], uint64(s.Offset)+uint64(at))); t != nil {
				return t
			}
		}
	}
	return nil
}

// image is the memory from an address on. Go's linker writes the segments by address.
func image(data []wasmbin.Segment, from uint64) []byte {
	end, bytes := from, uint64(0)
	for _, s := range data {
		if at := uint64(s.Offset); at > end+1<<20 {
			break
		}
		bytes += uint64(len(s.Bytes))
		end = max(end, uint64(s.Offset)+uint64(len(s.Bytes)))
	}
	if end-from > min(maxImage, 2*bytes+1<<16) {
		return nil
	}
	b := make([]byte, end-from)
	for _, s := range data {
		if at := uint64(s.Offset); at >= from && at < end {
			copy(b[at-from:], s.Bytes)
		} else if at < from && at+uint64(len(s.Bytes)) > from {
			copy(b, s.Bytes[from-at:])
		}
	}
	return b
}

func newGoTable(b []byte) *goTable {
	word := func(n uint64) uint64 {
		r := reader{b: b[min(8+8*n, uint64(len(b))):]}
		return r.uint(8)
	}
	part := func(n uint64) []byte { return b[min(word(n), uint64(len(b))):] }
	t := &goTable{functions: word(0), units: part(4), files: part(5), values: part(6), f: part(7)}
	if t.functions == 0 || t.functions > uint64(len(t.f))/8 || len(t.files) == 0 {
		return nil
	}
	return t
}

// line looks a place up.
func (t *goTable) line(m *wasmbin.Module, p Place) (l Line) {
	number := int64(p.Function) - int64(m.ImportedFunctions())
	if number < 0 || number > math.MaxUint16 {
		return l
	}
	pc, _ := m.ResumePoint(p.Function, p.Offset)
	r := reader{b: t.function(uint64(number))}
	if len(r.b) == 0 {
		return l
	}
	r.bytes(5 * 4) // the entry, the name, arguments, deferreturn, the height of the stack
	files, lines := r.uint(4), r.uint(4)
	r.uint(4)
	unit := r.uint(4)
	file, ok := t.value(files, pc)
	if !ok {
		return l
	}
	at := (unit + uint64(file)) * 4
	if at >= uint64(len(t.units)) {
		return l
	}
	f := reader{b: t.units[at:]}
	name := f.uint(4)
	l.File = text(t.files[min(name, uint64(len(t.files))):])
	if n, ok := t.value(lines, pc); ok && n > 0 {
		l.Line = int(n)
	}
	return l
}

// function returns what is known of a function by its number.
func (t *goTable) function(number uint64) []byte {
	entry := number << 16 // until Go 1.25, from the beginning of the code
	if first := (&reader{b: t.f}).uint(4); first == goText {
		entry = goText + number
	}
	lo, hi := uint64(0), t.functions
	for lo < hi {
		mid := (lo + hi) / 2
		r := reader{b: t.f[8*mid:]}
		at, info := r.uint(4), r.uint(4)
		switch {
		case at == entry:
			return t.f[min(info, uint64(len(t.f))):]
		case at < entry:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return nil
}

// value reads a value at a program counter within a function from one of the tables of values.
func (t *goTable) value(table uint64, pc uint32) (int32, bool) {
	if table == 0 {
		return 0, false
	}
	r := reader{b: t.values[min(table, uint64(len(t.values))):]}
	v := int32(-1)
	for at := uint64(0); len(r.b) > 0; {
		d := uint32(r.uleb())
		if d == 0 && at != 0 {
			break
		}
		v += int32(d>>1) ^ -int32(d&1)
		step := r.uleb()
		if step == 0 { // no linker writes that, and the table could be as long as the memory
			break
		}
		if at += step; uint64(pc) < at {
			return v, true
		}
	}
	return 0, false
}
