package stdio

import (
	"io"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Discard takes everything that is written and reads as empty.
type Discard struct{ poll.Always }

// Read is at the end.
func (Discard) Read([]byte) (int, error) { return 0, io.EOF }

// Write takes all of p.
func (Discard) Write(p []byte) (int, error) { return len(p), nil }

// Close does nothing.
func (Discard) Close() error { return nil }

func (Discard) waitless() bool { return true }

// Null reads as empty, like /dev/null, and takes everything that is written.
type Null = Discard

// Closed is a stream that is not open in either direction: reading and writing
// answer EBADF, as on a descriptor that the guest was not given.
type Closed struct{}

// Read answers EBADF.
func (Closed) Read([]byte) (int, error) { return 0, wasip1.EBADF }

// Write answers EBADF.
func (Closed) Write([]byte) (int, error) { return 0, wasip1.EBADF }

// Poll says that an operation would not wait, but fail.
func (Closed) Poll(want poll.Events) poll.State { return refused(want) }

// Subscribe does nothing: nobody ever waits.
func (Closed) Subscribe(*poll.Waiter) {}

// Unsubscribe does nothing.
func (Closed) Unsubscribe(*poll.Waiter) {}

// Close does nothing.
func (Closed) Close() error { return nil }

// wrapped is a stream of which some answers are replaced.
type wrapped struct {
	vfs.Stream
	tty    bool
	shared bool
}

// Terminal returns s as a terminal: a guest's isatty says yes.
func Terminal(s vfs.Stream) vfs.Stream { return wrapped{Stream: s, tty: true} }

// NotTerminal returns s as no terminal, whatever it is.
func NotTerminal(s vfs.Stream) vfs.Stream { return wrapped{Stream: s} }

// Shared returns s without its Close, for a stream that is used by several guests, together or
// one after the other. Its owner closes s itself.
func Shared(s vfs.Stream) vfs.Stream {
	return wrapped{Stream: s, tty: IsTerminal(s), shared: true}
}

// IsTerminal reports whether s has a method Terminal that says so. To a guest a terminal is a
// character device on which it cannot seek, which is what isatty looks at; other streams
// are of unknown type.
func IsTerminal(s vfs.Stream) bool {
	t, ok := s.(interface{ Terminal() bool })
	return ok && t.Terminal()
}

func (w wrapped) Terminal() bool { return w.tty }

func (w wrapped) Flush(t poll.Task) error { return Flush(t, w.Stream) }

func (w wrapped) Close() error {
	if w.shared {
		return nil
	}
	return w.Stream.Close()
}
