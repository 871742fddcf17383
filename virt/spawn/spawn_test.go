package spawn_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/virt/spawn"
)

// shell is the module of all programs of these tests.
func shell(tb testing.TB) []byte {
	tb.Helper()
	wasm, err := os.ReadFile("testdata/shell.wasm")
	if err != nil {
		tb.Fatal(err)
	}
	return wasm
}

// config registers the programs, but for gen, which is in a file too.
func config(wasm []byte) spawn.Config {
	c := spawn.Config{Programs: map[string][]byte{}}
	for _, name := range []string{"gen", "sort", "uniq", "head", "fail", "trap", "spin", "nest"} {
		c.Programs[name] = wasm
	}
	return c
}

func newHost(t *testing.T, opts ...virt.Option) *virt.Host {
	t.Helper()
	h, err := virt.NewBuilder(opts...).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Errorf("close the Host: %v", err)
		}
	})
	return h
}

// run runs a program and returns its result and what it printed.
func run(t *testing.T, h *virt.Host, wasm []byte, args []string, opts ...virt.GuestOption) (*virt.Result, string) {
	t.Helper()
	var out bytes.Buffer
	opts = append([]virt.GuestOption{virt.WithName(args[0]), virt.WithArgs(args[1:]...), virt.WithStdout(&out), virt.WithStderr(&out)}, opts...)
	r, err := h.Run(t.Context(), wasm, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r, out.String()
}

// each runs a test with threads that run in parallel and with threads that take turns, in both
// engines.
func each(t *testing.T, test func(t *testing.T, opt virt.Option)) {
	t.Run("parallel", func(t *testing.T) { test(t, virt.Options()) })
	t.Run("interpreted", func(t *testing.T) { test(t, virt.WithInterpreter()) })
	t.Run("interpreted deterministic", func(t *testing.T) { test(t, virt.Options(virt.WithInterpreter(), virt.Deterministic(1))) })
	t.Run("deterministic", func(t *testing.T) { test(t, virt.Deterministic(1)) })
}

// TestPipelines: a shell guest runs pipelines of guests, with files, exit codes, EPIPE and traps as
// a kernel has them.
func TestPipelines(t *testing.T) {
	wasm := shell(t)
	each(t, func(t *testing.T, opt virt.Option) {
		for _, tc := range []struct{ line, printed, out string }{
			{"gen 7 | sort | uniq -c > out", "command 0 exit 0\ncommand 1 exit 0\ncommand 2 exit 0\n", "2 apple\n2 fig\n3 pear\n"},
			{"gen 100000 | head", "pearcommand 0 exit 164\ncommand 1 exit 0\n", ""},
			{"fail 3 | sort", "command 0 exit 3\ncommand 1 exit 0\n", ""},
			{"trap | sort", "command 0 end 2\ncommand 1 exit 0\n", ""},
			{"bin/gen 2 | sort > out", "command 0 exit 0\ncommand 1 exit 0\n", "apple\npear\n"},
			{"nothing", "nothing: errno 44\n", ""},
			{"text", "text: errno 45\n", ""},
		} {
			t.Run(tc.line, func(t *testing.T) {
				files := memfs.New()
				for name, b := range map[string][]byte{"bin/gen": wasm, "text": []byte("no module")} {
					if err := files.MkdirAll("bin"); err != nil {
						t.Fatal(err)
					}
					if err := files.WriteFile(name, b); err != nil {
						t.Fatal(err)
					}
				}
				h := newHost(t, opt, spawn.Functions(config(wasm)), virt.WithMount("/", files))
				r, printed := run(t, h, wasm, []string{"sh", tc.line})
				if r.Outcome != virt.Exited || r.ExitCode != 0 || printed != tc.printed {
					t.Errorf("%v, printed %q, want %q", r, printed, tc.printed)
				}
				if tc.out != "" {
					if b, err := files.ReadFile("out"); string(b) != tc.out || err != nil {
						t.Errorf("out is %q, %v, want %q", b, err, tc.out)
					}
				}
			})
		}
	})
}

// TestKill: a child that never ends is killed, waited for, and forgotten.
func TestKill(t *testing.T) {
	wasm := shell(t)
	each(t, func(t *testing.T, opt virt.Option) {
		r, printed := run(t, newHost(t, opt, spawn.Functions(config(wasm))), wasm, []string{"kill"})
		// EAGAIN while it runs; killed; ended by signal 15; ECHILD
		if want := "6 0 0 1 15 12\n"; printed != want {
			t.Errorf("%v, printed %q, want %q", r, printed, want)
		}
	})
}

// TestBounds: depth and number of children are bounded, and children that nobody waits for end with
// their parent.
func TestBounds(t *testing.T) {
	wasm := shell(t)
	each(t, func(t *testing.T, opt virt.Option) {
		c := config(wasm)
		c.MaxDepth, c.MaxChildren = 3, 5
		h := newHost(t, opt, spawn.Functions(c))
		if r, _ := run(t, h, wasm, []string{"nest"}); r.ExitCode != 3 {
			t.Errorf("%v, want a depth of 3", r)
		}
		if r, printed := run(t, h, wasm, []string{"crowd"}); !strings.HasSuffix(printed, "5\n") {
			t.Errorf("%v, printed %q, want 5 children", r, printed)
		}
		if err := h.Close(t.Context()); err != nil { // which waits for the children that nobody waited for
			t.Fatal(err)
		}
	})
}

// TestBudgets: what children use is their parent's.
func TestBudgets(t *testing.T) {
	wasm := shell(t)
	c := config(wasm)
	for name, tc := range map[string]struct {
		opts []virt.Option
		args []string
		want string
	}{
		"fuel":       {[]virt.Option{virt.WithFuel(20_000_000)}, []string{"sh", "spin"}, "command 0 end 3"},
		"host calls": {[]virt.Option{virt.WithLimits(func(l *virt.Limits) { l.HostCalls = 500 })}, []string{"sh", "gen 1000 > out"}, "out of host calls"},
		"memory":     {[]virt.Option{virt.WithMemoryLimit(2 << 20)}, []string{"crowd"}, "errno 48"},
		"guests":     {[]virt.Option{virt.WithMaxGuests(3)}, []string{"crowd"}, "errno 6\n2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, append(tc.opts, spawn.Functions(c))...)
			r, printed := run(t, h, wasm, tc.args)
			if !strings.Contains(printed+r.String(), tc.want) {
				t.Errorf("%v, printed %q, want %q", r, printed, tc.want)
			}
		})
	}
}

