package stdio

import (
	"bytes"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Reader makes a stream for reading from r: r itself if it is a stream, [Discard] for nil,
// otherwise an [Input].
func Reader(r io.Reader, opts ...Option) vfs.Stream {
	switch r := r.(type) {
	case nil:
		return Discard{}
	case vfs.Stream:
		return r
	}
	return NewInput(r, opts...)
}

// Input is a stream that reads from an io.Reader.
type Input struct {
	base
	src source
}

// source is one way of reading without waiting. Its methods may be called by several goroutines.
type source interface {
	recv(p []byte, peek bool) (int, error)
	// state tells whether recv would answer something else than EAGAIN, and if not sees to it that
	// the queue is woken when it would.
	state() poll.State
	buffered() []byte
	close() error
}

// NewInput makes a stream of r. See the package's description for how it is read.
func NewInput(r io.Reader, opts ...Option) *Input {
	c := newConfig(opts)
	in := &Input{}
	in.init(r, c)
	in.src = newSource(r, c, in.queue, in.tty)
	return in
}

func newSource(r io.Reader, c config, q *poll.Queue, tty bool) source {
	closer := c.closerOf(r)
	pump := &pumpSource{r: r, queue: q, size: c.size, closer: closer, around: c.around, tty: tty}
	if c.pumped {
		return pump
	}
	waitless := c.direct
	switch r := r.(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		waitless = true
	case *os.File:
		waitless = waitless || neverWaits(r)
	}
	if waitless {
		return &directSource{direct: direct{mu: new(sync.Mutex), closer: closer}, r: r}
	}
	if s := newRawSource(r, q, closer); s != nil {
		return s
	}
	return pump
}

// Read reads what there is, at most len(p) bytes. Errors: EAGAIN if there is nothing yet; io.EOF at
// the end, after which a terminal can be read again; EBADF if the stream is closed.
func (in *Input) Read(p []byte) (int, error) { return in.Recv(p, false) }

// Recv reads like Read. With peek, the bytes stay and are read again. Errors: those of Read;
// ENOTSUP for a peek if the reader is called directly.
func (in *Input) Recv(p []byte, peek bool) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return in.src.recv(p, peek)
}

// Buffered returns a copy of the bytes that were read from the reader and that no guest has read
// yet.
func (in *Input) Buffered() []byte { return in.src.buffered() }

// Busy reports whether a goroutine of the stream is in a Read of the reader. Nothing can interrupt
// that.
func (in *Input) Busy() bool {
	p, ok := in.src.(*pumpSource)
	return ok && p.busy()
}

// Write returns EBADF.
func (in *Input) Write([]byte) (int, error) { return 0, wasip1.EBADF }

// Poll reports whether a read would return at once. For writing it is always ready, with EBADF.
func (in *Input) Poll(want poll.Events) poll.State {
	if want&poll.Readable == 0 {
		return refused(want & poll.Writable)
	}
	return in.src.state()
}

// Close ends reading. Bytes that were read ahead are lost.
func (in *Input) Close() error { return in.src.close() }

// deadline sets a deadline of a reader, which may panic.
func deadline(d readDeadliner, at time.Time) error {
	_, err := guard(func([]byte) (int, error) { return 0, d.SetReadDeadline(at) }, nil)
	return err
}

// pumpSource reads ahead on a goroutine, one Read at a time and only when asked.
type pumpSource struct {
	r      io.Reader
	queue  *poll.Queue
	size   int
	closer func() error
	around func(func()) // see WithAround
	tty    bool

	mu      sync.Mutex
	buf     []byte // belongs to the goroutine while running
	rest    []byte // what of buf has not been taken
	err     error  // what comes after rest
	running bool
	ended   sync.WaitGroup // the goroutine
	closed  bool
}

func (s *pumpSource) recv(p []byte, peek bool) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, wasip1.EBADF
	case len(s.rest) > 0:
		n := copy(p, s.rest)
		if !peek {
			s.rest = s.rest[n:]
		}
		return n, nil
	case s.err != nil:
		err := s.err
		if s.tty && err == io.EOF && !peek {
			s.err = nil
		}
		return 0, passOn(err)
	}
	s.startLocked()
	return 0, wasip1.EAGAIN
}

func (s *pumpSource) state() poll.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := poll.State{Bytes: uint64(len(s.rest)), Hangup: s.err != nil}
	switch {
	case s.closed:
		st.Err = wasip1.EBADF
	case len(s.rest) > 0:
	case s.err == nil:
		s.startLocked()
		return st
	case s.err != io.EOF:
		st.Err = s.err
	}
	st.Ready = poll.Readable
	return st
}

func (s *pumpSource) startLocked() {
	if s.running {
		return
	}
	if s.buf == nil {
		s.buf = make([]byte, s.size)
	}
	s.running = true
	s.ended.Go(func() {
		if s.around != nil {
			s.around(s.fill)
		} else {
			s.fill()
		}
	})
}

// fill does one Read. A Read of no bytes without an error is asked again, a hundred times as bufio
// does.
func (s *pumpSource) fill() {
	n, err := 0, error(&GoexitError{})
	defer func() { s.filled(n, err) }()
	if s.isClosed() { // before this goroutine got to run: the bytes are somebody else's
		n, err = 0, wasip1.EBADF
		return
	}
	for range 100 {
		var got int
		var failed error
		if got, failed = guard(s.read, s.buf); got != 0 || failed != nil {
			n, err = got, failed
			return
		}
	}
	err = nil
}

// read calls the reader, which may be nil.
func (s *pumpSource) read(p []byte) (int, error) { return s.r.Read(p) }

// filled notes what a Read has answered.
func (s *pumpSource) filled(n int, err error) {
	switch {
	case n < 0 || n > len(s.buf):
		n, err = 0, errBadCount
	case n == 0 && err == nil:
		err = io.ErrNoProgress
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	s.rest, s.err = s.buf[:n], err
	if s.closed {
		if d, ok := s.r.(readDeadliner); ok {
			_ = deadline(d, noTime) // Close set it to end this Read
		}
	}
	s.queue.Wake()
}

func (s *pumpSource) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *pumpSource) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

func (s *pumpSource) buffered() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.rest)
}

func (s *pumpSource) close() error {
	first, ends := s.shut()
	if !first {
		return nil
	}
	// Only those of the system are known to mean it.
	switch s.r.(type) {
	case *os.File, *net.TCPConn, *net.UnixConn:
		if ends {
			s.ended.Wait()
		}
	}
	return call(s.closer)
}

// shut takes note of the first close, and tells a Read under way to end. It reports whether the
// reader has said that it will.
func (s *pumpSource) shut() (first, ends bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, false
	}
	s.closed = true
	s.queue.Wake()
	if d, ok := s.r.(readDeadliner); ok && s.running {
		ends = deadline(d, longAgo) == nil
	}
	return true, ends
}
