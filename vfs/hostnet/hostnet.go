// Package hostnet gives guests real connections: a [vfs.Listener] over a net.Listener and a
// [vfs.Socket] over a net.Conn. It is the only way from a guest to the machine's network, and the
// embedder opens it: a guest has the listeners and connections that it was given as descriptors,
// and what it accepts on them.
//
//	l, err := net.Listen("tcp", "127.0.0.1:0")
//	listener := hostnet.NewListener(l)
//
// Nothing spins and nothing runs for an idle descriptor. A goroutine lives while a guest waits: in
// a call of Accept, for the next connection; for a connection to become readable, and to become
// writable. On Linux, TCP and Unix connections are read and written without one (see package stdio,
// which this one is built on), elsewhere and for other connections, TLS for example, one goroutine
// reads ahead up to 64 KiB when asked and one writes. Each belongs to its stream and ends when that
// is closed. A guest that is cancelled loses nothing: the connection that was accepted for it, and
// the bytes that were read, are for the next who asks the same stream.
//
// Real connections are outside of virtual time. Whatever they bring comes at the moment which the
// clock shows, and they do not hold time.
package hostnet

import (
	"errors"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Option changes how a listener or connection is used.
type Option func(*config)

type config struct{ keep bool }

func newConfig(opts []Option) (c config) {
	for _, o := range opts {
		o(&c)
	}
	return c
}

// WithKeepOpen leaves the net.Listener or net.Conn open when the stream is closed. What waits in it
// for the stream is ended by a deadline, which is taken back.
func WithKeepOpen() Option { return func(c *config) { c.keep = true } }

var longAgo = time.Unix(1, 0)

// Listener is a vfs.Listener over a net.Listener. At most one connection is accepted ahead of the
// guest; the others stay in the backlog of the system.
type Listener struct {
	poll.Queue
	l         net.Listener
	keep      bool
	lingering atomic.Int32 // see maxLingering

	mu      sync.Mutex
	conn    net.Conn // accepted and not handed out
	err     error    // of Accept of l, returned once; always if l is closed or has panicked
	running bool
	closed  bool
}

// NewListener makes a listener of l, which it owns unless [WithKeepOpen] says otherwise.
func NewListener(l net.Listener, opts ...Option) *Listener {
	return &Listener{l: l, keep: newConfig(opts).keep}
}

// UsesMachine implements [vfs.MachineUser].
func (l *Listener) UsesMachine() bool { return true }

// Addr returns the address of the net.Listener.
func (l *Listener) Addr() net.Addr { return l.l.Addr() }

// Accept returns the next connection. It panics with a [stdio.PanicError] after the net.Listener
// has panicked. Errors: EAGAIN; EBADF after Close; those of the net.Listener; a
// [stdio.GoexitError] if it called runtime.Goexit.
func (l *Listener) Accept() (vfs.Socket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, wasip1.EBADF
	case l.conn != nil:
		c := NewConn(l.conn)
		c.crowd = &l.lingering
		l.conn = nil
		return c, nil
	case l.err != nil:
		err := l.err
		if p, ok := err.(*stdio.PanicError); ok {
			panic(p)
		}
		if !errors.Is(err, net.ErrClosed) {
			l.err = nil
		}
		return nil, err
	}
	l.startLocked()
	return nil, wasip1.EAGAIN
}

// Poll tells whether Accept would answer. It is never ready for writing.
func (l *Listener) Poll(want poll.Events) poll.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return poll.State{Ready: want, Err: wasip1.EBADF}
	case l.conn != nil:
		return poll.State{Ready: want & poll.Readable, Bytes: 1}
	case l.err != nil:
		return poll.State{Ready: want & poll.Readable, Err: l.err}
	case want&poll.Readable != 0:
		l.startLocked()
	}
	return poll.State{}
}

func (l *Listener) startLocked() {
	if !l.running {
		l.running = true
		go l.accept()
	}
}

// accept accepts one connection.
func (l *Listener) accept() {
	c, err := net.Conn(nil), error(&stdio.GoexitError{})
	defer func() { l.accepted(c, err) }()
	c, err = l.ask()
}

// ask calls Accept of the net.Listener, and makes its panic a [stdio.PanicError].
func (l *Listener) ask() (c net.Conn, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &stdio.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	if c, err = l.l.Accept(); c == nil && err == nil {
		err = errNoConn
	}
	return c, err
}

var errNoConn = errors.New("hostnet: Accept of the net.Listener returned neither a connection nor an error")

// accepted is told what Accept of the net.Listener has returned.
func (l *Listener) accepted(c net.Conn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = false
	if l.closed {
		defer func() { _ = recover() }() // nobody is left who could be told
		defer l.setDeadline(time.Time{})
		if c != nil {
			_ = c.Close()
		}
		return
	}
	l.conn, l.err = c, err
	l.Wake()
}

// Read answers ENOTCONN.
func (l *Listener) Read([]byte) (int, error) { return 0, wasip1.ENOTCONN }

// Write answers ENOTCONN.
func (l *Listener) Write([]byte) (int, error) { return 0, wasip1.ENOTCONN }

// Close closes the net.Listener, and a connection that was accepted and not handed out.
func (l *Listener) Close() (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	l.Wake()
	if l.running {
		l.setDeadline(longAgo)
	}
	defer func() {
		if !l.keep {
			err = l.l.Close()
		}
	}()
	if c := l.conn; c != nil {
		l.conn = nil
		_ = c.Close()
	}
	return nil
}

// setDeadline sets when calls of Accept end, those under way too, of a net.Listener that stays
// open.
func (l *Listener) setDeadline(at time.Time) {
	if d, ok := l.l.(interface{ SetDeadline(time.Time) error }); ok && l.keep {
		_ = d.SetDeadline(at)
	}
}
