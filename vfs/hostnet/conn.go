package hostnet

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Conn is a vfs.Socket over a net.Conn.
type Conn struct {
	poll.Queue
	c    net.Conn
	in   *stdio.Input
	out  *stdio.Output
	keep bool
	// crowd counts the connections of a Listener that linger; nil for one that is of none.
	crowd *atomic.Int32

	mu      sync.Mutex
	deaf    bool // shut down for reading
	mute    bool // shut down for writing
	drained bool // and all has been written
	closed  bool
	lingers bool // and is counted in crowd
}

// Linger is how long a closed connection may take, where a goroutine writes it, to send what its
// guest had written. No budget of the guest has the connection any more: at most 64 connections of
// a [Listener] linger at once, and what others have not sent is lost when they are closed.
const Linger = 10 * time.Second

const maxLingering = 64

// NewConn makes a socket of c, which it owns unless [WithKeepOpen] says otherwise. It uses the
// deadlines of c.
func NewConn(c net.Conn, opts ...Option) *Conn {
	s := &Conn{c: c, keep: newConfig(opts).keep}
	s.in = stdio.NewInput(c, stdio.WithWakeQueue(&s.Queue))
	s.out = stdio.NewOutput(c, stdio.WithWakeQueue(&s.Queue), stdio.WithCloseFunc(s.written))
	return s
}

// written is called when nothing more is written: after a shutdown of that direction or after
// Close.
func (s *Conn) written() error {
	s.mu.Lock()
	s.drained = true
	closed := s.closed
	s.mu.Unlock()
	if !closed {
		return s.closeWrite()
	}
	return s.finish()
}

// finish is called once, when the socket is closed and nothing more is written.
func (s *Conn) finish() error {
	s.mu.Lock()
	if s.lingers {
		s.lingers = false
		s.crowd.Add(-1)
	}
	s.mu.Unlock()
	if s.keep {
		return s.c.SetWriteDeadline(time.Time{})
	}
	return s.c.Close()
}

func (s *Conn) closeWrite() error {
	if h, ok := s.c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil // the other end is told by Close
}

// UsesMachine implements [vfs.MachineUser].
func (s *Conn) UsesMachine() bool { return true }

// LocalAddr returns the own address.
func (s *Conn) LocalAddr() net.Addr { return s.c.LocalAddr() }

// RemoteAddr returns the address of the other end.
func (s *Conn) RemoteAddr() net.Addr { return s.c.RemoteAddr() }

// Peer returns the address of the other end as text. Package virt/ps shows it.
func (s *Conn) Peer() string { return s.c.RemoteAddr().String() }

// Read reads what there is. Errors: EAGAIN; io.EOF; EBADF after Close; those of the connection.
func (s *Conn) Read(p []byte) (int, error) { return s.Recv(p, false) }

// Recv reads like Read; with peek what was read stays.
func (s *Conn) Recv(p []byte, peek bool) (int, error) {
	s.mu.Lock()
	deaf := s.deaf && !s.closed
	s.mu.Unlock()
	if deaf && len(p) > 0 {
		return 0, io.EOF
	}
	return s.in.Recv(p, peek)
}

// Write writes what fits. Errors: EAGAIN; EPIPE after a shutdown for writing; EBADF after Close;
// those of the connection, also with bytes that were taken before.
func (s *Conn) Write(p []byte) (int, error) {
	s.mu.Lock()
	mute := s.mute && !s.closed
	s.mu.Unlock()
	if mute {
		return 0, wasip1.EPIPE
	}
	return s.out.Write(p)
}

// Poll implements [poll.Pollable].
func (s *Conn) Poll(want poll.Events) poll.State {
	s.mu.Lock()
	deaf, mute, closed := s.deaf, s.mute, s.closed
	s.mu.Unlock()
	if closed {
		return poll.State{Ready: want, Err: wasip1.EBADF}
	}
	var st poll.State
	if want&poll.Readable != 0 {
		if deaf {
			st = poll.State{Ready: poll.Readable, Hangup: true}
		} else {
			st = s.in.Poll(poll.Readable)
		}
	}
	if want&poll.Writable != 0 {
		out := poll.State{Ready: poll.Writable, Err: wasip1.EPIPE}
		if !mute {
			out = s.out.Poll(poll.Writable)
		}
		if want&poll.Readable == 0 {
			return out
		}
		st.Ready |= out.Ready
		st.Hangup = st.Hangup || out.Hangup
		if st.Err == nil {
			st.Err = out.Err
		}
	}
	return st
}

// Flush implements [stdio.Flusher].
func (s *Conn) Flush(t poll.Task) error { return s.out.Flush(t) }

// Shutdown ends one or both directions; what has been written is still sent. Errors: ENOTCONN;
// EBADF after Close.
func (s *Conn) Shutdown(how wasip1.Sdflags) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return wasip1.EBADF
	}
	deafen := how&wasip1.ShutRd != 0 && !s.deaf
	silence := how&wasip1.ShutWr != 0 && !s.mute
	s.deaf = s.deaf || deafen
	s.mute = s.mute || silence
	s.mu.Unlock()
	var err error
	if deafen {
		if h, ok := s.c.(interface{ CloseRead() error }); ok {
			err = h.CloseRead()
		}
	}
	if silence {
		if e := s.out.Close(); e != nil {
			err = e
		}
	}
	s.Wake()
	return err
}

// Close closes the connection. What has been written is still sent, for at most [Linger].
func (s *Conn) Close() (err error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	drained := s.drained
	linger := time.Duration(0)
	if !drained && s.out.Pending() > 0 {
		linger = s.lingerLocked()
	}
	s.mu.Unlock()
	defer func() { // whatever the connection's methods do
		if drained {
			err = s.finish()
		} else {
			err = s.out.Close()
		}
	}()
	s.Wake()
	_ = s.in.Close()
	if s.out.Pending() > 0 {
		// If all is written just now, the connection is closed before or after this: an error
		// either way.
		_ = s.c.SetWriteDeadline(time.Now().Add(linger))
	}
	return nil
}

// lingerLocked returns how long the connection may linger.
func (s *Conn) lingerLocked() time.Duration {
	if s.crowd == nil {
		return Linger
	}
	if s.crowd.Add(1) > maxLingering {
		s.crowd.Add(-1)
		return 0
	}
	s.lingers = true
	return Linger
}
