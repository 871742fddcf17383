package virt_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/memory/wazeromem"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/process"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

// seam is a place at which a guest calls code of the embedder's.
type seam struct {
	name   string
	export string
	params []uint64
	opts   func(call func()) virt.Option
}

// embedded is what is given at a seam: it calls f.
type embedded struct{ f func() }

func (h embedded) Read(p []byte) (int, error)  { h.f(); return 0, io.EOF }
func (h embedded) Write(p []byte) (int, error) { h.f(); return len(p), nil }
func (h embedded) Begin(*trace.Event)          { h.f() }
func (h embedded) End(*trace.Event)            {}

type hookedFS struct {
	vfs.FS
	embedded
}

func (f hookedFS) Root() vfs.Node { return hookedDir{f.FS.Root().(vfs.Directory), f.embedded} }

type hookedDir struct {
	vfs.Directory
	embedded
}

func (d hookedDir) Lookup(name string) (vfs.Node, error) {
	d.f()
	return d.Directory.Lookup(name)
}

type hookedMonotonic struct {
	clock.Clock
	f func()
}

func (c hookedMonotonic) Monotonic() int64 {
	c.f()
	return c.Clock.Monotonic()
}

type hookedRealtime struct {
	clock.Clock
	f func()
}

func (c hookedRealtime) Realtime() int64 {
	c.f()
	return c.Clock.Realtime()
}

type hookedScheduler struct {
	*sched.Parallel
	f func()
}

func (s hookedScheduler) Yield(t *sched.Thread, p sched.Point) bool {
	s.f()
	return s.Parallel.Yield(t, p)
}

type hookedPoller struct{ embedded }

func (p hookedPoller) Poll(s *poll.Set, subs []wasip1.Subscription, events []wasip1.Event) (int, wasip1.Errno) {
	p.f()
	return s.Poll(subs, events)
}

func seams() []seam {
	const iov, buf, n, sub = 0x800, 0x700, 0x100, 0xa00
	return []seam{
		{"Handler", "sched_yield", nil, func(f func()) virt.Option {
			return virt.WithMiddleware("sched_yield", func(c *virt.Call) wasip1.Errno { f(); return c.Next() })
		}},
		{"Tracer", "sched_yield", nil, func(f func()) virt.Option { return virt.WithTrace(embedded{f}) }},
		{"Writer", "fd_write", []uint64{1, iov, 1, n}, func(f func()) virt.Option { return virt.WithStdout(embedded{f}) }},
		{"Reader", "fd_read", []uint64{0, iov, 1, n}, func(f func()) virt.Option { return virt.WithStdin(embedded{f}) }},
		{"exit hook", "proc_exit", []uint64{3}, func(f func()) virt.Option { return virt.WithExitHook(func(uint32) { f() }) }},
		{"signal hook", "proc_raise", []uint64{uint64(wasip1.SIGTERM)}, func(f func()) virt.Option {
			return virt.WithSignalHook(func(wasip1.Signal) process.Action { f(); return process.ActionIgnore })
		}},
		{"random source", "random_get", []uint64{buf, 8}, func(f func()) virt.Option { return virt.WithRandom(embedded{f}) }},
		{"file system", "path_open", []uint64{3, 0, buf, 1, 0, 2, 0, 0, n}, func(f func()) virt.Option {
			return virt.WithMount("/", hookedFS{memfs.New(), embedded{f}})
		}},
		{"HostFunction", "call", nil, func(f func()) virt.Option {
			return virt.WithFunctions("env", virt.HostFunction{Name: "f", Call: func(*virt.HostCall, []uint64) { f() }})
		}},
		{"monotonic clock", "clock_time_get", []uint64{uint64(wasip1.ClockMonotonic), 0, buf}, func(f func()) virt.Option {
			return virt.WithClock(hookedMonotonic{clock.Real(), f})
		}},
		{"realtime clock", "clock_time_get", []uint64{uint64(wasip1.ClockRealtime), 0, buf}, func(f func()) virt.Option {
			return virt.WithClock(hookedRealtime{clock.Real(), f})
		}},
		{"scheduler", "sched_yield", nil, func(f func()) virt.Option {
			return virt.WithScheduler(hookedScheduler{sched.NewParallel(sched.Limits{}), f})
		}},
		{"poller", "poll_oneoff", []uint64{sub, buf, 1, n}, func(f func()) virt.Option {
			return virt.WithPoller(hookedPoller{embedded{f}})
		}},
	}
}

