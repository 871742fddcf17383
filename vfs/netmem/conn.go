package netmem

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Dialer connects from one site.
type Dialer struct {
	network *Network
	site    string
	// Timeout, if not 0, is how long Dial may take, on the network's clock.
	Timeout time.Duration
}

// From returns a Dialer for a site.
func (n *Network) From(site string) *Dialer { return &Dialer{network: n, site: site} }

// hostSite is where host code is that does not say.
const hostSite = "host"

// Dial connects from the site "host". See [Dialer.Dial].
func (n *Network) Dial(ctx context.Context, address string) (*Conn, error) {
	return n.From(hostSite).Dial(ctx, address)
}

// DialContext is Dial in the form that http.Transport wants. The name of the network is ignored.
func (n *Network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return n.From(hostSite).DialContext(ctx, network, address)
}

// Dial connects to a listener, and waits until the connection is established. It holds virtual
// time; see the package comment. Errors, in a *net.OpError: ECONNREFUSED; ECONNRESET;
// os.ErrDeadlineExceeded; the context's cause.
func (d *Dialer) Dial(ctx context.Context, address string) (*Conn, error) {
	if ctx.Err() != nil {
		return nil, opError("dial", nil, Addr(address), context.Cause(ctx))
	}
	s := d.socket(address)
	h := pipe.NewHost(ctx, s, d.network.clock)
	if d.Timeout > 0 {
		_ = h.SetWriteDeadline(time.Unix(0, d.network.clock.Realtime()).Add(d.Timeout))
	}
	if err := h.Do(poll.Writable, s.connected); err != nil {
		_ = s.Close()
		return nil, opError("dial", s.local, Addr(address), err)
	}
	return newConn(s), nil
}

// DialContext is Dial in the form that http.Transport wants. The name of the network is ignored.
func (d *Dialer) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	c, err := d.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Connect begins a connection and returns its socket, which a guest can have as a descriptor
// (virt.WithPreopened). The socket is ready when the connection is established. Errors:
// ECONNREFUSED. The socket returns the others.
func (d *Dialer) Connect(address string) (*Socket, error) {
	s := d.socket(address)
	if err := s.connected(); err != nil && err != wasip1.EAGAIN {
		_ = s.Close()
		return nil, opError("dial", s.local, Addr(address), err)
	}
	return s, nil
}

func (d *Dialer) socket(address string) *Socket {
	d.network.mu.Lock()
	defer d.network.mu.Unlock()
	return d.network.newLocked(d.network.portLocked(d.site), Addr(address)).ends[0]
}

// Conn is one end of a connection for host code: a net.Conn, with deadlines on the network's clock
// (see [pipe.Host]).
type Conn struct {
	host   *pipe.Host
	socket *Socket
}

var _ net.Conn = (*Conn)(nil)

func newConn(s *Socket) *Conn {
	return &Conn{pipe.NewHost(context.Background(), s, s.conn.network.clock), s}
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.host.Read(p)
	return n, c.opError("read", err)
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.host.Write(p)
	return n, c.opError("write", err)
}

// CloseWrite ends what this end sends; it can still read.
func (c *Conn) CloseWrite() error {
	return c.opError("shutdown", c.socket.Shutdown(wasip1.ShutWr))
}

// CloseRead drops what arrives from now on.
func (c *Conn) CloseRead() error {
	return c.opError("shutdown", c.socket.Shutdown(wasip1.ShutRd))
}

// Close implements net.Conn.
func (c *Conn) Close() error { return c.host.Close() }

// LocalAddr returns the [Addr] of this end.
func (c *Conn) LocalAddr() net.Addr { return c.socket.LocalAddr() }

// RemoteAddr returns the [Addr] of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.socket.RemoteAddr() }

// SetDeadline implements net.Conn, on the network's clock.
func (c *Conn) SetDeadline(t time.Time) error { return c.host.SetDeadline(t) }

// SetReadDeadline implements net.Conn, on the network's clock.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.host.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn, on the network's clock.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.host.SetWriteDeadline(t) }

func (c *Conn) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return opError(op, c.LocalAddr(), c.RemoteAddr(), err)
}

// opError is what package net says of an error.
func opError(op string, local, remote net.Addr, err error) error {
	if errors.Is(err, fs.ErrClosed) {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: Addr("").Network(), Source: local, Addr: remote, Err: err}
}
