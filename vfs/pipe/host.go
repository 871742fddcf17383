package pipe

import (
	"context"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Host makes of a stream, which never waits, an io.ReadWriteCloser that does, for host code.
// Any goroutines may use it; of those that read, and of those that write, one at a time does.
//
// Deadlines are read on the clock that it was given: with a virtual clock they are made from its
// Realtime, not from time.Now. One that is before 1970-01-01T00:00:02Z has passed on any clock,
// because that is how net/http ends a read. Virtual time goes to a deadline only while something
// waits for it.
//
// Where the clock is a [clock.Holder], a call holds time except while it waits for the guest. When
// it returns it has let go: host code that then has something to do before time may go on, takes a
// Hold around the calls.
type Host struct {
	stream vfs.Stream
	clock  clock.Clock
	holder clock.Holder // nil where the clock is none
	read   direction
	write  direction
}

// direction is one of the two in which a Host waits.
type direction struct {
	busy     sync.Mutex // held by the one whose turn it is
	task     poll.Task
	waiter   poll.Waiter  // its place in the stream's queue
	deadline atomic.Int64 // on the monotonic clock
}

// NewHost returns a Host for s, to be closed in place of s. Whatever waits in it ends when ctx is
// done, with the context's cause. A nil clock stands for real time.
func NewHost(ctx context.Context, s vfs.Stream, c clock.Clock) *Host {
	if c == nil {
		c = clock.Real()
	}
	h := &Host{stream: s, clock: c}
	h.holder, _ = c.(clock.Holder)
	for _, d := range []*direction{&h.read, &h.write} {
		d.task = poll.NewTask(ctx)
		if h.holder != nil {
			d.task = poll.NewHoldingTask(ctx, h.holder)
		}
		d.waiter.Waker = d.task
		d.deadline.Store(poll.NoDeadline)
	}
	return h
}

// Stream returns the stream below.
func (h *Host) Stream() vfs.Stream { return h.stream }

// Read waits until there is something and returns what there is. Errors: io.EOF;
// os.ErrDeadlineExceeded; EBADF after Close, which matches fs.ErrClosed; those of the stream.
func (h *Host) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	err = h.Do(poll.Readable, func() error {
		n, err = h.stream.Read(p)
		return err
	})
	return n, err
}

// Write waits until all of p has been taken. Errors: EPIPE; os.ErrDeadlineExceeded; EBADF
// after Close, which matches fs.ErrClosed; those of the stream.
func (h *Host) Write(p []byte) (n int, err error) {
	err = h.Do(poll.Writable, func() error {
		for {
			k, err := h.stream.Write(p[n:])
			n += k
			switch {
			case err != nil:
				return err
			case n == len(p):
				return nil
			case k == 0:
				return io.ErrShortWrite
			}
		}
	})
	return n, err
}

// Do calls f, and again each time the stream is ready in the direction, until it answers
// something else than EAGAIN, and returns that. It is subject to the direction's deadline.
func (h *Host) Do(dir poll.Events, f func() error) error {
	d := &h.read
	if dir == poll.Writable {
		d = &h.write
	}
	d.busy.Lock()
	defer d.busy.Unlock()
	if h.holder != nil {
		h.holder.Hold()
		defer h.holder.Release()
	}
	if h.passed(d) {
		return os.ErrDeadlineExceeded
	}
	if err := f(); err != wasip1.EAGAIN {
		return err
	}
	h.stream.Subscribe(&d.waiter)
	defer h.stream.Unsubscribe(&d.waiter)
	for {
		for h.stream.Poll(dir).Ready == 0 {
			if h.passed(d) {
				return os.ErrDeadlineExceeded
			}
			if err := d.task.Park(poll.Wait{Op: "host", Clock: h.clock, Deadline: d.deadline.Load()}); err != nil {
				return err
			}
		}
		if err := f(); err != wasip1.EAGAIN {
			return err
		}
	}
}

func (h *Host) passed(d *direction) bool {
	at := d.deadline.Load()
	return at != poll.NoDeadline && h.clock.Monotonic() >= at
}

// Close closes the stream and ends what waits.
func (h *Host) Close() error {
	if h.holder != nil {
		h.holder.Hold()
		defer h.holder.Release()
	}
	// That it is closed counts before a deadline that has passed.
	h.read.deadline.Store(poll.NoDeadline)
	h.write.deadline.Store(poll.NoDeadline)
	err := h.stream.Close()
	h.read.task.Wake()
	h.write.task.Wake()
	return err
}

// SetDeadline sets both deadlines; the zero time stands for none.
func (h *Host) SetDeadline(t time.Time) error {
	_ = h.SetReadDeadline(t)
	return h.SetWriteDeadline(t)
}

// SetReadDeadline sets when reads end, those under way as well.
func (h *Host) SetReadDeadline(t time.Time) error {
	h.setDeadline(&h.read, t)
	return nil
}

// SetWriteDeadline sets when writes end, those under way as well.
func (h *Host) SetWriteDeadline(t time.Time) error {
	h.setDeadline(&h.write, t)
	return nil
}

// longPast is a time before which a deadline has passed on any clock.
var longPast = time.Unix(2, 0)

func (h *Host) setDeadline(d *direction, t time.Time) {
	at := int64(poll.NoDeadline)
	switch {
	case t.IsZero():
	case t.Before(longPast):
		at = 0
	default:
		// Sub saturates, so that no time is too far away.
		now, left := h.clock.Monotonic(), int64(t.Sub(time.Unix(0, h.clock.Realtime())))
		if left < poll.NoDeadline-now {
			at = max(now+left, 0)
		}
	}
	d.deadline.Store(at)
	d.task.Wake() // to look at it
}
