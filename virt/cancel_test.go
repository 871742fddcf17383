package virt_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs/hostnet"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Where the guest of the cancellation tests has what its calls need.
const (
	cancelResultAt = 8
	cancelIovAt    = 16
	cancelSubsAt   = 64
	cancelEventsAt = 256
	cancelBufferAt = 1024
	cancelBuffer   = 200_000 // more than any pipe or buffer takes
)

// waiterModule is a guest whose exports are the functions of preview1 that can wait, and where
// asked for one that calls the embedder.
func waiterModule(callsBack bool) []byte {
	functions := []struct{ name, params string }{
		{"fd_read", "iiii"}, {"fd_write", "iiii"}, {"path_open", "iiiiiIIii"}, {"poll_oneoff", "iiii"},
		{"sock_accept", "iii"}, {"sock_recv", "iiiiii"}, {"sock_send", "iiiii"},
	}
	m := handModule{memory: 4}
	for _, f := range functions {
		m.funcs = append(m.funcs, imported(f.name, f.params))
	}
	callback := signature{[]byte{typeI32}, []byte{typeI32}}
	if callsBack {
		m.funcs = append(m.funcs, handFunc{module: "env", name: "callback", signature: callback})
	}
	for i, f := range functions {
		m.funcs = append(m.funcs, handFunc{name: f.name, signature: preview1Type(f.params), body: calling(i, len(f.params))})
	}
	if callsBack {
		m.funcs = append(m.funcs, handFunc{name: "callback", signature: callback, body: calling(len(functions), 1)})
	}
	return m.encode()
}

// blocked is a place where a guest waits.
type blocked struct {
	name    string
	setup   func(w *cancelWorld) []virt.GuestOption // makes what it waits for; nil where there is nothing
	open    string                                  // a file that becomes descriptor 4
	call    string
	args    []uint64
	subs    []wasip1.Subscription // the arguments of poll_oneoff
	lingers bool                  // Close leaves a goroutine in a Write
}

// cancelWorld is what one clock's guests share.
type cancelWorld struct {
	t       *testing.T
	clock   clock.Clock
	sched   *sched.Parallel
	host    *virt.Host
	module  *virt.Module
	waiting *virt.Module // of wait.wasm
	cleanup []func()
	nested  func(ctx context.Context) // what env.callback does
}

func (w *cancelWorld) later(f func()) { w.cleanup = append(w.cleanup, f) }

