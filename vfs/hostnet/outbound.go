package hostnet

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/sockets"
	"github.com/wasivirt/wasivirt/wasip1"
)

// dialTimeout is how long the machine tries to connect. A guest ends it earlier by closing the
// descriptor.
const dialTimeout = 2 * time.Minute

// outbound is a connection that a goroutine makes, and then that connection. It implements
// [sockets.Conn].
type outbound struct {
	poll.Queue
	to      netip.AddrPort
	cancel  context.CancelFunc
	forward poll.Waiter // wakes those who wait for the outbound when conn does

	mu     sync.Mutex
	conn   *Conn // nil until it stands
	err    error // why it cannot be made
	closed bool
}

func newOutbound(d *net.Dialer, to netip.AddrPort) *outbound {
	o := &outbound{to: to}
	o.forward.Waker = &o.Queue
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	o.cancel = cancel
	go func() {
		defer cancel()
		// The address is a number: nothing is looked up.
		c, err := d.DialContext(ctx, "tcp", to.String())
		o.done(c, err)
	}()
	return o
}

// done is told what became of the connection.
func (o *outbound) done(c net.Conn, err error) {
	o.mu.Lock()
	switch {
	case err == nil && o.closed:
		_ = c.Close() // nobody is left who could be told
	case err == nil:
		o.conn = NewConn(c)
		o.conn.Subscribe(&o.forward)
	default:
		o.err = wasip1.FromError(err)
		if e, ok := err.(net.Error); ok && e.Timeout() {
			o.err = wasip1.ETIMEDOUT
		}
	}
	o.mu.Unlock()
	o.Wake()
}

// made returns the connection. Errors: EBADF; EAGAIN while it is being made; why it could not be.
func (o *outbound) made() (*Conn, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return nil, wasip1.EBADF
	case o.err != nil:
		return nil, o.err
	case o.conn == nil:
		return nil, wasip1.EAGAIN
	}
	return o.conn, nil
}

// UsesMachine implements [vfs.MachineUser].
func (o *outbound) UsesMachine() bool { return true }

func (o *outbound) Connected() error {
	_, err := o.made()
	return err
}

func (o *outbound) Read(p []byte) (int, error) { return o.Recv(p, false) }

func (o *outbound) Recv(p []byte, peek bool) (int, error) {
	c, err := o.made()
	if err != nil {
		return 0, err
	}
	return c.Recv(p, peek)
}

func (o *outbound) Write(p []byte) (int, error) {
	c, err := o.made()
	if err != nil {
		return 0, err
	}
	return c.Write(p)
}

func (o *outbound) Shutdown(how wasip1.Sdflags) error {
	c, err := o.made()
	if err == wasip1.EAGAIN {
		return wasip1.ENOTCONN
	} else if err != nil {
		return err
	}
	return c.Shutdown(how)
}

func (o *outbound) Poll(want poll.Events) poll.State {
	c, err := o.made()
	switch err {
	case nil:
		return c.Poll(want)
	case wasip1.EAGAIN:
		return poll.State{}
	}
	return poll.State{Ready: want, Hangup: true, Err: err}
}

// Flush implements [stdio.Flusher].
func (o *outbound) Flush(t poll.Task) error {
	c, err := o.made()
	if err != nil {
		return nil // nothing was written
	}
	return c.Flush(t)
}

func (o *outbound) Close() error {
	o.mu.Lock()
	c, closed := o.conn, o.closed
	o.closed = true
	o.mu.Unlock()
	if closed {
		return nil
	}
	o.cancel()
	o.Wake()
	if c == nil {
		return nil
	}
	c.Unsubscribe(&o.forward)
	return c.Close()
}

func (o *outbound) Local() netip.AddrPort {
	if c, err := o.made(); err == nil {
		return sockets.AddrPort(c.LocalAddr())
	}
	return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
}

func (o *outbound) Remote() netip.AddrPort { return o.to }
