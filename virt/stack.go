package virt

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/wasip1"
)

const (
	// stackName is the function that calls make when they may take more than was taken for them.
	stackName = "stack"
	// tryName is the function that is called before a try_table.
	tryName = "try"
	// stackStep is how much the calls of a thread may take by the rewriter's estimate before the
	// Host looks how much they took.
	stackStep = 1 << 15
	// stackAtStart is what a thread takes of the budget before it starts: for what is not counted,
	// the first step, and the stack that they may lead to, of twice the size.
	stackAtStart = 1 << 17
	// defaultStack is the default of [Limits].Stack.
	defaultStack = 128 << 20
	// frameOfInterpreter is what a frame in the interpreter takes of the goroutine's stack.
	frameOfInterpreter = 4 << 10
	// maxNested is how many calls of exports may be under way within each other on one thread. Each
	// is a stack of the engine and some frames of Go's, whose stacks the program does not survive
	// growing without end.
	maxNested = 1000
)

// stackCounted is up to how many bytes calls of the module count for the stack before the Host
// looks; 0 where they do not.
func (h *Host) stackCounted(info *wasmbin.Module) uint32 {
	if h.replay != nil {
		if h.replay.header.Stacks {
			return stackStep
		}
		return 0
	}
	c := &h.first().config
	if !givenStack(&c.limits) && c.shared.Stack == 0 && sharedMemory(info) == nil {
		return 0
	}
	return stackStep
}

// givenStack reports whether an option gave a budget of stack.
func givenStack(l *Limits) bool { return l.Stack != 0 && l.Stack != defaultStack }

// checkStack sets the budget of a guest for which none was given.
func (g *Guest) checkStack() error {
	if givenStack(&g.config.limits) && !g.module.stacked() && g.host.replay == nil {
		return errors.New("Limits.Stack: the module was compiled by a Host that does not count: set it for the Builder too")
	}
	return nil
}

// reserveStack takes what one more thread begins with.
func (g *Guest) reserveStack() error {
	if !g.module.stacked() || takeAllOfBoth(g.budgets.stack, g.host.budgets.stack, stackAtStart) {
		return nil
	}
	return &BudgetError{Budget: BudgetStack, Err: wasip1.EAGAIN, Reason: fmt.Sprintf("a thread's call stack takes %d bytes at first, "+
		"and less is left: raise Limits.Stack or the Host's WithSharedLimits, or wait for other guests", stackAtStart)}
}

// releaseStack gives back what reserveStack took.
func (g *Guest) releaseStack() {
	if g.module.stacked() {
		g.budgets.stack.giveBack(stackAtStart)
		g.host.budgets.stack.giveBack(stackAtStart)
	}
}

// chargePoll takes n bytes of the budgets for what a poll_oneoff keeps of its subscriptions, or
// gives back -n.
func (t *thread) chargePoll(n int64) bool {
	own, all := t.guest.budgets.stack, t.guest.host.budgets.stack
	if n >= 0 {
		return takeAllOfBoth(own, all, n)
	}
	own.giveBack(-n)
	all.giveBack(-n)
	return true
}

// stacked reports whether calls of the module count for the stack.
func (m *Module) stacked() bool { return m.report != nil && m.report.StackGlobal != "" }

// watched reports whether the Host looks at the stacks of the module's calls.
func (m *Module) watched() bool { return m.stacked() || m.report != nil && m.report.Tries }

// stackUse is what is known of one thread's stack.
type stackUse struct {
	taken     int64 // of the budgets
	functions []api.Function
	innermost api.Function      // whose call is under way
	nested    int64             // size of the stacks of calls that others are within, but for the first
	used, end api.MutableGlobal // nil before the first call
}

// takeStack takes from the budgets up to n bytes in all for the thread's stack.
func (t *thread) takeStack(n int64) bool {
	more := n - t.stack.taken
	if more <= 0 {
		return true
	}
	if !takeAllOfBoth(t.guest.budgets.stack, t.guest.host.budgets.stack, more) {
		return false
	}
	t.stack.taken = n
	return true
}

// takeAllOfBoth takes n from both allowances if both have it.
func takeAllOfBoth(a, b *allowance, n int64) bool {
	if !a.takeAll(n) {
		return false
	}
	if !b.takeAll(n) {
		a.giveBack(n)
		return false
	}
	return true
}

// giveStack gives back what the thread took beyond n bytes.
func (t *thread) giveStack(n int64) {
	if less := t.stack.taken - n; less > 0 {
		t.guest.budgets.stack.giveBack(less)
		t.guest.host.budgets.stack.giveBack(less)
		t.stack.taken = n
	}
}

