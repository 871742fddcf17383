package netmem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/internal/leak"
	"github.com/wasivirt/wasivirt/wasip1"
)

var (
	_ vfs.Socket   = (*Socket)(nil)
	_ vfs.Listener = (*Listener)(nil)
)

// world is a network on a clock that the test moves.
type world struct {
	*testing.T
	*Network
	clock *clock.Virtual
}

func newWorld(t *testing.T, opts ...Option) *world {
	leak.Check(t)
	v := clock.NewVirtual()
	return &world{t, New(v, opts...), v}
}

func (w *world) listen(address string, backlog int) *Listener {
	w.Helper()
	l, err := w.Listen(address, backlog)
	if err != nil {
		w.Fatal(err)
	}
	return l
}

func (w *world) connect(from, to string) *Socket {
	w.Helper()
	s, err := w.From(from).Connect(to)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) accept(l *Listener) *Socket {
	w.Helper()
	s, err := l.accept()
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// pair connects client and server where that takes no time.
func (w *world) pair() (client, server *Socket) {
	w.Helper()
	l := w.listen("server:0", 1)
	client = w.connect("client", string(l.Addr()))
	server = w.accept(l)
	if err := l.Close(); err != nil {
		w.Error(err)
	}
	return client, server
}

type result struct {
	Text string
	Err  error
}

func read(s *Socket) result {
	p := make([]byte, 100)
	n, err := s.Read(p)
	return result{string(p[:n]), err}
}

func write(s *Socket, text string) error {
	n, err := s.Write([]byte(text))
	if err == nil && n != len(text) {
		return io.ErrShortWrite
	}
	return err
}

func (w *world) want(what string, got, want any) {
	w.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
		w.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

func TestConversation(t *testing.T) {
	w := newWorld(t)
	c, s := w.pair()
	w.want("addresses", [4]Addr{c.LocalAddr(), c.RemoteAddr(), s.LocalAddr(), s.RemoteAddr()},
		[4]Addr{"client:49153", "server:49152", "server:49152", "client:49153"})
	w.want("read of nothing", read(s), result{"", wasip1.EAGAIN})
	w.want("state", s.Poll(poll.Readable|poll.Writable), poll.State{Ready: poll.Writable})
	w.want("write", write(c, "hello"), error(nil))
	w.want("state", s.Poll(poll.Readable), poll.State{Ready: poll.Readable, Bytes: 5})
	p := make([]byte, 3)
	n, err := s.Recv(p, true)
	w.want("peek", result{string(p[:n]), err}, result{"hel", nil})
	w.want("read", read(s), result{"hello", nil})
	w.want("answer", write(s, "hi"), error(nil))
	w.want("shutdown", c.Shutdown(wasip1.ShutWr), error(nil))
	w.want("write after shutdown", write(c, "x"), error(wasip1.EPIPE))
	w.want("read at the end", read(s), result{"", io.EOF})
	w.want("half-closed", s.Poll(poll.Readable), poll.State{Ready: poll.Readable, Hangup: true})
	w.want("read", read(c), result{"hi", nil})
	w.want("close", s.Close(), error(nil))
	w.want("close again", s.Close(), error(nil))
	w.want("read after close", read(s), result{"", wasip1.EBADF})
	w.want("other end", read(c), result{"", io.EOF})
	w.want("shutdown of a direction that has ended", c.Shutdown(wasip1.ShutWr|wasip1.ShutRd), error(nil))
	w.want("close", c.Close(), error(nil))
	w.want("connections left", len(w.conns), 0)
}

func TestWriteToClosed(t *testing.T) {
	w := newWorld(t)
	c, s := w.pair()
	w.want("write", write(c, "lost"), error(nil))
	w.want("last words", write(s, "bye"), error(nil))
	_ = s.Close()
	w.want("write", write(c, "x"), error(wasip1.EPIPE))
	w.want("state", c.Poll(poll.Writable), poll.State{Ready: poll.Writable, Err: wasip1.EPIPE, Hangup: true})
	w.want("read", read(c), result{"bye", nil})
	w.want("read", read(c), result{"", io.EOF})
	_ = c.Close()
}

func TestBounded(t *testing.T) {
	w := newWorld(t, WithLink(Link{Buffer: 5000}))
	c, s := w.pair()
	n, err := c.Write(make([]byte, 10000))
	if n != 5000 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
	w.want("full", write(c, "x"), error(wasip1.EAGAIN))
	w.want("full", c.Poll(poll.Writable), poll.State{})
	p := make([]byte, 5000)
	_, _ = s.Read(p[:1000])
	w.want("nearly full", c.Poll(poll.Writable), poll.State{})
	task := poll.NewTask(t.Context())
	done := make(chan error)
	go func() {
		_, err := poll.Block(task, c, poll.Writable, poll.Wait{Deadline: poll.NoDeadline})
		done <- err
	}()
	_, _ = s.Read(p[:24])
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.want("room", c.Poll(poll.Writable), poll.State{Ready: poll.Writable, Bytes: 1024})
	_, _ = c.Close(), s.Close()
}

// TestBacklogKeepsLittle: a guest connects, writes and closes again and again. What waits in the
// backlog has no descriptor.
func TestBacklogKeepsLittle(t *testing.T) {
	const backlog = 128
	w := newWorld(t)
	l := w.listen("server:80", backlog)
	kept := 0
	for range backlog {
		c := w.connect("client", "server:80")
		for {
			n, err := c.Write(make([]byte, 10_000))
			if kept += n; err != nil {
				w.want("before the connection is accepted", err, error(wasip1.EAGAIN))
				break
			}
		}
		w.want("state", c.Poll(poll.Writable), poll.State{})
		_ = c.Close()
	}
	if kept > backlog*4096 {
		t.Errorf("%d bytes are kept of %d connections that are closed", kept, backlog)
	}
	first := w.accept(l)
	b, err := io.ReadAll(first)
	w.want("what was written before", len(b), 4096)
	w.want("its end", err, error(nil))
	for range backlog - 1 {
		_ = w.accept(l).Close()
	}
	c := w.connect("client", "server:80")
	n, err := c.Write(make([]byte, 10_000))
	w.want("before", n, 4096)
	w.want("before", err, error(nil))
	s := w.accept(l)
	w.want("after", write(c, string(make([]byte, 60<<10))), error(nil))
	_, _, _, _ = c.Close(), s.Close(), first.Close(), l.Close()
}

func TestRefused(t *testing.T) {
	w := newWorld(t, WithRefusal())
	if _, err := w.From("client").Connect("server:80"); !errors.Is(err, wasip1.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
	l := w.listen("server:80", 2)
	if _, err := w.Listen("server:80", 1); !errors.Is(err, wasip1.EADDRINUSE) {
		t.Errorf("second listener: %v", err)
	}
	_, _ = w.connect("client", "server:80"), w.connect("client", "server:80")
	if _, err := w.Dial(t.Context(), "server:80"); !errors.Is(err, wasip1.ECONNREFUSED) {
		t.Errorf("full backlog: %v", err)
	}
	queued := w.accept(l)
	left := w.connect("client", "server:80")
	_ = l.Close()
	_ = queued.Close()
	w.want("never accepted", read(left), result{"", wasip1.ECONNRESET})
	w.want("listener's state", l.Poll(poll.Readable), poll.State{Ready: poll.Readable, Err: wasip1.EBADF})
	if _, err := l.Accept(); err != wasip1.EBADF {
		t.Error(err)
	}
}

func TestFullBacklogWaits(t *testing.T) {
	w := newWorld(t)
	l := w.listen("server:80", 1)
	first := w.connect("client", "server:80")
	second, third := w.connect("client", "server:80"), w.connect("client", "server:80")
	w.want("first", first.connected(), error(nil))
	w.want("second", second.connected(), error(wasip1.EAGAIN))
	w.want("second's state", second.Poll(poll.Writable|poll.Readable), poll.State{})
	w.want("second writes", write(second, "x"), error(wasip1.EAGAIN))
	w.want("second shuts down", second.Shutdown(wasip1.ShutWr), error(wasip1.ENOTCONN))
	_ = second.Close() // gives up
	w.want("accepted", w.accept(l).RemoteAddr(), first.LocalAddr())
	w.want("third", third.connected(), error(nil))
	w.want("accepted", w.accept(l).RemoteAddr(), third.LocalAddr())
	_ = l.Close()
}

func TestLatency(t *testing.T) {
	w := newWorld(t, WithLink(Link{Latency: 50 * time.Millisecond}))
	l := w.listen("server:80", 1)
	c := w.connect("client", "server:80")
	w.clock.Advance(50*time.Millisecond - 1)
	w.want("too early", l.Poll(poll.Readable), poll.State{})
	w.clock.Advance(1)
	s := w.accept(l)
	w.want("server writes at once", write(s, "hello"), error(nil))
	w.want("client does not know", c.connected(), error(wasip1.EAGAIN))
	w.clock.Advance(50*time.Millisecond - 1)
	w.want("client does not know yet", c.connected(), error(wasip1.EAGAIN))
	w.clock.Advance(1)
	w.want("client knows", c.connected(), error(nil))
	w.want("and reads", read(c), result{"hello", nil})
	w.want("write", write(c, "a"), error(nil))
	w.clock.Advance(10 * time.Millisecond)
	w.want("write", write(c, "b"), error(nil))
	_ = c.Close()
	w.clock.Advance(40 * time.Millisecond)
	w.want("after 50 ms", read(s), result{"a", nil})
	w.want("after 50 ms", read(s), result{"", wasip1.EAGAIN})
	w.want("server writes to a closed end it does not know of", write(s, "x"), error(nil))
	w.clock.Advance(10 * time.Millisecond)
	w.want("after 60 ms", read(s), result{"b", nil})
	w.want("after 60 ms", read(s), result{"", io.EOF})
	w.want("server writes", write(s, "x"), error(wasip1.EPIPE))
	_, _ = s.Close(), l.Close()
}

func TestBandwidth(t *testing.T) {
	w := newWorld(t)
	c, s := w.pair()
	w.SetLink("client", "server", Link{Latency: time.Second, Bandwidth: segment})
	_, _ = c.Write(make([]byte, 2*segment+segment/2))
	arrived := func() uint64 { return s.Poll(poll.Readable).Bytes }
	for i, want := range []uint64{0, 0, segment, 2 * segment, 2*segment + segment/2} {
		if got := arrived(); got != want {
			t.Errorf("after %d s %d bytes, want %d", i, got, want)
		}
		w.clock.Advance(time.Second)
	}
	_, _ = c.Close(), s.Close()
}

func TestPartition(t *testing.T) {
	for _, latency := range []time.Duration{0, 50 * time.Millisecond} {
		t.Run(latency.String(), func(t *testing.T) {
			w := newWorld(t)
			c, s := w.pair()
			w.SetLink("client", "server", Link{Latency: latency})
			_ = write(c, "a")
			w.Partition("server", "client")
			_ = write(c, "b")
			_ = c.Shutdown(wasip1.ShutWr)
			l := w.listen("server:80", 1)
			late := w.connect("client", "server:80")
			w.clock.Advance(time.Hour)
			if latency == 0 {
				w.want("before the partition", read(s), result{"a", nil})
			}
			w.want("parted", read(s), result{"", wasip1.EAGAIN})
			w.want("parted", l.Poll(poll.Readable), poll.State{})
			w.Heal("client", "server")
			w.clock.Advance(latency)
			got, err := io.ReadAll(io.LimitReader(readerFunc(s.Read), 2))
			want := "ab"
			if latency == 0 {
				want = "b"
			}
			w.want("healed", result{string(got), err}, result{want, nil})
			w.want("and ended", read(s), result{"", io.EOF})
			w.want("accepted", w.accept(l).RemoteAddr(), late.LocalAddr())
			w.clock.Advance(latency)
			w.want("connected", late.connected(), error(nil))
			_, _ = c.Close(), s.Close()
			_, _ = late.Close(), l.Close()
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestPartitionKeepsTheAnswer(t *testing.T) {
	w := newWorld(t, WithLink(Link{Latency: time.Second}))
	l := w.listen("server:80", 1)
	c := w.connect("client", "server:80")
	w.clock.Advance(time.Second)
	w.Partition("client", "server")
	s := w.accept(l)
	w.clock.Advance(time.Hour)
	w.want("parted", c.connected(), error(wasip1.EAGAIN))
	w.Heal("client", "server")
	w.clock.Advance(time.Second)
	w.want("healed", c.connected(), error(nil))
	_, _, _ = c.Close(), s.Close(), l.Close()
}

func TestReset(t *testing.T) {
	w := newWorld(t)
	c, s := w.pair()
	_ = write(c, "x")
	w.want("reset", w.Reset("server", "client"), 1)
	w.want("server", read(s), result{"", wasip1.ECONNRESET})
	w.want("client", write(c, "x"), error(wasip1.ECONNRESET))
	w.want("client", c.Shutdown(wasip1.ShutWr), error(wasip1.ENOTCONN))
	w.want("state", c.Poll(poll.Readable), poll.State{Ready: poll.Readable, Hangup: true, Err: wasip1.ECONNRESET})
	w.want("reset again", w.Reset("server", "client"), 0)
	_, _ = c.Close(), s.Close()
}

// TestHTTP has a server and a client of net/http talk over a link of 50 ms in virtual time that
// jumps.
func TestHTTP(t *testing.T) {
	leak.Check(t)
	v := clock.NewVirtual(clock.WithAutoAdvance())
	n := New(v, WithLink(Link{Latency: 50 * time.Millisecond}))
	l, err := n.Listen("server:80", 10)
	if err != nil {
		t.Fatal(err)
	}
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s from %s: %s", r.Method, r.RemoteAddr, body)
	})}
	served := make(chan error)
	go func() { served <- server.Serve(l.Net()) }()
	transport := &http.Transport{DialContext: n.From("client").DialContext}
	client := http.Client{Transport: transport}
	for i := range 3 {
		body := bytes.Repeat([]byte{'x'}, 200_000)
		start := v.Now()
		r, err := client.Post("http://server/", "text/plain", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if want := "POST from client:49152: " + string(body); string(got) != want || err != nil {
			t.Errorf("answer %.50q, %v", got, err)
		}
		if d := v.Now().Sub(start); d < 100*time.Millisecond || d > 10*time.Second {
			t.Errorf("request %d took %v", i, d)
		}
	}
	transport.CloseIdleConnections()
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Error(err)
	}
}

func TestDialTime(t *testing.T) {
	leak.Check(t)
	v := clock.NewVirtual(clock.WithAutoAdvance())
	n := New(v, WithLink(Link{Latency: 50 * time.Millisecond}))
	l, err := n.Listen("server:80", 1)
	if err != nil {
		t.Fatal(err)
	}
	start := v.Now()
	c, err := n.Dial(t.Context(), "server:80")
	if err != nil {
		t.Fatal(err)
	}
	if d := v.Now().Sub(start); d != 100*time.Millisecond {
		t.Errorf("connecting took %v", d)
	}
	// A partition, and a deadline that is met exactly.
	n.Partition("host", "server")
	v.Hold()
	start = v.Now()
	_ = c.SetDeadline(start.Add(7 * time.Second))
	v.Release()
	var timeout net.Error
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if d := v.Now().Sub(start); d != 7*time.Second {
		t.Errorf("the deadline came after %v", d)
	}
	d := n.From("host")
	d.Timeout = 3 * time.Second
	start = v.Now()
	if _, err := d.Dial(t.Context(), "server:80"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("dial: %v", err)
	}
	if d := v.Now().Sub(start); d != 3*time.Second {
		t.Errorf("the dial ended after %v", d)
	}
	_ = c.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	_ = l.Close()
	if v.Holds() != 0 {
		t.Errorf("%d holds are left", v.Holds())
	}
}

func TestCancel(t *testing.T) {
	why := errors.New("why")
	for name, wait := range map[string]func(context.Context, *Network) error{
		"dial": func(ctx context.Context, n *Network) error {
			_, err := n.Dial(ctx, "server:80")
			return err
		},
		"recv": func(ctx context.Context, n *Network) error {
			s, err := n.From("a").Connect("server:80")
			if err != nil {
				return err
			}
			_, err = poll.Block(poll.NewTask(ctx), s, poll.Readable, poll.Wait{Deadline: poll.NoDeadline})
			_ = s.Close()
			return err
		},
		"accept": func(ctx context.Context, n *Network) error {
			l, err := n.Listen("other:80", 1)
			if err != nil {
				return err
			}
			_, err = poll.Block(poll.NewTask(ctx), l, poll.Readable, poll.Wait{Deadline: poll.NoDeadline})
			_ = l.Close()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			n := New(nil)
			l, err := n.Listen("server:80", 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := n.Dial(t.Context(), "server:80"); err != nil { // fills the backlog
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan error)
			go func() { done <- wait(ctx, n) }()
			cancel(why)
			if err := <-done; !errors.Is(err, why) {
				t.Error(err)
			}
			_ = l.Close()
			if len(n.conns) != 0 {
				t.Errorf("%d connections are left", len(n.conns))
			}
		})
	}
}

func TestAcceptEndsWithClose(t *testing.T) {
	leak.Check(t)
	n := New(nil)
	l, err := n.Listen("server:80", 1)
	if err != nil {
		t.Fatal(err)
	}
	nl := l.Net()
	done := make(chan error)
	go func() { _, err := nl.Accept(); done <- err }()
	if err := nl.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func BenchmarkThroughput(b *testing.B) {
	n := New(nil)
	l, err := n.Listen("server:80", 1)
	if err != nil {
		b.Fatal(err)
	}
	c, err := n.Dial(b.Context(), "server:80")
	if err != nil {
		b.Fatal(err)
	}
	s, err := l.Net().Accept()
	if err != nil {
		b.Fatal(err)
	}
	go func() { _, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, make([]byte, 32<<10)) }()
	p := make([]byte, 32<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	_ = c.Close()
}
