package wasmbin

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Capture is what Options.Capture adds to a module, so that a host can save an
// instance and put another in its place: under reserved names it exports
// the mutable globals, functions that read and write those of 128 bits,
// the start function, which then is none any more, and functions that drop data
// segments. The data segments that lie at fixed places are taken out and given to
// the host.
type Capture struct {
	// Refused says why an instance cannot be saved; nothing is added then.
	Refused []string
	// Start is the export of the function that the host has to call after it
	// made an instance, "" where there is none.
	Start string
	// Resume is the export of a function (fn, arg i32) that calls fn(arg)
	// through the module's first table; "" unless the module imports
	// Options.Checkpoint.
	Resume string
	// Data are the segments that the host has to write before it calls Start.
	Data []Segment
	// Drops are the segments that the module drops when it runs.
	Drops []Drop
	// Vectors are the accessors of globals of 128 bits, by the index of the global.
	Vectors map[uint32]Vector
}

// Segment is data with its place in the memory.
type Segment struct {
	Offset uint32
	Bytes  []byte
}

// Drop is a data segment: the exported global that says whether it was dropped
// (1) and the function that drops it.
type Drop struct{ Global, Func string }

// Vector is a pair of functions: Get returns the two halves of a global, the
// lower first, as i64; Set takes them.
type Vector struct{ Get, Set string }

// Limits of what is captured. A module that has more cannot be saved.
const (
	maxCapturedGlobals = 10_000
	maxCapturedDrops   = 64
)

// Opcodes that change tables or drop segments.
const (
	opTableSetTo opcode = 0x26
	opDataDrop   opcode = prefixMisc<<8 | 0x09
)

// capture is what the rewriter knows of a Capture.
type capture struct {
	lifted    []bool            // by data segment
	dropCells map[uint32]uint32 // the global of each segment that is dropped
	exports   []funcExport
}

type funcExport struct {
	name  string
	index uint32
}

// Refusals says why an instance of the module cannot be saved, and nil if it
// can.
func (m *Module) Refusals() ([]string, error) {
	refused := m.refusals()
	var changes codeChanges
	bodies := newBodyReader(m)
	bodies.merge = true
	for {
		b, ok, err := bodies.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		for i := range b.instrs {
			changes.note(m.data, b.fn, &b.instrs[i])
		}
	}
	if text := changes.refusal(); text != "" {
		refused = append(refused, text)
	}
	return refused, nil
}

func (m *Module) refusals() (refused []string) {
	for _, i := range m.Imports {
		name := strconv.Quote(i.Module + "." + i.Name)
		switch {
		case i.Kind == KindTable:
			refused = append(refused, "it imports the table "+name)
		case i.Kind == KindGlobal && i.Global.Mutable:
			refused = append(refused, "it imports the mutable global "+name)
		case i.Kind == KindMemory && !i.Memory.Shared:
			refused = append(refused, "it imports the memory "+name)
		}
	}
	mutable := 0
	for i, g := range m.globals {
		if !g.Mutable {
			continue
		}
		mutable++
		switch g.Type {
		case ValueI32, ValueI64, ValueF32, ValueF64, ValueV128:
		default:
			if len(refused) < 10 {
				refused = append(refused, fmt.Sprintf("global %d is a mutable reference (%s)", i, g.Type))
			}
		}
	}
	if mutable > maxCapturedGlobals {
		refused = append(refused, fmt.Sprintf("it has %d mutable globals, more than %d", mutable, maxCapturedGlobals))
	}
	return refused
}

// codeChanges is what code does that a capture has to know.
type codeChanges struct {
	table   string   // "function 1 changes a table (table.set)"
	drops   []uint32 // the data segments that are dropped, by when they are first
	dropped map[uint32]bool
}

// note notes an instruction.
func (c *codeChanges) note(data []byte, fn uint32, in *instr) {
	name := ""
	switch in.op {
	case opDataDrop:
		c.drop(in.segment(data))
		return
	case opTableSetTo:
		name = "table.set"
	case opTableInit:
		name = "table.init"
	case opTableCopy:
		name = "table.copy"
	case opTableGrow:
		name = "table.grow"
	case opTableFill:
		name = "table.fill"
	}
	if name != "" && c.table == "" {
		c.table = fmt.Sprintf("function %d changes a table (%s)", fn, name)
	}
}

