package wasmbin

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
)

// Bounds that hold in rewritten code, the instructions of the checks included.
const (
	// bookkeeping is the most that the rewriter's own instructions weigh at an entry or a return:
	// fuel, depth, counter.
	bookkeeping = 40
	// longestPath is the most that runs from one look at the counter to the next, calls and returns
	// included: what may remain of a callee, a piece, and the instruction at its end.
	longestPath = 4 * maxPiece
	// charges is the most that the payments of fuel weigh in code of the length of maxTail: 4
	// behind each branch, which weighs 2.
	charges = 2 * maxTail
	// longestTail is the most that one frame of a recursion runs, after it was returned to, until
	// it returns.
	longestTail = maxTail + charges + bookkeeping
	// longestHead is the most that a function on a cycle of calls runs before its first look.
	longestHead = maxTail + charges + bookkeeping
)

// longest computes the longest unchecked paths of a rewritten module from its bytes alone. It knows
// what the cells and functions that the rewriter added look like, and nothing of where it puts
// them.
type longest struct {
	m        *Module
	guestEnd uint32 // the functions from here on are the rewriter's
	looks    []uint32
	cells    []uint32 // globals
	heads    []int
	throughs []int
	rests    []int
	cycles   []uint32 // the component of each function
	indirect []uint32 // of each type: the node of its indirect calls

	path, tail int // the longest found, in all of the module, and of tails on cycles
	err        error
}

// unchecked returns the longest path between two looks, and the longest tail of a function on a
// cycle.
func unchecked(original, rewritten []byte, report *Report) (path, tail int, err error) {
	before, err := Inspect(original)
	if err != nil {
		return 0, 0, err
	}
	m, err := Inspect(rewritten)
	if err != nil {
		return 0, 0, err
	}
	l := &longest{m: m, guestEnd: uint32(before.Functions + len(report.Imports))}
	for _, e := range m.Exports {
		if e.Kind == KindGlobal && (e.Name == report.StopGlobal || e.Name == report.FuelGlobal) {
			l.cells = append(l.cells, e.Index)
		}
	}
	fn := uint32(0)
	for _, i := range m.Imports {
		if i.Kind == KindFunc {
			if i.Module == "wasivirt" { // the Host looks whether the guest has ended after each
				l.looks = append(l.looks, fn)
			}
			fn++
		}
	}
	r := &rewriter{Module: m, opts: Options{HostModules: append([]string{"wasivirt"}, wasiModules...)}}
	g, err := r.findCalls()
	if err != nil {
		return 0, 0, err
	}
	n := len(m.funcs)
	nodes := len(g.edges)
	l.heads, l.throughs, l.rests, l.cycles = make([]int, nodes), make([]int, nodes), make([]int, nodes), make([]uint32, nodes)
	l.indirect = g.indirect
	bodies := newBodyReader(m)
	component := uint32(0)
	g.visit(func(members []uint32, cyclic bool) bool {
		component++
		any := func(node int) {
			l.throughs[node] = -1
			if g.any {
				l.heads[node], l.throughs[node], l.rests[node] = maxHead, maxHead, maxPiece
			}
			for _, f := range g.edges[node] {
				l.heads[node] = max(l.heads[node], l.heads[f])
				l.throughs[node] = max(l.throughs[node], l.throughs[f])
				l.rests[node] = max(l.rests[node], l.rests[f])
			}
		}
		several := func() { // a call of any function is the first of those that stand for several
			for _, node := range slices.Sorted(slices.Values(members)) {
				if int(node) >= n {
					any(int(node))
				}
			}
		}
		for _, f := range members {
			l.cycles[f] = component
			if cyclic {
				l.heads[f], l.throughs[f] = longestHead, -1
			}
		}
		several()
		for _, f := range members {
			if int(f) < m.importedFuncs || int(f) >= n {
				continue
			}
			bodies.seek(f, int(g.bodies[f]))
			b, _, err := bodies.next()
			if err != nil {
				l.err = err
				return false
			}
			l.function(b, cyclic)
			if l.err != nil {
				return false
			}
		}
		several()
		return true
	})
	return l.path, l.tail, l.err
}