// module is the guest's, which calls what is at the seam.
func (s *seam) module() []byte {
	if s.name != "HostFunction" {
		return passing()
	}
	return handModule{memory: 1, funcs: []handFunc{{module: "env", name: "f"}, {name: s.export, body: []byte{opCall, 0}}}}.encode()
}

// TestSeams lets code of the embedder's, wherever a guest calls some, panic, end its goroutine,
// close what it runs in, stop the guest, or return after the guest has been ended. Nothing hangs,
// the guest ends with a Result that says why, and the Host goes on.
func TestSeams(t *testing.T) {
	cause := errors.New("enough")
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		for _, s := range seams() {
			for _, does := range []string{"panic", "panic nil", "Goexit", "Guest.Close", "Host.Close", "Guest.Stop", "Instance.Close", "late"} {
				t.Run(s.name+" "+does, func(t *testing.T) {
					var host *virt.Host
					var g *virt.Guest
					var refused error
					var armed atomic.Bool // what happens once, in the call
					entered, release := make(chan struct{}), make(chan struct{})
					host = hostOf(t, engine, s.opts(func() {
						if !armed.CompareAndSwap(true, false) {
							return
						}
						switch does {
						case "panic":
							panic(cause)
						case "panic nil":
							panic(nil)
						case "Goexit":
							runtime.Goexit()
						case "Guest.Close":
							refused = g.Close(context.Background())
						case "Host.Close":
							refused = host.Close(context.Background())
						case "Guest.Stop":
							g.Stop(cause)
						case "Instance.Close":
							_ = g.Instance().Close(context.Background())
						case "late":
							close(entered)
							<-release
						}
					}))
					m := compiled(t, host, s.module())
					g, err := host.Instantiate(t.Context(), m)
					if err != nil {
						t.Fatal(err)
					}
					mem := g.Instance().Memory()
					mem.WriteUint32Le(0x800, 0x700)
					mem.WriteUint32Le(0x804, 1)
					mem.WriteString(0x700, "a")
					mem.WriteByte(0xa10, 1) // a subscription: the monotonic clock, now
					ended := make(chan error, 1)
					armed.Store(true)
					go func() {
						err := errors.New("its goroutine ended")
						defer func() { ended <- err }()
						_, err = g.Call(context.Background(), s.export, s.params...)
					}()
					if does == "late" {
						<-entered
						g.Stop(cause)
						close(release)
					}
					told := <-ended
					r := g.Result()
					switch onItsOwn := s.name == "Writer" || s.name == "Reader"; {
					case onItsOwn && (does == "Goexit" || strings.HasPrefix(does, "panic")):
						// The guest sees an errno, or its caller the error, as of other readers and
						// writers that fail.
					case s.name == "monotonic clock" && strings.HasPrefix(does, "panic"):
						// The scheduler asks first, and takes it to say 0.
					case strings.HasPrefix(does, "panic"):
						if r.Outcome != virt.Failed || r.Err == nil || does == "panic" && !errors.Is(r.Err, cause) {
							t.Errorf("%v, %v; want failed, with what was panicked", r, told)
						}
					case does == "Goexit":
						if _, ok := errors.AsType[*virt.GoexitError](r.Err); !ok || r.Outcome != virt.Failed {
							t.Errorf("%v, %v; want a GoexitError", r, told)
						}
					case does == "Guest.Stop", does == "late":
						if r.Outcome != virt.Canceled || r.Err != cause {
							t.Errorf("%v, want canceled: %v", r, cause)
						}
					case does == "Instance.Close":
						if r.Outcome != virt.Canceled || !errors.Is(r.Err, virt.ErrClosed) {
							t.Errorf("%v, want canceled: closed", r)
						}
					case !errors.Is(refused, virt.ErrInside):
						t.Errorf("%s from inside: %v, want ErrInside", does, refused)
					}
					// An error of a writer that could not be told is one of Close's.
					if err := g.Close(context.Background()); err != nil && does != "Goexit" && !strings.HasPrefix(does, "panic") {
						t.Errorf("Close: %v", err)
					}
					next := newGuest(t, host, m)
					if s.name != "exit hook" {
						if _, err := next.Call(t.Context(), s.export, s.params...); err != nil {
							t.Errorf("the next guest: %v", err)
						}
					}
				})
			}
		}
	})
}

