// Package goroutine tells on whose behalf goroutines run.
//
// Go has no goroutine-local storage, and passing a context does not help where code of an embedder
// ignores it. [Do] leaves a mark on the stack of the calling goroutine: it is a function call with
// the owner as its argument, which costs nanoseconds. Whoever has to know reads the marks out of
// the stack traces that the runtime prints. That takes microseconds, and is for rare questions:
// whether a Close was called from inside what it closes, and what still runs when it gives up.
package goroutine

import (
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// Do calls f with a mark for owner, a pointer to an object on the heap, on the stack.
//
// It must not be inlined, and needs owner after f has returned, so that traces show its value.
//
//go:noinline
func Do(owner unsafe.Pointer, f func()) {
	f()
	runtime.KeepAlive(owner)
}

// mark begins the line of a trace that shows a call of Do.
const mark = "github.com/wasivirt/wasivirt/internal/goroutine.Do("

// Owners returns the addresses of the owners that the calling goroutine runs for, the innermost
// first. complete is false if the stack is so deep that the runtime left out a part in its middle.
func Owners() (owners []uintptr, complete bool) {
	trace := trace(false)
	return marks(trace), !strings.Contains(trace, elided)
}

// elided is what the runtime prints in the place of frames that it leaves out.
const elided = " frames elided..."

// Inside reports whether the calling goroutine runs for any owner of which owned is true. Where it
// cannot be known, because the stack is very deep, the answer is true.
func Inside(owned func(owner uintptr) bool) bool {
	owners, complete := Owners()
	return !complete || slices.ContainsFunc(owners, owned)
}

// Info describes a goroutine.
type Info struct {
	// Name is as in "goroutine 12 [select]".
	Name string
	// In is the function by which the goroutine left the code of this module and of the engine:
	// "main.(*slow).Read". It is empty if it did not leave.
	In string
	// Stack is the stack trace.
	Stack string
}

// String returns "goroutine 12 [select] in main.(*slow).Read".
func (i Info) String() string {
	if i.In == "" {
		return i.Name
	}
	return i.Name + " in " + i.In
}

// Of returns the goroutines that run for owner. It stops the world for a moment.
func Of(owner unsafe.Pointer) (all []Info) {
	for one := range strings.SplitSeq(trace(true), "\n\n") {
		if !slices.Contains(marks(one), uintptr(owner)) {
			continue
		}
		name, stack, _ := strings.Cut(one, "\n")
		all = append(all, Info{Name: strings.TrimSuffix(name, ":"), In: foreign(stack), Stack: one})
	}
	return all
}

// maxTrace bounds the traces of all goroutines, in bytes.
const maxTrace = 16 << 20

// trace returns the stack traces of the calling goroutine or of all.
func trace(all bool) string {
	for size := 16 << 10; ; size *= 4 {
		b := make([]byte, size)
		if n := runtime.Stack(b, all); n < size || size >= maxTrace {
			return string(b[:n])
		}
	}
}

// marks finds the owners in a stack trace.
func marks(trace string) (owners []uintptr) {
	for line := range strings.SplitSeq(trace, "\n") {
		rest, ok := strings.CutPrefix(line, mark)
		if !ok {
			continue
		}
		hex, _, _ := strings.Cut(rest, ",")
		hex = strings.TrimSuffix(strings.TrimPrefix(hex, "0x"), "?")
		if n, err := strconv.ParseUint(hex, 16, 64); err == nil {
			owners = append(owners, uintptr(n))
		}
	}
	return owners
}

const modulePath = "github.com/wasivirt/wasivirt/"

// foreign returns the outermost function in front of the first one of this module or the engine.
func foreign(stack string) (name string) {
	for line := range strings.SplitSeq(stack, "\n") {
		if line == "" || line[0] == '\t' {
			continue
		}
		f := line
		if i := strings.LastIndexByte(line, '('); i > 0 {
			f = line[:i]
		}
		if own(f) {
			return name
		}
		name = f
	}
	return ""
}

// own reports whether a function is of this module, but not of its tests and examples, or the
// engine's.
func own(f string) bool {
	if strings.HasPrefix(f, "github.com/tetratelabs/wazero/") {
		return true
	}
	rest, ok := strings.CutPrefix(f, modulePath)
	return ok && !strings.HasPrefix(rest, "examples/") && !strings.Contains(rest, "_test.")
}
