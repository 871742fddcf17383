package pipe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync"
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
	_ vfs.Stream         = (*Reader)(nil)
	_ vfs.Stream         = (*Writer)(nil)
	_ io.ReadWriteCloser = (*Host)(nil)
)

func TestSemantics(t *testing.T) {
	type result struct {
		N   int
		Err error
	}
	r, w := New(2 * Buf)
	read := func(n int) result { k, err := r.Read(make([]byte, n)); return result{k, err} }
	write := func(n int) result { k, err := w.Write(make([]byte, n)); return result{k, err} }
	for i, step := range []struct {
		do       func(int) result
		n        int
		want     result
		bytes    uint64 // to be read afterwards
		writable bool
	}{
		{read, 1, result{0, wasip1.EAGAIN}, 0, true},
		{read, 0, result{0, nil}, 0, true},
		{write, 0, result{0, nil}, 0, true},
		{write, Buf, result{Buf, nil}, Buf, true},
		{write, 1, result{1, nil}, Buf + 1, false},
		{write, Buf, result{0, wasip1.EAGAIN}, Buf + 1, false},     // whole or not at all
		{write, Buf + 1, result{Buf - 1, nil}, 2 * Buf, false},     // longer ones in part
		{write, Buf + 1, result{0, wasip1.EAGAIN}, 2 * Buf, false}, // full
		{read, 3 * Buf, result{2 * Buf, nil}, 0, true},             // all there is
		{write, 3 * Buf, result{2 * Buf, nil}, 2 * Buf, false},     // all that fits
		{read, Buf - 1, result{Buf - 1, nil}, Buf + 1, false},      // not enough for a write of Buf
		{read, 1, result{1, nil}, Buf, true},                       // enough
	} {
		if got := step.do(step.n); got != step.want {
			t.Fatalf("step %d: %+v, want %+v", i, got, step.want)
		}
		want := poll.State{Bytes: step.bytes}
		if step.bytes > 0 {
			want.Ready = poll.Readable
		}
		if diff := cmp.Diff(want, r.Poll(poll.Readable)); diff != "" {
			t.Errorf("step %d: reader's state (-want +got)\n%s", i, diff)
		}
		if got := w.Poll(poll.Writable).Ready != 0; got != step.writable {
			t.Errorf("step %d: writable %t", i, got)
		}
	}
}

func TestEnds(t *testing.T) {
	r, w := New(0)
	w2, err := w.Another()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w2.Write([]byte("x"))
	for range 2 { // the second time does nothing
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if s := r.Poll(poll.Readable); s.Hangup {
		t.Error("hung up while there is another writer")
	}
	_ = w2.Close()
	if diff := cmp.Diff(poll.State{Ready: poll.Readable, Bytes: 1, Hangup: true}, r.Poll(poll.Readable)); diff != "" {
		t.Errorf("state (-want +got)\n%s", diff)
	}
	p := make([]byte, 2)
	if n, err := r.Read(p); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, err := r.Read(p); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
	if _, err := w.Another(); err != wasip1.EBADF {
		t.Error(err)
	}

	r, w = New(0)
	r2, err := r.Another()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	if _, err := w.Write(p); err != nil {
		t.Error(err)
	}
	_ = r2.Close()
	if _, err := w.Write(p); err != wasip1.EPIPE {
		t.Error(err)
	}
	if s := w.Poll(poll.Writable); s.Ready == 0 || !s.Hangup || s.Err != wasip1.EPIPE {
		t.Errorf("state %+v", s)
	}
	_ = w.Close()
	for _, s := range []vfs.Stream{r, w} {
		if _, err := s.Read(p); err != wasip1.EBADF {
			t.Error(err)
		}
		if _, err := s.Write(p); err != wasip1.EBADF {
			t.Error(err)
		}
		for _, e := range []poll.Events{poll.Readable, poll.Writable} {
			if s := s.Poll(e); s.Ready != e || s.Err != wasip1.EBADF {
				t.Errorf("state %+v", s)
			}
		}
	}
}

// TestModel does random operations on a pipe and on a slice.
func TestModel(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		capacity := Buf + rnd.IntN(3*Buf)
		r, w := New(capacity)
		var model []byte
		next := byte(0)
		for step := range 2000 {
			n := rnd.IntN(2 * Buf)
			if rnd.IntN(2) == 0 {
				n = rnd.IntN(100)
			}
			p := make([]byte, n)
			if rnd.IntN(2) == 0 {
				for i := range p {
					p[i] = next + byte(i)
				}
				free := capacity - len(model)
				want, wantErr := min(n, free), error(nil)
				if n > 0 && (free == 0 || n <= Buf && n > free) {
					want, wantErr = 0, wasip1.EAGAIN
				}
				got, err := w.Write(p)
				if got != want || err != wantErr {
					t.Fatalf("seed %d step %d: write of %d into %d of %d: %d, %v", seed, step, n, len(model), capacity, got, err)
				}
				model = append(model, p[:got]...)
				next += byte(got)
			} else {
				want, wantErr := min(n, len(model)), error(nil)
				if n > 0 && want == 0 {
					wantErr = wasip1.EAGAIN
				}
				got, err := r.Read(p)
				if got != want || err != wantErr || !bytes.Equal(p[:got], model[:got]) {
					t.Fatalf("seed %d step %d: read of %d out of %d: %d, %v", seed, step, n, len(model), got, err)
				}
				model = model[got:]
			}
			if s := r.Poll(poll.Readable); s.Bytes != uint64(len(model)) || (s.Ready != 0) != (len(model) > 0) {
				t.Fatalf("seed %d step %d: state %+v with %d bytes", seed, step, s, len(model))
			}
			if s := w.Poll(poll.Writable); (s.Ready != 0) != (capacity-len(model) >= Buf) {
				t.Fatalf("seed %d step %d: state %+v with %d bytes", seed, step, s, len(model))
			}
		}
	}
}

