package stdio

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

var (
	noTime  = time.Time{}
	longAgo = time.Unix(1, 0)
)

type readDeadliner interface{ SetReadDeadline(time.Time) error }

// Writer makes a stream for writing to w: w itself if it is a stream, [Discard] for nil and for
// [io.Discard], otherwise an [Output].
func Writer(w io.Writer, opts ...Option) vfs.Stream {
	switch s := w.(type) {
	case nil:
		return Discard{}
	case vfs.Stream:
		return s
	}
	if w == io.Discard {
		return Discard{}
	}
	return NewOutput(w, opts...)
}

// Writers makes streams of a guest's standard output and standard error that keep the order in
// which the guest writes to both. If both are the same writer, one goroutine writes to it, and
// closing the second stream closes it. The options apply to both.
func Writers(stdout, stderr io.Writer, opts ...Option) (vfs.Stream, vfs.Stream) {
	opts = append(opts[:len(opts):len(opts)], WithGroup(&Group{limit: newConfig(opts).size}))
	out := Writer(stdout, opts...)
	if same(stdout, stderr) {
		users := new(atomic.Int32)
		users.Store(2)
		out = wrapped{Stream: out, kind: filetype(IsTerminal(out)), users: users}
		return out, out
	}
	return out, Writer(stderr, opts...)
}

// same compares two writers, which may be of a type that cannot be compared.
func same(a, b io.Writer) (equal bool) {
	defer func() { _ = recover() }()
	return a != nil && a == b
}

// Flusher is implemented by streams that have a buffer for writing.
type Flusher interface {
	// Flush waits until the buffer has been written. It returns the error of the writer if bytes
	// were lost, or the task's error if the task has to end first.
	Flush(t poll.Task) error
}

// Flush flushes s if it is a [Flusher].
func Flush(t poll.Task, s vfs.Stream) error {
	if f, ok := s.(Flusher); ok {
		return f.Flush(t)
	}
	return nil
}

// Output is a stream that writes to an io.Writer.
type Output struct {
	base
	snk sink
}

// sink is one way of writing without waiting. Its methods may be called by several goroutines.
type sink interface {
	send(p []byte) (int, error)
	state() poll.State
	// pending tells how many bytes have been taken and not been written yet.
	pending() int
	// takeErr returns what went wrong with bytes that had been taken, once.
	takeErr() error
	// drop makes bytes that were taken, and that no write has begun for, be lost.
	drop()
	close() error
}

// NewOutput makes a stream of w. See the package's description for how it is written.
func NewOutput(w io.Writer, opts ...Option) *Output {
	c := newConfig(opts)
	o := &Output{}
	o.init(w, c)
	o.snk = newSink(w, c, o.queue)
	return o
}

func newSink(w io.Writer, c config, q *poll.Queue) sink {
	closer := c.closerOf(w)
	if l, ok := w.(*LineWriter); ok {
		closer = l.Close // hands on a last line without an end
	}
	if c.group == nil {
		c.group = &Group{limit: c.size}
	}
	pump := &pumpSink{w: w, group: c.group, queue: q, closer: closer, around: c.around}
	if c.pumped {
		return pump
	}
	if c.direct || doesNotWait(w) {
		return &directSink{direct{mu: &c.group.direct, closer: closer}, w}
	}
	if s := newRawSink(w, q, closer); s != nil {
		return s
	}
	return pump
}

// Write writes what fits. If a goroutine writes, up to 4096 bytes are taken whole or not at all.
// Errors: EAGAIN; EBADF if the stream is closed; the writer's error for bytes of an earlier Write.
func (o *Output) Write(p []byte) (int, error) { return o.snk.send(p) }

// Read returns EBADF.
func (o *Output) Read([]byte) (int, error) { return 0, wasip1.EBADF }

// Poll reports whether there is room for a write. For reading it is always ready, with EBADF.
func (o *Output) Poll(want poll.Events) poll.State {
	if want&poll.Writable == 0 {
		return refused(want & poll.Readable)
	}
	return o.snk.state()
}

// Close ends writing. The stream's goroutine still writes the buffer.
func (o *Output) Close() error { return o.snk.close() }

// Flush implements [Flusher].
func (o *Output) Flush(t poll.Task) error {
	if o.snk.pending() == 0 {
		return o.snk.takeErr()
	}
	if _, err := poll.Block(t, drain{o}, poll.Writable, poll.Wait{Op: "flush", Deadline: poll.NoDeadline}); err != nil {
		return err
	}
	return o.snk.takeErr()
}

// Abandoner is implemented by streams that write from a buffer on a goroutine of their own.
type Abandoner interface {
	// Abandon drops the bytes in the buffer and waits for the Write under way. Nothing is written
	// afterwards. If the task has to end first, Abandon returns its error.
	Abandon(t poll.Task) error
}

// Abandon abandons s if it is an [Abandoner].
func Abandon(t poll.Task, s vfs.Stream) error {
	if a, ok := s.(Abandoner); ok {
		return a.Abandon(t)
	}
	return nil
}

// Abandon implements [Abandoner].
func (o *Output) Abandon(t poll.Task) error {
	o.snk.drop()
	if o.snk.pending() == 0 {
		return nil
	}
	_, err := poll.Block(t, drain{o}, poll.Writable, poll.Wait{Op: "flush", Deadline: poll.NoDeadline})
	return err
}

// Busy reports whether a goroutine of the stream is, or is about to be, in a Write of the writer.
func (o *Output) Busy() bool { return o.snk.pending() > 0 }

// Pending returns the number of bytes in the buffer.
func (o *Output) Pending() int { return o.snk.pending() }

// drain is ready when its output has nothing pending.
type drain struct{ *Output }

func (d drain) Poll(want poll.Events) poll.State {
	if d.snk.pending() > 0 {
		return poll.State{}
	}
	return poll.State{Ready: want}
}
