package stdio

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// rawFD reads or writes a descriptor that is in non-blocking mode. One goroutine at most waits for
// it with the runtime's poller, and only after somebody found it not ready.
type rawFD struct {
	conn   syscall.RawConn
	socket bool
	queue  *poll.Queue
	events int16                          // POLLIN or POLLOUT
	wait   func(func(uintptr) bool) error // conn.Read or conn.Write
	stop   func()                         // ends wait
	resume func()                         // lets others wait again
	closer func() error

	mu      sync.Mutex
	op      rawOp
	do      func(uintptr) // rawFD.perform, bound once so that a call does not allocate
	waiting bool
	ended   sync.WaitGroup // the goroutine that waits
	err     error          // why nobody can wait for it any more
	closed  bool
}

// readEvents has the end of a connection beside bytes to read: a pipe tells its end unasked, and a
// terminal has none.
const readEvents = unix.POLLIN | unix.POLLRDHUP

// rawOp is the argument and the result of one system call.
type rawOp struct {
	kind  opKind
	buf   []byte
	n     int
	err   error
	ready int16
}

type opKind uint8

const (
	opRead opKind = iota
	opPeek
	opWrite
	opPoll
)

func (r *rawFD) perform(fd uintptr) {
	for {
		r.op.n, r.op.err = r.once(int(fd))
		if r.op.err != unix.EINTR {
			return
		}
	}
}

func (r *rawFD) once(fd int) (n int, err error) {
	switch r.op.kind {
	case opRead:
		return unix.Read(fd, r.op.buf)
	case opPeek:
		n, _, err = unix.Recvfrom(fd, r.op.buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return n, err
	case opWrite:
		// A socket would raise SIGPIPE, which package syscall's Write leaves to the runtime as
		// well; the runtime lets only descriptors 1 and 2 end the process, and only through package
		// os.
		return unix.Write(fd, r.op.buf)
	}
	r.op.ready, err = pollFD(fd, r.events)
	if err == nil && r.events == readEvents && r.op.ready&unix.POLLIN != 0 {
		n, _ = unix.IoctlGetInt(fd, unix.TIOCINQ)
	}
	return n, err
}

// pollFD asks what is ready now. Errors and hang-ups are in the answer unasked.
func pollFD(fd int, events int16) (int16, error) {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	_, err := unix.Poll(fds[:], 0)
	return fds[0].Revents, err
}

func (r *rawFD) callLocked(kind opKind, p []byte) rawOp {
	r.op = rawOp{kind: kind, buf: p}
	if err := r.conn.Control(r.do); err != nil {
		r.op.err = err
	}
	op := r.op
	r.op.buf = nil
	return op
}

func (r *rawFD) transfer(kind opKind, p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, wasip1.EBADF
	}
	if kind == opPeek && !r.socket {
		return 0, wasip1.ENOTSUP
	}
	op := r.callLocked(kind, p)
	switch {
	case op.err == unix.EAGAIN:
		if r.err != nil {
			return 0, r.err
		}
		r.startLocked()
		return 0, wasip1.EAGAIN
	case op.err != nil:
		return 0, op.err
	case op.n == 0 && len(p) > 0 && kind != opWrite:
		return 0, io.EOF
	}
	return op.n, nil
}

func (r *rawFD) state() poll.State {
	dir := poll.Readable
	if r.events == unix.POLLOUT {
		dir = poll.Writable
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return poll.State{Ready: dir, Err: wasip1.EBADF}
	}
	op := r.callLocked(opPoll, nil)
	switch {
	case op.err != nil:
		return poll.State{Ready: dir, Err: op.err}
	case op.ready == 0 && r.err != nil:
		return poll.State{Ready: dir, Err: r.err}
	case op.ready == 0:
		r.startLocked()
		return poll.State{}
	}
	return poll.State{
		Ready:  dir,
		Bytes:  uint64(max(op.n, 0)),
		Hangup: op.ready&(unix.POLLHUP|unix.POLLRDHUP|unix.POLLERR) != 0,
	}
}

func (r *rawFD) startLocked() {
	if r.waiting {
		return
	}
	r.waiting = true
	r.ended.Go(r.await)
}

