package virt_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/stdio"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Parts of embedders, each once around one of ours and once written from nothing, serve plain,
// recorded and deterministic runs.
func TestPartsOfEmbedders(t *testing.T) {
	memory := func() *memfs.FS {
		files := memfs.New()
		if err := files.WriteFile("in.txt", []byte("content")); err != nil {
			t.Fatal(err)
		}
		return files
	}
	world := func(own ...virt.Option) []virt.Option {
		return append([]virt.Option{virt.WithMount("/", memory()), virt.WithStdin(strings.NewReader("input")), virt.WithClock(clock.NewVirtual(clock.WithAutoAdvance())),
			virt.WithSeed(3)}, own...)
	}
	for _, tc := range []struct {
		name  string
		parts func() []virt.Option
		want  string // what standard output begins with, if it is known
	}{
		{"Scheduler around ours", func() []virt.Option {
			return world(virt.WithScheduler(struct{ *sched.Seeded }{sched.NewSeeded(sched.SeededConfig{Seed: 1})}))
		}, ""},
		{"Scheduler from nothing", func() []virt.Option { return world(virt.WithScheduler(&queue{})) }, ""},
		{"Clock around ours", func() []virt.Option {
			return world(virt.WithClock(struct{ *clock.Virtual }{clock.NewVirtual(clock.WithAutoAdvance())}))
		}, ""},
		{"Clock from nothing", func() []virt.Option { return world(virt.WithClock(&ticking{})) }, ""},
		{"Source around ours", func() []virt.Option {
			return world(virt.WithRandom(struct{ *random.SeededSource }{random.Seeded(1)}))
		}, ""},
		{"Source from nothing", func() []virt.Option { return world(virt.WithRandom(&countingSource{})) }, "content\n578437695752307201\n"},
		{"Poller around ours", func() []virt.Option { return world(virt.WithPoller(passingPoller{})) }, ""},
		{"Poller from nothing", func() []virt.Option { return world(virt.WithPoller(hastyPoller{})) }, ""},
		{"FS around ours", func() []virt.Option {
			return world(virt.WithoutFiles(), virt.WithMount("/", struct{ *memfs.FS }{memory()}))
		}, ""},
		{"FS from nothing", func() []virt.Option {
			return world(virt.WithoutFiles(), virt.WithMount("/", &flatFS{files: map[string]*flatFile{"in.txt": {content: []byte("content")}}}))
		}, "content\n"},
		{"Stream around ours", func() []virt.Option {
			return world(virt.WithStream(0, struct{ vfs.Stream }{stdio.Reader(strings.NewReader("input"))}))
		}, ""},
		{"Stream from nothing", func() []virt.Option { return world(virt.WithStream(0, &textStream{text: "input"})) }, ""},
	} {
		args := []string{"cat", "/in.txt", "echo", "", "random", "sleep", "5", "time", "write", "/out.txt", "written", "cat", "/out.txt", "ls", "/", "stdin", "echo", "end"}
		run := func(t *testing.T, opts []virt.Option, own ...virt.GuestOption) (string, *virt.Result) {
			t.Helper()
			host := newHost(t, opts...)
			m := compiled(t, host, bareGuest(t, "do"))
			var out bytes.Buffer
			r, err := host.RunModule(t.Context(), m, append(own, virt.WithArgs(args...), virt.WithStdout(&out))...)
			if err != nil || !r.Success() {
				t.Fatalf("%v, %v\n%s", r, err, &out)
			}
			for _, part := range []string{"content\n", "written", "in.txt", "out.txt", "input", "end\n"} {
				if !strings.Contains(out.String(), part) {
					t.Errorf("no %q in what the guest printed:\n%s", part, &out)
				}
			}
			if !strings.HasPrefix(out.String(), tc.want) {
				t.Errorf("printed\n%swant first\n%s", &out, tc.want)
			}
			// Threads that wait for each other, in the same world.
			threads := compiled(t, host, bareGuest(t, "race_counter_fixed"))
			if r, err := host.RunModule(t.Context(), threads, virt.WithMaxThreads(8)); err != nil || !r.Success() {
				t.Errorf("threads: %v, %v", r, err)
			}
			return out.String(), r
		}
		t.Run(tc.name+"/plain", func(t *testing.T) { run(t, tc.parts()) })
		t.Run(tc.name+"/recorded", func(t *testing.T) {
			var tape, again bytes.Buffer
			out, r := run(t, tc.parts(), virt.WithRecording(&tape))
			replayed, err := replay.Run(t.Context(), bareGuest(t, "do"), &tape, virt.WithStdout(&again))
			if err != nil || replayed.Outcome != r.Outcome || again.String() != out {
				t.Errorf("the replay: %v, %v, printed\n%swant\n%s", replayed, err, &again, out)
			}
		})
		t.Run(tc.name+"/deterministic", func(t *testing.T) {
			var first *virt.Result
			for range 2 {
				_, r := run(t, append(tc.parts(), virt.Deterministic(1)), virt.WithHash())
				if first == nil {
					first = r
				}
				if r.Hash != first.Hash {
					t.Error("the second run has another hash")
				}
			}
		})
	}
}

