package sockets

import (
	"io"
	"net/netip"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// datagramSocket is what sock_open makes for datagrams.
type datagramSocket struct {
	base
	network DatagramNetwork

	// Guarded by base.mu.
	inner      Datagrams      // nil before it has an address
	peer       netip.AddrPort // the zero value unless it is connected
	deaf, mute bool           // shut down for reading, for writing
}

var _ vfs.Datagrams = (*datagramSocket)(nil)

// newDatagrams makes a socket without an address.
func newDatagrams(n DatagramNetwork, f Family) *datagramSocket {
	s := &datagramSocket{network: n}
	s.init(f)
	return s
}

// bindLocked gives the socket an address, that is free and of all interfaces where at is the zero
// value.
func (s *datagramSocket) bindLocked(at netip.AddrPort) error {
	if !at.IsValid() {
		at = s.anywhere()
	}
	inner, err := s.network.Bind(at)
	if err != nil {
		return err
	}
	s.inner = inner
	inner.Subscribe(&s.forward)
	s.Wake()
	return nil
}

// Bind gives the socket an address. Errors: EINVAL if it has one; EAFNOSUPPORT for an address of
// another family; those of the network.
func (s *datagramSocket) Bind(at netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return wasip1.EBADF
	case s.inner != nil:
		return wasip1.EINVAL
	case !s.fits(at.Addr()):
		return wasip1.EAFNOSUPPORT
	}
	return s.bindLocked(at)
}

// Listen is refused: nobody connects to a socket of datagrams.
func (s *datagramSocket) Listen(int) error { return wasip1.ENOTSUP }

// Connect sets the address that the socket sends to and receives from. It may be called again.
// Errors: EAFNOSUPPORT; those of the network.
func (s *datagramSocket) Connect(to netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return wasip1.EBADF
	case !s.fits(to.Addr()):
		return wasip1.EAFNOSUPPORT
	case s.inner == nil:
		if err := s.bindLocked(s.anywhereLike(to.Addr())); err != nil {
			return err
		}
	}
	if err := s.inner.Connect(to); err != nil {
		return err
	}
	s.peer = to
	s.Wake()
	return nil
}

// anywhereLike is the address to bind to for sending to a.
func (s *datagramSocket) anywhereLike(a netip.Addr) netip.AddrPort {
	if s.family == FamilyUnspecified && a.Is6() {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	return s.anywhere()
}

// Connected returns nil: datagrams need no connection that stands.
func (s *datagramSocket) Connected() error { return nil }

// Local returns the socket's address; before it has one, the unspecified address of its family with
// port 0.
func (s *datagramSocket) Local() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inner == nil {
		return s.anywhere()
	}
	return s.inner.Local()
}

// Remote returns the address that the socket is connected to. Errors: ENOTCONN.
func (s *datagramSocket) Remote() (netip.AddrPort, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return netip.AddrPort{}, wasip1.EBADF
	case !s.peer.IsValid():
		return netip.AddrPort{}, wasip1.ENOTCONN
	}
	return s.peer, nil
}

// SendTo implements [vfs.Datagrams]. A socket without an address gets one. Errors: EPIPE after a
// shutdown for writing; EAFNOSUPPORT; those of the network.
func (s *datagramSocket) SendTo(p []byte, to netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !to.IsValid() {
		to = s.peer
	}
	switch {
	case s.closed:
		return wasip1.EBADF
	case s.mute:
		return wasip1.EPIPE
	case !to.IsValid():
		return wasip1.EDESTADDRREQ
	case !s.fits(to.Addr()):
		return wasip1.EAFNOSUPPORT
	case len(p) > vfs.MaxDatagram:
		return wasip1.EMSGSIZE
	case s.inner == nil:
		if err := s.bindLocked(s.anywhereLike(to.Addr())); err != nil {
			return err
		}
	}
	return s.inner.SendTo(p, to)
}

// RecvFrom implements [vfs.Datagrams]. Errors: EINVAL for a socket without an address, which
// receives nothing.
func (s *datagramSocket) RecvFrom(p []byte, peek bool) (size int, from netip.AddrPort, err error) {
	s.mu.Lock()
	inner, deaf, closed := s.inner, s.deaf, s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return 0, from, wasip1.EBADF
	case deaf:
		return 0, from, io.EOF
	case inner == nil:
		return 0, from, wasip1.EINVAL
	}
	return inner.RecvFrom(p, peek)
}

// Read implements [vfs.Stream].
func (s *datagramSocket) Read(p []byte) (int, error) { return s.Recv(p, false) }

// Recv implements [vfs.Socket].
func (s *datagramSocket) Recv(p []byte, peek bool) (int, error) {
	n, _, err := s.RecvFrom(p, peek)
	return min(n, len(p)), err
}

// Write implements [vfs.Stream].
func (s *datagramSocket) Write(p []byte) (int, error) {
	if err := s.SendTo(p, netip.AddrPort{}); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Shutdown implements [vfs.Socket]. Errors: ENOTCONN.
func (s *datagramSocket) Shutdown(how wasip1.Sdflags) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return wasip1.EBADF
	case !s.peer.IsValid():
		return wasip1.ENOTCONN
	}
	s.deaf = s.deaf || how&wasip1.ShutRd != 0
	s.mute = s.mute || how&wasip1.ShutWr != 0
	s.Wake()
	return nil
}

// Poll implements [poll.Pollable]. What would not wait is ready.
func (s *datagramSocket) Poll(want poll.Events) poll.State {
	s.mu.Lock()
	inner, deaf, closed := s.inner, s.deaf, s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return poll.State{Ready: want, Err: wasip1.EBADF}
	case deaf:
		return poll.State{Ready: want, Hangup: true}
	case inner == nil:
		return poll.State{Ready: want}
	}
	return inner.Poll(want)
}

// Reach implements [poll.Reacher].
func (s *datagramSocket) Reach() poll.Reach {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inner == nil {
		return poll.ByThreads
	}
	return poll.ReachOf(s.inner)
}

// UsesMachine implements [vfs.MachineUser].
func (s *datagramSocket) UsesMachine() bool { return vfs.UsesMachine(s.network) }

// Close implements [vfs.Stream].
func (s *datagramSocket) Close() error {
	s.mu.Lock()
	inner, closed := s.inner, s.closed
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

// set sets an option. Errors: those of base.set.
func (s *datagramSocket) set(o option, value []byte) wasip1.Errno {
	if o.level != levelSocket {
		return wasip1.ENOPROTOOPT
	}
	return s.base.set(o, value)
}

// get returns an option as a number, and how many bytes it has.
func (s *datagramSocket) get(o option) (value, size uint32, errno wasip1.Errno) {
	switch {
	case o == soType:
		return typeDatagram, 4, wasip1.ESUCCESS
	case o == soError, o == soAcceptconn:
		return 0, 4, wasip1.ESUCCESS
	case o.level != levelSocket:
		return 0, 0, wasip1.ENOPROTOOPT
	}
	return s.base.get(o)
}
