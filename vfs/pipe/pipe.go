// Package pipe has pipes in memory: between guests, and between a guest and host code.
//
//	r, w := pipe.New(0)
//
// makes a pipe of 64 KiB with an end for reading and an end for writing. Both are streams that can
// be given to a guest as descriptors. They behave as a POSIX pipe in non-blocking mode. The open
// file description above them waits unless its guest asked for non-blocking mode:
//
//   - A write of up to 4096 bytes ([Buf]) goes in whole or not at all; of a longer one goes in what
//     fits. The pipe is ready for writing while 4096 bytes fit.
//   - A read takes what there is, and is at the end when the pipe is empty and no end for writing
//     is left.
//   - A write answers EPIPE when no end for reading is left.
//
// An end is closed once. For a second guest that is to write to the same pipe, or read from it,
// make another end: [Writer.Another], [Reader.Another].
//
// Host code uses a Host, which turns any stream into a blocking io.ReadWriteCloser with deadlines.
// It follows the rule of virtual time (see clock.Holder): a call holds time, so that no timer fires
// between a write and the moment at which a waiting guest has been woken. While the call itself
// waits, it releases time.
//
// Lock order: Host, pipe, [poll.Queue], clock.
package pipe

import (
	"io"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

const (
	// Buf is the size up to which writes are indivisible (POSIX: PIPE_BUF).
	Buf = 4096
	// DefaultCapacity is how many bytes are in a full pipe unless another size is asked for.
	DefaultCapacity = 64 << 10
)

// New makes a pipe that takes up capacity bytes, at least [Buf]; 0 stands for [DefaultCapacity].
// Memory is taken when it is needed.
func New(capacity int) (*Reader, *Writer) {
	if capacity <= 0 {
		capacity = DefaultCapacity
	}
	p := &core{ring: NewRing(max(capacity, Buf))}
	r, w := &Reader{}, &Writer{}
	p.add(&r.end, &p.read, &p.write)
	p.add(&w.end, &p.write, &p.read)
	return r, w
}

// Reader is an end for reading.
type Reader struct{ end }

// Another returns a new end for reading of the same pipe; what one takes the others miss. EBADF
// when r is closed.
func (r *Reader) Another() (*Reader, error) {
	another := &Reader{}
	if err := r.another(&another.end); err != nil {
		return nil, err
	}
	return another, nil
}

// Read takes what there is. Errors: EAGAIN when the pipe is empty, io.EOF when it will stay so,
// EBADF after Close.
func (r *Reader) Read(b []byte) (int, error) {
	p := r.p
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case r.closed:
		return 0, wasip1.EBADF
	case len(b) == 0:
		return 0, nil
	case p.ring.Len() > 0:
		full := p.ring.Free() < Buf
		n := p.ring.Read(b)
		if full && p.ring.Free() >= Buf {
			p.write.waiters.Wake()
		}
		return n, nil
	case len(p.write.ends) == 0:
		return 0, io.EOF
	}
	return 0, wasip1.EAGAIN
}

// Write answers EBADF.
func (r *Reader) Write([]byte) (int, error) { return 0, wasip1.EBADF }

// Poll tells whether a read would answer, and how many bytes there are. Hangup says that no end for
// writing is left.
func (r *Reader) Poll(want poll.Events) poll.State {
	if want&poll.Readable == 0 {
		return refused(want)
	}
	p := r.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.closed {
		return refused(poll.Readable)
	}
	s := poll.State{Bytes: uint64(p.ring.Len()), Hangup: len(p.write.ends) == 0}
	if s.Bytes > 0 || s.Hangup {
		s.Ready = poll.Readable
	}
	return s
}

// Writer is an end for writing.
type Writer struct{ end }

// Another returns a new end for writing of the same pipe. EBADF when w is closed.
func (w *Writer) Another() (*Writer, error) {
	another := &Writer{}
	if err := w.another(&another.end); err != nil {
		return nil, err
	}
	return another, nil
}

// Write puts in what fits; up to [Buf] bytes whole or not at all. Errors: EAGAIN when that is
// nothing, EPIPE when no end for reading is left, EBADF after Close.
func (w *Writer) Write(b []byte) (int, error) {
	p := w.p
	p.mu.Lock()
	defer p.mu.Unlock()
	switch free := p.ring.Free(); {
	case w.closed:
		return 0, wasip1.EBADF
	case len(p.read.ends) == 0:
		return 0, wasip1.EPIPE
	case len(b) == 0:
		return 0, nil
	case free == 0, len(b) <= Buf && len(b) > free:
		return 0, wasip1.EAGAIN
	}
	empty := p.ring.Len() == 0
	n := p.ring.Write(b)
	if empty {
		p.read.waiters.Wake()
	}
	return n, nil
}

// Read answers EBADF.
func (w *Writer) Read([]byte) (int, error) { return 0, wasip1.EBADF }

// Poll tells whether a write of [Buf] bytes would go in or fail, and how many bytes would. Hangup
// says that no end for reading is left.
func (w *Writer) Poll(want poll.Events) poll.State {
	if want&poll.Writable == 0 {
		return refused(want)
	}
	p := w.p
	p.mu.Lock()
	defer p.mu.Unlock()
	switch free := p.ring.Free(); {
	case w.closed:
		return refused(poll.Writable)
	case len(p.read.ends) == 0:
		return poll.State{Ready: poll.Writable, Hangup: true, Err: wasip1.EPIPE}
	case free >= Buf:
		return poll.State{Ready: poll.Writable, Bytes: uint64(free)}
	}
	return poll.State{}
}

// refused is the state of an end in a direction in which it is not open.
func refused(want poll.Events) poll.State {
	if want == 0 {
		return poll.State{}
	}
	return poll.State{Ready: want, Err: wasip1.EBADF}
}
