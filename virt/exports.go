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
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return 0, false
	}
	at, ok := stackFields.Load(v.Type())
	if !ok {
		at = -1
		if f, ok := v.Type().Elem().FieldByName("stack"); ok && len(f.Index) == 1 && f.Type == reflect.TypeFor[[]byte]() {
			at = f.Index[0]
		}
		stackFields.Store(v.Type(), at)
	}
	if i := at.(int); i >= 0 {
		return v.Elem().Field(i).Cap(), true
	}
	return 0, false
}

// stackFields are the indices of the fields that hold the stack, by the types of functions, of
// which there are two.
var stackFields sync.Map
