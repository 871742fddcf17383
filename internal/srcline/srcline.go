// Package srcline finds the file and line that code of a WebAssembly module was compiled from: by
// the line tables of DWARF, and in programs compiled by Go by the runtime's own table.
//
// Modules may be made to harm who reads them. A look-up reads each table once, keeps nothing, and
// allocates no more than the names that it returns; wrong tables give no lines, or wrong ones.
// Chains of inlined calls are not followed: the line is that of the innermost.
package srcline

import (
	"slices"
	"strconv"

	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// Place is where an instruction is.
type Place struct {
	Function uint32 // its index
	Offset   uint64 // in the contents of the code section
}

// Line is a line of source code.
type Line struct {
	File         string
	Line, Column int // 0 where it is not known
}

// String returns "file:line:column", without what is not known, and "" for the zero Line.
func (l Line) String() string {
	s := l.File
	if l.Line > 0 {
		s += ":" + strconv.Itoa(l.Line)
		if l.Column > 0 {
			s += ":" + strconv.Itoa(l.Column)
		}
	}
	return s
}

// Known reports whether a module says what its code was compiled from.
func Known(m *wasmbin.Module) bool {
	return slices.ContainsFunc(m.CustomSections, func(name string) bool { return name == lineSection || name == goSection })
}

// Find returns the line of each place, the zero Line where it is not known.
func Find(m *wasmbin.Module, places []Place) []Line {
	lines := make([]Line, len(places))
	findDWARF(m, places, lines)
	if goTable := openGo(m); goTable != nil {
		for i, p := range places {
			if lines[i].File == "" {
				lines[i] = goTable.line(m, p)
			}
		}
	}
	return lines
}

// maxFile is how many bytes of a file's name are returned.
const maxFile = 4096

// text returns the bytes before the first zero, of which a name has no more than maxFile.
func text(b []byte) string {
	n := slices.Index(b[:min(len(b), maxFile)], 0)
	if n < 0 {
		n = min(len(b), maxFile)
	}
	return string(b[:n])
}
