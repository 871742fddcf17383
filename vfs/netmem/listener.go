package netmem

import (
	"context"
	"net"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Listener waits for connections: a [vfs.Listener].
type Listener struct {
	poll.Queue
	network *Network
	addr    Addr
	backlog int

	// Guarded by the network's lock.
	queue  []*connection // to be accepted
	line   []*connection // that found the backlog full
	closed bool
}

// Addr returns the address.
func (l *Listener) Addr() Addr { return l.addr }

// Accept returns the next connection, the oldest first. Errors: EAGAIN; EBADF after Close.
func (l *Listener) Accept() (vfs.Socket, error) {
	s, err := l.accept()
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (l *Listener) accept() (*Socket, error) {
	n := l.network
	n.enter()
	defer n.leave()
	if l.closed {
		return nil, wasip1.EBADF
	}
	if len(l.queue) == 0 {
		return nil, wasip1.EAGAIN
	}
	c := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	c.acceptedLocked()
	for len(l.line) > 0 && len(l.queue) < l.backlog {
		next := l.line[0]
		l.line = l.line[1:]
		if next.phase != inLine {
			continue // it has given up
		}
		next.phase = queued
		l.queue = append(l.queue, next)
		next.retryLocked()
	}
	if len(l.queue) > 0 {
		l.Wake()
	}
	return c.ends[1], nil
}

// Poll tells whether there is a connection to be accepted.
func (l *Listener) Poll(want poll.Events) poll.State {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	if l.closed {
		return poll.State{Ready: want, Err: wasip1.EBADF}
	}
	if len(l.queue) == 0 {
		return poll.State{}
	}
	return poll.State{Ready: want & poll.Readable, Bytes: uint64(len(l.queue))}
}

// Read answers ENOTCONN.
func (l *Listener) Read([]byte) (int, error) { return 0, wasip1.ENOTCONN }

// Write answers ENOTCONN.
func (l *Listener) Write([]byte) (int, error) { return 0, wasip1.ENOTCONN }

// Close frees the address, resets connections that were not accepted, and refuses those being
// established.
func (l *Listener) Close() error {
	n := l.network
	n.enter()
	defer n.leave()
	if l.closed {
		return nil
	}
	l.closed = true
	delete(n.listeners, string(l.addr))
	for _, c := range l.queue {
		c.breakLocked(wasip1.ECONNRESET)
	}
	for _, c := range l.line {
		if c.phase == inLine {
			c.breakLocked(wasip1.ECONNREFUSED)
		}
	}
	l.queue, l.line = nil, nil
	l.Wake()
	return nil
}

// Net returns the listener for host code, such as http.Serve. Closing it closes the listener.
func (l *Listener) Net() net.Listener {
	return &netListener{l, pipe.NewHost(context.Background(), l, l.network.clock)}
}

type netListener struct {
	l    *Listener
	host *pipe.Host
}

func (l *netListener) Accept() (net.Conn, error) {
	var s *Socket
	if err := l.host.Do(poll.Readable, func() (err error) {
		s, err = l.l.accept()
		return err
	}); err != nil {
		return nil, opError("accept", nil, l.l.addr, err)
	}
	return newConn(s), nil
}

func (l *netListener) Close() error   { return l.host.Close() }
func (l *netListener) Addr() net.Addr { return l.l.addr }
