package sockets

import (
	"net/netip"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Family is an address family, with the numbers of WasmEdge.
type Family uint8

// The families.
const (
	FamilyUnspecified Family = iota
	FamilyInet4
	FamilyInet6
	FamilyUnix
)

// Socket is what sock_open makes for connections: a [vfs.Socket] once it is connected, a
// [vfs.Listener] once it listens, and neither before.
type Socket struct {
	base
	network Network

	// Guarded by base.mu.
	bound    netip.AddrPort // the zero value unless it is bound
	conn     Conn           // nil unless it is connected, or being connected
	listener Listener       // nil unless it listens
}

var (
	_ vfs.Socket   = (*Socket)(nil)
	_ vfs.Listener = (*Socket)(nil)
)

// New makes a socket of a network that is not connected.
func New(n Network, f Family) *Socket {
	s := &Socket{network: n}
	s.init(f)
	return s
}

// newConnected makes a socket of a connection.
func newConnected(n Network, f Family, c Conn) *Socket {
	s := New(n, f)
	s.conn = c
	c.Subscribe(&s.forward)
	return s
}

// stream is what the socket has become, or nil.
func (s *Socket) stream() vfs.Stream {
	switch {
	case s.conn != nil:
		return s.conn
	case s.listener != nil:
		return s.listener
	}
	return nil
}

// connection returns the connection. Errors: EBADF; ENOTCONN.
func (s *Socket) connection() (Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, wasip1.EBADF
	case s.conn == nil:
		return nil, wasip1.ENOTCONN
	}
	return s.conn, nil
}

// Read implements [vfs.Stream].
func (s *Socket) Read(p []byte) (int, error) { return s.Recv(p, false) }

// Recv implements [vfs.Socket].
func (s *Socket) Recv(p []byte, peek bool) (int, error) {
	c, err := s.connection()
	if err != nil {
		return 0, err
	}
	return c.Recv(p, peek)
}

// Write implements [vfs.Stream].
func (s *Socket) Write(p []byte) (int, error) {
	c, err := s.connection()
	if err != nil {
		return 0, err
	}
	return c.Write(p)
}

// Shutdown implements [vfs.Socket].
func (s *Socket) Shutdown(how wasip1.Sdflags) error {
	c, err := s.connection()
	if err != nil {
		return err
	}
	return c.Shutdown(how)
}

// Accept implements [vfs.Listener]. Errors: EINVAL if the socket does not listen.
func (s *Socket) Accept() (vfs.Socket, error) {
	s.mu.Lock()
	l, closed := s.listener, s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return nil, wasip1.EBADF
	case l == nil:
		return nil, wasip1.EINVAL
	}
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return newConnected(s.network, s.family, c), nil
}

// Poll implements [poll.Pollable]. A socket that is neither connected nor listens is ready and hung
// up, as on Linux.
func (s *Socket) Poll(want poll.Events) poll.State {
	s.mu.Lock()
	inner, closed := s.stream(), s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return poll.State{Ready: want, Err: wasip1.EBADF}
	case inner == nil:
		return poll.State{Ready: want, Hangup: true}
	}
	return inner.Poll(want)
}

// Reach implements [poll.Reacher].
func (s *Socket) Reach() poll.Reach {
	s.mu.Lock()
	inner := s.stream()
	s.mu.Unlock()
	if inner == nil {
		return poll.ByThreads
	}
	return poll.ReachOf(inner)
}

// UsesMachine implements [vfs.MachineUser].
func (s *Socket) UsesMachine() bool { return vfs.UsesMachine(s.network) }

// Close implements [vfs.Stream].
func (s *Socket) Close() error {
	s.mu.Lock()
	inner, closed := s.stream(), s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	s.Wake()
	if inner == nil {
		return nil
	}
	inner.Unsubscribe(&s.forward)
	return inner.Close()
}

// Bind gives the socket an address. Errors: EINVAL if it has one; EAFNOSUPPORT for an address of
// another family.
func (s *Socket) Bind(at netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return wasip1.EBADF
	case s.bound.IsValid() || s.stream() != nil:
		return wasip1.EINVAL
	case !s.fits(at.Addr()):
		return wasip1.EAFNOSUPPORT
	}
	s.bound = at
	return nil
}

// Listen makes the socket listen at its address. Errors: EDESTADDRREQ if it has none; EINVAL if it
// is connected; those of the network. A second call changes nothing.
func (s *Socket) Listen(backlog int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return wasip1.EBADF
	case s.listener != nil:
		return nil
	case s.conn != nil:
		return wasip1.EINVAL
	case !s.bound.IsValid():
		return wasip1.EDESTADDRREQ
	}
	l, err := s.network.Listen(s.bound, min(max(backlog, 1), MaxBacklog))
	if err != nil {
		return err
	}
	s.listener, s.bound = l, l.Local()
	l.Subscribe(&s.forward)
	s.Wake()
	return nil
}

// Connect begins a connection. It may be called again after a connection could not be made. Errors:
// EALREADY while one is being made; EISCONN; EINVAL if the socket listens; EAFNOSUPPORT; those of
// the network.
func (s *Socket) Connect(to netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return wasip1.EBADF
	case s.listener != nil:
		return wasip1.EINVAL
	case !s.fits(to.Addr()):
		return wasip1.EAFNOSUPPORT
	}
	if old := s.conn; old != nil {
		switch old.Connected() {
		case nil:
			return wasip1.EISCONN
		case wasip1.EAGAIN:
			return wasip1.EALREADY
		}
		s.conn = nil
		old.Unsubscribe(&s.forward)
		_ = old.Close() // it has been told why there is no connection
	}
	c, err := s.network.Connect(s.bound, to)
	if err != nil {
		return err
	}
	s.conn = c
	c.Subscribe(&s.forward)
	s.Wake()
	return nil
}

// Connected returns EAGAIN while the socket is being connected, then nil, or why it could not be.
// Errors: ENOTCONN.
func (s *Socket) Connected() error {
	c, err := s.connection()
	if err != nil {
		return err
	}
	return c.Connected()
}

// Local returns the socket's address; before it has one, the unspecified address of its family with
// port 0.
func (s *Socket) Local() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.conn != nil:
		return s.conn.Local()
	case s.bound.IsValid():
		return s.bound
	}
	return s.anywhere()
}

// Remote returns the address of the other end. Errors: ENOTCONN, also while the connection is being
// made.
func (s *Socket) Remote() (netip.AddrPort, error) {
	c, err := s.connection()
	if err != nil {
		return netip.AddrPort{}, err
	}
	if c.Connected() != nil {
		return netip.AddrPort{}, wasip1.ENOTCONN
	}
	return c.Remote(), nil
}
