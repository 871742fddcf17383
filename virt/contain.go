package virt

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/wasivirt/wasivirt/sched"
)

// A panic of what an embedder gave, or of the Host itself, is an error of the guest that it
// happened for. wazero makes it one where guest code has called; what is here does for the rest,
// which runs on goroutines of the embedder's.

// contain makes a panic an error, beside the one that is there. It is deferred.
func contain(err *error) {
	if v := recover(); v != nil {
		*err = errors.Join(*err, panicked(v, 0))
	}
}

// contained calls f, whose panic is an error.
func contained(f func() error) (err error) {
	defer contain(&err)
	return f()
}

func panicked(v any, thread uint32) *sched.PanicError {
	return &sched.PanicError{Thread: thread, Value: v, Stack: debug.Stack()}
}

// fail makes a panic on a thread the guest's end.
func (g *Guest) fail(v any, thread uint32) error {
	g.decide(&Result{Outcome: Failed, Err: panicked(v, thread), Thread: thread})
	return &ExitError{Result: g.Result()}
}

// goexit is the error of a guest of which code of the embedder's ended the goroutine.
func goexit(thread uint32) error { return &GoexitError{Thread: thread, Stack: debug.Stack()} }

// GoexitError says that code of the embedder's, which a guest called, ended the goroutine by
// [runtime.Goexit], as t.Fatal does.
type GoexitError struct {
	Thread uint32
	Stack  []byte // of the goroutine at that moment
}

func (e *GoexitError) Error() string {
	return fmt.Sprintf("thread %d: code that the guest called ended its goroutine: it called runtime.Goexit, as t.Fatal does", e.Thread)
}
