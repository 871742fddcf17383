package virt_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/process"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trace"
	"github.com/wasivirt/wasivirt/wasip1"
)

// mistake is what the embedder's code panics with.
const mistake = "the embedder's mistake"

// fuse is blown from some moment on.
type fuse struct{ blown *atomic.Bool }

func (f fuse) burn() {
	if f.blown.Load() {
		panic(mistake)
	}
}

// burningClock is a clock whose methods panic, all or one of them.
type burningClock struct {
	clock.Clock
	fuse
	method string
}

func (c burningClock) burn(method string) {
	if c.method == "" || c.method == method {
		c.fuse.burn()
	}
}

func (c burningClock) Realtime() int64  { c.burn("Realtime"); return c.Clock.Realtime() }
func (c burningClock) Monotonic() int64 { c.burn("Monotonic"); return c.Clock.Monotonic() }
func (c burningClock) AfterFunc(at int64, f func()) clock.Timer {
	c.burn("AfterFunc")
	return burningTimer{c.Clock.AfterFunc(at, f), c}
}

type burningTimer struct {
	clock.Timer
	c burningClock
}

func (t burningTimer) Stop() bool { t.c.burn("Stop"); return t.Timer.Stop() }

// burning is a Reader, a Writer, a source of random numbers and a Poller that panic.
type burning struct{ fuse }

func (b burning) Read(p []byte) (int, error)  { b.burn(); return 0, io.EOF }
func (b burning) Write(p []byte) (int, error) { b.burn(); return len(p), nil }
func (b burning) Close() error                { b.burn(); return nil }
func (b burning) Poll(*poll.Set, []wasip1.Subscription, []wasip1.Event) (int, wasip1.Errno) {
	b.burn()
	return 0, wasip1.EIO
}
func (b burning) Begin(*trace.Event) { b.burn() }
func (b burning) End(*trace.Event)   {}

// burningFS is a file system whose directories and files panic.
type burningFS struct {
	vfs.FS
	fuse
}

func (f burningFS) Root() vfs.Node { return burningDir{f.FS.Root().(vfs.Directory), f.fuse} }

type burningDir struct {
	vfs.Directory
	fuse
}

func (d burningDir) Lookup(name string) (vfs.Node, error) { d.burn(); return d.Directory.Lookup(name) }
func (d burningDir) Create(name string, mode fs.FileMode) (vfs.Node, error) {
	d.burn()
	return d.Directory.Create(name, mode)
}

// caller is a command that makes one call of a function. There is a path of one byte at 0x700 and a
// vector of 8 bytes at 0x800.
func caller(name, params string, args ...int32) []byte {
	body := []byte{}
	for at, v := range map[int64]int64{0x700: 'a', 0x804: 8} {
		body = appendSigned(append(body, opI32Const), at)
		body = appendSigned(append(body, opI32Const), v)
		body = append(body, 0x36, 2, 0) // i32.store
	}
	for i, a := range args {
		op := byte(opI32Const)
		if params[i] == 'I' {
			op = 0x42 // i64.const
		}
		body = appendSigned(append(body, op), int64(a))
	}
	body = append(body, opCall, 0)
	if name != "proc_exit" {
		body = append(body, opDrop)
	}
	return handModule{memory: 1, funcs: []handFunc{imported(name, params), {name: "_start", body: body}}}.encode()
}

