package hostnet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs/sockets"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Bind implements [sockets.DatagramNetwork]. Where a rule to listen grants the address, the guest
// receives from anybody and may answer those that it has received from lately. Elsewhere it has a
// port that the machine chooses, if a rule grants any address by UDP, and receives from the
// addresses that it may send to. Senders of datagrams can be forged: a guest that may listen, and
// somebody who helps it, can make it answer any address that the machine reaches.
func (n *Network) Bind(at netip.AddrPort) (sockets.Datagrams, error) {
	at = netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
	open := n.granted(rights{listen: true, udp: true}, at)
	if !open && (!at.Addr().IsUnspecified() || at.Port() != 0 || !n.sends()) {
		return nil, wasip1.EACCES
	}
	network := "udp4"
	if at.Addr().Is6() {
		network = "udp6"
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	return &datagrams{n: n, c: c, open: open}, nil
}

// sends reports whether a rule grants any address to send to.
func (n *Network) sends() bool {
	return slices.ContainsFunc(n.rules, func(r Rule) bool { return r.rights == rights{udp: true} })
}

const (
	// maxSenders is how many senders a socket remembers, that its guest may answer.
	maxSenders = 1024
	// sendTimeout is how long the machine may take to take a datagram. Then it is lost.
	sendTimeout = 100 * time.Millisecond
)

// datagrams implements [sockets.Datagrams]. At most one datagram is received ahead of the guest;
// the others stay in the socket of the system, which bounds them.
type datagrams struct {
	poll.Queue
	n    *Network
	c    *net.UDPConn
	open bool // receives from anybody

	mu      sync.Mutex
	buf     []byte // of the datagram that was received
	size    int
	from    netip.AddrPort // its sender, the zero value if there is none
	err     error          // of the system, to be told once
	peer    netip.AddrPort // the only one that is received from, the zero value for all
	senders []netip.AddrPort
	running bool
	closed  bool
}

// UsesMachine implements [vfs.MachineUser].
func (d *datagrams) UsesMachine() bool { return true }

func (d *datagrams) Local() netip.AddrPort { return sockets.AddrPort(d.c.LocalAddr()) }

// mayLocked reports whether the guest may send to an address.
func (d *datagrams) mayLocked(to netip.AddrPort) bool {
	return d.n.granted(rights{udp: true}, to) || slices.Contains(d.senders, to)
}

func (d *datagrams) Connect(peer netip.AddrPort) error {
	peer = netip.AddrPortFrom(dialed(peer.Addr()), peer.Port())
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.mayLocked(peer) {
		return wasip1.EACCES
	}
	d.peer = peer
	if d.from != peer {
		d.from = netip.AddrPort{}
	}
	return nil
}

func (d *datagrams) SendTo(p []byte, to netip.AddrPort) error {
	to = netip.AddrPortFrom(dialed(to.Addr()), to.Port())
	d.mu.Lock()
	may := d.mayLocked(to)
	d.mu.Unlock()
	if !may {
		return wasip1.EACCES
	}
	if err := d.c.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	if _, err := d.c.WriteToUDPAddrPort(p, to); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

func (d *datagrams) RecvFrom(p []byte, peek bool) (size int, from netip.AddrPort, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return 0, from, wasip1.EBADF
	case d.err != nil:
		err, d.err = d.err, nil
		return 0, from, err
	case !d.from.IsValid():
		d.startLocked()
		return 0, from, wasip1.EAGAIN
	}
	size, from = d.size, d.from
	copy(p, d.buf[:size])
	if !peek {
		d.from = netip.AddrPort{}
	}
	return size, from, nil
}

// Poll implements [poll.Pollable]. The socket is always ready for writing.
func (d *datagrams) Poll(want poll.Events) poll.State {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return poll.State{Ready: want, Err: wasip1.EBADF}
	}
	st := poll.State{Ready: want & poll.Writable}
	switch {
	case want&poll.Readable == 0:
	case d.err != nil:
		st.Ready, st.Err = st.Ready|poll.Readable, d.err
	case d.from.IsValid():
		st.Ready, st.Bytes = st.Ready|poll.Readable, uint64(d.size)
	default:
		d.startLocked()
	}
	return st
}

func (d *datagrams) startLocked() {
	if !d.running {
		d.running = true
		go d.receive()
	}
}

// receive receives one datagram that the guest may see.
func (d *datagrams) receive() {
	buf := d.buf // nobody else uses it while receive runs
	if buf == nil {
		buf = make([]byte, 1<<16)
	}
	for {
		size, from, err := d.c.ReadFromUDPAddrPort(buf)
		from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
		d.mu.Lock()
		if err == nil && !d.closed && !d.takesLocked(from) {
			d.mu.Unlock()
			continue
		}
		d.running, d.buf = false, buf
		if err != nil {
			d.err = err
		} else {
			d.size, d.from = size, from
			if d.open {
				d.rememberLocked(from)
			}
		}
		d.mu.Unlock()
		d.Wake()
		return
	}
}

// takesLocked reports whether the guest receives from an address.
func (d *datagrams) takesLocked(from netip.AddrPort) bool {
	if d.peer.IsValid() && d.peer != from {
		return false
	}
	return d.open || d.mayLocked(from)
}

// rememberLocked lets the guest answer a sender.
func (d *datagrams) rememberLocked(from netip.AddrPort) {
	if i := slices.Index(d.senders, from); i >= 0 {
		d.senders = slices.Delete(d.senders, i, i+1)
	} else if len(d.senders) == maxSenders {
		d.senders = slices.Delete(d.senders, 0, 1)
	}
	d.senders = append(d.senders, from)
}

func (d *datagrams) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.Wake()
	return d.c.Close()
}
