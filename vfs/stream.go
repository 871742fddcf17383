package vfs

import (
	"errors"
	"io"
	"net/netip"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// late is what a stream answered when a call had moved some bytes already, for each direction. The
// call tells of the bytes and the next one of this, which the stream may not answer again: a
// connection of the system tells of a reset once and is at its end then, a terminal's end is
// followed by what is typed next.
type late struct{ read, write error }

func (l *late) of(dir poll.Events) *error {
	if dir == poll.Writable {
		return &l.write
	}
	return &l.read
}

// keep keeps what is to be told by the next call in the direction.
func (f *OpenFile) keep(dir poll.Events, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var next late
	if l := f.late.Load(); l != nil {
		next = *l
	}
	*next.of(dir) = err
	f.late.Store(&next)
}

// kept returns what keep was given, and forgets it if it is told for good.
func (f *OpenFile) kept(dir poll.Events, told bool) error {
	if f.late.Load() == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.late.Load()
	if l == nil {
		return nil
	}
	next := *l
	err := *next.of(dir)
	if told {
		*next.of(dir) = nil
		f.late.Store(&next)
		if next == (late{}) {
			f.late.Store(nil)
		}
	}
	return err
}

// pollStream tells what can be done now with the stream, or that there is something to be told.
func (f *OpenFile) pollStream(want poll.Events) poll.State {
	for _, dir := range []poll.Events{poll.Readable, poll.Writable} {
		if want&dir == 0 {
			continue
		}
		if err := f.kept(dir, false); isEnd(err) {
			return poll.State{Ready: dir, Hangup: true}
		} else if err != nil {
			return poll.State{Ready: dir, Err: err}
		}
	}
	return f.stream.Poll(want)
}

// readStream reads what there is into bufs, and waits for something where the description may wait.
// The end is no error. op and fd are for reports.
func (c *Caller) readStream(f *OpenFile, bufs [][]byte, op string, fd uint32) (int, error) {
	if err := f.kept(poll.Readable, true); err != nil {
		return 0, unlessEnd(err)
	}
	if d, ok := f.datagrams(); ok {
		r, err := c.recvDatagram(f, d, bufs, false, op, fd)
		return r.n, err
	}
	n, look := 0, maxPiece
	for _, b := range bufs {
		for len(b) > 0 {
			if c.endedAt(n, &look) {
				return n, nil
			}
			want := b[:min(len(b), maxPiece)]
			k, err := f.stream.Read(want)
			for n == 0 && err != nil && again(err) {
				if err = c.wait(f, poll.Readable, op, fd); err != nil {
					return 0, err
				}
				k, err = f.stream.Read(want)
			}
			if miscounted(k, len(want)) {
				return n, errMiscounted
			}
			n += k
			if err != nil && again(err) {
				return n, nil
			}
			if err != nil {
				return f.moved(poll.Readable, n, err)
			}
			if k < len(want) {
				return n, nil
			}
			b = b[k:]
		}
	}
	return n, nil
}

// receive fills bufs for SockRecv. A peek looks into the first buffer that is not empty: what it
// has seen stays, so that a second one would see the same again.
func (c *Caller) receive(f *OpenFile, s Socket, bufs [][]byte, flags wasip1.Riflags, fd uint32) (int, error) {
	peek, all := flags&wasip1.RecvPeek != 0, flags&wasip1.RecvWaitall != 0
	if err := f.kept(poll.Readable, !peek); err != nil {
		return 0, unlessEnd(err)
	}
	n, look := 0, maxPiece
	for _, b := range bufs {
		for len(b) > 0 {
			if c.endedAt(n, &look) {
				return n, nil
			}
			want := b[:min(len(b), maxPiece)]
			k, err := s.Recv(want, peek)
			if err != nil && again(err) {
				if n > 0 && !all {
					return n, nil
				}
				if err = c.wait(f, poll.Readable, "sock_recv", fd); err == nil {
					continue
				}
				if n > 0 && err == wasip1.EAGAIN {
					return n, nil
				}
				return 0, err
			}
			if miscounted(k, len(want)) {
				return n, errMiscounted
			}
			n += k
			if err != nil {
				return f.moved(poll.Readable, n, err)
			}
			if peek || k == 0 || k < len(want) && !all {
				return n, nil
			}
			b = b[k:]
		}
	}
	return n, nil
}

// wholeUpTo is the size up to which the buffers of one call reach the stream by one Write, which a
// pipe takes whole or not at all (POSIX: write, writev, PIPE_BUF).
const wholeUpTo = 4096

// writeStream writes all of bufs, waiting where the description may wait, or with FdNonblock what
// fits.
func (c *Caller) writeStream(f *OpenFile, bufs [][]byte, op string, fd uint32) (int, error) {
	if err := f.kept(poll.Writable, true); err != nil {
		return 0, err
	}
	if d, ok := f.datagrams(); ok {
		return c.sendDatagram(f, d, bufs, netip.AddrPort{}, op, fd)
	}
	if len(bufs) > 1 && total(bufs) <= wholeUpTo {
		bufs = c.gather(bufs)
	}
	n, look := 0, maxPiece
	for _, b := range bufs {
		for len(b) > 0 {
			if c.endedAt(n, &look) {
				return n, nil
			}
			want := b[:min(len(b), maxPiece)]
			k, err := f.stream.Write(want)
			if miscounted(k, len(want)) {
				return n, errMiscounted
			}
			n += k
			b = b[k:]
			if err == nil && k > 0 {
				continue
			}
			if err != nil && !again(err) {
				return f.moved(poll.Writable, n, err)
			}
			if err := c.wait(f, poll.Writable, op, fd); err != nil {
				if n > 0 && err == wasip1.EAGAIN {
					return n, nil
				}
				return n, err
			}
		}
	}
	return n, nil
}

// gather makes one buffer of several.
func (c *Caller) gather(bufs [][]byte) [][]byte {
	c.whole[0] = c.gathered[:0]
	for _, b := range bufs {
		c.whole[0] = append(c.whole[0], b...)
	}
	c.gathered = c.whole[0]
	return c.whole[:]
}

// moved is the answer of a call that has moved n bytes when the stream answers err.
func (f *OpenFile) moved(dir poll.Events, n int, err error) (int, error) {
	if n > 0 {
		f.keep(dir, err)
		return n, nil
	}
	if dir == poll.Readable {
		err = unlessEnd(err)
	}
	return 0, err
}

// isEnd reports whether err is the end of a stream.
func isEnd(err error) bool { return err == io.EOF || errors.Is(err, io.EOF) }

// unlessEnd returns err, but nil for the end of a stream.
func unlessEnd(err error) error {
	if isEnd(err) {
		return nil
	}
	return err
}

// again reports whether err says to wait.
func again(err error) bool {
	if e, ok := err.(wasip1.Errno); ok {
		return e == wasip1.EAGAIN
	}
	return err != io.EOF && wasip1.FromError(err) == wasip1.EAGAIN
}

// wait waits until the stream of f is ready. Errors: EAGAIN where f must not wait, ECANCELED when
// the thread has to end.
func (c *Caller) wait(f *OpenFile, want poll.Events, op string, fd uint32) error {
	if c.Task == nil || !f.waits() {
		return wasip1.EAGAIN
	}
	if c.ended() { // a stream may say for ever that it is ready, and answer EAGAIN
		return wasip1.ECANCELED
	}
	_, err := poll.Block(c.Task, f.stream, want, poll.Wait{Op: op, On: uint64(fd), Deadline: poll.NoDeadline})
	if err != nil {
		return wasip1.ECANCELED
	}
	return nil
}
