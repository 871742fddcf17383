package wasmbin

import (
	"cmp"
	"slices"
)

// functionCost estimates what wazero's compiler takes for one function while its code is read once. What grows faster than the
// code does is counted:
//
//   - a join (the end of a block that branches lead to, a loop) gets a parameter for each local that is written in it, for a
//     loop each that is used in it, and an argument for each of these on every branch to it;
//   - a local, and a value on the operand stack, that is live across blocks is listed at each of them;
//   - a loop lists what is live in it at each block in it, again for each loop around;
//   - dominators are looked for by walking from block to block.
//
// Weights were measured on modules made of these alone.
type functionCost struct {
	signature arity
	labels    []costLabel
	height    int    // of the operand stack
	blocks    uint64 // begun so far
	clock     uint64 // counts accesses and labels, over all functions

	locals  []localUse
	touched []uint32
	epoch   uint32

	joins, live, loops uint64
}

// costLabel is a block that is open.
type costLabel struct {
	op     opcode
	height int // of the operand stack at its beginning, without its parameters
	arity  arity
	edges  uint64 // branches to it
	block  uint64 // the number of its first
	began  uint64 // on the clock

	// How many locals were used, and written, since it began: what the labels inside have to add is with them until they end.
	used, wrote int64
}

// localUse is what is known of a local.
type localUse struct {
	epoch       uint32 // the function that this is about
	first, last uint64 // blocks
	used, wrote uint64 // on the clock
}

// Weights, in units of Cost, or in units of 1/1024 where they say so.
const (
	joinWeight     = 7
	liveWeight     = 2
	loopWeight1024 = 14
	pairWeight1024 = 12 // of two blocks
	byteWeight     = 4  // what each byte of a body may cost without being counted
)

func (f *functionCost) begin(signature arity) {
	f.epoch++
	if f.epoch == 0 { // after 2^32 functions
		clear(f.locals)
		f.epoch = 1
	}
	f.signature, f.height, f.blocks = signature, 0, 1
	f.joins, f.live, f.loops = 0, 0, 0
	f.touched = f.touched[:0]
	f.labels = f.labels[:0]
	f.open(opBlock, arity{results: signature.results})
}

// open begins a block whose parameters are on the stack.
func (f *functionCost) open(op opcode, a arity) {
	f.clock++
	f.labels = append(f.labels, costLabel{op: op, arity: a, height: max(f.height-int(a.params), 0), block: f.blocks, began: f.clock})
	f.live += uint64(a.params)
}

// next begins a basic block.
func (f *functionCost) next() {
	f.blocks++
	f.live += uint64(max(f.height, 0))
}

// branch notes a branch to the label at a depth.
func (f *functionCost) branch(depth uint32) {
	if int(depth) >= len(f.labels) {
		return // the parser refuses it
	}
	l := &f.labels[len(f.labels)-1-int(depth)]
	l.edges++
	if l.op == opLoop {
		f.live += uint64(l.arity.params)
	} else {
		f.live += uint64(l.arity.results)
	}
}

// close ends the innermost block.
func (f *functionCost) close() {
	l := f.labels[len(f.labels)-1]
	f.labels = f.labels[:len(f.labels)-1]
	edges := l.edges
	if l.op == opIf { // the way around it
		edges++
	}
	switch {
	case l.op == opLoop:
		f.joins += uint64(l.used) * (1 + edges)
		f.loops += uint64(l.used+int64(f.height)) * (f.blocks - l.block + 1)
	case edges > 0:
		f.joins += uint64(l.wrote) * (1 + edges)
	}
	if len(f.labels) > 0 {
		out := &f.labels[len(f.labels)-1]
		out.used += l.used
		out.wrote += l.wrote
	}
	f.height = l.height + int(l.arity.results)
	if edges > 0 || l.op == opElse || l.op == opTryTable {
		f.next()
	}
}

// access notes that a local is read or written.
func (f *functionCost) access(index uint32, write bool) {
	if int(index) >= len(f.locals) {
		if index > 1<<20 {
			return // more than any function may have
		}
		f.locals = append(f.locals, make([]localUse, int(index)+1-len(f.locals))...)
	}
	u := &f.locals[index]
	if u.epoch != f.epoch {
		*u = localUse{epoch: f.epoch, first: f.blocks}
		f.touched = append(f.touched, index)
	}
	u.last = f.blocks
	f.clock++
	innermost := &f.labels[len(f.labels)-1]
	if u.used <= innermost.began {
		innermost.used++
		if l := f.holding(u.used); l != nil {
			l.used--
		}
	}
	u.used = f.clock
	if !write {
		return
	}
	if u.wrote <= innermost.began {
		innermost.wrote++
		if l := f.holding(u.wrote); l != nil {
			l.wrote--
		}
	}
	u.wrote = f.clock
}

// holding is the innermost of the labels that a local counts for since it was last accessed, nil for none: labels that began
// before that. It counts there again when the labels inside it have ended.
func (f *functionCost) holding(since uint64) *costLabel {
	if since == 0 {
		return nil
	}
	n, _ := slices.BinarySearchFunc(f.labels, since, func(l costLabel, t uint64) int { return cmp.Compare(l.began, t) })
	if n == 0 {
		return nil
	}
	return &f.labels[n-1]
}

// end returns the cost of the function, whose body has so many bytes.
func (f *functionCost) end(bytes int) uint64 {
	for _, i := range f.touched {
		u := &f.locals[i]
		f.live += u.last - u.first
	}
	c := f.joins*joinWeight + f.live*liveWeight + f.loops*loopWeight1024>>10 + f.blocks*f.blocks>>10*pairWeight1024
	return c - min(c, uint64(bytes)*byteWeight)
}