func (c *codeChanges) drop(segment uint32) {
	if c.dropped[segment] {
		return
	}
	if c.dropped == nil {
		c.dropped = map[uint32]bool{}
	}
	c.dropped[segment] = true
	c.drops = append(c.drops, segment)
}

// refusal says why what code does cannot be captured, "" if it can.
func (c *codeChanges) refusal() string {
	if len(c.drops) > maxCapturedDrops && c.table == "" {
		return fmt.Sprintf("it drops %d data segments, more than %d", len(c.drops), maxCapturedDrops)
	}
	return c.table
}

// noteCapture adds what the next bodies do.
func (r *rewriter) noteCapture(c *codeChanges) {
	all := &r.changes
	if all.table == "" {
		all.table = c.table
	}
	for _, segment := range c.drops {
		all.drop(segment)
	}
}

// segment is the data segment that a data.drop names.
func (in *instr) segment(data []byte) uint32 {
	c := cursor{data: data, pos: int(in.at) + 1, end: int(in.end)}
	c.u32() // the rest of the opcode
	return c.u32()
}

// planCapture decides what is added for Options.Capture.
func (r *rewriter) planCapture() error {
	c := &Capture{Refused: r.refusals()}
	r.report.Capture = c
	if text := r.changes.refusal(); text != "" {
		c.Refused = append(c.Refused, text)
	}
	if len(c.Refused) > 0 {
		return nil
	}
	r.captured = &capture{dropCells: map[uint32]uint32{}}
	for i, g := range r.Module.globals {
		if !g.Mutable {
			continue
		}
		if !r.opts.ExportGlobals {
			r.exportGlobal(uint32(i), g.Type, "global."+strconv.Itoa(i), false)
		}
		if g.Type == ValueV128 {
			r.captureVector(c, uint32(i))
		}
	}
	for _, segment := range r.changes.drops {
		cell, export := r.addGlobal(ValueI32, 0, "dropped."+strconv.Itoa(int(segment)))
		r.captured.dropCells[segment] = cell
		var a asm
		a.byte(0) // no locals
		a.dropData(segment, cell)
		a.ops(opEnd)
		name := r.exportHelper("drop."+strconv.Itoa(int(segment)), "\x00", "\x00", a.code)
		c.Drops = append(c.Drops, Drop{Global: export, Func: name})
	}
	if r.Start != nil {
		c.Start = r.exportFunc("start", r.fn(*r.Start))
	}
	r.planResume(c)
	return r.liftData(c)
}

// dropData drops a data segment and notes it.
func (a *asm) dropData(segment, cell uint32) {
	a.byte(prefixMisc)
	a.byte(byte(opDataDrop & 0xff))
	a.code = appendU32(a.code, segment, 1)
	a.i32Const(1)
	a.op(opGlobalSet, cell)
}

// captureVector adds the accessors of a global of 128 bits.
func (r *rewriter) captureVector(c *Capture, global uint32) {
	simd := func(a *asm, op byte, lane ...byte) { a.code = append(append(a.code, prefixVec, op), lane...) }
	var get, set asm
	get.byte(0) // no locals
	for lane := range byte(2) {
		get.op(opGlobalGet, global)
		simd(&get, 0x1d, lane) // i64x2.extract_lane
	}
	get.ops(opEnd)
	set.byte(0)
	set.op(opLocalGet, 0)
	simd(&set, 0x12) // i64x2.splat
	set.op(opLocalGet, 1)
	simd(&set, 0x1e, 1) // i64x2.replace_lane
	set.op(opGlobalSet, global)
	set.ops(opEnd)
	n, halves := strconv.Itoa(int(global)), encodeTypes([]ValueType{ValueI64, ValueI64})
	if c.Vectors == nil {
		c.Vectors = map[uint32]Vector{}
	}
	c.Vectors[global] = Vector{
		Get: r.exportHelper("get."+n, "\x00", halves, get.code),
		Set: r.exportHelper("set."+n, halves, "\x00", set.code),
	}
}