// function computes the paths of one.
func (l *longest) function(b *body, cyclic bool) {
	ins := b.instrs
	const unknown, open = -3, -2
	ahead, tail := make([]int, len(ins)+1), make([]int, len(ins)+1)
	for i := range ahead {
		ahead[i] = unknown
	}
	ahead[len(ins)], tail[len(ins)] = 0, 0 // the return
	elses := map[int]int{}
	labels := make([][]int, len(ins)) // where the labels of a branch lead
	var stack []int
	locals := map[uint32]bool{} // those that hold the cell
	where := func(k uint32) int {
		if int(k) >= len(stack) {
			return len(ins)
		}
		opener := stack[len(stack)-1-int(k)]
		if ins[opener].op == opLoop {
			return opener + 1
		}
		return int(ins[opener].index) + 1
	}
	e := emitter{rewriter: &rewriter{Module: l.m}}
	for i := range ins {
		in := &ins[i]
		switch in.op {
		case opBlock, opLoop, opIf, opTryTable:
			if in.op == opTryTable {
				e.eachCatch(in, func(_, _ int, k uint32) { labels[i] = append(labels[i], where(k)) })
			}
			stack = append(stack, i)
		case opElse:
			elses[stack[len(stack)-1]] = i
		case opEnd:
			if len(stack) > 0 {
				stack = stack[:len(stack)-1]
			}
		case opBr, opBrIf, opBrOnNull, opBrOnNonNull:
			labels[i] = []int{where(in.index)}
		case opBrTable:
			e.eachLabel(in, func(_, _ int, k uint32) { labels[i] = append(labels[i], where(k)) })
		case opLocalSet:
			if i > 0 && ins[i-1].op == opGlobalGet && slices.Contains(l.cells, ins[i-1].index) {
				locals[in.index] = true
			}
		}
	}
	cell := func(in *instr) bool {
		return in.op == opGlobalGet && slices.Contains(l.cells, in.index) ||
			(in.op == opLocalGet || in.op == opLocalTee) && locals[in.index]
	}
	look := func(i int) bool {
		switch in := &ins[i]; in.op {
		case opCall:
			return slices.Contains(l.looks, in.index) || int(in.index) >= l.m.importedFuncs && l.isLook(in.index)
		case opI32GeS, opI64GeS:
			return i > 1 && cell(&ins[i-2])
		case opI64LtS: // as much as is missing may be missing before a copy of a loop that is paid
			return i > 1 && cell(&ins[i-2])
		}
		return false
	}
	fail := func(i int, format string, args ...any) {
		if l.err == nil {
			l.err = fmt.Errorf("function %d, instruction %d (%#x): %s", b.fn, i, uint16(ins[min(i, len(ins)-1)].op), fmt.Sprintf(format, args...))
		}
	}
	target := func(in *instr) uint32 {
		if in.op == opCall || in.op == opReturnCall {
			return in.index
		}
		return l.indirect[in.index]
	}
	var walk func(i int)
	walk = func(i int) {
		if ahead[i] == open {
			fail(i, "a cycle without a look")
			return
		}
		if ahead[i] != unknown || l.err != nil {
			return
		}
		if look(i) {
			ahead[i], tail[i] = 0, -1
			return
		}
		in := &ins[i]
		if in.op.isCall() && !in.op.isTailCall() {
			if to := target(in); int(to) >= l.m.importedFuncs && l.throughs[to] < 0 {
				// There is a look in the callee, or it does not return: what follows is a path of
				// its own.
				ahead[i], tail[i] = int(in.op.weight())+l.heads[to], -1
				return
			}
		}
		ahead[i] = open
		weight, most, least := int(in.op.weight()), 0, -1
		follow := func(to int) {
			walk(to)
			most, least = max(most, ahead[to]), max(least, tail[to])
		}
		switch {
		case in.op == opIf:
			follow(i + 1)
			if at, ok := elses[i]; ok {
				follow(at + 1)
			} else {
				follow(int(in.index) + 1)
			}
		case in.op == opElse:
			for k, at := range elses {
				if at == i {
					follow(int(ins[k].index))
				}
			}
		case in.op == opBr || in.op == opBrTable:
			for _, to := range labels[i] {
				follow(to)
			}
		case in.op == opReturn, in.op.isTailCall():
			follow(len(ins))
		case in.op == opUnreachable || in.op == opThrow || in.op == opThrowRef:
		default:
			follow(i + 1)
			for _, to := range labels[i] {
				follow(to)
			}
		}
		if in.op.isBulk() || in.op == opMemoryGrow || in.op == opThrow || in.op == opThrowRef || in.op == opTryTable {
			if b.fn < l.guestEnd && !l.behindCheck(ins, i) {
				fail(i, "nothing looks before it")
			}
		}
		if in.op.isCall() {
			to := target(in)
			switch head, through := l.heads[to], l.throughs[to]; {
			case int(to) < l.m.importedFuncs:
				weight += weightHostCall
			case through < 0:
				most, least = head, -1
			default:
				most = max(head, through+most)
				if least >= 0 {
					least += through
				}
			}
		}
		ahead[i], tail[i] = weight+most, least
		if least >= 0 {
			tail[i] += weight
		}
	}
	segment := func(i, before int) { // a path that begins here
		walk(i)
		if l.err != nil {
			return
		}
		l.path = max(l.path, before+ahead[i])
		if before+ahead[i] > longestPath {
			fail(i, "%d units without a look, %d of them of a callee", before+ahead[i], before)
		}
		if tail[i] >= 0 {
			l.rests[b.fn] = max(l.rests[b.fn], before+tail[i])
		}
	}
	segment(0, 0)
	if l.err != nil {
		return
	}
	l.heads[b.fn], l.throughs[b.fn] = ahead[0], tail[0]
	if cyclic && (ahead[0] > longestHead || tail[0] >= 0) {
		fail(0, "a function on a cycle runs %d units before a look", ahead[0])
	}
	for i := range ins {
		in := &ins[i]
		switch {
		case look(i):
			segment(i+1, 0)
		case in.op == opTryTable:
			for _, to := range labels[i] {
				segment(to, 0)
			}
		case in.op.isCall():
			to := target(in)
			next := i + 1
			if in.op.isTailCall() {
				next = len(ins)
			}
			if l.cycles[to] != l.cycles[b.fn] {
				segment(next, l.rests[to])
				continue
			}
			walk(next)
			if l.err == nil && ahead[next] > longestPath {
				fail(next, "%d units without a look behind a call", ahead[next])
			}
			if tail[next] > longestTail {
				fail(next, "%d units without a look between the returns of a recursion", tail[next])
			}
			l.tail = max(l.tail, tail[next])
		}
		if l.err != nil {
			return
		}
	}
}