// TestPanicsAreContained lets whatever the embedder can give panic, from the beginning or once the
// guest runs. Each is the end of that guest, or an error of what was asked; nothing hangs, and the
// next guest of the Host runs.
func TestPanicsAreContained(t *testing.T) {
	poller := caller("poll_oneoff", "iiii", 0x800, 0x900, 1, 0x100)
	writes := caller("fd_write", "iiii", 1, 0x800, 1, 0x100)
	opens := caller("path_open", "iiiiiIIii", 3, 0, 0x700, 1, 1, 0, 0, 0, 0x100)
	tests := []struct {
		name  string
		wasm  []byte
		early bool // panics before the guest runs
		opts  func(f fuse) virt.Option
	}{
		{"arguments", poller, true, func(f fuse) virt.Option {
			return virt.WithArgsFunc(func() ([]string, error) { f.burn(); return nil, nil })
		}},
		{"environment", poller, true, func(f fuse) virt.Option {
			return virt.WithEnvFunc(func() ([]string, error) { f.burn(); return nil, nil })
		}},
		{"mount", poller, true, func(f fuse) virt.Option {
			return virt.WithMountFunc("/m", func(context.Context) (vfs.FS, error) { f.burn(); return memfs.New(), nil })
		}},
		{"file system", opens, false, func(f fuse) virt.Option { return virt.WithMount("/", burningFS{memfs.New(), f}) }},
		{"random source", caller("random_get", "ii", 0, 8), false, func(f fuse) virt.Option { return virt.WithRandom(burning{f}) }},
		{"poller", poller, false, func(f fuse) virt.Option { return virt.WithPoller(burning{f}) }},
		{"standard input", caller("fd_read", "iiii", 0, 0x800, 1, 0x100), false, func(f fuse) virt.Option { return virt.WithStdin(burning{f}) }},
		{"standard output", writes, false, func(f fuse) virt.Option { return virt.WithStdout(burning{f}) }},
		{"middleware", poller, false, func(f fuse) virt.Option {
			return virt.WithMiddleware("poll_oneoff", func(c *virt.Call) wasip1.Errno { f.burn(); return c.Next() })
		}},
		{"tracer", poller, false, func(f fuse) virt.Option { return virt.WithTrace(burning{f}) }},
		{"recording", poller, false, func(f fuse) virt.Option { return virt.WithRecording(burning{f}) }},
		{"exit hook", caller("proc_exit", "i", 3), false, func(f fuse) virt.Option { return virt.WithExitHook(func(uint32) { f.burn() }) }},
		{"signal hook", caller("proc_raise", "i", 15), false, func(f fuse) virt.Option {
			return virt.WithSignalHook(func(wasip1.Signal) process.Action { f.burn(); return process.ActionDefault })
		}},
	}
	for _, method := range []string{"", "Monotonic"} {
		tests = append(tests, struct {
			name  string
			wasm  []byte
			early bool
			opts  func(f fuse) virt.Option
		}{strings.TrimSpace("clock " + method), caller("clock_time_get", "iIi", 0, 1, 0x100), false, func(f fuse) virt.Option {
			return virt.WithClock(burningClock{clock.Real(), f, method})
		}})
	}
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		for _, tc := range tests {
			for _, when := range []string{"always", "once it runs"} {
				if tc.early && when != "always" {
					continue
				}
				t.Run(tc.name+" "+when, func(t *testing.T) {
					f := fuse{new(atomic.Bool)}
					builder := virt.NewBuilder(engine, tc.opts(f))
					host, err := builder.Build(context.Background())
					if err != nil {
						t.Fatal(err)
					}
					m, err := host.Compile(t.Context(), tc.wasm)
					if err != nil {
						t.Fatal(err)
					}
					f.blown.Store(when == "always")
					g, err := host.Instantiate(t.Context(), m)
					f.blown.Store(true)
					var result *virt.Result
					if err == nil {
						result, err = g.Run(t.Context())
						closed := g.Close(t.Context())
						err = fmt.Errorf("%v, %v", err, closed)
					}
					if told := fmt.Sprint(result, err); !strings.Contains(told, mistake) {
						t.Errorf("nobody is told: %v", told)
					}
					f.blown.Store(false)
					var next []virt.GuestOption
					if tc.name == "recording" {
						next = append(next, virt.WithRecording(io.Discard)) // a writer takes one
					}
					if _, err := host.RunModule(t.Context(), m, next...); err != nil {
						t.Errorf("the next guest: %v", err)
					}
					if err := host.Close(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
		}
	})
}

// TestClocksThatPanic lets a clock panic for threads that sleep: when they begin to, or when they
// are woken, as the first thread of a guest and as another.
func TestClocksThatPanic(t *testing.T) {
	onEachEngine(t, func(t *testing.T, engine virt.Option) {
		for _, method := range []string{"", "Realtime", "Monotonic", "AfterFunc", "Stop"} {
			for _, threads := range []uint64{0, 1} {
				for _, asleep := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s, %d threads, asleep %t", method, threads, asleep), func(t *testing.T) {
						f := fuse{new(atomic.Bool)}
						p := sched.NewParallel(sched.Limits{})
						host := newHost(t, engine, virt.WithMaxThreads(1), virt.WithScheduler(p), virt.WithClock(burningClock{clock.Real(), f, method}))
						g, err := host.Instantiate(t.Context(), compiled(t, host, threadsGuest(t)))
						if err != nil {
							t.Fatal(err)
						}
						ctx, cancel := context.WithCancel(t.Context())
						ended := make(chan error)
						f.blown.Store(!asleep)
						go func() {
							var err error
							if threads == 0 {
								_, err = g.Call(ctx, "hang", hangSleep, 0)
							} else {
								_, err = g.Call(ctx, "hang_in_threads", hangSleep, threads, 0)
							}
							ended <- err
						}()
						if asleep || method == "Stop" || method == "Realtime" {
							reached(t, p, func(s sched.Stats) bool { return s.Waiting == 1+int(threads) })
							f.blown.Store(true)
							cancel()
						}
						err = <-ended
						cancel()
						if exit, ok := errors.AsType[*virt.ExitError](err); !ok || exit.Result.Outcome != virt.Failed && exit.Result.Outcome != virt.Canceled {
							t.Errorf("%v, want the end of the guest", err)
						}
						// It asks the clock as well.
						if err := g.Close(t.Context()); err != nil && !strings.Contains(err.Error(), mistake) {
							t.Errorf("close: %v", err)
						}
						f.blown.Store(false)
						if s := p.Stats(); s.Alive != 0 {
							t.Errorf("%+v", s)
						}
					})
				}
			}
		}
	})
}
