package stdio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/internal/leak"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/wasip1"
)

// task is a guest's thread.
type task struct {
	ctx  context.Context
	wake chan struct{}
}

func newTask(ctx context.Context) *task { return &task{ctx, make(chan struct{}, 1)} }

func (t *task) Context() context.Context { return t.ctx }

func (t *task) Wake() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *task) Park(poll.Wait) error {
	select {
	case <-t.wake:
		return nil
	case <-t.ctx.Done():
		return context.Cause(t.ctx)
	}
}

// read and write do what fd_read and fd_write do.
func (t *task) read(s vfs.Stream, p []byte) (int, error) {
	for {
		n, err := s.Read(p)
		if err != wasip1.EAGAIN {
			return n, err
		}
		if _, err := poll.Block(t, s, poll.Readable, poll.Wait{Op: "fd_read", Deadline: poll.NoDeadline}); err != nil {
			return 0, err
		}
	}
}

func (t *task) write(s vfs.Stream, p []byte) (int, error) {
	for {
		n, err := s.Write(p)
		if err != wasip1.EAGAIN {
			return n, err
		}
		if _, err := poll.Block(t, s, poll.Writable, poll.Wait{Op: "fd_write", Deadline: poll.NoDeadline}); err != nil {
			return 0, err
		}
	}
}