// block does what fd_read and fd_write do.
func block(t poll.Task, s vfs.Stream, e poll.Events, f func([]byte) (int, error), p []byte) (int, error) {
	for {
		n, err := f(p)
		if err != wasip1.EAGAIN {
			return n, err
		}
		if _, err := poll.Block(t, s, e, poll.Wait{Deadline: poll.NoDeadline}); err != nil {
			return 0, err
		}
	}
}

func TestPipelineOfFour(t *testing.T) {
	leak.Check(t)
	size := 64 << 20
	if testing.Short() {
		size = 1 << 20
	}
	var wg sync.WaitGroup
	in, first := New(0)
	wg.Go(func() {
		defer first.Close()
		task, p := poll.NewTask(t.Context()), make([]byte, 32<<10)
		for i := range p {
			p[i] = byte(i)
		}
		for left := size; left > 0; {
			n, err := block(task, first, poll.Writable, first.Write, p[:min(left, len(p))])
			if err != nil {
				t.Error(err)
				return
			}
			left -= n
		}
	})
	for range 2 {
		r, w := New(0)
		src := in
		wg.Go(func() {
			defer w.Close()
			defer src.Close()
			task, p := poll.NewTask(t.Context()), make([]byte, 20000)
			for {
				n, err := block(task, src, poll.Readable, src.Read, p)
				if err == io.EOF {
					return
				}
				for rest := p[:n]; len(rest) > 0 && err == nil; {
					n, err = block(task, w, poll.Writable, w.Write, rest)
					rest = rest[n:]
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		in = r
	}
	h := NewHost(t.Context(), in, nil)
	got, err := io.Copy(io.Discard, h)
	if got != int64(size) || err != nil {
		t.Errorf("copied %d bytes, %v", got, err)
	}
	wg.Wait()
	_ = h.Close()
}

func TestCancel(t *testing.T) {
	leak.Check(t)
	why := errors.New("why")
	for name, wait := range map[string]func(context.Context) error{
		"guest reads": func(ctx context.Context) error {
			r, _ := New(0)
			_, err := block(poll.NewTask(ctx), r, poll.Readable, r.Read, make([]byte, 1))
			return err
		},
		"guest writes": func(ctx context.Context) error {
			_, w := New(0)
			_, _ = w.Write(make([]byte, DefaultCapacity))
			_, err := block(poll.NewTask(ctx), w, poll.Writable, w.Write, make([]byte, 1))
			return err
		},
		"host reads": func(ctx context.Context) error {
			r, _ := New(0)
			_, err := NewHost(ctx, r, nil).Read(make([]byte, 1))
			return err
		},
		"host writes": func(ctx context.Context) error {
			_, w := New(0)
			n, err := NewHost(ctx, w, clock.NewVirtual(clock.WithAutoAdvance())).Write(make([]byte, 1<<20))
			if n != DefaultCapacity {
				t.Errorf("wrote %d", n)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan error)
			go func() { done <- wait(ctx) }()
			cancel(why)
			if err := <-done; err != why {
				t.Error(err)
			}
		})
	}
}

func TestHostCloseEndsCalls(t *testing.T) {
	leak.Check(t)
	r, _ := New(0)
	h := NewHost(t.Context(), r, nil)
	done := make(chan error)
	go func() { _, err := h.Read(make([]byte, 1)); done <- err }()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}

func TestHostDeadline(t *testing.T) {
	leak.Check(t)
	v := clock.NewVirtual(clock.WithAutoAdvance())
	r, _ := New(0)
	h := NewHost(t.Context(), r, v)
	p := make([]byte, 1)
	v.Hold()
	start := v.Now()
	_ = h.SetDeadline(start.Add(time.Hour))
	v.Release()
	if v.Now() != start {
		t.Error("time went to a deadline that nobody waited for")
	}
	if _, err := h.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if got := v.Now().Sub(start); got != time.Hour {
		t.Errorf("%v passed", got)
	}
	_ = h.SetReadDeadline(time.Time{})
	done := make(chan error)
	go func() { _, err := h.Read(p); done <- err }()
	_ = h.SetReadDeadline(time.Unix(1, 0))
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if v.Holds() != 0 {
		t.Errorf("%d holds are left", v.Holds())
	}
	// Far beyond what an int64 of nanoseconds can say.
	_ = h.SetReadDeadline(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	go func() { _, err := h.Read(p); done <- err }()
	_ = h.Close()
	if err := <-done; !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}

// TestHostWriteHoldsTime: a guest waits for input or an hour, whichever is first. The host writes
// before the hour is over, and the guest gets it before time goes on.
func TestHostWriteHoldsTime(t *testing.T) {
	leak.Check(t)
	v := clock.NewVirtual(clock.WithAutoAdvance())
	r, w := New(0)
	h := NewHost(t.Context(), w, v)
	v.Hold() // in the guest's name, which runs
	v.Hold() // until this code has written
	start := v.Monotonic()
	got := make(chan int64)
	go func() {
		defer v.Release()
		task := poll.NewHoldingTask(t.Context(), v)
		waiter := poll.Waiter{Waker: task}
		r.Subscribe(&waiter)
		defer r.Unsubscribe(&waiter)
		for r.Poll(poll.Readable).Ready == 0 && v.Monotonic() < start+int64(time.Hour) {
			if err := task.Park(poll.Wait{Clock: v, Deadline: start + int64(time.Hour)}); err != nil {
				t.Error(err)
			}
		}
		got <- v.Monotonic() - start
	}()
	if _, err := h.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	v.Release()
	if d := <-got; d != 0 {
		t.Errorf("the guest got it after %v", time.Duration(d))
	}
	_ = h.Close()
}

func TestNoAllocations(t *testing.T) {
	r, w := New(0)
	p := make([]byte, 10000)
	if n := testing.AllocsPerRun(1000, func() {
		_, _ = w.Write(p)
		_, _ = r.Read(p)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPipe(b *testing.B) {
	r, w := New(0)
	p := make([]byte, 32<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = w.Write(p)
		_, _ = r.Read(p)
	}
}

// BenchmarkFourStages moves 1 MiB through four threads and three pipes.
func BenchmarkFourStages(b *testing.B) {
	const size = 32 << 10
	var in *Host
	var out *Host
	for i := range 3 {
		r, w := New(0)
		hr, hw := NewHost(b.Context(), r, nil), NewHost(b.Context(), w, nil)
		if i == 0 {
			out = hw
		} else {
			src := in
			go func() {
				_, _ = io.CopyBuffer(struct{ io.Writer }{hw}, struct{ io.Reader }{src}, make([]byte, size))
				_ = hw.Close()
			}()
		}
		in = hr
	}
	p := make([]byte, size)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, size)
		for {
			if _, err := in.Read(buf); err != nil {
				return
			}
		}
	}()
	for b.Loop() {
		for range 1 << 20 / size {
			_, _ = out.Write(p)
		}
	}
	_ = out.Close()
	<-done
}