// TestRepeats: a pipeline in a deterministic Host repeats, to the events of its shell's recording,
// which is replayed without programs.
func TestRepeats(t *testing.T) {
	wasm := shell(t)
	record := func() (string, []byte) {
		var tape bytes.Buffer
		h := newHost(t, virt.Deterministic(7), spawn.Functions(config(wasm)))
		_, printed := run(t, h, wasm, []string{"sh", "gen 300 | sort | uniq -c"}, virt.WithRecording(&tape))
		return printed, tape.Bytes()
	}
	printed, tape := record()
	again, second := record()
	p, err := replay.Compare(bytes.NewReader(tape), bytes.NewReader(second), 3)
	if printed != again || p != nil || err != nil {
		t.Errorf("two runs differ: %q and %q, %v, %v", printed, again, p, err)
	}
	r, err := replay.Run(t.Context(), wasm, bytes.NewReader(tape))
	if err != nil || r.Outcome != virt.Exited {
		t.Errorf("the replay: %v, %v", r, err)
	}
}

// TestOff: a module that starts others is refused by a Host without the option.
func TestOff(t *testing.T) {
	_, err := newHost(t).Compile(t.Context(), shell(t))
	if err == nil || !strings.Contains(err.Error(), "wasivirt_spawn.spawn") {
		t.Errorf("compiled: %v", err)
	}
}

