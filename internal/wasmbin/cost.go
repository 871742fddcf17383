package wasmbin

import (
	"cmp"
	"math"
	"slices"
)

// functionCost estimates what wazero's compiler takes for one function while its code is read once.
// What grows faster than the code does is counted:
//
//   - a join (the end of a block that branches lead to, a loop) gets a parameter for each local
//     that is written in it, for a loop each that is used in it, and an argument for each of these
//     on every branch to it;
//   - a local, and a value on the operand stack, that is live across blocks is listed at each of
//     them;
//   - a loop lists what is live in it at each block in it, again for each loop around;
//   - each loop gets a check, which is many times as long as the shortest loop;
//   - dominators are looked for by walking from block to block;
//   - an address that memory was accessed at is listed at each block that the access is on all ways
//     to.
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

	known uint64 // addresses listed at the current block
	dead  bool   // the code that is read cannot be reached

	joins, live, loops, bounds, checks uint64
}

// costLabel is a block that is open.
type costLabel struct {
	op     opcode
	height int // of the operand stack at its beginning, without its parameters
	arity  arity
	edges  uint64 // branches to it
	block  uint64 // the number of its first
	began  uint64 // on the clock
	known  uint64 // addresses listed at its first block
	least  uint64 // the fewest listed at a branch to it

	// How many locals were used, and written, since it began: what the labels inside have to add is
	// with them until they end.
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
	pairWeight1024 = 12  // of two blocks
	addrWeight1024 = 20  // of an address listed at a block
	checkWeight    = 40  // of a loop's check
	byteWeight     = 4   // what each byte of a body may cost without being counted
	typesWeight    = 128 // how many types of the module cost a unit: each function begins with a walk over all
)

func (f *functionCost) begin(signature arity) {
	f.epoch++
	if f.epoch == 0 { // after 2^32 functions
		clear(f.locals)
		f.epoch = 1
	}
	f.signature, f.height, f.blocks = signature, 0, 1
	f.joins, f.live, f.loops, f.bounds, f.checks, f.known, f.dead = 0, 0, 0, 0, 0, 0, false
	f.touched = f.touched[:0]
	f.labels = f.labels[:0]
	f.open(opBlock, arity{results: signature.results})
}

// open begins a block whose parameters are on the stack.
func (f *functionCost) open(op opcode, a arity) {
	f.clock++
	f.labels = append(f.labels, costLabel{op: op, arity: a, height: max(f.height-int(a.params), 0), block: f.blocks, began: f.clock, known: f.known, least: math.MaxUint64})
	f.live += uint64(a.params)
}

// next begins a basic block.
func (f *functionCost) next() {
	f.blocks++
	f.live += uint64(max(f.height, 0))
	f.bounds += f.known
}

// branch notes a branch to the label at a depth.
func (f *functionCost) branch(depth uint32) {
	if int(depth) >= len(f.labels) {
		return // the parser refuses it
	}
	l := &f.labels[len(f.labels)-1-int(depth)]
	l.edges++
	if !f.dead {
		l.least = min(l.least, f.known)
	}
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
		f.known, f.dead = l.known, false
	}
	f.join(&l)
	switch {
	case l.op == opLoop:
		f.checks++
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

// join finds how many addresses are listed behind a label's end.
func (f *functionCost) join(l *costLabel) {
	if l.op == opLoop {
		return
	}
	if f.dead {
		f.known = math.MaxUint64
	}
	f.known = min(f.known, l.least)
	if f.dead = f.known == math.MaxUint64; f.dead {
		f.known = 0
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

// holding is the innermost of the labels that a local counts for since it was last accessed, nil
// for none: labels that began before that. It counts there again when the labels inside it have
// ended.
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
	c := f.joins*joinWeight + f.live*liveWeight + (f.loops*loopWeight1024+f.bounds*addrWeight1024)>>10 +
		f.blocks*f.blocks>>10*pairWeight1024
	return c - min(c, uint64(bytes)*byteWeight) + f.checks*checkWeight
}
