package hostnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/internal/leak"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/wasip1"
)

var (
	_ vfs.Listener  = (*Listener)(nil)
	_ vfs.Socket    = (*Conn)(nil)
	_ stdio.Flusher = (*Conn)(nil)
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip("no network: ", err)
	}
	return l
}

// guest does what fd_read, fd_write and sock_accept do.
type guest struct {
	poll.Task
}

func newGuest(ctx context.Context) guest { return guest{poll.NewTask(ctx)} }

func (g guest) wait(s vfs.Stream, e poll.Events, f func() error) error {
	for {
		if err := f(); err != wasip1.EAGAIN {
			return err
		}
		if _, err := poll.Block(g, s, e, poll.Wait{Deadline: poll.NoDeadline}); err != nil {
			return err
		}
	}
}

func (g guest) accept(l *Listener) (s vfs.Socket, err error) {
	err = g.wait(l, poll.Readable, func() error { s, err = l.Accept(); return err })
	return s, err
}

func (g guest) recv(s vfs.Socket, p []byte, peek bool) (n int, err error) {
	err = g.wait(s, poll.Readable, func() error { n, err = s.Recv(p, peek); return err })
	return n, err
}

func (g guest) send(s vfs.Socket, p []byte) (err error) {
	return g.wait(s, poll.Writable, func() error {
		for len(p) > 0 {
			n, err := s.Write(p)
			if err != nil {
				return err
			}
			p = p[n:]
		}
		return nil
	})
}

// pairs are connections, one end of which a guest has.
var pairs = map[string]func(*testing.T) (*Conn, net.Conn){
	"tcp": func(t *testing.T) (*Conn, net.Conn) {
		a, b := tcp(t)
		return NewConn(a), b
	},
	// Without what can be done with a descriptor: as a TLS connection.
	"wrapped": func(t *testing.T) (*Conn, net.Conn) {
		a, b := tcp(t)
		return NewConn(wrapped{a.(*net.TCPConn)}), b
	},
}

type wrapped struct{ half }

type half interface {
	net.Conn
	CloseWrite() error
}

func tcp(t *testing.T) (accepted, dialed net.Conn) {
	t.Helper()
	l := listen(t)
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return accepted, dialed
}

func TestConversation(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			s, c := pair(t)
			defer c.Close()
			g := newGuest(t.Context())
			p := make([]byte, 100)
			if n, err := s.Read(p); n != 0 || err != wasip1.EAGAIN {
				t.Errorf("read of nothing: %d, %v", n, err)
			}
			if st := s.Poll(poll.Readable | poll.Writable); st.Ready != poll.Writable {
				t.Errorf("state %+v", st)
			}
			_, _ = io.WriteString(c, "hello")
			if n, err := g.recv(s, p[:3], true); string(p[:n]) != "hel" || err != nil {
				t.Errorf("peek: %q, %v", p[:n], err)
			}
			if st := s.Poll(poll.Readable); st.Ready == 0 || st.Bytes != 5 {
				t.Errorf("state %+v", st)
			}
			if n, err := g.recv(s, p, false); string(p[:n]) != "hello" || err != nil {
				t.Errorf("read: %q, %v", p[:n], err)
			}
			if err := g.send(s, []byte("bye")); err != nil {
				t.Error(err)
			}
			if err := s.Shutdown(wasip1.ShutWr); err != nil {
				t.Error(err)
			}
			if _, err := s.Write(p); err != wasip1.EPIPE {
				t.Errorf("write after shutdown: %v", err)
			}
			if got, err := io.ReadAll(c); string(got) != "bye" || err != nil {
				t.Errorf("the other end read %q, %v", got, err)
			}
			_, _ = io.WriteString(c, "still there?")
			if n, err := g.recv(s, p, false); string(p[:n]) != "still there?" || err != nil {
				t.Errorf("read: %q, %v", p[:n], err)
			}
			if err := s.Shutdown(wasip1.ShutRd); err != nil {
				t.Error(err)
			}
			if n, err := s.Read(p); n != 0 || err != io.EOF {
				t.Errorf("read after shutdown: %d, %v", n, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if _, err := s.Read(p); err != wasip1.EBADF {
				t.Errorf("read after close: %v", err)
			}
			if err := s.Shutdown(wasip1.ShutWr); err != wasip1.EBADF {
				t.Errorf("shutdown after close: %v", err)
			}
			if n, err := c.Read(p); n != 0 || err != io.EOF {
				t.Errorf("the other end: %d, %v", n, err)
			}
		})
	}
}