// isLook reports whether a function of the rewriter's does nothing but call the host.
func (l *longest) isLook(fn uint32) bool {
	return fn == l.guestEnd && len(l.looks) > 0 && l.heads[fn] < 2*maxTail && l.throughs[fn] < 0
}

// behindCheck reports whether a call of the host or of a function of the rewriter's stands just
// before an instruction, or the check of the fuel.
func (l *longest) behindCheck(ins []instr, i int) bool {
	for j := i - 1; j >= 0 && j > i-12; j-- {
		switch in := &ins[j]; in.op {
		case opCall:
			return in.index >= l.guestEnd || slices.Contains(l.looks, in.index)
		case opEnd, opLocalGet, opLocalSet, opGlobalGet, opGlobalSet, opI32Const, opI32Sub, opI64Const, opI64Sub, opIf, opElse, opLoop, opBr: // of the check
		default:
			return false
		}
	}
	return false
}

// uncheckedForms are the forms of the checks.
var uncheckedForms = []Options{
	{Stop: true, ImportModule: "wasivirt"},
	{Fuel: true, ImportModule: "wasivirt"},
	{Stop: true, Waits: true, Grow: true, SharedAccess: true, CallDepth: 1000, Turns: true, ImportModule: "wasivirt"},
	{Fuel: true, Waits: true, Grow: true, CallDepth: 1000, Stack: 1 << 16, ImportModule: "wasivirt"},
	{Fuel: true, Turns: true, ImportModule: "wasivirt"},
	{Stop: true, CanonicalNaNs: true, ImportModule: "wasivirt"},
	{Fuel: true, CanonicalNaNs: true, ImportModule: "wasivirt"},
}

