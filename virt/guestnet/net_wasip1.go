package guestnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// Dialer connects to addresses, as [net.Dialer] does. The zero value is ready to use.
type Dialer struct {
	// Timeout is how long a Dial may take, over all addresses of a name. 0 is without limit.
	Timeout time.Duration
	// LocalAddr is the address to connect from, nil for any: a [*net.TCPAddr], or a [*net.UDPAddr]
	// for datagrams.
	LocalAddr net.Addr
}

// Dial connects to an address, such as "server:80". See [Dialer.DialContext].
func Dial(network, address string) (net.Conn, error) { return new(Dialer).Dial(network, address) }

// DialContext connects to an address, for http.Transport. See [Dialer.DialContext].
func DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return new(Dialer).DialContext(ctx, network, address)
}

// Dial connects to an address. See [Dialer.DialContext].
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to an address. If a name has several addresses, it tries them in order.
// Errors, in a [*net.OpError]: EACCES if the host does not grant the address; ENOENT for a name
// that nobody has; ECONNREFUSED and others; the cause of ctx.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Timeout)
		defer cancel()
	}
	addrs, err := resolve(network, address)
	fail := func(to net.Addr, err error) error {
		return &net.OpError{Op: "dial", Net: network, Addr: to, Err: err}
	}
	if err != nil {
		return nil, fail(textAddr{network, address}, err)
	}
	for _, to := range addrs {
		var c net.Conn
		if c, err = d.dial(ctx, network, to); err == nil {
			return c, nil
		}
		err = fail(addrOf(network, to), err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// textAddr is an address that could not be resolved.
type textAddr struct{ network, text string }

func (a textAddr) Network() string { return a.network }
func (a textAddr) String() string  { return a.text }

// resolve returns the addresses that a text stands for, at least one.
func resolve(network, address string) ([]netip.AddrPort, error) {
	var family byte
	switch network {
	case "tcp", "udp":
	case "tcp4", "udp4":
		family = inet4
	case "tcp6", "udp6":
		family = inet6
	default:
		return nil, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	typ := byte(stream)
	if isDatagram(network) {
		typ = dgram
	}
	addrs, err := lookup(family, typ, host, service)
	if err == nil && len(addrs) == 0 {
		err = syscall.ENOENT
	}
	return addrs, err
}

// LookupHost returns the addresses of a host.
func LookupHost(host string) (all []string, err error) {
	addrs, err := lookup(0, stream, host, "")
	if err != nil {
		return nil, &net.DNSError{Err: err.Error(), Name: host, IsNotFound: errors.Is(err, syscall.ENOENT)}
	}
	for _, a := range addrs {
		all = append(all, a.Addr().String())
	}
	return all, nil
}

// isDatagram reports whether a network is one of datagrams.
func isDatagram(network string) bool { return strings.HasPrefix(network, "udp") }

// addrOf is an address as package net has it.
func addrOf(network string, a netip.AddrPort) net.Addr {
	if isDatagram(network) {
		return net.UDPAddrFromAddrPort(a)
	}
	return net.TCPAddrFromAddrPort(a)
}

// dial connects to one address.
func (d *Dialer) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	typ := int32(stream)
	if isDatagram(network) {
		typ = dgram
	}
	var local netip.AddrPort
	switch a := d.LocalAddr.(type) {
	case nil:
	case *net.TCPAddr:
		local = a.AddrPort()
	case *net.UDPAddr:
		local = a.AddrPort()
	default:
		return nil, fmt.Errorf("the local address is a %T: want a *net.TCPAddr or *net.UDPAddr", a)
	}
	fd, err := socket(to.Addr(), typ)
	if err != nil {
		return nil, os.NewSyscallError("sock_open", err)
	}
	if d.LocalAddr != nil {
		if err := give(sockBind, fd, local); err != nil {
			syscall.Close(int(fd))
			return nil, os.NewSyscallError("sock_bind", err)
		}
	}
	err = give(sockConnect, fd, to)
	if err != nil && err != syscall.EINPROGRESS {
		syscall.Close(int(fd))
		return nil, os.NewSyscallError("sock_connect", err)
	}
	if typ == dgram {
		return newPacketConn(fd)
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close() // net.FileConn has a descriptor of its own
	if err == syscall.EINPROGRESS {
		if err := connected(ctx, f); err != nil {
			return nil, err
		}
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return newConn(c, fd), nil
}

// connected waits until a connection stands.
func connected(ctx context.Context, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		var failed error
		err := raw.Write(func(fd uintptr) bool {
			if failed = failure(int32(fd)); failed != nil {
				return true
			}
			_, err := take(sockGetpeeraddr, int32(fd))
			return err != syscall.ENOTCONN
		})
		done <- errors.Join(failed, err)
	}()
	select {
	case err := <-done:
		return os.NewSyscallError("sock_connect", err)
	case <-ctx.Done():
		f.Close() // ends the wait
		<-done
		return context.Cause(ctx)
	}
}

// conn is a connection that knows its addresses.
type conn struct {
	net.Conn
	local, remote net.Addr
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// CloseWrite ends what this end sends.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return syscall.ENOTSUP
}

// newConn returns c with the addresses of a descriptor.
func newConn(c net.Conn, fd int32) net.Conn {
	wrapped := &conn{c, c.LocalAddr(), c.RemoteAddr()}
	if a, err := take(sockGetlocaladdr, fd); err == nil {
		wrapped.local = net.TCPAddrFromAddrPort(a)
	}
	if a, err := take(sockGetpeeraddr, fd); err == nil {
		wrapped.remote = net.TCPAddrFromAddrPort(a)
	}
	return wrapped
}

// anywhere is an address to listen at, with the unspecified address where it has no host.
func anywhere(network, address string) string {
	if !strings.HasPrefix(address, ":") {
		return address
	}
	if strings.HasSuffix(network, "6") {
		return "[::]" + address
	}
	return "0.0.0.0" + address
}

// Listen listens at an address, such as ":8080", as [net.Listen] does. Port 0 stands for one that
// is free.
func Listen(network, address string) (net.Listener, error) {
	fail := func(err error) error {
		return &net.OpError{Op: "listen", Net: network, Addr: textAddr{network, address}, Err: err}
	}
	if isDatagram(network) {
		return nil, fail(net.UnknownNetworkError(network))
	}
	addrs, err := resolve(network, anywhere(network, address))
	if err != nil {
		return nil, fail(err)
	}
	fd, err := socket(addrs[0].Addr(), stream)
	if err != nil {
		return nil, fail(os.NewSyscallError("sock_open", err))
	}
	if err = give(sockBind, fd, addrs[0]); err == nil {
		if errno := sockListen(fd, listenBacklog); errno != 0 {
			err = errno
		}
	}
	if err != nil {
		syscall.Close(int(fd))
		return nil, fail(err)
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close() // net.FileListener has a descriptor of its own
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fail(err)
	}
	local, err := take(sockGetlocaladdr, fd)
	if err != nil {
		l.Close()
		return nil, fail(err)
	}
	return &listener{l, net.TCPAddrFromAddrPort(local)}, nil
}

// listener is a listener that knows its address, as its connections do.
type listener struct {
	net.Listener
	addr net.Addr
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return c, nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return c, nil
	}
	known := c
	if err := raw.Control(func(fd uintptr) { known = newConn(c, int32(fd)) }); err != nil {
		return c, nil
	}
	return known, nil
}