// queue is a Scheduler that gives turns in the order in which threads became ready.
type queue struct {
	mu    sync.Mutex
	ready []*sched.Thread
	busy  bool
}

func (q *queue) TakesTurns() bool                { return true }
func (q *queue) Start(*sched.Thread) error       { return nil }
func (q *queue) Block(*sched.Thread, *poll.Wait) {}
func (q *queue) End(*sched.Thread)               {}

func (q *queue) Ready(t *sched.Thread) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ready = append(q.ready, t)
	q.give()
}

func (q *queue) Yield(t *sched.Thread, _ sched.Point) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.ready) == 0 {
		return false
	}
	q.ready, q.busy = append(q.ready, t), false
	q.give()
	return true
}

func (q *queue) Next(t *sched.Thread) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t != nil {
		q.busy = false
	}
	q.give()
}

func (q *queue) give() {
	if !q.busy && len(q.ready) > 0 {
		t := q.ready[0]
		q.ready, q.busy = q.ready[1:], true
		t.Resume()
	}
}

// ticking is a Clock that moves on by a microsecond at each reading, and to each deadline at once.
type ticking struct {
	mu  sync.Mutex
	now int64
}

func (c *ticking) Realtime() int64 { return c.Monotonic() }

func (c *ticking) Monotonic() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += 1000
	return c.now
}

func (c *ticking) AfterFunc(at int64, f func()) clock.Timer {
	c.mu.Lock()
	c.now = max(c.now, at)
	c.mu.Unlock()
	f()
	return firedTimer{}
}

type firedTimer struct{}

func (firedTimer) Stop() bool { return false }

// countingSource is a Source of the numbers from 1.
type countingSource struct {
	mu   sync.Mutex
	last byte
}

func (s *countingSource) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range p {
		s.last++
		p[i] = s.last
	}
	return len(p), nil
}

type passingPoller struct{}

func (passingPoller) Poll(s *poll.Set, subs []wasip1.Subscription, events []wasip1.Event) (int, wasip1.Errno) {
	return s.Poll(subs, events)
}

// hastyPoller says that everything has happened.
type hastyPoller struct{}

func (hastyPoller) Poll(_ *poll.Set, subs []wasip1.Subscription, events []wasip1.Event) (int, wasip1.Errno) {
	for i, s := range subs {
		events[i] = wasip1.Event{Userdata: s.Userdata, Type: s.Tag}
	}
	return len(subs), wasip1.ESUCCESS
}

// flatFS is a file system with one directory.
type flatFS struct {
	mu    sync.Mutex
	files map[string]*flatFile
}

func (f *flatFS) Root() vfs.Node { return f }

func (f *flatFS) Type() wasip1.Filetype { return wasip1.FiletypeDirectory }

func (f *flatFS) Attr() (vfs.Attr, error) {
	return vfs.Attr{Ino: 1, Type: wasip1.FiletypeDirectory, Nlink: 1, Mode: 0o755}, nil
}

func (f *flatFS) SetAttr(vfs.SetAttr) error { return nil }

func (f *flatFS) Lookup(name string) (vfs.Node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.files[name]; n != nil {
		return n, nil
	}
	return nil, wasip1.ENOENT
}

func (f *flatFS) ReadDir(cookie uint64, entries []vfs.DirEntry) (n int, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := make([]string, 0, len(f.files))
	for name := range f.files {
		names = append(names, name)
	}
	slices.Sort(names)
	for i := int(cookie); i < len(names) && n < len(entries); i, n = i+1, n+1 {
		entries[n] = vfs.DirEntry{Name: names[i], Ino: uint64(i) + 2, Type: wasip1.FiletypeRegularFile, Next: uint64(i) + 1}
	}
	return n, nil
}

func (f *flatFS) Create(name string, _ fs.FileMode) (vfs.Node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.files[name] != nil {
		return nil, wasip1.EEXIST
	}
	n := &flatFile{ino: uint64(len(f.files)) + 2}
	f.files[strings.Clone(name)] = n
	return n, nil
}

func (f *flatFS) Mkdir(string, fs.FileMode) (vfs.Node, error) { return nil, wasip1.ENOTSUP }
func (f *flatFS) Symlink(string, string) (vfs.Node, error)    { return nil, wasip1.ENOTSUP }
func (f *flatFS) Link(string, vfs.Node) error                 { return wasip1.ENOTSUP }
func (f *flatFS) Unlink(string) error                         { return wasip1.ENOTSUP }
func (f *flatFS) Rmdir(string) error                          { return wasip1.ENOTSUP }
func (f *flatFS) Rename(string, vfs.Directory, string) error  { return wasip1.ENOTSUP }