// wantBounded fails if a path of the rewritten module is longer than it may be.
func wantBounded(t *testing.T, name string, module []byte) (path, tail int) {
	t.Helper()
	for _, opts := range uncheckedForms {
		rewritten, report, err := Rewrite(module, opts)
		if err != nil {
			return 0, 0
		}
		p, q, err := unchecked(module, rewritten, report)
		if err != nil {
			t.Fatalf("%s, %+v: %v", name, opts, err)
		}
		path, tail = max(path, p), max(tail, q)
	}
	return path, tail
}

// TestLongestUncheckedPath computes the longest path without a look at the counter of everything at
// hand.
func TestLongestUncheckedPath(t *testing.T) {
	path, tail := 0, 0
	note := func(name string, module []byte) {
		p, q := wantBounded(t, name, module)
		path, tail = max(path, p), max(tail, q)
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, interpreterConfig())
	defer r.Close(ctx)
	for name, module := range modules(t) {
		if compiles(ctx, r, module) == nil {
			note(name, module)
		}
	}
	for name, module := range map[string][]byte{"kernels": kernels(), "numbers": numbers(), "catcher": catcher(), "dispatcher": dispatcher(), "work": goGuest(t, "work")} {
		note(name, module)
	}
	n := uint64(300)
	if os.Getenv("WASIVIRT_FULL") != "" {
		n = 10_000
	}
	for seed := range n {
		note(fmt.Sprintf("generated %d", seed), generate(seed))
	}
	t.Logf("the longest path weighs %d units, the longest tail %d", path, tail)
}

// FuzzLongestUncheckedPath computes it for any module.
func FuzzLongestUncheckedPath(f *testing.F) {
	f.Add(kernels())
	f.Add(catcher())
	f.Add(dispatcher())
	for seed := range uint64(40) {
		f.Add(generate(seed))
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, interpreterConfig())
	f.Fuzz(func(t *testing.T, module []byte) {
		if len(module) > 1<<16 || mayBeHuge(module) || compiles(ctx, r, module) != nil {
			return
		}
		wantBounded(t, "", module)
	})
}

// TestUncheckedPathsAreFound gives code without checks to the test's own arithmetic.
func TestUncheckedPathsAreFound(t *testing.T) {
	for name, module := range map[string][]byte{"a loop": kernels(), "calls": callDAG(30), "bulk": bulkGuest()} {
		rewritten, report, err := rewrite(module, Options{Fuel: true, ImportModule: "wasivirt"}, tuning{emit: func(r *rewriter, b *body) []byte {
			p := patcher{data: r.data, last: b.locals}
			for i := range b.instrs {
				if in := &b.instrs[i]; in.op == opCall || in.op == opRefFunc {
					p.u32(in.indexAt(), int(in.end), r.fn(in.index))
				}
			}
			p.copyTo(b.end)
			return p.out
		}})
		if err != nil {
			t.Fatal(err)
		}
		if path, _, err := unchecked(module, rewritten, report); err == nil {
			t.Errorf("%s without checks: a longest path of %d units", name, path)
		}
		wantBounded(t, name, module)
	}
}

// callDAG is a module of so many functions without a cycle, each of which calls the next twice.
func callDAG(n int) []byte {
	var m testModule
	for i := range n {
		var a asm
		if i < n-1 {
			a.op(opCall, uint32(i+1))
			a.op(opCall, uint32(i+1))
		}
		a.ops(opEnd)
		name := ""
		if i == 0 {
			name = "run"
		}
		m.add(testFunc{export: name, code: a.code})
	}
	return m.bytes()
}