// heldUp is a Host with a guest that is in a Handler until release is called.
func heldUp(t *testing.T) (host *virt.Host, g *virt.Guest, release func()) {
	in, out := make(chan struct{}), make(chan struct{})
	host, err := virt.NewBuilder(virt.WithMiddleware("sched_yield", func(c *virt.Call) wasip1.Errno {
		close(in)
		<-out
		return c.Next()
	})).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g, err = host.Instantiate(t.Context(), compiled(t, host, passing()))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = g.Call(context.Background(), "sched_yield") }()
	<-in
	return host, g, sync.OnceFunc(func() { close(out) })
}

// TestEveryCloseWaits: a Close waits for the guest's code also where another Close of the guest
// waits for it already.
func TestEveryCloseWaits(t *testing.T) {
	host, g, release := heldUp(t)
	var closed [3]chan error
	for i, f := range []func(context.Context) error{g.Close, g.Close, host.Close} {
		closed[i] = make(chan error, 1)
		go func() { closed[i] <- f(context.Background()) }()
	}
	// A Close with a context gives up, says for what it waited, and leaves the rest to the others.
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for what, f := range map[string]func(context.Context) error{"Guest.Close": g.Close, "Host.Close": host.Close} {
		err := f(ctx)
		stuck, ok := errors.AsType[*virt.StuckError](err)
		if !ok || !errors.Is(err, context.DeadlineExceeded) || len(stuck.Goroutines) == 0 {
			t.Fatalf("%s of a guest in a Handler: %v, want a StuckError that names its goroutine", what, err)
		}
		if !strings.Contains(stuck.Error(), "virt_test.heldUp.func1") {
			t.Errorf("%s: %v; want it to name the Handler", what, err)
		}
	}
	for i := range closed {
		select {
		case err := <-closed[i]:
			t.Errorf("Close %d returned while the guest was in a Handler: %v", i, err)
		default:
		}
	}
	release()
	for i := range closed {
		if err := <-closed[i]; err != nil {
			t.Errorf("Close %d: %v", i, err)
		}
	}
	for what, f := range map[string]func(context.Context) error{"Guest.Close": g.Close, "Host.Close": host.Close} {
		if err := f(t.Context()); err != nil {
			t.Errorf("%s once more: %v", what, err)
		}
	}
}

