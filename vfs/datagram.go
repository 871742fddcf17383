package vfs

import (
	"net/netip"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// MaxDatagram is how many bytes a datagram has at most, as with UDP over IPv4.
const MaxDatagram = 65507

// Datagrams is a [Socket] of datagrams. Read, Recv and RecvFrom take one datagram, and drop what
// does not fit; Write and SendTo send one, which may be empty.
type Datagrams interface {
	Socket

	// SendTo sends p to an address. The zero AddrPort stands for the address that the socket is
	// connected to. Errors: EAGAIN; EDESTADDRREQ if there is no address; EMSGSIZE for more than
	// [MaxDatagram] bytes.
	SendTo(p []byte, to netip.AddrPort) error

	// RecvFrom copies the next datagram to p, and returns its size and its sender. With peek, the
	// datagram stays. Errors: EAGAIN; io.EOF after a shutdown for reading, if nothing is left.
	RecvFrom(p []byte, peek bool) (size int, from netip.AddrPort, err error)
}

// datagrams returns the stream of f if it is one of datagrams.
func (f *OpenFile) datagrams() (Datagrams, bool) {
	if f.kind != wasip1.FiletypeSocketDgram {
		return nil, false
	}
	d, ok := f.stream.(Datagrams)
	return d, ok
}

// sendDatagram sends what is in bufs as one datagram, and waits where the description may wait.
func (c *Caller) sendDatagram(f *OpenFile, d Datagrams, bufs [][]byte, to netip.AddrPort, op string, fd uint32) (int, error) {
	if total(bufs) > MaxDatagram {
		return 0, wasip1.EMSGSIZE
	}
	var whole []byte
	if len(bufs) == 1 {
		whole = bufs[0]
	} else {
		for _, b := range bufs {
			whole = append(whole, b...)
		}
	}
	err := d.SendTo(whole, to)
	for err != nil && again(err) {
		if err = c.wait(f, poll.Writable, op, fd); err != nil {
			break
		}
		err = d.SendTo(whole, to)
	}
	if err != nil {
		return 0, err
	}
	return len(whole), nil
}

// received is a datagram that a guest has been given.
type received struct {
	n     int // bytes that were stored
	flags wasip1.Roflags
	from  netip.AddrPort
}

// recvDatagram takes one datagram to bufs, and waits where the description may wait. The end is
// empty.
func (c *Caller) recvDatagram(f *OpenFile, d Datagrams, bufs [][]byte, peek bool, op string, fd uint32) (r received, err error) {
	var whole []byte
	if len(bufs) == 1 {
		whole = bufs[0]
	} else {
		whole = make([]byte, min(total(bufs), MaxDatagram))
	}
	size, from, err := d.RecvFrom(whole, peek)
	for err != nil && again(err) {
		if err = c.wait(f, poll.Readable, op, fd); err != nil {
			break
		}
		size, from, err = d.RecvFrom(whole, peek)
	}
	if err != nil {
		return r, unlessEnd(err)
	}
	if size < 0 {
		return r, errMiscounted
	}
	r = received{n: min(size, len(whole)), from: from}
	if size > len(whole) {
		r.flags = wasip1.RecvDataTruncated
	}
	if len(bufs) != 1 {
		rest := whole[:r.n]
		for _, b := range bufs {
			rest = rest[copy(b, rest):]
		}
	}
	return r, nil
}

// SendDatagram sends one datagram to an address for sock_send_to, as [SockSend] does to the address
// that the socket is connected to. Errors: ENOTSOCK if the socket is not of datagrams; those of
// SockSend.
func SendDatagram(c *Caller, fd, siData, siDataLen, siFlags, soDatalen uint32, to netip.AddrPort) wasip1.Errno {
	f, e := c.socket(fd, wasip1.RightFdWrite)
	if e != wasip1.ESUCCESS {
		return e
	}
	d, ok := f.datagrams()
	switch {
	case !ok:
		return wasip1.ENOTSOCK
	case siFlags != 0:
		return wasip1.EINVAL
	}
	list, e := c.View.Iovecs(siData, siDataLen, &c.scratch, false)
	if e != wasip1.ESUCCESS {
		return e
	}
	if !c.View.Has(soDatalen, 4) {
		return wasip1.EFAULT
	}
	n, err := c.sendDatagram(f, d, list.Bufs, to, "sock_send_to", fd)
	if err != nil {
		return errno(err)
	}
	list.DidRead(uint64(n))
	return c.View.PutUint32(soDatalen, uint32(n))
}

// RecvDatagram takes one datagram for sock_recv_from, as [SockRecv] does, and returns its sender:
// the zero AddrPort at the end. Errors: ENOTSOCK if the socket is not of datagrams; those of
// SockRecv.
func RecvDatagram(c *Caller, fd, riData, riDataLen, riFlags, roDatalen, roFlags uint32) (from netip.AddrPort, e wasip1.Errno) {
	f, e := c.socket(fd, wasip1.RightFdRead)
	if e != wasip1.ESUCCESS {
		return from, e
	}
	d, ok := f.datagrams()
	switch {
	case !ok:
		return from, wasip1.ENOTSOCK
	case riFlags&^uint32(wasip1.RiflagsAll) != 0:
		return from, wasip1.EINVAL
	}
	list, e := c.View.Iovecs(riData, riDataLen, &c.scratch, true)
	if e != wasip1.ESUCCESS {
		return from, e
	}
	if !c.View.Has(roDatalen, 4) || !c.View.Has(roFlags, 2) {
		return from, wasip1.EFAULT
	}
	r, err := c.recvDatagram(f, d, list.Bufs, wasip1.Riflags(riFlags)&wasip1.RecvPeek != 0, "sock_recv_from", fd)
	if err != nil {
		return from, errno(err)
	}
	list.Wrote(uint64(r.n))
	c.View.PutUint16(roFlags, uint16(r.flags))
	return r.from, c.View.PutUint32(roDatalen, uint32(r.n))
}
