package netmem

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/wasip1"
)

// DatagramSocket sends and receives datagrams at one address. A datagram arrives whole or not at
// all. It is lost with the probability of the [Link]'s Loss, in a partition (also if that begins
// while it is on its way), if no socket has the address, and if the receiving socket is full. The
// sender is not told. Jitter may change the order.
type DatagramSocket struct {
	poll.Queue
	network *Network
	addr    Addr

	// Guarded by the network's lock.
	queue  []datagram // to be received
	held   int        // what the queue, and what is on its way, takes
	peer   Addr       // the only one that is received from, "" for all
	closed bool
}

var _ vfs.Stream = (*DatagramSocket)(nil)

// datagram is a datagram with its sender. via is the loopback address that it was sent to, the zero
// value if it was sent to another.
type datagram struct {
	from Addr
	via  netip.Addr
	data []byte
}

const (
	// receiveBuffer is how many bytes lie in a socket, or are on their way to it, before others are
	// lost: the last one may go beyond.
	receiveBuffer = pipe.DefaultCapacity
	// datagramCost is what a datagram takes besides its bytes.
	datagramCost = 256
)

func (d *datagram) cost() int { return len(d.data) + datagramCost }

// ListenDatagrams makes a socket for datagrams. Port 0 stands for the next free port. The ports of
// connections are separate. Errors: EADDRINUSE.
func (n *Network) ListenDatagrams(address string) (*DatagramSocket, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := bindLocked(n, address, n.datagrams)
	if err != nil {
		return nil, err
	}
	s := &DatagramSocket{network: n, addr: a}
	n.datagrams[string(a)] = s
	return s, nil
}

// Addr returns the address.
func (s *DatagramSocket) Addr() Addr { return s.addr }

// Connect lets the socket receive from one address only; "" stands for all. It drops datagrams from
// others that have arrived.
func (s *DatagramSocket) Connect(peer Addr) {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	s.peer = peer
	s.queue = slices.DeleteFunc(s.queue, func(d datagram) bool {
		if peer == "" || d.from == peer {
			return false
		}
		s.held -= d.cost()
		return true
	})
}

// SendTo sends a copy of p as one datagram. Errors: EMSGSIZE for more than [vfs.MaxDatagram] bytes;
// EBADF after Close.
func (s *DatagramSocket) SendTo(p []byte, to Addr) error { return s.send(p, to, netip.Addr{}) }

func (s *DatagramSocket) send(p []byte, to Addr, via netip.Addr) error {
	n := s.network
	n.enter()
	defer n.leave()
	switch {
	case s.closed:
		return wasip1.EBADF
	case len(p) > vfs.MaxDatagram:
		return wasip1.EMSGSIZE
	}
	w := n.wireLocked(route{s.addr.Site(), to.Site()})
	lost := w.link.Loss > 0 && n.rng.Float64() < w.link.Loss
	receiver := n.datagrams[string(to)]
	if lost || w.down || receiver == nil || receiver.held >= receiveBuffer || !receiver.takesLocked(s.addr) {
		return nil
	}
	d := datagram{s.addr, via, slices.Clone(p)}
	receiver.held += d.cost()
	if w.immediate() {
		receiver.arriveLocked(d)
		return nil
	}
	w.put(&packet{wire: w, socket: receiver, datagram: d, n: len(p)})
	return nil
}

// takesLocked reports whether the socket receives from an address.
func (s *DatagramSocket) takesLocked(from Addr) bool { return s.peer == "" || s.peer == from }

// arriveLocked is called when a datagram has reached the socket, which is charged for it.
func (s *DatagramSocket) arriveLocked(d datagram) {
	if !s.takesLocked(d.from) {
		s.held -= d.cost()
		return
	}
	s.queue = append(s.queue, d)
	s.Wake()
}

