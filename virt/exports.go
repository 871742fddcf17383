package virt

import (
	"reflect"
	"sync"

	"github.com/tetratelabs/wazero/api"
)

// idleExports are functions of an instance that host code has called and that are not running. To
// make one takes a new stack, which costs more than most calls.
type idleExports struct {
	mod  api.Module
	idle [maxIdleExports]idleExport
	next int // the place that is used when all are taken
}

type idleExport struct {
	name string
	fn   api.Function
	size int // of its stack
}

const (
	// maxIdleExports is how many functions are kept: an allocator's two, and those of a few calls.
	maxIdleExports = 6
	// maxIdleStack is how large the stacks of the functions that are kept may be together, in
	// bytes: what each thread takes of the budget of stacks before it starts. Recursion makes one
	// grow to hundreds of megabytes.
	maxIdleStack = stackAtStart
)

// take returns an export of mod, or nil. The caller has it alone until put: the engine's functions
// cannot call themselves.
func (e *idleExports) take(mod api.Module, name string) api.Function {
	if e.mod != nil && same(e.mod, mod) {
		for i := range e.idle {
			if f := &e.idle[i]; f.fn != nil && f.name == name {
				fn := f.fn
				f.fn = nil
				return fn
			}
		}
	}
	return mod.ExportedFunction(name)
}

// put keeps a function that has returned, unless there is no room for its stack.
func (e *idleExports) put(mod api.Module, name string, fn api.Function) {
	size, known := stackOf(fn)
	size += keptCopies(fn)
	if !known || size > maxIdleStack {
		return
	}
	if e.mod == nil || !same(e.mod, mod) {
		*e = idleExports{mod: mod}
	}
	at, kept := e.next, 0
	for i := range e.idle {
		switch f := &e.idle[i]; {
		case f.fn == nil:
			at = i
		default:
			kept += f.size
		}
	}
	if e.idle[at].fn != nil {
		e.next = (e.next + 1) % maxIdleExports
		kept -= e.idle[at].size
	}
	if kept+size <= maxIdleStack {
		e.idle[at] = idleExport{name, fn, size}
	}
}

// stackOf returns the size of a function's own stack in bytes. It is known of the compiler's
// functions.
func stackOf(fn api.Function) (size int, known bool) {
	v, at := engineOf(fn)
	if at.stack < 0 {
		return 0, false
	}
	return v.Field(at.stack).Cap(), true
}

// copiedBytes returns how many bytes the copies of a function's stack take at most that the
// compiler keeps for the try_tables that the function is within, and for more of them. No copy is
// larger than the stack: while a copy is kept the stack only grows, or is replaced by a later copy.
func copiedBytes(fn api.Function, more int) int64 {
	v, at := engineOf(fn)
	if at.tries < 0 {
		return 0
	}
	tries := v.Field(at.tries)
	n, one := tries.Len()+more, v.Field(at.stack).Cap()+2*int(tries.Type().Elem().Size())
	return int64(n) * int64(one)
}

// maxKeptTries is up to how many nested try_tables a function may have been within that is kept.
const maxKeptTries = 16

// keptCopies returns the size of the copies of its stack that a function has not let go of, though
// it has returned.
func keptCopies(fn api.Function) int {
	v, at := engineOf(fn)
	if at.tries < 0 {
		return 0
	}
	tries := v.Field(at.tries)
	if tries.Cap() > maxKeptTries {
		return maxIdleStack + 1
	}
	tries, size := tries.Slice(0, tries.Cap()), 0
	for i := range tries.Len() {
		size += tries.Index(i).FieldByName("stack").Cap()
	}
	return size
}

// engineFields are the indices of fields of an engine's function, -1 where it has none: its stack,
// and what it keeps for each try_table that it is within.
type engineFields struct{ stack, tries int }

// engineOf finds what is known of a function in its engine.
func engineOf(fn api.Function) (reflect.Value, engineFields) {
	none := engineFields{-1, -1}
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return v, none
	}
	at, ok := engines.Load(v.Type())
	if !ok {
		t, found := v.Type().Elem(), none
		if f, ok := t.FieldByName("stack"); ok && len(f.Index) == 1 && f.Type == reflect.TypeFor[[]byte]() {
			found.stack = f.Index[0]
			if f, ok := t.FieldByName("tryHandlers"); ok && len(f.Index) == 1 && f.Type.Kind() == reflect.Slice {
				found.tries = f.Index[0]
			}
		}
		at, _ = engines.LoadOrStore(v.Type(), found)
	}
	return v.Elem(), at.(engineFields)
}

// engines are the fields by the types of functions, of which there are two.
var engines sync.Map