func TestEnd(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			s, c := pair(t)
			g := newGuest(t.Context())
			_, _ = io.WriteString(c, "x")
			_ = c.Close()
			p := make([]byte, 10)
			if n, err := g.recv(s, p, false); n != 1 || err != nil {
				t.Errorf("read: %d, %v", n, err)
			}
			if n, err := g.recv(s, p, false); n != 0 || err != io.EOF {
				t.Errorf("read: %d, %v", n, err)
			}
			if st := s.Poll(poll.Readable); st.Ready == 0 || !st.Hangup {
				t.Errorf("state %+v", st)
			}
			_ = s.Close()
		})
	}
}

// TestClosedSends: what was written before Close arrives, however slowly it is read.
func TestClosedSends(t *testing.T) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			s, c := pair(t)
			defer c.Close()
			want := bytes.Repeat([]byte("0123456789"), 1<<20)
			g := newGuest(t.Context())
			sent := make(chan error)
			go func() {
				err := g.send(s, want)
				sent <- errors.Join(err, s.Close())
			}()
			if got, err := io.ReadAll(c); !bytes.Equal(got, want) || err != nil {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			if err := <-sent; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	for name, pair := range pairs {
		for what, wait := range map[string]func(guest, *Conn) error{
			"recv": func(g guest, s *Conn) error { _, err := g.recv(s, make([]byte, 1), false); return err },
			"send": func(g guest, s *Conn) error { return g.send(s, make([]byte, 64<<20)) },
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				leak.Check(t)
				s, c := pair(t)
				defer c.Close()
				ctx, cancel := context.WithCancelCause(t.Context())
				why := errors.New("why")
				done := make(chan error)
				go func() { done <- wait(newGuest(ctx), s) }()
				cancel(why)
				if err := <-done; err != why {
					t.Error(err)
				}
				if what == "recv" {
					// Nothing is lost for the next.
					_, _ = io.WriteString(c, "hello")
					p := make([]byte, 10)
					if n, err := newGuest(t.Context()).recv(s, p, false); string(p[:n]) != "hello" || err != nil {
						t.Errorf("read: %q, %v", p[:n], err)
					}
				}
				_ = s.Close()
			})
		}
	}
}

func TestListener(t *testing.T) {
	leak.Check(t)
	l := NewListener(listen(t))
	if st := l.Poll(poll.Readable | poll.Writable); st.Ready != 0 {
		t.Errorf("state %+v", st)
	}
	// Cancelled, and the connection that comes afterwards is for the next.
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	done := make(chan error)
	go func() { _, err := newGuest(ctx).accept(l); done <- err }()
	cancel(why)
	if err := <-done; err != why {
		t.Error(err)
	}
	g := newGuest(t.Context())
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := g.accept(l)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.(*Conn).RemoteAddr().String(); got != c.LocalAddr().String() {
			t.Errorf("accepted %s, want %s", got, c.LocalAddr())
		}
		_, _ = s.Close(), c.Close()
	}
	if _, err := l.Read(nil); err != wasip1.ENOTCONN {
		t.Error(err)
	}
	if _, err := l.Write(nil); err != wasip1.ENOTCONN {
		t.Error(err)
	}
	// One that was accepted and not handed out is closed with the listener.
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := poll.Block(g, l, poll.Readable, poll.Wait{Deadline: poll.NoDeadline}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("connection to a closed listener: %d, %v", n, err)
	}
	if _, err := l.Accept(); err != wasip1.EBADF {
		t.Error(err)
	}
}

func TestListenerFaults(t *testing.T) {
	leak.Check(t)
	nl := listen(t)
	l := NewListener(nl)
	g := newGuest(t.Context())
	_ = nl.(*net.TCPListener).SetDeadline(longAgo)
	if _, err := g.accept(l); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	_ = nl.Close()
	for range 2 {
		if _, err := g.accept(l); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
	if st := l.Poll(poll.Readable); st.Ready == 0 || st.Err == nil {
		t.Errorf("state %+v", st)
	}
	_ = l.Close()
}

// acceptor is a net.Listener whose Accept is a function.
type acceptor struct {
	net.Listener
	accept func() (net.Conn, error)
}

func (a acceptor) Accept() (net.Conn, error) { return a.accept() }

// A net.Listener that panics, ends its goroutine or returns nothing fails its guest, not the
// program.
func TestFaultyListeners(t *testing.T) {
	leak.Check(t)
	accept := func(f func() (net.Conn, error)) (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = v.(error)
			}
		}()
		_, err = newGuest(t.Context()).accept(NewListener(acceptor{nil, f}))
		return err
	}
	fault := errors.New("a fault")
	err := accept(func() (net.Conn, error) { panic(fault) })
	if _, ok := errors.AsType[*stdio.PanicError](err); !ok || !errors.Is(err, fault) {
		t.Errorf("it panics: %v", err)
	}
	err = accept(func() (net.Conn, error) { runtime.Goexit(); return nil, nil })
	if _, ok := errors.AsType[*stdio.GoexitError](err); !ok {
		t.Errorf("it ends its goroutine: %v", err)
	}
	if err = accept(func() (net.Conn, error) { return nil, nil }); err != errNoConn {
		t.Errorf("it returns nothing: %v", err)
	}
	if _, ok := errors.AsType[*stdio.PanicError](accept(nil)); !ok {
		t.Error("no panic of a nil function")
	}
}

