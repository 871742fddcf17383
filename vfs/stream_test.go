package vfs_test

import (
	"io"
	"net"
	"testing"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostnet"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/wasip1"
)

// TestVectorsAreWholeOnPipes has a guest write two buffers that fit into a pipe only together: a
// writev of up to 4096 bytes goes in whole or not at all (POSIX: write), so that lines of several
// programs do not mix.
func TestVectorsAreWholeOnPipes(t *testing.T) {
	r, w := pipe.New(pipe.Buf)
	g := newGuest(t, newNS(t))
	fd := g.insert(vfs.NewStream("w", w, vfs.OpenWrite))
	vfs.FdFdstatSetFlags(&g.Caller, fd, uint32(wasip1.FdNonblock))
	if _, err := w.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	write := func(buffers, size int) (uint32, wasip1.Errno) {
		iovs, n := g.iovs(buffers, size)
		e := vfs.FdWrite(&g.Caller, fd, iovs, n, resultAt)
		return g.u32(), e
	}
	if _, e := write(2, 2000); e != wasip1.EAGAIN {
		t.Errorf("two buffers of 2000 bytes where 3096 fit: %v, want EAGAIN", e)
	}
	if n, e := write(2, 1500); n != 3000 || e != 0 {
		t.Errorf("two buffers of 1500 bytes: %d, %v", n, e)
	}
	if n, err := r.Read(make([]byte, 10000)); n != 4000 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	// More than 4096 bytes may be parted.
	if n, e := write(3, 2000); n < 4000 || n > 4096 || e != 0 {
		t.Errorf("three buffers of 2000 bytes: %d, %v", n, e)
	}
}

// oneErr is a stream that tells its error once, after what there is, and is at the end then, as a
// connection of the system is after a reset.
type oneErr struct {
	queueStream
	err error
}

func (o *oneErr) Read(p []byte) (int, error) { return o.once(o.queueStream.Read(p)) }

func (o *oneErr) Recv(p []byte, peek bool) (int, error) { return o.once(o.queueStream.Recv(p, peek)) }

func (o *oneErr) Write(p []byte) (int, error) { return o.once(o.queueStream.Write(p)) }

func (o *oneErr) once(n int, err error) (int, error) {
	if err != nil && o.err != nil {
		err, o.err = o.err, nil
	}
	return n, err
}

// TestErrorAfterBytes has a stream answer one call with bytes and then with an error: the call
// tells of the bytes, and the next one of the error.
func TestErrorAfterBytes(t *testing.T) {
	calls := map[string]func(g *guest, fd uint32) wasip1.Errno{
		"fd_read": func(g *guest, fd uint32) wasip1.Errno {
			iovs, n := g.iovs(2, 4)
			return vfs.FdRead(&g.Caller, fd, iovs, n, resultAt)
		},
		"sock_recv": func(g *guest, fd uint32) wasip1.Errno {
			iovs, n := g.iovs(2, 4)
			return vfs.SockRecv(&g.Caller, fd, iovs, n, uint32(wasip1.RecvWaitall), resultAt, resultAt+4)
		},
		"fd_write": func(g *guest, fd uint32) wasip1.Errno {
			iovs, n := g.iovs(2, 4)
			return vfs.FdWrite(&g.Caller, fd, iovs, n, resultAt)
		},
		"sock_send": func(g *guest, fd uint32) wasip1.Errno {
			iovs, n := g.iovs(2, 4)
			return vfs.SockSend(&g.Caller, fd, iovs, n, 0, resultAt)
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			s := &oneErr{queueStream{data: []byte("1234"), room: 4, eof: true}, wasip1.ECONNRESET}
			g := newGuest(t, newNS(t))
			fd := g.insert(vfs.NewStream("s", s, vfs.OpenRead|vfs.OpenWrite))
			want := poll.Readable
			if name == "fd_write" || name == "sock_send" {
				want = poll.Writable
			}
			if e := call(g, fd); e != 0 || g.u32() != 4 {
				t.Errorf("the first call: %d, %v", g.u32(), e)
			}
			p, _ := g.Table.Pollable(fd, want)
			if st := p.Poll(want); st.Ready != want || st.Err != wasip1.ECONNRESET {
				t.Errorf("a poll meanwhile: %+v", st)
			}
			expectErrno(t, "the second call", call(g, fd), wasip1.ECONNRESET)
			if want == poll.Readable {
				expectErrno(t, "the third call", call(g, fd), 0)
				if g.u32() != 0 {
					t.Errorf("%d bytes after the end", g.u32())
				}
			}
		})
	}
}

// TestResetAfterBytes has the other end of a TCP connection send and then reset it, while a guest
// receives into several buffers.
func TestResetAfterBytes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	other, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, newNS(t))
	g.Task = poll.NewTask(t.Context())
	fd := g.insert(vfs.NewStream("s", hostnet.NewConn(conn), vfs.OpenRead|vfs.OpenWrite))
	if _, err := io.WriteString(other, "1234"); err != nil {
		t.Fatal(err)
	}
	if s, e := g.read(fd, 4); s != "1234" || e != 0 {
		t.Fatalf("%q, %v", s, e)
	}
	if _, err := io.WriteString(other, "5678"); err != nil {
		t.Fatal(err)
	}
	g.Task = &task{steps: []func(){func() {
		_ = other.(*net.TCPConn).SetLinger(0)
		other.Close()
		if _, err := poll.Block(poll.NewTask(t.Context()), g.Table.Get(fd), poll.Readable, poll.Wait{Deadline: poll.NoDeadline}); err != nil {
			t.Error(err)
		}
	}}}
	iovs, n := g.iovs(2, 4)
	expectErrno(t, "sock_recv", vfs.SockRecv(&g.Caller, fd, iovs, n, uint32(wasip1.RecvWaitall), resultAt, resultAt+4), 0)
	if g.u32() != 4 {
		t.Errorf("%d bytes, want those before the reset", g.u32())
	}
	_, e := g.read(fd, 4)
	expectErrno(t, "after the reset", e, wasip1.ECONNRESET)
}
