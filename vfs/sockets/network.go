package sockets

import (
	"net/netip"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
)

// Network is what a guest's sockets reach. It is used by many threads at once.
type Network interface {
	// Lookup returns the addresses of a name that is no address, at most [MaxAddresses] of them,
	// and waits with t. Errors: ENOENT if nobody has the name; EACCES if the guest may not ask for
	// it.
	Lookup(t poll.Task, name string) ([]netip.Addr, error)

	// Connect begins a connection to an address and never waits. from is the zero AddrPort unless
	// the guest has bound the socket. Errors: EACCES if the guest may not connect to the address;
	// ECONNREFUSED; EADDRNOTAVAIL for from. Others are told by the connection.
	Connect(from, to netip.AddrPort) (Conn, error)

	// Listen listens at an address; port 0 stands for one that is free. backlog is from 1 to
	// [MaxBacklog]. Errors: EACCES if the guest may not listen there; EADDRINUSE; EADDRNOTAVAIL.
	Listen(at netip.AddrPort, backlog int) (Listener, error)
}

// DatagramNetwork is implemented by a [Network] that has datagrams.
type DatagramNetwork interface {
	Network

	// Bind makes a socket for datagrams at an address; port 0 stands for one that is free. Errors:
	// EACCES if the guest may not receive there; EADDRINUSE; EADDRNOTAVAIL.
	Bind(at netip.AddrPort) (Datagrams, error)
}

// Datagrams sends and receives datagrams at one address. Datagrams may get lost, and nobody is
// told. None of the methods waits. What lies there to be received is bounded: further datagrams are
// lost.
type Datagrams interface {
	poll.Pollable

	// Connect lets the socket receive from one address only. What lies there from others is
	// dropped. Errors: EACCES if the guest may not send to the address.
	Connect(peer netip.AddrPort) error

	// SendTo sends p, of at most [vfs.MaxDatagram] bytes, as one datagram. It does not keep p.
	// Errors: EACCES if the guest may not send to the address; EHOSTUNREACH.
	SendTo(p []byte, to netip.AddrPort) error

	// RecvFrom copies the next datagram to p, and returns its size and its sender. With peek, the
	// datagram stays. Errors: EAGAIN.
	RecvFrom(p []byte, peek bool) (size int, from netip.AddrPort, err error)

	// Local is the address.
	Local() netip.AddrPort

	// Close is called once.
	Close() error
}

const (
	// MaxAddresses is how many addresses a name has at most for a guest.
	MaxAddresses = 64
	// MaxBacklog is how many connections wait to be accepted at most.
	MaxBacklog = 128
)

// Conn is a connection, or one that is being made.
type Conn interface {
	vfs.Socket
	// Connected returns EAGAIN while the connection is being made, then nil, or why it could not
	// be. The connection is ready for writing when that is known.
	Connected() error
	// Local and Remote are the addresses of the two ends.
	Local() netip.AddrPort
	Remote() netip.AddrPort
}

// Listener accepts connections.
type Listener interface {
	vfs.Stream
	// AcceptConn returns the next connection. Errors: EAGAIN.
	AcceptConn() (Conn, error)
	// Local is the address.
	Local() netip.AddrPort
}
