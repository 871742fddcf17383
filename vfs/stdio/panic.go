package stdio

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic of a reader or writer that a stream's goroutine called. The next read or
// write of the stream panics with it, as a direct call of the reader or writer would have. Flush
// returns it.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value of the panic if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// GoexitError says that a reader or writer called [runtime.Goexit], as t.Fatal does.
type GoexitError struct{}

func (*GoexitError) Error() string {
	return "the reader or writer ended its goroutine: it called runtime.Goexit, as t.Fatal does"
}

// guard calls f, and makes its panic a [PanicError].
func guard(f func([]byte) (int, error), p []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, &PanicError{v, debug.Stack()}
		}
	}()
	return f(p)
}

// passOn returns an error of a goroutine's, or panics with it.
func passOn(err error) error {
	if p, ok := err.(*PanicError); ok {
		panic(p)
	}
	return err
}
