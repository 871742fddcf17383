package stdio

import (
	"io"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Discard accepts every write and drops the bytes. Reading returns io.EOF.
type Discard struct{ poll.Always }

// Read returns io.EOF.
func (Discard) Read([]byte) (int, error) { return 0, io.EOF }

// Write takes all of p.
func (Discard) Write(p []byte) (int, error) { return len(p), nil }

// Close does nothing.
func (Discard) Close() error { return nil }

func (Discard) waitless() bool { return true }

// Closed is a stream on which reading and writing return EBADF, as on a descriptor that is not
// open.
type Closed struct{}

// Read returns EBADF.
func (Closed) Read([]byte) (int, error) { return 0, wasip1.EBADF }

// Write returns EBADF.
func (Closed) Write([]byte) (int, error) { return 0, wasip1.EBADF }

// Poll reports an error: operations fail at once.
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
	kind   wasip1.Filetype
	shared bool
	users  *atomic.Int32 // how many have not closed it; nil for one
}

// Terminal returns s as a terminal: isatty is true in the guest. To a guest, a terminal is a
// character device that cannot seek.
func Terminal(s vfs.Stream) vfs.Stream {
	return wrapped{Stream: s, kind: wasip1.FiletypeCharacterDevice}
}

// NotTerminal returns s as a stream of unknown type, which guests do not take for a terminal.
func NotTerminal(s vfs.Stream) vfs.Stream {
	return wrapped{Stream: s, kind: wasip1.FiletypeUnknown}
}

// Shared returns a stream that is s, except that its Close does nothing. Use it for a stream that
// several guests have; close s yourself. A socket becomes a plain stream.
func Shared(s vfs.Stream) vfs.Stream {
	return wrapped{Stream: s, kind: filetype(IsTerminal(s)), shared: true}
}

// IsTerminal reports whether a guest takes s for a terminal.
func IsTerminal(s vfs.Stream) bool {
	t, ok := s.(interface{ Type() wasip1.Filetype })
	return ok && t.Type() == wasip1.FiletypeCharacterDevice
}

func filetype(tty bool) wasip1.Filetype {
	if tty {
		return wasip1.FiletypeCharacterDevice
	}
	return wasip1.FiletypeUnknown
}

// Type implements vfs.Typed.
func (w wrapped) Type() wasip1.Filetype { return w.kind }

// Reach implements poll.Reacher.
func (w wrapped) Reach() poll.Reach { return poll.ReachOf(w.Stream) }

// Lend passes on who uses the stream. A shared one is its owner's.
func (w wrapped) Lend(to any) {
	if l, ok := w.Stream.(interface{ Lend(to any) }); ok && !w.shared {
		l.Lend(to)
	}
}

func (w wrapped) Flush(t poll.Task) error { return Flush(t, w.Stream) }

// Abandon implements [Abandoner]. A shared stream is its owner's.
func (w wrapped) Abandon(t poll.Task) error {
	if w.shared {
		return nil
	}
	return Abandon(t, w.Stream)
}

// Busy reports whether a goroutine of the stream is at work.
func (w wrapped) Busy() bool {
	b, ok := w.Stream.(interface{ Busy() bool })
	return ok && b.Busy()
}

// UsesMachine implements [vfs.MachineUser].
func (w wrapped) UsesMachine() bool { return vfs.UsesMachine(w.Stream) }

func (w wrapped) Close() error {
	if w.shared || w.users != nil && w.users.Add(-1) > 0 {
		return nil
	}
	return w.Stream.Close()
}