func (w *cancelWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// places are where a guest waits for ever, or for an hour.
func places() []blocked {
	read := []uint64{0, cancelIovAt, 1, cancelResultAt}
	fdRead := func(fd uint32) wasip1.Subscription {
		return wasip1.Subscription{Tag: wasip1.EventtypeFdRead, Fd: fd}
	}
	hour := func(id wasip1.ClockID, flags wasip1.Subclockflags) wasip1.Subscription {
		timeout := uint64(time.Hour)
		if flags != 0 {
			timeout = 1 << 62 // far in the future on any clock
		}
		return wasip1.Subscription{Tag: wasip1.EventtypeClock, Clock: wasip1.SubscriptionClock{ID: id, Timeout: timeout, Flags: flags}}
	}
	idlePipe := func(w *cancelWorld) []virt.GuestOption {
		r, writer := pipe.New(0)
		w.later(func() { writer.Close() })
		return []virt.GuestOption{virt.WithStream(0, r)}
	}
	idleReader := func(w *cancelWorld) []virt.GuestOption {
		r, writer := io.Pipe()
		w.later(func() { writer.Close() })
		return []virt.GuestOption{virt.WithStdin(r)}
	}
	connected := func(w *cancelWorld) []virt.GuestOption {
		n := netmem.New(w.clock)
		l, err := n.Listen("server:1", 1)
		w.must(err)
		s, err := n.From("client").Connect("server:1")
		w.must(err)
		w.later(func() { l.Close() })
		return []virt.GuestOption{virt.WithPreopened(s)}
	}
	tcp := func(w *cancelWorld) []virt.GuestOption {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		w.must(err)
		c, err := net.Dial("tcp", l.Addr().String())
		w.must(err)
		other, err := l.Accept()
		w.must(err)
		w.later(func() { other.Close(); l.Close() })
		return []virt.GuestOption{virt.WithPreopened(hostnet.NewConn(c))}
	}
	return []blocked{
		{name: "fd_read, an io.Reader", setup: idleReader, call: "fd_read", args: read},
		{name: "fd_read, a pipe", setup: idlePipe, call: "fd_read", args: read},
		{name: "fd_read, a pipe of the system", call: "fd_read", args: read, setup: func(w *cancelWorld) []virt.GuestOption {
			r, writer, err := os.Pipe()
			w.must(err)
			w.later(func() { r.Close(); writer.Close() })
			return []virt.GuestOption{virt.WithStdin(r)}
		}},
		{name: "fd_read, /dev/stdin", open: "dev/stdin", call: "fd_read", args: []uint64{4, cancelIovAt, 1, cancelResultAt}, setup: idlePipe},
		{name: "fd_write, a full pipe", call: "fd_write", args: []uint64{1, cancelIovAt, 1, cancelResultAt}, setup: func(w *cancelWorld) []virt.GuestOption {
			r, writer := pipe.New(0)
			w.later(func() { r.Close() })
			return []virt.GuestOption{virt.WithStream(1, writer)}
		}},
		{name: "fd_write, an io.Writer that never returns", lingers: true, call: "fd_write", args: []uint64{1, cancelIovAt, 1, cancelResultAt}, setup: func(w *cancelWorld) []virt.GuestOption {
			r, writer := io.Pipe()
			w.later(func() { r.Close() })
			return []virt.GuestOption{virt.WithStdout(writer)}
		}},
		{name: "poll_oneoff, a relative time", call: "poll_oneoff", subs: []wasip1.Subscription{hour(wasip1.ClockMonotonic, 0)}},
		{name: "poll_oneoff, an absolute time", call: "poll_oneoff", subs: []wasip1.Subscription{hour(wasip1.ClockRealtime, wasip1.SubclockAbstime)}},
		{name: "poll_oneoff, a descriptor", setup: idlePipe, call: "poll_oneoff", subs: []wasip1.Subscription{fdRead(0)}},
		{name: "poll_oneoff, a descriptor and a time", setup: idleReader, call: "poll_oneoff",
			subs: []wasip1.Subscription{fdRead(0), hour(wasip1.ClockMonotonic, 0)}},
		{name: "sock_accept, in memory", call: "sock_accept", args: []uint64{4, 0, cancelResultAt}, setup: func(w *cancelWorld) []virt.GuestOption {
			l, err := netmem.New(w.clock).Listen("server:1", 1)
			w.must(err)
			return []virt.GuestOption{virt.WithPreopened(l)}
		}},
		{name: "sock_accept, TCP", call: "sock_accept", args: []uint64{4, 0, cancelResultAt}, setup: func(w *cancelWorld) []virt.GuestOption {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			w.must(err)
			return []virt.GuestOption{virt.WithPreopened(hostnet.NewListener(l))}
		}},
		{name: "sock_recv, in memory", call: "sock_recv", args: []uint64{4, cancelIovAt, 1, 0, cancelResultAt, cancelResultAt + 4}, setup: connected},
		{name: "sock_recv, TCP", call: "sock_recv", args: []uint64{4, cancelIovAt, 1, 0, cancelResultAt, cancelResultAt + 4}, setup: tcp},
		{name: "sock_send, in memory", call: "sock_send", args: []uint64{4, cancelIovAt, 1, 0, cancelResultAt}, setup: connected},
		{name: "sock_send, a net.Conn", call: "sock_send", args: []uint64{4, cancelIovAt, 1, 0, cancelResultAt}, setup: func(w *cancelWorld) []virt.GuestOption {
			c, other := net.Pipe()
			w.later(func() { other.Close() })
			return []virt.GuestOption{virt.WithPreopened(hostnet.NewConn(c))}
		}},
		{name: "memory.atomic.wait32", call: "wait"},
		{name: "a guest that the guest's host function called", call: "callback", args: []uint64{0}, setup: func(w *cancelWorld) []virt.GuestOption {
			r, writer := pipe.New(0)
			inner, err := w.host.Instantiate(w.t.Context(), w.module, virt.WithStream(0, r))
			w.must(err)
			w.later(func() { writer.Close(); w.must(inner.Close(context.Background())) })
			w.nested = func(ctx context.Context) {
				prepare(inner, blocked{})
				_, err := inner.Call(ctx, "fd_read", read...)
				if exit := (*virt.ExitError)(nil); !errors.As(err, &exit) {
					w.t.Errorf("the inner guest: %v", err)
				}
			}
			return nil
		}},
	}
}

// prepare puts into the guest's memory what its call needs.
func prepare(g *virt.Guest, b blocked) {
	mem := g.Instance().Memory()
	var buf [2 * wasip1.SizeSubscription]byte
	wasip1.Iovec{Buf: cancelBufferAt, Len: cancelBuffer}.Encode(buf[:])
	mem.Write(cancelIovAt, buf[:wasip1.SizeIovec])
	for i, s := range b.subs {
		s.Encode(buf[i*wasip1.SizeSubscription:])
	}
	mem.Write(cancelSubsAt, buf[:len(b.subs)*wasip1.SizeSubscription])
}

// TestCancel ends guests wherever they can wait, by their context and by Close in turn, and prints
// how long the slowest end took. The virtual clock is one that nobody moves.
func TestCancel(t *testing.T) {
	times := sized(100, 1000)
	if testing.Short() {
		times = 20
	}
	clocks := []struct {
		name string
		make func() clock.Clock
	}{
		{"real", clock.Real},
		{"virtual", func() clock.Clock { return clock.NewVirtual() }},
	}
	for _, c := range clocks {
		t.Run(c.name, func(t *testing.T) {
			w := &cancelWorld{t: t, clock: c.make(), sched: sched.NewParallel(sched.Limits{})}
			callback := &embedder{func(ctx context.Context, _ int32) int32 { w.nested(ctx); return 0 }}
			w.host = newHost(t, virt.WithClock(w.clock), virt.WithScheduler(w.sched), callback.modules())
			w.module = compiled(t, w.host, waiterModule(true))
			wait, err := os.ReadFile("testdata/bare/wait.wasm")
			w.must(err)
			w.waiting = compiled(t, w.host, wait)
			for _, b := range places() {
				t.Run(b.name, func(t *testing.T) {
					w.t = t
					before := runtime.NumGoroutine()
					var slowest time.Duration
					times := times
					if b.lingers {
						times = 2 // a Write under way gets a moment
					}
					for i := range times {
						slowest = max(slowest, w.end(b, i%2 == 1))
						if t.Failed() {
							return
						}
					}
					if n := goroutinesBack(before); n > before {
						stacks := make([]byte, 1<<16)
						t.Errorf("%d goroutines, %d before:\n%s", n, before, stacks[:runtime.Stack(stacks, true)])
					}
					t.Logf("the slowest of %d took %v", times, slowest)
				})
			}
		})
	}
}

// end makes a guest wait and ends it, and returns how long the end took.
func (w *cancelWorld) end(b blocked, byClose bool) time.Duration {
	t := w.t
	w.cleanup = nil
	var opts []virt.GuestOption
	if b.setup != nil {
		opts = b.setup(w)
	}
	defer func() {
		for _, f := range w.cleanup {
			f()
		}
	}()
	m := w.module
	if b.call == "wait" {
		m = w.waiting
	}
	g, err := w.host.Instantiate(t.Context(), m, opts...)
	w.must(err)
	if m == w.module {
		prepare(g, b)
	}
	args := b.args
	if b.subs != nil {
		args = []uint64{cancelSubsAt, cancelEventsAt, uint64(len(b.subs)), cancelResultAt}
	}
	if b.open != "" {
		g.Instance().Memory().WriteString(cancelBufferAt, b.open)
		_, err := g.Call(t.Context(), "path_open", 3, 0, cancelBufferAt, uint64(len(b.open)), 0, uint64(wasip1.RightFdRead), 0, 0, cancelResultAt)
		w.must(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	called := make(chan error, 1)
	go func() {
		_, err := g.Call(ctx, b.call, args...)
		called <- err
	}()
	for w.sched.Stats().Waiting == 0 {
		select {
		case err := <-called:
			t.Fatalf("it does not wait: %v", err)
		default:
			runtime.Gosched()
		}
	}
	start := time.Now()
	if byClose {
		w.must(g.Close(t.Context()))
	} else {
		cancel()
	}
	err = <-called
	took := time.Since(start)
	exit, ok := errors.AsType[*virt.ExitError](err)
	if !ok || exit.Result.Outcome != virt.Canceled {
		t.Errorf("the call: %v, want a cancellation", err)
	}
	w.must(g.Close(t.Context()))
	return took
}

// lastWordsModule is a command that writes five bytes to standard output, and then ends or reads
// standard input.
func lastWordsModule(reads bool) []byte {
	const i32Store = 0x36
	body := []byte{opI32Const, cancelIovAt + 4, opI32Const, 5, i32Store, 2, 0, // the length
		opI32Const, 1, opI32Const, cancelIovAt, opI32Const, 1, opI32Const, cancelResultAt, opCall, 0, opDrop}
	if reads {
		body = append(body, opI32Const, 0, opI32Const, cancelIovAt, opI32Const, 1, opI32Const, cancelResultAt, opCall, 1, opDrop)
	}
	return handModule{memory: 1, funcs: []handFunc{imported("fd_write", "iiii"), imported("fd_read", "iiii"), {name: "_start", body: body}}}.encode()
}

// TestWriterThatNeverReturns has a guest end whose output nobody takes: Run does not wait for that
// longer than the guest's end allows.
func TestWriterThatNeverReturns(t *testing.T) {
	tests := []struct {
		name  string
		reads bool
		opts  []virt.GuestOption
		until virt.Outcome                                   // when end is called
		end   func(g *virt.Guest, cancel context.CancelFunc) // nil: nobody ends it
		want  virt.Outcome
	}{
		{"it exits, and its caller has enough", false, nil, virt.Exited, func(_ *virt.Guest, cancel context.CancelFunc) { cancel() }, virt.Exited},
		{"it exits, and its time ends", false, []virt.GuestOption{virt.WithTimeout(200 * time.Millisecond)}, 0, nil, virt.Exited},
		{"it is cancelled", true, nil, virt.Running, func(_ *virt.Guest, cancel context.CancelFunc) { cancel() }, virt.Canceled},
		{"it is closed", true, nil, virt.Running, func(g *virt.Guest, _ context.CancelFunc) { g.Close(context.Background()) }, virt.Canceled},
		{"its time ends", true, []virt.GuestOption{virt.WithTimeout(20 * time.Millisecond)}, 0, nil, virt.Exhausted},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			scheduler := sched.NewParallel(sched.Limits{})
			host := newHost(t, virt.WithScheduler(scheduler))
			m := compiled(t, host, lastWordsModule(tc.reads))
			before := runtime.NumGoroutine()
			stdin, typing := pipe.New(0)
			nobody, stdout := io.Pipe()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			g, err := host.Instantiate(ctx, m, append(tc.opts, virt.WithStream(0, stdin), virt.WithStdout(stdout))...)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				result, err := g.Run(ctx)
				if err != nil || result.Outcome != tc.want {
					t.Errorf("%v, %v, want %v", result, err, tc.want)
				}
			}()
			if tc.end != nil {
				for g.Result().Outcome != tc.until || tc.reads && scheduler.Stats().Waiting == 0 {
					runtime.Gosched()
				}
				tc.end(g, cancel)
			}
			<-ended
			if err := g.Close(context.Background()); err != nil {
				t.Error(err)
			}
			// The goroutine that writes ends with its writer.
			nobody.Close()
			typing.Close()
			if n := goroutinesBack(before); n > before {
				t.Errorf("%d goroutines, %d before", n, before)
			}
		})
	}
}