// TestHostClosesBesideEverything closes Hosts while guests with shared memory are made, called and
// closed, and modules compiled.
func TestHostClosesBesideEverything(t *testing.T) {
	before := runtime.NumGoroutine()
	wasm := bareGuest(t, "callback")
	env := virt.WithFunctions("env", virt.HostFunction{Name: "callback", Params: []api.ValueType{api.ValueTypeI32},
		Results: []api.ValueType{api.ValueTypeI32}, Call: func(*virt.HostCall, []uint64) {}})
	for range 20 {
		host, err := virt.NewBuilder(env, virt.WithMaxThreads(2)).Build(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m, err := host.Compile(t.Context(), wasm)
		if err != nil {
			t.Fatal(err)
		}
		var users sync.WaitGroup
		begun := make(chan struct{}, 4)
		for i := range 4 {
			users.Go(func() {
				for n := 0; ; n++ {
					if i == 0 {
						other, err := host.Compile(t.Context(), passing())
						if err != nil {
							wantClosed(t, err)
							return
						}
						_ = other.Close(t.Context())
					}
					g, err := host.Instantiate(t.Context(), m)
					if err != nil {
						wantClosed(t, err)
						return
					}
					_, _ = callI32(t.Context(), g, "call_in_thread", 1)
					if i%2 == 0 {
						_ = g.Close(t.Context())
					}
					if n == 0 {
						begun <- struct{}{}
					}
					// On one processor Go runs first the two that wake each other here, a guest's
					// caller and its thread, as long as they do.
					runtime.Gosched()
				}
			})
		}
		<-begun
		if err := host.Close(t.Context()); err != nil {
			t.Error(err)
		}
		users.Wait()
	}
	if n := goroutinesBack(before); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}

// wantClosed: what was begun beside Close fails because of that and of nothing else.
func wantClosed(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, virt.ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
}

// TestModuleIsClosedBeforeItsGuests: its code is there as long as they are.
func TestModuleIsClosedBeforeItsGuests(t *testing.T) {
	host := newHost(t)
	m := compiled(t, host, passing())
	g, err := host.Instantiate(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := g.Call(t.Context(), "sched_yield"); err != nil {
		t.Errorf("call a guest of a module that was closed: %v", err)
	}
	if _, err := host.Instantiate(t.Context(), m); !errors.Is(err, virt.ErrClosed) {
		t.Errorf("make a guest of it: %v, want ErrClosed", err)
	}
	if err := g.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestContextThatHasEnded runs nothing.
func TestContextThatHasEnded(t *testing.T) {
	cause := errors.New("over")
	over, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	host := newHost(t)
	var out bytes.Buffer
	speaks := caller("fd_write", "iiii", 1, 0x800, 1, 0x100)
	m := compiled(t, host, speaks)
	for what, run := range map[string]func() (*virt.Result, error){
		"Host.Run":  func() (*virt.Result, error) { return host.Run(over, speaks, virt.WithStdout(&out)) },
		"RunModule": func() (*virt.Result, error) { return host.RunModule(over, m, virt.WithStdout(&out)) },
		"Guest.Run": func() (*virt.Result, error) { return newGuest(t, host, m, virt.WithStdout(&out)).Run(over) },
		"Guest.Call": func() (*virt.Result, error) {
			g := newGuest(t, host, m, virt.WithStdout(&out))
			_, err := g.Call(over, "_start")
			if !errors.Is(err, cause) {
				t.Errorf("Guest.Call: %v, want %v", err, cause)
			}
			return g.Result(), nil
		},
	} {
		r, err := run()
		if err != nil || r.Outcome != virt.Canceled || r.Err != cause {
			t.Errorf("%s: %v, %v; want canceled: %v", what, r, err, cause)
		}
	}
	if _, err := host.Instantiate(over, m); !errors.Is(err, cause) {
		t.Errorf("Instantiate: %v, want %v", err, cause)
	}
	if _, err := host.Compile(over, speaks); !errors.Is(err, cause) {
		t.Errorf("Compile: %v, want %v", err, cause)
	}
	if out.Len() > 0 {
		t.Errorf("a guest printed %q", out.String())
	}
}

// TestOutputIsWrittenWhenACallReturns also to writers that goroutines write.
func TestOutputIsWrittenWhenACallReturns(t *testing.T) {
	host := newHost(t)
	var buf bytes.Buffer
	w := bufio.NewWriter(&buf)
	g := newGuest(t, host, compiled(t, host, passing()), virt.WithStdout(w))
	for i := 1; i <= 10; i++ {
		writeA(t, g)
		if w.Buffered() != i {
			t.Fatalf("%d bytes are with the writer after %d calls", w.Buffered(), i)
		}
	}
}

// writeA has a guest of passing write a byte.
func writeA(t *testing.T, g *virt.Guest) {
	t.Helper()
	if err := tryToWriteA(g); err != nil {
		t.Fatal(err)
	}
}

func tryToWriteA(g *virt.Guest) error {
	mem := g.Instance().Memory()
	mem.WriteUint32Le(0x800, 0x700)
	mem.WriteUint32Le(0x804, 1)
	_, err := g.Call(context.Background(), "fd_write", 1, 0x800, 1, 0x100)
	return err
}

// TestErrorOfAWriterIsReported by the call whose output was lost.
func TestErrorOfAWriterIsReported(t *testing.T) {
	full := errors.New("no room")
	host := newHost(t)
	m := compiled(t, host, passing())
	g := newGuest(t, host, m, virt.WithStdout(failing{full}))
	err := tryToWriteA(g)
	if out, ok := errors.AsType[*virt.OutputError](err); !ok || out.Descriptor != 1 || !errors.Is(err, full) {
		t.Errorf("Call: %v, want an OutputError of descriptor 1 because of %v", err, full)
	}
	r, err := host.Run(t.Context(), caller("fd_write", "iiii", 1, 0x800, 1, 0x100), virt.WithStdout(failing{full}))
	if !r.Success() || !errors.Is(err, full) {
		t.Errorf("Run: %v, %v; want exit 0 and %v", r, err, full)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// slow is a writer that takes what it is given when it is let.
type slow struct {
	begun   chan struct{}
	proceed chan struct{}

	mu    sync.Mutex
	calls int
}

func (s *slow) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	s.begun <- struct{}{}
	<-s.proceed
	return len(p), nil
}

// TestNothingIsWrittenAfterTheEnd: of the output of a guest that was stopped, no more than the
// Write under way is written, and that is waited for.
func TestNothingIsWrittenAfterTheEnd(t *testing.T) {
	host := newHost(t)
	w := &slow{begun: make(chan struct{}, 10), proceed: make(chan struct{})}
	g := newGuest(t, host, compiled(t, host, passing()), virt.WithStdout(w))
	called := make(chan error, 1)
	go func() { called <- tryToWriteA(g) }()
	<-w.begun
	g.Stop(nil)
	w.proceed <- struct{}{}
	if err := <-called; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := g.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if w.calls != 1 {
		t.Errorf("%d writes, want 1", w.calls)
	}
}

// stalled is a reader that does not come back until it is told to.
type stalled struct{ begun, end chan struct{} }

func newStalled() stalled { return stalled{make(chan struct{}, 100), make(chan struct{})} }

func (s stalled) Read([]byte) (int, error) {
	s.begun <- struct{}{}
	<-s.end
	return 0, io.EOF
}

// TestLingering names whose Read a guest that has been closed has left goroutines in.
func TestLingering(t *testing.T) {
	host := newHost(t)
	m := compiled(t, host, passing())
	r := newStalled()
	g := newGuest(t, host, m, virt.WithStdin(r))
	mem := g.Instance().Memory()
	mem.WriteUint32Le(0x800, 0x700)
	mem.WriteUint32Le(0x804, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-r.begun; cancel() }()
	_, err := g.Call(ctx, "fd_read", 0, 0x800, 1, 0x100)
	if err == nil {
		t.Error("a read of what never comes has ended well")
	}
	if err := g.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for what, names := range map[string][]string{"the Guest": g.Lingering(), "the Host": host.Lingering()} {
		if len(names) != 1 || !strings.Contains(names[0], "stalled.Read") {
			t.Errorf("%s tells of %q, want the Read", what, names)
		}
	}
	close(r.end)
	for len(host.Lingering()) > 0 {
		runtime.Gosched()
	}
}

// TestAllocatorEndsWithItsContext, and Close waits for it, before another guest gets the memory.
func TestAllocatorEndsWithItsContext(t *testing.T) {
	host := newHost(t)
	m := compiled(t, host, endlessMalloc())
	for _, how := range []string{"context", "Close"} {
		g, err := host.Instantiate(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		a, err := wazeromem.NewAllocator(g.Instance(), "malloc")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		allocated := make(chan error, 1)
		go func() { _, err := a.Alloc(ctx, 100); allocated <- err }()
		for b, ok := byte(0), true; ok && b == 0; b, ok = g.Instance().Memory().ReadByte(0) {
			runtime.Gosched()
		}
		if how == "context" {
			cancel()
		} else if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-allocated; !errors.Is(err, context.Canceled) && !errors.Is(err, virt.ErrClosed) {
			t.Errorf("%s: Alloc answers %v", how, err)
		}
		cancel()
		if err := g.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// endlessMalloc exports a malloc that stores to address 0 for ever.
func endlessMalloc() []byte {
	body := []byte{0x03, 0x40, opI32Const, 0, opI32Const, 1, 0x36, 2, 0, 0x0c, 0, 0x0b, opI32Const, 0}
	malloc := handFunc{name: "malloc", body: body}
	malloc.params, malloc.results = []byte{0x7f}, []byte{0x7f}
	return handModule{memory: 1, funcs: []handFunc{malloc}}.encode()
}
