package sockets

import (
	"encoding/binary"
	"math"
	"net"
	"net/netip"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// The functions in the order of WasmEdge's header. What all have in common is not repeated: EBADF
// if fd is not open; ENOTSOCK if it is not a socket that sock_open or sock_accept made; EFAULT for
// a pointer that does not lead to guest memory.

// Types of sockets.
const (
	typeAny      = 0
	typeDatagram = 1
	typeStream   = 2
)

// socket returns the socket that fd stands for.
func socket(c *vfs.Caller, fd uint32) (endpoint, *vfs.OpenFile, wasip1.Errno) {
	f := c.Table.Get(fd)
	if f == nil {
		return nil, nil, wasip1.EBADF
	}
	s, ok := f.Stream().(endpoint)
	if !ok {
		return nil, nil, wasip1.ENOTSOCK
	}
	return s, f, wasip1.ESUCCESS
}

// SockOpen makes a socket and stores its descriptor at result. Errors: EACCES if the guest has no
// network; EAFNOSUPPORT for a family other than unspecified, IPv4 and IPv6; EPROTONOSUPPORT for a
// type other than any, stream and datagram, and for datagrams if the network has none; EMFILE.
func SockOpen(c *vfs.Caller, n Network, family, kind, result uint32) wasip1.Errno {
	datagrams, ok := n.(DatagramNetwork)
	switch {
	case n == nil:
		return wasip1.EACCES
	case family > uint32(FamilyInet6):
		return wasip1.EAFNOSUPPORT
	case kind > typeStream, kind == typeDatagram && !ok:
		return wasip1.EPROTONOSUPPORT
	case !c.View.Has(result, 4):
		return wasip1.EFAULT
	}
	var s endpoint = New(n, Family(family))
	if kind == typeDatagram {
		s = newDatagrams(datagrams, Family(family))
	}
	f := vfs.NewStream("<socket>", s, vfs.OpenRead|vfs.OpenWrite)
	fd, err := c.Table.Insert(f)
	if err != nil {
		_ = f.Close() // nothing is connected
		return wasip1.FromError(err)
	}
	return c.View.PutUint32(result, fd)
}

// SockBind gives a socket an address. Whether the guest may listen there is decided by sock_listen,
// and for datagrams now. Errors: EINVAL if the socket has an address or the address cannot be one;
// EAFNOSUPPORT; for datagrams EACCES, EADDRINUSE and EADDRNOTAVAIL.
func SockBind(c *vfs.Caller, fd, addr, port uint32) wasip1.Errno {
	s, _, errno := socket(c, fd)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	at, errno := loadAddress(c.View, addr, port)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	return wasip1.FromError(s.Bind(at))
}

// SockListen makes a bound socket accept connections. backlog counts from 1 to [MaxBacklog]; others
// mean the nearest of these. Errors: EDESTADDRREQ if the socket has no address; EINVAL if it is
// connected; EACCES; EADDRINUSE; EADDRNOTAVAIL; ENOTSUP for datagrams.
func SockListen(c *vfs.Caller, fd, backlog uint32) wasip1.Errno {
	s, _, errno := socket(c, fd)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	return wasip1.FromError(s.Listen(int(min(backlog, MaxBacklog))))
}

// SockConnect connects a socket. It waits until the connection stands unless FdNonblock is set on
// fd. Errors: EACCES if the guest may not connect to the address; ECONNREFUSED, ETIMEDOUT and
// others of the network; EINPROGRESS with FdNonblock: the descriptor is ready for writing when it
// is known how it ended, which SO_ERROR tells; EALREADY; EISCONN; EINVAL; EAFNOSUPPORT; ECANCELED
// when the thread has to end. A socket of datagrams is connected at once: it sends to the address
// and receives from it alone, and may be connected again.
func SockConnect(c *vfs.Caller, fd, addr, port uint32) wasip1.Errno {
	s, f, errno := socket(c, fd)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	to, errno := loadAddress(c.View, addr, port)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	if err := s.Connect(to); err != nil {
		return wasip1.FromError(err)
	}
	err := s.Connected()
	for err == wasip1.EAGAIN {
		if f.Flags()&wasip1.FdNonblock != 0 || c.Task == nil {
			return wasip1.EINPROGRESS
		}
		if _, err = poll.Block(c.Task, s, poll.Writable, poll.Wait{Op: "sock_connect", On: uint64(fd)}); err != nil {
			break
		}
		err = s.Connected()
	}
	return wasip1.FromError(err)
}

// SockGetsockopt stores an option at value. size is 4, or points to 4 bytes that hold the room
// there is and are given the length. Errors: EINVAL if the room is too small; ENOPROTOOPT for an
// option that there is not.
func SockGetsockopt(c *vfs.Caller, fd, level, name, value, size uint32) wasip1.Errno {
	s, _, errno := socket(c, fd)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	room := size
	if size != 4 {
		if room, errno = c.View.Uint32(size); errno != wasip1.ESUCCESS {
			return errno
		}
	}
	n, length, errno := s.get(option{level, name})
	switch {
	case errno != wasip1.ESUCCESS:
		return errno
	case room < length:
		return wasip1.EINVAL
	}
	b, errno := c.View.Write(value, length)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	clear(b)
	binary.LittleEndian.PutUint32(b, n)
	if size != 4 {
		return c.View.PutUint32(size, length)
	}
	return wasip1.ESUCCESS
}

// SockSetsockopt remembers an option. Errors: EINVAL for a length that the option has not; ENOTSUP
// for a timeout or a linger that is not 0; ENOPROTOOPT for an option that there is not or that
// cannot be set.
func SockSetsockopt(c *vfs.Caller, fd, level, name, value, size uint32) wasip1.Errno {
	s, _, errno := socket(c, fd)
	switch {
	case errno != wasip1.ESUCCESS:
		return errno
	case size > maxOption:
		return wasip1.EINVAL
	}
	b, errno := c.View.Read(value, size)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	return s.set(option{level, name}, b)
}

// SockGetlocaladdr stores the socket's address. typ points to 4 bytes, in version 1 of the
// function. Errors: EINVAL for an address that does not fit the room.
func SockGetlocaladdr(c *vfs.Caller, fd, addr, port uint32, typ ...uint32) wasip1.Errno {
	return tell(c, fd, addr, port, typ, func(s endpoint) (netip.AddrPort, error) { return s.Local(), nil })
}

// SockGetpeeraddr stores the address of the other end. Errors: ENOTCONN; as SockGetlocaladdr.
func SockGetpeeraddr(c *vfs.Caller, fd, addr, port uint32, typ ...uint32) wasip1.Errno {
	return tell(c, fd, addr, port, typ, endpoint.Remote)
}

// tell stores an address of a socket.
func tell(c *vfs.Caller, fd, addr, port uint32, typ []uint32, get func(endpoint) (netip.AddrPort, error)) wasip1.Errno {
	s, _, errno := socket(c, fd)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	to := storage{port: port, hasPort: true}
	if len(typ) > 0 {
		to.kind, to.hasKind = typ[0], true
	}
	if errno := to.load(c.View, addr); errno != wasip1.ESUCCESS {
		return errno
	}
	a, err := get(s)
	if err != nil {
		return wasip1.FromError(err)
	}
	return to.store(c.View, a)
}

// SockSendTo sends a datagram to an address, which may be another than the one that the socket is
// connected to. On a connection it sends as sock_send does, and the address has to be that of the
// other end. Errors: EISCONN for another address of a connection; EACCES if the guest may not send
// to the address; EHOSTUNREACH; EMSGSIZE for more than [vfs.MaxDatagram] bytes; those of
// [vfs.SockSend].
func SockSendTo(c *vfs.Caller, fd, iovs, iovsLen, addr, port, flags, nwritten uint32) wasip1.Errno {
	s, _, errno := socket(c, fd)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	to, errno := loadAddress(c.View, addr, port)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	if _, ok := s.(*datagramSocket); ok {
		return vfs.SendDatagram(c, fd, iovs, iovsLen, flags, nwritten, to)
	}
	peer, err := s.Remote()
	switch {
	case err != nil:
		return wasip1.FromError(err)
	case to != peer:
		return wasip1.EISCONN
	}
	return vfs.SockSend(c, fd, iovs, iovsLen, flags, nwritten)
}

// SockRecvFrom receives a datagram and stores its sender, or receives on a connection, as sock_recv
// does, and stores the address of the other end. port points to 4 bytes, in version 2 of the
// function. A datagram whose sender does not fit the room is lost. Errors: those of [vfs.SockRecv]
// and of [SockGetpeeraddr]; EINVAL for a socket of datagrams without an address.
func SockRecvFrom(c *vfs.Caller, fd, iovs, iovsLen, addr, flags, nread, oflags uint32, port ...uint32) wasip1.Errno {
	s, _, errno := socket(c, fd)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	var from storage
	if len(port) > 0 {
		from.port, from.hasPort = port[0], true
	}
	if errno := from.load(c.View, addr); errno != wasip1.ESUCCESS {
		return errno
	}
	if _, ok := s.(*datagramSocket); ok {
		sender, errno := vfs.RecvDatagram(c, fd, iovs, iovsLen, flags, nread, oflags)
		if errno != wasip1.ESUCCESS || !sender.IsValid() {
			return errno
		}
		return from.store(c.View, sender)
	}
	peer, err := s.Remote()
	if err != nil {
		return wasip1.FromError(err)
	}
	if errno := vfs.SockRecv(c, fd, iovs, iovsLen, flags, nread, oflags); errno != wasip1.ESUCCESS {
		return errno
	}
	return from.store(c.View, peer)
}

// maxName is the length of the longest name of a host, and of the longest name of a service that
// there is.
const maxName = 253

// SockGetaddrinfo stores the addresses of a host. node and service may end with a zero byte, and
// one of them may be empty: an empty node is this host, or with AI_PASSIVE any address of it. hints
// points to an addrinfo, 0 for none; result points to a pointer to the first of a list of addrinfo
// that the guest has linked, at most maxLen of which are filled; their number is stored at
// resultLen. A service is a number, or http or https.
//
// Errors: EACCES if the guest has no network or may not ask for the name; ENOENT if nobody has it;
// EINVAL for an empty node and service, an unknown service and a name that cannot be one;
// EAFNOSUPPORT; EPROTONOSUPPORT; ECANCELED when the thread has to end.
func SockGetaddrinfo(c *vfs.Caller, n Network, node, nodeLen, service, serviceLen, hints, result, maxLen, resultLen uint32) wasip1.Errno {
	host, errno := text(c, node, nodeLen)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	serv, errno := text(c, service, serviceLen)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	var hint addrinfo
	if hints != 0 {
		if hint, errno = loadAddrinfo(c.View, hints); errno != wasip1.ESUCCESS {
			return errno
		}
	}
	first, errno := c.View.Uint32(result)
	if errno != wasip1.ESUCCESS {
		return errno
	}
	if !c.View.Has(resultLen, 4) {
		return wasip1.EFAULT
	}
	port, ok := portOf(serv)
	switch {
	case n == nil:
		return wasip1.EACCES
	case host == "" && serv == "", !ok:
		return wasip1.EINVAL
	case hint.family > FamilyInet6:
		return wasip1.EAFNOSUPPORT
	case hint.kind > typeStream, hint.protocol > protocolUDP:
		return wasip1.EPROTONOSUPPORT
	}
	addrs, err := lookup(c, n, host, hint)
	if err != nil {
		return wasip1.FromError(err)
	}
	stored, at := uint32(0), first
	for _, a := range addrs[:min(len(addrs), MaxAddresses)] {
		if hint.family != FamilyUnspecified && a.Is4() != (hint.family == FamilyInet4) {
			continue
		}
		if stored == maxLen || at == 0 {
			break
		}
		if at, errno = storeAddrinfo(c.View, at, netip.AddrPortFrom(a, port), hint); errno != wasip1.ESUCCESS {
			return errno
		}
		stored++
	}
	return c.View.PutUint32(resultLen, stored)
}

// lookup finds the addresses of a host.
func lookup(c *vfs.Caller, n Network, host string, hint addrinfo) ([]netip.Addr, error) {
	switch {
	case host == "" && hint.flags&flagPassive != 0:
		return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, nil
	case host == "":
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap().WithZone("")}, nil
	}
	switch {
	case hint.flags&flagNumericHost != 0:
		return nil, wasip1.ENOENT
	case len(host) > maxName:
		return nil, wasip1.EINVAL
	}
	return n.Lookup(c.Task, host)
}

// text reads a name that a guest gives, without a zero byte at its end.
func text(c *vfs.Caller, ptr, n uint32) (string, wasip1.Errno) {
	if n > maxName+1 {
		return "", wasip1.EINVAL
	}
	b, errno := c.View.Read(ptr, n)
	if errno != wasip1.ESUCCESS {
		return "", errno
	}
	if n > 0 && b[n-1] == 0 {
		b = b[:n-1]
	}
	for _, c := range b {
		if c <= ' ' || c >= 0x7f {
			return "", wasip1.EINVAL
		}
	}
	return string(b), wasip1.ESUCCESS
}

// portOf is the port of a service. Other names than these differ from machine to machine.
func portOf(service string) (uint16, bool) {
	switch service {
	case "":
		return 0, true
	case "http":
		return 80, true
	case "https":
		return 443, true
	}
	n := 0
	for _, c := range []byte(service) {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + int(c-'0'); n > math.MaxUint16 {
			return 0, false
		}
	}
	return uint16(n), true
}

// AddrPort returns a as an AddrPort, or the zero value if it is none.
func AddrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	default:
		return ap
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