// await returns when the descriptor is ready, or the stream closed.
func (r *rawFD) await() {
	err := r.wait(func(fd uintptr) bool {
		ready, err := pollFD(int(fd), r.events)
		return ready != 0 || err != nil && err != unix.EINTR
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = false
	if r.closed {
		r.resume()
	} else if err != nil {
		r.err = err // told to the next that would wait: trying again could fail for ever
	}
	r.queue.Wake()
}

func (r *rawFD) close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	if r.waiting {
		r.stop()
	}
	r.queue.Wake()
	r.mu.Unlock()
	r.ended.Wait() // the deadline ends it at once
	return call(r.closer)
}

func (r *rawFD) recv(p []byte, peek bool) (int, error) {
	if peek {
		return r.transfer(opPeek, p)
	}
	return r.transfer(opRead, p)
}

func (r *rawFD) send(p []byte) (int, error) { return r.transfer(opWrite, p) }
func (r *rawFD) buffered() []byte           { return nil }
func (r *rawFD) pending() int               { return 0 }
func (r *rawFD) takeErr() error             { return nil }
func (r *rawFD) drop()                      {}

func newRawSource(v io.Reader, q *poll.Queue, closer func() error) source {
	if r := newRawFD(v, readEvents, q, closer); r != nil {
		return r
	}
	return nil
}

func newRawSink(v io.Writer, q *poll.Queue, closer func() error) sink {
	if r := newRawFD(v, unix.POLLOUT, q, closer); r != nil {
		return r
	}
	return nil
}

// pollable is what a file and a connection of the system have in common.
type pollable interface {
	syscall.Conn
	readDeadliner
	SetWriteDeadline(time.Time) error
}

// newRawFD returns nil where v has no descriptor, or none that the runtime can wait for.
func newRawFD(v any, events int16, q *poll.Queue, closer func() error) *rawFD {
	var p pollable
	socket := true
	switch v := v.(type) {
	case *net.TCPConn:
		p = v
	case *net.UnixConn:
		// A datagram has an end that a stream would lose.
		if a := v.LocalAddr(); a == nil || a.Network() != "unix" {
			return nil
		}
		p = v
	case *os.File:
		f, ours := nonBlocking(v, events)
		if f == nil {
			return nil
		}
		if ours {
			theirs := closer
			closer = func() error { return errors.Join(f.Close(), call(theirs)) }
		}
		p, socket = f, false
	default:
		return nil
	}
	conn, err := p.SyscallConn()
	if err != nil {
		return nil
	}
	r := &rawFD{conn: conn, socket: socket, queue: q, events: events, closer: closer}
	r.do = r.perform
	if events == readEvents {
		r.wait = conn.Read
		r.stop, r.resume = func() { _ = p.SetReadDeadline(longAgo) }, func() { _ = p.SetReadDeadline(noTime) }
	} else {
		r.wait = conn.Write
		r.stop, r.resume = func() { _ = p.SetWriteDeadline(longAgo) }, func() { _ = p.SetWriteDeadline(noTime) }
	}
	return r
}

// nonBlocking returns f if it is a pipe, FIFO, socket or terminal in non-blocking mode, or such a
// file opened a second time (ours), or nil. The mode belongs to what two descriptors share, so that
// setting it on f would be felt by other processes.
func nonBlocking(f *os.File, events int16) (_ *os.File, ours bool) {
	info, err := f.Stat()
	if err != nil {
		return nil, false
	}
	kind := info.Mode().Type()
	if kind&(fs.ModeNamedPipe|fs.ModeCharDevice|fs.ModeSocket) == 0 {
		return nil, false
	}
	// The runtime can wait for a file that is in blocking mode all the same: calling Fd sets it
	// back.
	if f.SetDeadline(noTime) == nil && inNonBlockingMode(f) {
		return f, false
	}
	if kind&fs.ModeSocket != 0 {
		return nil, false // cannot be opened by name
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || kind&fs.ModeCharDevice != 0 && unix.Major(st.Rdev) == 5 && unix.Minor(st.Rdev) == 2 {
		return nil, false // opening /dev/ptmx makes another terminal
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, false
	}
	flags := unix.O_RDONLY
	if events == unix.POLLOUT {
		flags = unix.O_WRONLY
	}
	fd := -1
	err = conn.Control(func(old uintptr) {
		fd, err = unix.Open("/proc/self/fd/"+strconv.Itoa(int(old)), flags|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
	if err != nil || fd < 0 {
		return nil, false
	}
	again := os.NewFile(uintptr(fd), f.Name())
	if again2, err := again.Stat(); err != nil || !os.SameFile(info, again2) || again.SetDeadline(noTime) != nil {
		_ = again.Close()
		return nil, false
	}
	return again, true
}

func inNonBlockingMode(f *os.File) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	flags := 0
	err = conn.Control(func(fd uintptr) { flags, _ = unix.FcntlInt(fd, unix.F_GETFL, 0) })
	return err == nil && flags&unix.O_NONBLOCK != 0
}

// neverWaits reports whether reading and writing f waits for nobody: a regular file, or one of the
// memory devices (null, zero, full, random: major number 1).
func neverWaits(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode().IsRegular() {
		return err == nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().Type()&fs.ModeCharDevice != 0 && unix.Major(st.Rdev) == 1
}

func isTerminal(f *os.File) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	tty := false
	err = conn.Control(func(fd uintptr) {
		_, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		tty = err == nil
	})
	return err == nil && tty
}