// flatFile is a file of a flatFS.
type flatFile struct {
	ino uint64

	mu      sync.Mutex
	content []byte
}

func (n *flatFile) Type() wasip1.Filetype { return wasip1.FiletypeRegularFile }

func (n *flatFile) Attr() (vfs.Attr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return vfs.Attr{Ino: n.ino + 1, Type: wasip1.FiletypeRegularFile, Nlink: 1, Size: uint64(len(n.content)), Mode: 0o644}, nil
}

func (n *flatFile) SetAttr(set vfs.SetAttr) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if set.Mask&vfs.SetSize != 0 {
		n.content = append(n.content[:min(len(n.content), int(set.Size))], make([]byte, max(0, int(set.Size)-len(n.content)))...)
	}
	return nil
}

func (n *flatFile) Open(mode vfs.OpenMode) (vfs.File, error) {
	if mode&vfs.OpenTruncate != 0 {
		return n, n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize})
	}
	return n, nil
}

func (n *flatFile) ReadAt(p []byte, off int64) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if off >= int64(len(n.content)) {
		return 0, io.EOF
	}
	return copy(p, n.content[off:]), nil
}

func (n *flatFile) WriteAt(p []byte, off int64) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if end := int(off) + len(p); end > len(n.content) {
		n.content = append(n.content, make([]byte, end-len(n.content))...)
	}
	return copy(n.content[off:], p), nil
}

func (n *flatFile) Sync(bool) error { return nil }
func (n *flatFile) Close() error    { return nil }

// textStream is a Stream that gives a text.
type textStream struct {
	poll.Queue
	mu   sync.Mutex
	text string
}

func (s *textStream) Poll(want poll.Events) poll.State {
	return poll.State{Ready: want & poll.Readable}
}

func (s *textStream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text == "" {
		return 0, io.EOF
	}
	n := copy(p, s.text)
	s.text = s.text[n:]
	return n, nil
}

func (s *textStream) Write([]byte) (int, error) { return 0, wasip1.EBADF }
func (s *textStream) Close() error              { return nil }

// waitingFS is a file system whose files are found after ages, unless its guest ends.
type waitingFS struct {
	*memfs.FS
	ctx    context.Context
	waits  chan<- struct{}
	closed chan<- error // gets the cause of the end of a wait
}

type waitingDir struct {
	vfs.Directory
	fs *waitingFS
}

func (f *waitingFS) Root() vfs.Node { return waitingDir{f.FS.Root().(vfs.Directory), f} }

func (d waitingDir) Lookup(string) (vfs.Node, error) {
	d.fs.waits <- struct{}{}
	<-d.fs.ctx.Done()
	d.fs.closed <- context.Cause(d.fs.ctx)
	return nil, context.Cause(d.fs.ctx)
}

// The guest's end ends the operations of its own file systems, whatever ends it.
func TestTheEndOfAGuestEndsItsFileSystems(t *testing.T) {
	enough := errors.New("enough")
	for _, tc := range []struct {
		name string
		opts []virt.GuestOption
		end  func(g *virt.Guest, cancel context.CancelCauseFunc)
		want virt.Outcome
	}{
		{"context", nil, func(_ *virt.Guest, cancel context.CancelCauseFunc) { cancel(enough) }, virt.Canceled},
		{"stop", nil, func(g *virt.Guest, _ context.CancelCauseFunc) { g.Stop(enough) }, virt.Canceled},
		{"close", nil, func(g *virt.Guest, _ context.CancelCauseFunc) { g.Close(context.Background()) }, virt.Canceled},
		{"time", []virt.GuestOption{virt.WithTimeout(time.Millisecond)}, func(*virt.Guest, context.CancelCauseFunc) {}, virt.Exhausted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			waits, closed := make(chan struct{}, 1), make(chan error, 1)
			host := newHost(t, virt.WithMountFunc("/", func(ctx context.Context) (vfs.FS, error) {
				return &waitingFS{memfs.New(), ctx, waits, closed}, nil
			}))
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			g, err := host.Instantiate(ctx, compiled(t, host, bareGuest(t, "do")), append(tc.opts, virt.WithArgs("cat", "/in.txt"))...)
			if exit := (*virt.ExitError)(nil); errors.As(err, &exit) {
				t.Skip("the time ended before the guest had begun")
			} else if err != nil {
				t.Fatal(err)
			}
			go func() {
				select {
				case <-waits:
					tc.end(g, cancel)
				case <-t.Context().Done():
				}
			}()
			r, err := g.Run(ctx)
			if err != nil || r.Outcome != tc.want {
				t.Errorf("%v, %v, want %v", r, err, tc.want)
			}
			if err := g.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}
