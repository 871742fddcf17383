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

// Writer makes a stream of w that can be written: w itself if it is a stream, [Discard] for nil and
// for io.Discard, else an [Output].
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
// which the guest writes to both. Where both are the same writer, it is written by one goroutine
// and closed with the second stream. The options are for both.
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

// Flusher is implemented by streams that take bytes before they are written.
type Flusher interface {
	// Flush waits until all that was taken has been written or lost, and returns why it was lost.
	// It returns the task's error when that has to end before.
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

// Write writes what fits; up to 4096 bytes are written whole or not at all where a goroutine writes
// them. Errors: EAGAIN; EBADF when the stream is closed; what went wrong with bytes taken before.
func (o *Output) Write(p []byte) (int, error) { return o.snk.send(p) }

// Read answers EBADF.
func (o *Output) Read([]byte) (int, error) { return 0, wasip1.EBADF }

// Poll tells whether a write would be taken. For reading it is always ready, with EBADF.
func (o *Output) Poll(want poll.Events) poll.State {
	if want&poll.Writable == 0 {
		return refused(want & poll.Readable)
	}
	return o.snk.state()
}

// Close ends writing. What was taken is still written, by the stream's goroutine.
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

// Abandoner is implemented by streams that write what they took on a goroutine of their own.
type Abandoner interface {
	// Abandon drops all that was taken and that no Write has begun for, and waits for the Write
	// under way. It returns the task's error when that has to end before. Nothing is written
	// afterwards, by whomever.
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

// Busy reports whether a goroutine of the stream is at work, or about to be: it may be in a Write.
func (o *Output) Busy() bool { return o.snk.pending() > 0 }

// Pending returns how many bytes have been taken and not been written yet.
func (o *Output) Pending() int { return o.snk.pending() }

// drain is ready when its output has nothing pending.
type drain struct{ *Output }

func (d drain) Poll(want poll.Events) poll.State {
	if d.snk.pending() > 0 {
		return poll.State{}
	}
	return poll.State{Ready: want}
}
