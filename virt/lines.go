package virt

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/internal/srcline"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// sourceLines finds the lines of source code that a module's stacks lead through. Nothing is read
// before a stack is asked for.
type sourceLines struct {
	mu    sync.Mutex
	moved *wasmbin.OffsetMap
	err   error             // why there is no map
	known map[uint64]string // lines by offset in the rewritten code section, maxKnownLines at most
}

// maxKnownLines is how many lines are kept for the next stack.
const maxKnownLines = 1 << 12

// offsetFile is the file in which all code of a module is for the engine, "" where nobody knows of
// better ones.
func offsetFile(info *wasmbin.Module) string {
	if !srcline.Known(info) {
		return ""
	}
	return fmt.Sprintf("wasm-%08x", info.Checksum())
}

// maxStackLines is how many functions a stack in a Result holds. The engine tells of thirty.
const maxStackLines = 128

// stack returns a stack as the engine prints it, without its indentation, with lines of source code
// behind the functions, and with names as programmers write them.
func (c *compilation) stack(text string) string {
	text, _, _ = strings.Cut(text, goStackHeader)
	var functions []string
	var offsets []uint64 // of each function, 0 where the engine tells none
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch offset, file, ok := parseOffset(line); {
		case line == "":
		case !ok:
			functions, offsets = append(functions, line), append(offsets, 0)
		case len(offsets) > 0 && c != nil && file == c.offsetFile:
			offsets[len(offsets)-1] = offset
		}
	}
	lines := c.lines(offsets)
	var b strings.Builder
	for i, f := range functions {
		b.WriteString(srcline.Demangle(f))
		if lines[i] != "" {
			b.WriteString(" at " + lines[i])
		}
		b.WriteByte('\n')
	}
	return safetext.Lines(b.String(), maxStackLines)
}

// parseOffset reads what wazero writes of an instruction: "0x1f: file:1".
func parseOffset(line string) (offset uint64, file string, ok bool) {
	number, file, found := strings.Cut(line, ": ")
	hex, isHex := strings.CutPrefix(number, "0x")
	if !found || !isHex {
		return 0, "", false
	}
	offset, err := strconv.ParseUint(hex, 16, 64)
	return offset, strings.TrimSuffix(file, ":1"), err == nil
}

// lines returns the lines of source code at offsets in the rewritten code section.
func (c *compilation) lines(offsets []uint64) []string {
	lines := make([]string, len(offsets))
	if c == nil || c.offsetFile == "" {
		return lines
	}
	s := &c.source
	s.mu.Lock()
	defer s.mu.Unlock()
	var places []srcline.Place
	var at []int
	for i, offset := range offsets {
		if offset == 0 {
			continue
		}
		if line, ok := s.known[offset]; ok {
			lines[i] = line
			continue
		}
		if s.moved == nil && s.err == nil {
			s.moved, s.err = wasmbin.Offsets(c.info, c.options)
		}
		if s.err != nil {
			return lines
		}
		if function, original, ok := s.moved.Original(offset); ok {
			places, at = append(places, srcline.Place{Function: function, Offset: original}), append(at, i)
		}
	}
	for n, line := range srcline.Find(c.info, places) {
		if len(s.known) >= maxKnownLines || s.known == nil {
			s.known = map[uint64]string{}
		}
		text := safetext.Name(line.String())
		lines[at[n]], s.known[offsets[at[n]]] = text, text
	}
	return lines
}