// planResume adds the function by which a host goes on from a checkpoint.
func (r *rewriter) planResume(c *Capture) {
	if r.opts.Checkpoint == "" || len(r.ownTables) == 0 || r.ownTables[0].Type != ValueFuncref ||
		!slices.ContainsFunc(r.Imports, func(i Import) bool { return r.isCheckpoint(&i) }) {
		return
	}
	var a asm
	a.byte(0) // no locals
	a.op(opLocalGet, 1)
	a.op(opLocalGet, 0)
	a.op(opCallIndirect, r.typeOf(encodeTypes([]ValueType{ValueI32}), "\x00"))
	a.byte(0)
	a.ops(opEnd)
	c.Resume = r.exportHelper("resume", encodeTypes([]ValueType{ValueI32, ValueI32}), "\x00", a.code)
}

func (r *rewriter) isCheckpoint(i *Import) bool {
	return r.opts.Checkpoint != "" && i.Kind == KindFunc && i.Module == r.opts.ImportModule && i.Name == r.opts.Checkpoint
}

// liftData takes the data segments out that lie at fixed places within the
// memory as it begins. If one does not, all stay: their order counts.
func (r *rewriter) liftData(c *Capture) error {
	s := r.section(secData)
	if s == nil || len(r.Memories) != 1 || r.Memories[0].Imported || r.Memories[0].Shared {
		return nil
	}
	size := r.Memories[0].Min << 16
	var lifted []bool
	var data []Segment
	cur := r.cursor(s)
	for range cur.u32() {
		seg, active, fixed := parseFixedData(cur)
		if cur.err != nil {
			return cur.err
		}
		if active && (!fixed || uint64(seg.Offset)+uint64(len(seg.Bytes)) > size) {
			return nil
		}
		if active && len(seg.Bytes) > 0 {
			data = append(data, Segment{seg.Offset, slices.Clone(seg.Bytes)})
		}
		lifted = append(lifted, active)
	}
	if len(data) > 0 {
		r.captured.lifted, c.Data = lifted, data
	}
	return nil
}

// parseFixedData reads a data segment. It is active if it lies in the memory
// from the beginning, and fixed if its place is a constant.
func parseFixedData(c *cursor) (seg Segment, active, fixed bool) {
	switch c.u32() {
	case 2:
		c.u32()
		active = true
	case 0:
		active = true
	}
	if active {
		at := c.pos
		if c.byte() == byte(opI32Const) {
			v := c.signed(5)
			if v >= math.MinInt32 && v <= math.MaxInt32 && c.byte() == byte(opEnd) {
				seg.Offset, fixed = uint32(int32(v)), true
			}
		}
		if !fixed {
			c.pos = at
			parseConstExpr(c, &refs{global: func(int, uint32) {}, fn: func(int, int, uint32) error { return nil }})
		}
	}
	seg.Bytes = c.bytes(c.count("bytes of a data segment", 1))
	return seg, active, fixed
}

// liftedData is the data section without what was taken out: an active segment
// is one that has been dropped. Nothing refers to segments where none are
// counted; they need no places then, of which each instance has one.
func (r *rewriter) liftedData(s *section) []byte {
	if r.section(secDataCount) == nil {
		return []byte{0}
	}
	c := r.cursor(s)
	n := c.u32()
	out := appendU32(nil, n, 1)
	for i := range n {
		at := c.pos
		parseFixedData(c)
		if r.captured.lifted[i] {
			out = append(out, 1, 0) // passive, empty
		} else {
			out = append(out, c.data[at:c.pos]...)
		}
	}
	return out
}

func (r *rewriter) exportFunc(name string, index uint32) string {
	name = r.opts.ImportModule + "." + name
	r.captured.exports = append(r.captured.exports, funcExport{name, index})
	return name
}

// exportHelper adds a function of the given type and exports it.
func (r *rewriter) exportHelper(name, params, results string, code []byte) string {
	return r.exportFunc(name, r.addHelper(name, params, results, code))
}