// faulty is a net.Conn whose Close and deadlines are a function.
type faulty struct {
	net.Conn
	f func() error
}

func (c faulty) Close() error                     { return c.f() }
func (c faulty) SetReadDeadline(time.Time) error  { return c.f() }
func (c faulty) SetWriteDeadline(time.Time) error { return c.f() }

// A net.Conn whose methods panic or end their goroutine fails its guest, not the program, whoever
// closes it.
func TestFaultyConns(t *testing.T) {
	faults := map[string]func() error{"panics": func() error { panic("a fault") }, "ends the goroutine": func() error { runtime.Goexit(); return nil }}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			on := func(f func()) { // a guest's thread
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { _ = recover() }()
					f()
				}()
				<-done
			}

			// It comes when the Listener has been closed.
			asked, come := make(chan struct{}), make(chan struct{})
			l := NewListener(acceptor{listen(t), func() (net.Conn, error) {
				close(asked)
				<-come
				return faulty{nil, fault}, nil
			}})
			_, _ = l.Accept()
			<-asked
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			close(come)

			// It is closed while it is read and written, and then by the last write.
			a, b := net.Pipe()
			s := NewConn(faulty{a, fault})
			_, _ = s.Write([]byte("hello"))
			_, _ = s.Read(make([]byte, 1))
			on(func() { _ = s.Close() })
			if got, err := io.ReadAll(io.LimitReader(b, 5)); string(got) != "hello" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			_ = b.Close()
			_ = a.Close()

			// It is closed by the guest's thread.
			a, b = net.Pipe()
			s = NewConn(faulty{a, fault})
			on(func() { _ = s.Close() })
			on(func() { _ = s.Close() })
			_ = a.Close()
			_ = b.Close()
		})
	}
}

// Connections whose peer does not read linger when they are closed, so many of a Listener's.
func TestLingeringIsBounded(t *testing.T) {
	leak.Check(t)
	peers := make(chan net.Conn, 1)
	l := NewListener(acceptor{listen(t), func() (net.Conn, error) {
		a, b := net.Pipe()
		peers <- b
		return a, nil
	}})
	defer l.Close()
	closed := func() net.Conn { // the other end of a connection that was closed after a write
		t.Helper()
		s, err := newGuest(t.Context()).accept(l)
		if err == nil {
			_, err = s.Write([]byte("hello"))
		}
		if err == nil {
			err = s.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return <-peers
	}
	var all []net.Conn
	for range maxLingering {
		all = append(all, closed())
	}
	if got, err := io.ReadAll(closed()); len(got) != 0 || err != nil {
		t.Errorf("one more than %d: %q, %v, want that it was closed at once", maxLingering, got, err)
	}
	for range 2 {
		for _, c := range all {
			if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
				t.Errorf("one of %d: %q, %v", maxLingering, got, err)
			}
		}
		for l.lingering.Load() != 0 {
			runtime.Gosched()
		}
		all = []net.Conn{closed()}
	}
	_, _ = io.ReadAll(all[0])
}

func TestKeep(t *testing.T) {
	leak.Check(t)
	nl := listen(t)
	defer nl.Close()
	l := NewListener(nl, WithKeepOpen())
	_, _ = l.Accept() // waits from now on
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for l.busy() {
		runtime.Gosched()
	}
	c, err := net.Dial("tcp", nl.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, err := nl.Accept()
	if err != nil {
		t.Fatal("the listener is closed: ", err)
	}
	defer a.Close()
	s := NewConn(a, WithKeepOpen())
	_, _ = s.Write([]byte("x"))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.WriteString(a, "y"); err != nil {
		t.Errorf("the connection is closed: %v", err)
	}
	p := make([]byte, 2)
	if _, err := io.ReadFull(c, p); string(p) != "xy" || err != nil {
		t.Errorf("read %q, %v", p, err)
	}
}

func (l *Listener) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running
}

func BenchmarkRoundTrip(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Skip(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	a, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	h := pipe.NewHost(b.Context(), NewConn(a), nil)
	defer h.Close()
	go func() { _, _ = io.Copy(h, struct{ io.Reader }{h}) }()
	p := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, p); err != nil {
			b.Fatal(err)
		}
	}
}