// onStack calls f, which calls fn, whose stack is the thread's meanwhile. The outermost call begins
// with what every thread has.
func (t *thread) onStack(fn api.Function, f func()) {
	outer := t.stack.innermost
	t.stack.innermost = fn
	defer func() { t.stack.innermost = outer }()
	if t.mod == nil || !t.module.watched() && t.guest.libraries == nil {
		f()
		return
	}
	s := &t.stack
	if s.functions = append(s.functions, fn); len(s.functions) == 1 && t.module.stacked() {
		t.stackCells()
		s.used.Set(0) // a trap leaves it as it was
		s.end.Set(stackStep)
	}
	defer func() {
		last := len(s.functions) - 1
		s.functions[last] = nil
		if s.functions = s.functions[:last]; last == 0 {
			t.giveStack(stackAtStart)
		}
	}()
	f()
}

// stackCells finds the cells of the thread's instance.
func (t *thread) stackCells() {
	if r := t.module.report; t.stack.used == nil {
		t.stack.used = t.mod.ExportedGlobal(r.StackGlobal).(api.MutableGlobal)
		t.stack.end = t.mod.ExportedGlobal(r.StackEndGlobal).(api.MutableGlobal)
	}
}

// growStack is called where the thread's calls may take more than was taken of the budgets for
// them.
func (t *thread) growStack() {
	t.stackCells()
	s := &t.stack
	if r, ok := t.observer().(*replayer); ok {
		// The recorded engine's stacks may have been larger: the Host looks at each call that is
		// deeper than all before.
		s.end.Set(s.used.Get())
		r.deepened(t)
		return
	}
	size, copies := t.stacks()
	if size == 0 { // a start function, whose stack the engine does not show
		size = int64(s.used.Get())
	}
	step := max(stackStep, size/2)
	if !t.first().takeStack(2*(size+step) + copies + stackAtStart) {
		t.exhaust(BudgetStack)
		return
	}
	s.end.Set(s.used.Get() + uint64(step))
}

// stacks returns the size of the thread's stacks, and of the copies of them that wazero's compiler
// keeps while the guest is within a try_table, in bytes.
func (t *thread) stacks() (size, copies int64) {
	first := t.first()
	for _, fn := range first.stack.functions {
		size += stackBytes(fn)
		copies += copiedBytes(fn, 0)
	}
	return size, copies
}

// enterTry is called before the guest enters a try_table. The compiler copies the stack there, so
// that a recursion takes memory that grows with the square of its depth.
func (t *thread) enterTry() {
	if r, ok := t.observer().(*replayer); ok {
		r.deepened(t)
	}
	first := t.first()
	size, copies := t.stacks()
	if n := len(first.stack.functions); n > 0 {
		fn := first.stack.functions[n-1]
		copies += copiedBytes(fn, 1) - copiedBytes(fn, 0)
	}
	if !t.module.stacked() {
		size = 0
	}
	if !first.takeStack(2*size + copies + stackAtStart) {
		t.exhaust(BudgetStack)
	}
}

// nest notes that a call of an export is within another of the thread's, and returns what notes its
// end. The stacks of the calls that it is within count also where the module's calls do not: the
// engine bounds each of them only. They stay as they are meanwhile. The first is left out: calls
// that have no others within them, as those of an allocator, are not slowed.
func (t *thread) nest() (leave func(), err error) {
	if t.nested >= maxNested {
		t.exhaust(BudgetCallDepth)
		return nil, &ExitError{Result: t.guest.Result()}
	}
	s, size := &t.stack, int64(0)
	if t.nested > 0 && !t.module.stacked() {
		size = stackBytes(s.innermost)
	}
	if limit := t.guest.config.limits.Stack; limit != 0 && uint64(s.nested+size) > limit {
		t.exhaust(BudgetStack)
		return nil, &ExitError{Result: t.guest.Result()}
	}
	t.nested++
	s.nested += size
	return func() { t.nested--; s.nested -= size }, nil
}

// stackBytes is what the engine has allocated for the stack of a call.
func stackBytes(fn api.Function) int64 {
	if size, known := stackOf(fn); known {
		return int64(size)
	}
	v := reflect.Indirect(reflect.ValueOf(fn))
	if v.Kind() != reflect.Struct {
		return 0
	}
	n := int64(0)
	if stack := v.FieldByName("stack"); stack.Kind() == reflect.Slice { // the interpreter's, of numbers
		n = int64(stack.Cap()) * int64(stack.Type().Elem().Size())
	}
	if frames := v.FieldByName("frames"); frames.Kind() == reflect.Slice {
		n += int64(frames.Len()) * frameOfInterpreter
	}
	return n
}
