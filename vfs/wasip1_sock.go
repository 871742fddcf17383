package vfs

import (
	"math"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// The sock_* functions of WASI preview1 in the order of the specification, with its parameters.
// What all have in common is not repeated: EBADF if fd is not open; ENOTSOCK if it is not a socket,
// but EBADF for a directory, since the official suite takes the first preopened directory for a
// number that is no descriptor of its own; ENOTCAPABLE if it lacks the right; EFAULT for a pointer
// that does not lead to guest memory.

// socket returns the open socket that fd stands for.
func (c *Caller) socket(fd uint32, right wasip1.Rights) (*OpenFile, wasip1.Errno) {
	f := c.Table.get(fd)
	if f == nil || f.kind == wasip1.FiletypeDirectory {
		return nil, wasip1.EBADF
	}
	switch f.stream.(type) {
	case Socket, Listener:
	default:
		return nil, wasip1.ENOTSOCK
	}
	if !f.can(right) {
		return nil, wasip1.ENOTCAPABLE
	}
	return f, wasip1.ESUCCESS
}

// SockAccept accepts a connection and stores its descriptor at result. It waits for a connection
// unless FdNonblock is set on fd. flags are those of the new descriptor.
//
// Errors: EINVAL for a socket that does not listen, and for a flag other than FdNonblock; EAGAIN
// with FdNonblock; EMFILE; ECANCELED if the thread has to end.
func SockAccept(c *Caller, fd, flags, result uint32) wasip1.Errno {
	f, e := c.socket(fd, wasip1.RightSockAccept)
	if e != wasip1.ESUCCESS {
		return e
	}
	l, ok := f.stream.(Listener)
	if !ok || flags&^uint32(wasip1.FdNonblock) != 0 {
		return wasip1.EINVAL
	}
	if !c.View.Has(result, 4) {
		return wasip1.EFAULT
	}
	if !c.Table.room() {
		return wasip1.EMFILE
	}
	conn, err := l.Accept()
	for err != nil && again(err) {
		if err = c.wait(f, poll.Readable, "sock_accept", fd); err != nil {
			break
		}
		conn, err = l.Accept()
	}
	if err != nil {
		return errno(err)
	}
	s := NewStream(f.Path(), conn, OpenRead|OpenWrite)
	s.SetFlags(wasip1.Fdflags(flags))
	number, err := c.Table.Insert(s)
	if err != nil {
		s.release()
		return errno(err)
	}
	return c.View.PutUint32(result, number)
}

// SockRecv receives available bytes into the riDataLen iovecs at riData. It waits for at least one
// byte unless FdNonblock is set. With RecvPeek the bytes stay in the socket; with RecvWaitall it
// waits until the buffers are full. The number of bytes is stored at roDatalen; 0 means the end.
// The flags stored at roFlags are 0 for a connection. A socket of datagrams gives one datagram,
// whatever RecvWaitall says, and RecvDataTruncated if it did not fit.
//
// Errors: EINVAL for an unknown flag; ENOTCONN; EAGAIN with FdNonblock; ECANCELED if the thread has
// to end.
func SockRecv(c *Caller, fd, riData, riDataLen, riFlags, roDatalen, roFlags uint32) wasip1.Errno {
	f, e := c.socket(fd, wasip1.RightFdRead)
	if e != wasip1.ESUCCESS {
		return e
	}
	if riFlags&^uint32(wasip1.RiflagsAll) != 0 {
		return wasip1.EINVAL
	}
	list, e := c.View.Iovecs(riData, riDataLen, &c.scratch, true)
	if e != wasip1.ESUCCESS {
		return e
	}
	if !c.View.Has(roDatalen, 4) || !c.View.Has(roFlags, 2) {
		return wasip1.EFAULT
	}
	s, ok := f.stream.(Socket)
	if !ok {
		return wasip1.ENOTCONN
	}
	var r received
	var err error
	if d, ok := f.datagrams(); ok {
		r, err = c.recvDatagram(f, d, list.Bufs, wasip1.Riflags(riFlags)&wasip1.RecvPeek != 0, "sock_recv", fd)
	} else {
		r.n, err = c.receive(f, s, list.Bufs, wasip1.Riflags(riFlags), fd)
	}
	if err != nil {
		return errno(err)
	}
	list.Wrote(uint64(r.n))
	c.View.PutUint16(roFlags, uint16(r.flags))
	return c.View.PutUint32(roDatalen, uint32(r.n))
}

// SockSend sends the siDataLen ciovecs at siData and stores the number of bytes at soDatalen. It
// waits for room unless FdNonblock is set. siFlags must be 0. A socket of datagrams sends one.
//
// Errors: EINVAL for a flag; ENOTCONN, EPIPE; EDESTADDRREQ and EMSGSIZE of datagrams; EAGAIN with
// FdNonblock; ECANCELED if the thread has to end.
func SockSend(c *Caller, fd, siData, siDataLen, siFlags, soDatalen uint32) wasip1.Errno {
	f, e := c.socket(fd, wasip1.RightFdWrite)
	if e != wasip1.ESUCCESS {
		return e
	}
	if siFlags != 0 {
		return wasip1.EINVAL
	}
	list, e := c.View.Iovecs(siData, siDataLen, &c.scratch, false)
	if e != wasip1.ESUCCESS {
		return e
	}
	if !c.View.Has(soDatalen, 4) {
		return wasip1.EFAULT
	}
	if _, ok := f.stream.(Socket); !ok {
		return wasip1.ENOTCONN
	}
	n, err := c.writeStream(f, list.Bufs, "sock_send", fd)
	if err != nil {
		return errno(err)
	}
	list.DidRead(uint64(n))
	return c.View.PutUint32(soDatalen, uint32(n))
}

// SockShutdown ends one or both directions of a connection. how is ShutRd, ShutWr or both. Errors:
// EINVAL for any other how; ENOTCONN.
func SockShutdown(c *Caller, fd, how uint32) wasip1.Errno {
	f, e := c.socket(fd, wasip1.RightSockShutdown)
	if e != wasip1.ESUCCESS {
		return e
	}
	if how == 0 || how > math.MaxUint8 || wasip1.Sdflags(how)&^wasip1.SdflagsAll != 0 {
		return wasip1.EINVAL
	}
	s, ok := f.stream.(Socket)
	if !ok {
		return wasip1.ENOTCONN
	}
	return errno(s.Shutdown(wasip1.Sdflags(how)))
}
