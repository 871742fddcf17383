package guestnet

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// ListenPacket opens a socket for datagrams at an address, such as ":53", as [net.ListenPacket]
// does. Port 0 stands for one that is free. Networks are "udp", "udp4" and "udp6".
func ListenPacket(network, address string) (net.PacketConn, error) {
	fail := func(err error) error {
		return &net.OpError{Op: "listen", Net: network, Addr: textAddr{network, address}, Err: err}
	}
	if !isDatagram(network) {
		return nil, fail(net.UnknownNetworkError(network))
	}
	addrs, err := resolve(network, anywhere(network, address))
	if err != nil {
		return nil, fail(err)
	}
	fd, err := socket(addrs[0].Addr(), dgram)
	if err != nil {
		return nil, fail(os.NewSyscallError("sock_open", err))
	}
	if err := give(sockBind, fd, addrs[0]); err != nil {
		syscall.Close(int(fd))
		return nil, fail(os.NewSyscallError("sock_bind", err))
	}
	c, err := newPacketConn(fd)
	if err != nil {
		return nil, fail(err)
	}
	return c, nil
}

// packetConn is a socket for datagrams: a net.PacketConn, and a net.Conn if it is connected.
type packetConn struct {
	conn          net.Conn // for deadlines and waiting
	raw           syscall.RawConn
	local, remote net.Addr // remote is nil unless it is connected
}

// newPacketConn makes one of a descriptor, which it owns.
func newPacketConn(fd int32) (*packetConn, error) {
	f := os.NewFile(uintptr(fd), "")
	defer f.Close() // net.FileConn has a descriptor of its own
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	p := &packetConn{conn: c}
	if p.raw, err = c.(syscall.Conn).SyscallConn(); err != nil {
		c.Close()
		return nil, err
	}
	if err := p.raw.Control(func(fd uintptr) {
		if a, err := take(sockGetlocaladdr, int32(fd)); err == nil {
			p.local = net.UDPAddrFromAddrPort(a)
		}
		if a, err := take(sockGetpeeraddr, int32(fd)); err == nil {
			p.remote = net.UDPAddrFromAddrPort(a)
		}
	}); err != nil {
		c.Close()
		return nil, err
	}
	return p, nil
}

func (p *packetConn) opError(op string, to net.Addr, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: "udp", Source: p.local, Addr: to, Err: err}
}

// ReadFrom implements net.PacketConn. It drops what does not fit b.
func (p *packetConn) ReadFrom(b []byte) (n int, from net.Addr, err error) {
	var errno syscall.Errno
	var sender netip.AddrPort
	err = p.raw.Read(func(fd uintptr) bool {
		n, sender, errno = recvFrom(int32(fd), b)
		return errno != syscall.EAGAIN
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("sock_recv_from", errno)
	}
	if err != nil {
		return 0, nil, p.opError("read", p.remote, err)
	}
	return n, net.UDPAddrFromAddrPort(sender), nil
}

// WriteTo implements net.PacketConn. The address is a [*net.UDPAddr].
func (p *packetConn) WriteTo(b []byte, to net.Addr) (n int, err error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, p.opError("write", to, syscall.EINVAL)
	}
	at := a.AddrPort()
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	var errno syscall.Errno
	err = p.raw.Write(func(fd uintptr) bool {
		n, errno = sendTo(int32(fd), b, at)
		return errno != syscall.EAGAIN
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("sock_send_to", errno)
	}
	return n, p.opError("write", to, err)
}

// Read implements net.Conn.
func (p *packetConn) Read(b []byte) (int, error) {
	n, _, err := p.ReadFrom(b)
	return n, err
}

// Write implements net.Conn. Errors: EDESTADDRREQ if the socket is not connected.
func (p *packetConn) Write(b []byte) (int, error) {
	if p.remote == nil {
		return 0, p.opError("write", nil, syscall.EDESTADDRREQ)
	}
	return p.WriteTo(b, p.remote)
}

func (p *packetConn) Close() error                       { return p.conn.Close() }
func (p *packetConn) LocalAddr() net.Addr                { return p.local }
func (p *packetConn) RemoteAddr() net.Addr               { return p.remote }
func (p *packetConn) SetDeadline(t time.Time) error      { return p.conn.SetDeadline(t) }
func (p *packetConn) SetReadDeadline(t time.Time) error  { return p.conn.SetReadDeadline(t) }
func (p *packetConn) SetWriteDeadline(t time.Time) error { return p.conn.SetWriteDeadline(t) }