// TestStopped: pipelines that are stopped at any moment leave nothing of the Host's budget taken.
func TestStopped(t *testing.T) {
	wasm := shell(t)
	h := newHost(t, spawn.Functions(config(wasm)), virt.WithSharedLimits(func(l *virt.Limits) { l.Memory, l.Descriptors = 64<<20, 400 }))
	m, err := h.Compile(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(context.Background())
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			line := "gen 2000 | sort | uniq -c"
			if i%2 == 0 {
				line = "spin | gen 100 | sort"
				time.AfterFunc(time.Duration(i)*time.Millisecond, cancel) // at any moment
			}
			r, err := h.RunModule(ctx, m, virt.WithName("sh"), virt.WithArgs(line))
			if err != nil {
				t.Errorf("%s: %v", line, err)
			} else if want := [2]virt.Outcome{virt.Canceled, virt.Exited}[i%2]; r.Outcome != want {
				t.Errorf("%s: %v, want %v", line, r, want)
			}
		})
	}
	all.Wait()
	if u := h.Usage(); u.Descriptors != 0 || u.Threads != 0 {
		t.Errorf("%d descriptors and %d threads are left", u.Descriptors, u.Threads)
	}
}

// slow is a file system whose files are read when returns is closed.
type slow struct {
	vfs.FS
	reading atomic.Int32
	returns chan struct{}
}

func (s *slow) Root() vfs.Node { return wrapfs.Root(s.Wrap(s.FS.Root()), s.FS.Root()) }

func (s *slow) Wrap(n vfs.Node) vfs.Node {
	if _, ok := n.(vfs.RegularFile); ok {
		return &slowFile{wrapfs.RegularFile{Node: wrapfs.Node{Below: n, Of: s}}, s}
	}
	return wrapfs.Plain(n, s)
}

type slowFile struct {
	wrapfs.RegularFile
	of *slow
}

func (f *slowFile) Open(mode vfs.OpenMode) (vfs.File, error) {
	below, err := f.RegularFile.Open(mode)
	return &slowOpen{wrapfs.File{Below: below, Node: f.Below}, f.of}, err
}

type slowOpen struct {
	wrapfs.File
	of *slow
}

func (o *slowOpen) ReadAt(p []byte, off int64) (int, error) {
	o.of.reading.Add(1)
	defer o.of.reading.Add(-1)
	<-o.of.returns
	return o.File.ReadAt(p, off)
}

func (o *slowOpen) ReadVector(bufs [][]byte, off int64) (int, error) { return o.ReadAt(bufs[0], off) }

// TestProgramsBeingRead: guests cannot make the Host hold any number of programs that nobody has
// compiled yet. Those that wait end with their context.
func TestProgramsBeingRead(t *testing.T) {
	wasm := shell(t)
	synctest.Test(t, func(t *testing.T) {
		mem, err := memfs.FromMap(map[string]string{"bin/gen": string(wasm)})
		if err != nil {
			t.Fatal(err)
		}
		files := &slow{FS: mem, returns: make(chan struct{})}
		h := newHost(t, spawn.Functions(config(wasm)), virt.WithMount("/", files))
		m, err := h.Compile(t.Context(), wasm)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close(context.Background())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var all sync.WaitGroup
		var canceled atomic.Int32
		for range 10 {
			all.Go(func() {
				r, err := h.RunModule(ctx, m, virt.WithName("sh"), virt.WithArgs("bin/gen 1 | sort"))
				if err != nil {
					t.Error(err)
				} else if r.Outcome == virt.Canceled {
					canceled.Add(1)
				}
			})
		}
		synctest.Wait()
		if n := files.reading.Load(); n != 4 {
			t.Errorf("%d programs are read at once, want 4", n)
		}
		cancel()
		synctest.Wait()
		if n := canceled.Load(); n != 6 {
			t.Errorf("%d guests have ended, want the 6 that wait for their turn", n)
		}
		close(files.returns)
		all.Wait()
	})
}

// Example runs a shell that is a guest.
func Example() {
	ctx := context.Background()
	wasm, err := os.ReadFile("testdata/shell.wasm")
	if err != nil {
		log.Fatal(err)
	}
	files := memfs.New()
	programs := map[string][]byte{"gen": wasm, "sort": wasm, "uniq": wasm}
	host, err := virt.NewBuilder(virt.WithMount("/", files), spawn.Functions(spawn.Config{Programs: programs})).Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(ctx)
	result, err := host.Run(ctx, wasm, virt.WithName("sh"), virt.WithArgs("gen 10 | sort | uniq -c > out"))
	if err != nil {
		log.Fatal(err)
	}
	out, err := files.ReadFile("out")
	fmt.Printf("%v\n%s%v\n", result, out, err)
	// Output:
	// exit 0
	// 3 apple
	// 3 fig
	// 4 pear
	// <nil>
}