// RecvFrom copies the next datagram to p, and returns its size and its sender. With peek, the
// datagram stays. Errors: EAGAIN; EBADF after Close.
func (s *DatagramSocket) RecvFrom(p []byte, peek bool) (size int, from Addr, err error) {
	d, err := s.receive(p, peek)
	return len(d.data), d.from, err
}

func (s *DatagramSocket) receive(p []byte, peek bool) (d datagram, err error) {
	n := s.network
	n.enter()
	defer n.leave()
	switch {
	case s.closed:
		return d, wasip1.EBADF
	case len(s.queue) == 0:
		return d, wasip1.EAGAIN
	}
	d = s.queue[0]
	copy(p, d.data)
	if !peek {
		s.queue[0] = datagram{}
		s.queue = s.queue[1:]
		s.held -= d.cost()
	}
	return d, nil
}

// Read receives a datagram, and drops what does not fit p. Errors: EAGAIN; EBADF after Close.
func (s *DatagramSocket) Read(p []byte) (int, error) {
	size, _, err := s.RecvFrom(p, false)
	return min(size, len(p)), err
}

// Write sends a datagram to the address that the socket is connected to. Errors: EDESTADDRREQ if it
// is not; those of SendTo.
func (s *DatagramSocket) Write(p []byte) (int, error) {
	s.network.mu.Lock()
	peer := s.peer
	s.network.mu.Unlock()
	if peer == "" {
		return 0, wasip1.EDESTADDRREQ
	}
	if err := s.SendTo(p, peer); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Poll implements [poll.Pollable]. The socket is always ready for writing.
func (s *DatagramSocket) Poll(want poll.Events) poll.State {
	s.network.mu.Lock()
	defer s.network.mu.Unlock()
	if s.closed {
		return poll.State{Ready: want, Err: wasip1.EBADF}
	}
	st := poll.State{Ready: want & poll.Writable}
	if want&poll.Readable != 0 && len(s.queue) > 0 {
		st.Ready |= poll.Readable
		st.Bytes = uint64(len(s.queue[0].data))
	}
	return st
}

// Close frees the address. Datagrams not received yet are lost.
func (s *DatagramSocket) Close() error {
	n := s.network
	n.enter()
	defer n.leave()
	if s.closed {
		return nil
	}
	s.closed = true
	s.queue, s.held = nil, 0
	delete(n.datagrams, string(s.addr))
	for _, w := range n.wires {
		w.forget(func(p *packet) bool { return p.socket == s })
	}
	s.Wake()
	return nil
}

// Net returns the socket for host code. Closing it closes the socket. Its addresses are of type
// [Addr]; its deadlines are times of the network's clock.
func (s *DatagramSocket) Net() net.PacketConn {
	return &packetConn{s, pipe.NewHost(context.Background(), s, s.network.clock)}
}

type packetConn struct {
	s    *DatagramSocket
	host *pipe.Host
}

func (c *packetConn) ReadFrom(p []byte) (n int, from net.Addr, err error) {
	err = c.host.Do(poll.Readable, func() error {
		size, a, err := c.s.RecvFrom(p, false)
		n, from = min(size, len(p)), a
		return err
	})
	if err != nil {
		return 0, nil, opError("read", c.s.addr, nil, err)
	}
	return n, from, nil
}

func (c *packetConn) WriteTo(p []byte, to net.Addr) (int, error) {
	if err := c.host.Do(poll.Writable, func() error { return c.s.SendTo(p, Addr(to.String())) }); err != nil {
		return 0, opError("write", c.s.addr, to, err)
	}
	return len(p), nil
}

func (c *packetConn) Close() error                       { return c.host.Close() }
func (c *packetConn) LocalAddr() net.Addr                { return c.s.addr }
func (c *packetConn) SetDeadline(t time.Time) error      { return c.host.SetDeadline(t) }
func (c *packetConn) SetReadDeadline(t time.Time) error  { return c.host.SetReadDeadline(t) }
func (c *packetConn) SetWriteDeadline(t time.Time) error { return c.host.SetWriteDeadline(t) }
