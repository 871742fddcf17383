package stdio_test

import (
	"errors"
	"testing"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/wasip1"
)

// exploding is a reader and writer that panics.
type exploding struct{}

func (exploding) Read([]byte) (int, error)  { panic("boom") }
func (exploding) Write([]byte) (int, error) { panic("boom") }

// TestPanicsGoToTheCaller lets what a goroutine of a stream calls panic: whoever uses the stream
// next panics in its place.
func TestPanicsGoToTheCaller(t *testing.T) {
	use := map[string]func() error{
		"read": func() error {
			in := stdio.NewInput(exploding{})
			task := poll.NewTask(t.Context())
			if _, err := poll.Block(task, in, poll.Readable, poll.Wait{Op: "read", Deadline: poll.NoDeadline}); err != nil {
				return err
			}
			_, err := in.Read(make([]byte, 1))
			return err
		},
		"write": func() error {
			out := stdio.NewOutput(exploding{})
			task := poll.NewTask(t.Context())
			for {
				n, err := out.Write([]byte("x"))
				if n == 0 && err != wasip1.EAGAIN {
					return err
				}
				if _, err := poll.Block(task, out, poll.Writable, poll.Wait{Op: "write", Deadline: poll.NoDeadline}); err != nil {
					return err
				}
			}
		},
	}
	for name, f := range use {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p, ok := recover().(*stdio.PanicError); !ok || p.Value != "boom" || len(p.Stack) == 0 {
					t.Errorf("%v, want the panic", p)
				}
			}()
			t.Errorf("no panic, but %v", f())
		})
	}
	out := stdio.NewOutput(exploding{})
	if _, err := out.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(poll.NewTask(t.Context())); !errors.As(err, new(*stdio.PanicError)) {
		t.Errorf("Flush returns %v, want the panic", err)
	}
}

// A reader or writer that is nil panics where it is used, in no goroutine of the stream's.
func TestNilReaderAndWriter(t *testing.T) {
	task := poll.NewTask(t.Context())
	in := stdio.NewInput(nil)
	if _, err := poll.Block(task, in, poll.Readable, poll.Wait{Op: "read", Deadline: poll.NoDeadline}); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if p, ok := recover().(*stdio.PanicError); !ok {
				t.Errorf("%v, want a panic of reading", p)
			}
		}()
		_, err := in.Read(make([]byte, 1))
		t.Errorf("no panic, but %v", err)
	}()
	out := stdio.NewOutput(nil)
	if _, err := out.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(task); !errors.As(err, new(*stdio.PanicError)) {
		t.Errorf("Flush returns %v, want the panic", err)
	}
}