func (t *task) writeAll(s vfs.Stream, p []byte) error {
	for len(p) > 0 {
		n, err := t.write(s, p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (t *task) readString(tb testing.TB, s vfs.Stream) string {
	tb.Helper()
	p := make([]byte, 100)
	n, err := t.read(s, p)
	if err != nil {
		tb.Fatalf("read: %v", err)
	}
	return string(p[:n])
}

func TestReaderDirect(t *testing.T) {
	leak.Check(t)
	for name, r := range map[string]io.Reader{
		"bytes.Reader":   bytes.NewReader([]byte("hello")),
		"strings.Reader": strings.NewReader("hello"),
		"bytes.Buffer":   bytes.NewBufferString("hello"),
	} {
		t.Run(name, func(t *testing.T) {
			s := Reader(r)
			if n, err := s.Read(nil); n != 0 || err != nil {
				t.Errorf("read of nothing: %d, %v", n, err)
			}
			want := poll.State{Ready: poll.Readable, Bytes: 5}
			if diff := cmp.Diff(want, s.Poll(poll.Readable)); diff != "" {
				t.Errorf("state (-want +got)\n%s", diff)
			}
			if n, err := s.Write([]byte("x")); n != 0 || err != wasip1.EBADF {
				t.Errorf("write: %d, %v", n, err)
			}
			got, err := io.ReadAll(io.MultiReader(s))
			if string(got) != "hello" || err != nil {
				t.Errorf("read %q, %v", got, err)
			}
			if s := s.Poll(poll.Readable); !s.Hangup || s.Ready == 0 {
				t.Errorf("state at the end: %+v", s)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if _, err := s.Read(make([]byte, 1)); err != wasip1.EBADF {
				t.Errorf("read after close: %v", err)
			}
		})
	}
}

func TestReaderPumpLosesNothingWhenCancelled(t *testing.T) {
	leak.Check(t)
	pr, pw := io.Pipe()
	in := NewInput(pr, WithOwnership())
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	go cancel(why)
	if _, err := newTask(ctx).read(in, make([]byte, 10)); err != why {
		t.Fatalf("cancelled read: %v", err)
	}
	// The Read that the first guest began takes this, and the second guest gets it.
	if _, err := io.WriteString(pw, "hello"); err != nil {
		t.Fatal(err)
	}
	second := newTask(t.Context())
	if got := second.readString(t, in); got != "hello" {
		t.Errorf("second guest read %q", got)
	}
	go func() {
		_, _ = io.WriteString(pw, "rest")
		_ = pw.CloseWithError(io.EOF)
	}()
	p := make([]byte, 2)
	if n, err := second.read(in, p); string(p[:n]) != "re" || err != nil {
		t.Errorf("read %q, %v", p[:n], err)
	}
	if got := string(in.Buffered()); got != "st" {
		t.Errorf("buffered %q", got)
	}
	if n, err := in.Recv(p[:1], true); string(p[:n]) != "s" || err != nil {
		t.Errorf("peek: %q, %v", p[:n], err)
	}
	if got := second.readString(t, in); got != "st" {
		t.Errorf("read %q", got)
	}
	for range 2 {
		if n, err := second.read(in, p); n != 0 || err != io.EOF {
			t.Errorf("at the end: %d, %v", n, err)
		}
	}
	want := poll.State{Ready: poll.Readable, Hangup: true}
	if diff := cmp.Diff(want, in.Poll(poll.Readable)); diff != "" {
		t.Errorf("state at the end (-want +got)\n%s", diff)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
}

func TestReaderReadsOnlyWhenAsked(t *testing.T) {
	calls := make(chan int, 10)
	r := readerFunc(func(p []byte) (int, error) {
		calls <- len(p)
		return copy(p, "x"), nil
	})
	in := NewInput(r, WithBuffer(5000))
	if len(calls) != 0 {
		t.Error("read before anybody asked")
	}
	task := newTask(t.Context())
	if got := task.readString(t, in); got != "x" {
		t.Errorf("read %q", got)
	}
	if len(calls) != 1 || <-calls != 5000 {
		t.Error("not one read of 5000 bytes")
	}
	if in.Poll(poll.Writable).Err != wasip1.EBADF {
		t.Error("an input can be polled for writing without EBADF")
	}
}

// TestReaderReadsNothingOnceClosed: bytes that come later are for whoever has the reader next, even
// if a Read was asked for before Close and its goroutine has not run yet.
func TestReaderReadsNothingOnceClosed(t *testing.T) {
	r := strings.NewReader("x")
	let, ended := make(chan struct{}), make(chan struct{})
	in := NewInput(r, WithPump(), WithAround(func(work func()) {
		<-let
		work()
		close(ended)
	}))
	if _, err := in.Read(make([]byte, 1)); err != wasip1.EAGAIN {
		t.Errorf("Read answers %v, want EAGAIN", err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	close(let)
	<-ended
	if r.Len() != 1 {
		t.Error("a byte was read after Close")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestReaderFaults(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		read func([]byte) (int, error)
		want error
	}{
		"no progress":      {func([]byte) (int, error) { return 0, nil }, io.ErrNoProgress},
		"impossible count": {func(p []byte) (int, error) { return len(p) + 1, nil }, errBadCount},
		"error":            {func([]byte) (int, error) { return 0, boom }, boom},
	} {
		t.Run(name, func(t *testing.T) {
			for _, o := range []Option{WithDirect(), WithPump()} {
				in := NewInput(readerFunc(c.read), o)
				if _, err := newTask(t.Context()).read(in, make([]byte, 1)); err != c.want && name != "no progress" {
					t.Errorf("error %v, want %v", err, c.want)
				}
			}
		})
	}
}

func TestWriterDirect(t *testing.T) {
	var buf bytes.Buffer
	var sb strings.Builder
	for name, s := range map[string]vfs.Stream{"buffer": Writer(&buf), "builder": Writer(&sb), "tee": Writer(Tee(&buf, &sb))} {
		if n, err := s.Write([]byte("ab")); n != 2 || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if s.Poll(poll.Writable).Ready != poll.Writable {
			t.Errorf("%s: not writable", name)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := s.Write([]byte("ab")); err != wasip1.EBADF {
			t.Errorf("%s: write after close: %v", name, err)
		}
	}
	if buf.String() != "abab" || sb.String() != "abab" {
		t.Errorf("wrote %q, %q", &buf, &sb)
	}
}

func TestWriterPumpBlockedIsCancelled(t *testing.T) {
	leak.Check(t)
	pr, pw := io.Pipe()
	out := NewOutput(pw, WithOwnership(), WithBuffer(8192))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	guest := newTask(ctx)
	done := make(chan error)
	go func() { done <- guest.writeAll(out, make([]byte, 1<<20)) }()
	// It has filled the buffer and waits.
	for out.Pending() < 8192 {
		runtime.Gosched()
	}
	if out.Poll(poll.Writable).Ready != 0 {
		t.Error("writable with a full buffer")
	}
	cancel(why)
	if err := <-done; err != why {
		t.Errorf("cancelled write: %v", err)
	}
	if err := out.Flush(guest); err != why {
		t.Errorf("flush: %v", err)
	}
	// What had been taken is still written, then the writer is closed.
	if err := out.Close(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(pr); len(got) != 8192 || err != nil {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

func TestWriterPumpTellsErrors(t *testing.T) {
	leak.Check(t)
	pr, pw := io.Pipe()
	out := Writer(pw)
	boom := errors.New("boom")
	pr.CloseWithError(boom)
	guest := newTask(t.Context())
	for range 2 {
		if n, err := guest.write(out, []byte("x")); n != 1 || err != nil {
			t.Fatalf("write: %d, %v", n, err)
		}
		if err := Flush(guest, out); err != boom {
			t.Errorf("flush: %v", err)
		}
		if err := Flush(guest, out); err != nil {
			t.Errorf("second flush: %v", err)
		}
	}
	if _, err := out.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := poll.Block(guest, drain{out.(*Output)}, poll.Writable, poll.Wait{}); err != nil {
		t.Fatal(err)
	}
	if s := out.Poll(poll.Writable); s.Ready == 0 || s.Err != boom {
		t.Errorf("state %+v", s)
	}
	if _, err := out.Write([]byte("x")); err != boom {
		t.Errorf("next write: %v", err)
	}
	if err := out.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestWritersKeepOrder(t *testing.T) {
	leak.Check(t)
	var mu sync.Mutex
	var got strings.Builder
	sink := func(name string) io.Writer {
		return writerFunc(func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			got.WriteString(name)
			got.Write(p)
			return len(p), nil
		})
	}
	stdout, stderr := Writers(sink("o"), sink("e"))
	guest := newTask(t.Context())
	var want strings.Builder
	for i := range 20000 {
		s, name := stdout, "o"
		if i%3 == 0 {
			s, name = stderr, "e"
		}
		text := string(rune('a' + i%26))
		if _, err := guest.write(s, []byte(text)); err != nil {
			t.Fatal(err)
		}
		want.WriteString(name + text)
	}
	for _, s := range []vfs.Stream{stdout, stderr} {
		if err := Flush(guest, s); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != want.String() {
		t.Error("written in another order")
	}
}

func TestWritersOfOne(t *testing.T) {
	var b bytes.Buffer
	stdout, stderr := Writers(&b, &b)
	_, _ = stdout.Write([]byte("1"))
	_, _ = stderr.Write([]byte("2"))
	_ = stdout.Close()
	if _, err := stderr.Write([]byte("3")); err != nil {
		t.Errorf("standard error after standard output was closed: %v", err)
	}
	_ = stderr.Close()
	if _, err := stderr.Write([]byte("4")); err != wasip1.EBADF {
		t.Errorf("after both were closed: %v", err)
	}
	if b.String() != "123" {
		t.Errorf("wrote %q", &b)
	}
	_, _ = Writers(writerFunc(nil), writerFunc(nil)) // of a type that cannot be compared
}

func TestWriterSmallWritesAreWhole(t *testing.T) {
	release := make(chan struct{})
	out := NewOutput(writerFunc(func(p []byte) (int, error) { <-release; return len(p), nil }), WithBuffer(4096))
	if n, err := out.Write(make([]byte, 5000)); n != 4096 || err != nil {
		t.Fatalf("long write: %d, %v", n, err)
	}
	if n, err := out.Write([]byte("x")); n != 0 || err != wasip1.EAGAIN {
		t.Errorf("write into a full buffer: %d, %v", n, err)
	}
	close(release)
	guest := newTask(t.Context())
	if err := out.Flush(guest); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRegularFile(t *testing.T) {
	leak.Check(t)
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	out := Writer(f, WithOwnership())
	if n, err := out.Write([]byte("abc")); n != 3 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
	if err := out.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Write(nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("owned file is open after Close: %v", err)
	}
	f, err = os.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	in := Reader(f, WithOwnership())
	if got := newTask(t.Context()).readString(t, in); got != "abc" {
		t.Errorf("read %q", got)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
}

func TestBuffer(t *testing.T) {
	cut := &Buffer{Cap: 3}
	if n, err := cut.Write([]byte("ab")); n != 2 || err != nil {
		t.Error(n, err)
	}
	if n, err := cut.Write([]byte("cd")); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, err := cut.Write([]byte("d")); n != 0 || err != wasip1.ENOSPC {
		t.Error(n, err)
	}
	drop := &Buffer{Cap: 3, Drop: true}
	if n, err := drop.Write([]byte("abcd")); n != 4 || err != nil {
		t.Error(n, err)
	}
	if cut.String() != "abc" || drop.String() != "abc" || drop.Dropped() != 1 || cut.Len() != 3 {
		t.Errorf("%q %q %d", cut, drop, drop.Dropped())
	}
	var b Buffer
	go func() {
		for _, s := range []string{"wel", "come\n", "> "} {
			_, _ = b.Write([]byte(s))
		}
	}()
	if err := b.WaitFor(t.Context(), "me\n> "); err != nil {
		t.Error(err)
	}
	if got := string(b.Take()); got != "welcome\n> " || b.Len() != 0 {
		t.Errorf("took %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.WaitFor(ctx, "x"); err != context.Canceled {
		t.Error(err)
	}
}

func TestLines(t *testing.T) {
	var got []string
	s := Writer(Lines(func(l string) { got = append(got, l) }))
	long := strings.Repeat("x", MaxLine+1)
	for _, p := range []string{"a", "b\nc\r\n\nd", "e\n", "", "\n", long, "\nend"} {
		if n, err := s.Write([]byte(p)); n != len(p) || err != nil {
			t.Errorf("write of %.10q: %d, %v", p, n, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	want := []string{"ab", "c", "", "de", "", long[:MaxLine], "x", "end"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got)\n%s", diff)
	}
	var b bytes.Buffer
	p := Writer(Prefix(&b, "guest: "))
	_, _ = p.Write([]byte("one\ntwo"))
	_ = p.Close()
	if b.String() != "guest: one\nguest: two\n" {
		t.Errorf("prefixed %q", &b)
	}
	b.Reset()
	h := slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	l := Writer(Slog(slog.New(h), slog.LevelWarn, "guest", 7))
	_, _ = l.Write([]byte("trouble ahead\n"))
	if want := "level=WARN msg=\"trouble ahead\" guest=7\n"; b.String() != want {
		t.Errorf("logged %q, want %q", &b, want)
	}
}

func TestSimple(t *testing.T) {
	if s := Reader(nil); s != (Discard{}) {
		t.Errorf("Reader(nil) is %T", s)
	}
	if s := Writer(nil); s != (Discard{}) {
		t.Errorf("Writer(nil) is %T", s)
	}
	if s := Writer(io.Discard); s != (Discard{}) {
		t.Errorf("Writer(io.Discard) is %T", s)
	}
	if _, err := (Discard{}).Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
	var c Closed
	if _, err := c.Read(nil); err != wasip1.EBADF {
		t.Error(err)
	}
	if _, err := c.Write(nil); err != wasip1.EBADF {
		t.Error(err)
	}
	if s := c.Poll(poll.Readable | poll.Writable); s.Ready != poll.Readable|poll.Writable || s.Err != wasip1.EBADF {
		t.Errorf("state %+v", s)
	}
	var b Buffer
	if IsTerminal(&b) || !IsTerminal(Terminal(&b)) || !IsTerminal(Shared(Terminal(&b))) || IsTerminal(NotTerminal(Terminal(&b))) {
		t.Error("Terminal and NotTerminal do not decide what is a terminal")
	}
	in := Reader(strings.NewReader("x"))
	if err := Shared(in).Close(); err != nil {
		t.Error(err)
	}
	if _, err := in.Read(make([]byte, 1)); err != nil {
		t.Errorf("a shared stream was closed by one that used it: %v", err)
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	out := NewOutput(writerFunc(func(p []byte) (int, error) { return len(p), nil }))
	guest := newTask(t.Context())
	p := []byte("hello")
	for range 100 {
		if err := guest.writeAll(out, p); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := guest.write(out, p); err != nil {
			t.Error(err)
		}
	}); n > 1 { // buffers that still grow
		t.Errorf("%v allocations a write", n)
	}
	if err := out.Flush(guest); err != nil {
		t.Error(err)
	}
}

func BenchmarkDiscard(b *testing.B) {
	s := Writer(io.Discard)
	p := []byte("x")
	for b.Loop() {
		if _, err := s.Write(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuffer(b *testing.B) {
	s := Writer(&Buffer{Cap: 1000, Drop: true})
	p := []byte("x")
	for b.Loop() {
		if _, err := s.Write(p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPump(b *testing.B) {
	s := Writer(writerFunc(func(p []byte) (int, error) { return len(p), nil }))
	t := newTask(b.Context())
	p := []byte("x")
	for b.Loop() {
		if _, err := t.write(s, p); err != nil {
			b.Fatal(err)
		}
	}
}

func TestWrappedPipesTellWhoCanHelp(t *testing.T) {
	host := new(int)
	tests := map[string]struct {
		wrap func(vfs.Stream) vfs.Stream
		want poll.Reach
	}{
		"a terminal": {Terminal, poll.ByThreads},
		"shared":     {Shared, poll.ByAnyone},
	}
	for name, tc := range tests {
		r, w := pipe.New(0)
		w.Lend(host)
		s := tc.wrap(r)
		s.(interface{ Lend(to any) }).Lend(host)
		if got := poll.ReachOf(s); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
