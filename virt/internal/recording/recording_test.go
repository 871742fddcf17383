package recording

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/memory"
)

// table has a function of two arguments, thread-spawn, and one that is never recorded.
var table = Table{Widths: []int{2, 1, -1}, Spawn: 1}

var header = Header{Module: sha256.Sum256(nil), Period: 1000, Depth: 2, Turns: true, Resumes: true}

// sample writes an event of every kind.
func sample(e *Writer, mem []byte) {
	e.Export("_start", nil)
	e.Output(0, []byte("hello\n"))
	e.Call(0, []uint64{1, 1 << 40}, &Answer{Reads: []memory.Range{{Ptr: 0, Len: 4}}, Writes: []memory.Range{{Ptr: 8, Len: 2}, {Ptr: 4, Len: 1}}}, mem)
	e.Begin(1, []uint64{7})
	e.Switch(1, 2, 300)
	e.End(1, &Answer{Spawned: 1}, mem)
	e.Function("env", "f")
	e.Hosted(0, []uint64{3})
	e.End(HostedRow, &Answer{Values: []uint64{9}}, mem)
	e.Wrote(16, make([]byte, 3000))
	e.Refused(1 << 33)
	e.Fuel(12)
	e.Returned([]uint64{5})
	e.Output(1, []byte("bye"))
	e.Finish(Ending{Outcome: 6, ExitCode: 3, Budget: "fuel", Text: "ended by a signal"}, 4, 5)
}

func written(t testing.TB, write func(e *Writer)) []byte {
	t.Helper()
	var b bytes.Buffer
	e := NewWriter(&b, nil, header, table, func() int64 { return 1 })
	write(e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read is what a recording says, in words of Go.
type read struct {
	Header  Header
	Ops     []Op
	Answers []Answer
	Printed map[int]string
	Ending  Ending
}

// readAll reads a recording to its end.
func readAll(b []byte) (all read, err error) {
	d, h, err := NewReader(bytes.NewReader(b), table)
	if err != nil {
		return all, err
	}
	all.Header, all.Printed = h, map[int]string{}
	d.OnOutput = func(stream int, p []byte) error { all.Printed[stream] += string(p); return nil }
	var open []int
	for {
		e, err := d.Peek()
		if err != nil {
			return all, err
		}
		d.Take()
		all.Ops = append(all.Ops, e.Op)
		row := -2
		switch {
		case e.Call() && e.Op >= Begin:
			open = append(open, e.Row)
		case e.Op == Hosted:
			open = append(open, HostedRow)
		case e.Call():
			row = e.Row
		case e.Op == End:
			if len(open) == 0 {
				return all, errors.New("nothing is open")
			}
			row, open = open[len(open)-1], open[:len(open)-1]
		case e.Op == Wrote:
			if err := skip(d, e.At.Len); err != nil {
				return all, err
			}
		case e.Op == Finish:
			all.Ending = e.Ending
			return all, errors.Join(d.Err(), d.AtEnd())
		}
		if row < -1 {
			continue
		}
		a, err := d.Answer(row)
		if err != nil {
			return all, err
		}
		for range a.Following {
			r, err := d.Range()
			if err == nil {
				err = skip(d, r.Len)
			}
			if err != nil {
				return all, err
			}
			a.Writes = append(a.Writes, r)
		}
		a.Reads, a.Values, a.Following = append([]memory.Range(nil), a.Reads...), append([]uint64(nil), a.Values...), 0
		all.Answers = append(all.Answers, a)
	}
}

func skip(d *Reader, n uint32) error {
	for n > 0 {
		b, err := d.Window(int(min(n, frameSize)))
		if err != nil {
			return err
		}
		n -= uint32(len(b))
	}
	return nil
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	mem := []byte("0123456789abcdef")
	got, err := readAll(written(t, func(e *Writer) { sample(e, mem) }))
	if err != nil {
		t.Fatal(err)
	}
	sum := Digest(0, mem, memory.Range{Ptr: 0, Len: 4})
	want := read{
		Header: header,
		Ops:    []Op{Export, 0, Begin + 1, Switch, End, Hosted, End, Wrote, Refused, Fuel, Returned, Finish},
		Answers: []Answer{{Reads: []memory.Range{{Ptr: 0, Len: 4}}, Sum: sum, Writes: []memory.Range{{Ptr: 8, Len: 2}, {Ptr: 4, Len: 1}}},
			{Spawned: 1}, {Values: []uint64{9}}},
		Printed: map[int]string{0: "hello\n", 1: "bye"},
		Ending:  Ending{Outcome: 6, ExitCode: 3, Budget: "fuel", Text: "ended by a signal"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

func TestEveryCutAndEveryChangedByteIsSeen(t *testing.T) {
	b := written(t, func(e *Writer) { sample(e, make([]byte, 16)) })
	for at := range b {
		if _, err := readAll(b[:at]); err == nil {
			t.Errorf("cut after %d of %d bytes: no error", at, len(b))
		}
		changed := bytes.Clone(b)
		changed[at] ^= 1
		if _, err := readAll(changed); err == nil {
			if got, _ := readAll(changed); cmp.Equal(got.Header, header) {
				t.Errorf("byte %d changed: no error", at)
			}
		}
	}
}

// lockedBuffer may be looked at while a timer writes to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) Len() int { return len(b.Bytes()) }

func (b *lockedBuffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.b.Bytes())
}

// The recording of a process that is killed lacks at most its last second, also where the guest
// computes.
func TestAFrameIsWrittenWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b lockedBuffer
		e := NewWriter(&b, nil, header, table, func() int64 { return 1 })
		e.Fuel(12)
		before := b.Len()
		time.Sleep(flushAfter)
		synctest.Wait()
		if b.Len() == before {
			t.Error("nothing was written")
		}
		if _, err := readAll(b.Bytes()); !errors.Is(err, ErrCut) {
			t.Errorf("%v, want %v", err, ErrCut)
		}
		e.Fuel(13)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		closed := b.Len()
		time.Sleep(2 * flushAfter)
		synctest.Wait()
		if b.Len() != closed {
			t.Error("the writer was used after Close")
		}
	})
}

// goexit is a writer that ends its goroutine, as one that calls t.Fatal does.
type goexit struct{ panics bool }

func (w goexit) Write([]byte) (int, error) {
	if w.panics {
		panic("a writer's panic")
	}
	return 0, io.ErrClosedPipe
}

func TestAWriterThatFailsIsTold(t *testing.T) {
	for _, w := range []goexit{{false}, {true}} {
		e := NewWriter(w, nil, header, table, func() int64 { return 1 })
		e.Fuel(12)
		if err := e.Close(); err == nil {
			t.Errorf("%+v: no error", w)
		}
	}
}

func TestUnionIsNoLargerThanTheMemory(t *testing.T) {
	r := func(ptr, n uint32) memory.Range { return memory.Range{Ptr: ptr, Len: n} }
	overlapping := make([]memory.Range, 1000)
	for i := range overlapping {
		overlapping[i] = r(400_000, 500_000)
	}
	var many []memory.Range
	for i := range uint32(100_000) {
		many = append(many, r(4_000_000-40*i, 1))
	}
	for _, tc := range []struct {
		name     string
		in, want []memory.Range
	}{
		{"none", nil, nil},
		{"apart, in their order", []memory.Range{r(8, 2), r(0, 4)}, []memory.Range{r(8, 2), r(0, 4)}},
		{"overlapping", []memory.Range{r(8, 8), r(0, 4), r(10, 2), r(2, 6)}, []memory.Range{r(0, 16)}},
		{"the same again and again", overlapping, []memory.Range{r(400_000, 500_000)}},
		{"all of it", []memory.Range{r(0, 1<<32-1), r(1<<32-2, 1)}, []memory.Range{r(0, 1<<32-1)}},
		{"too many", many, []memory.Range{r(40, 3_999_961)}},
	} {
		if diff := cmp.Diff(tc.want, Union(tc.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// FuzzReader reads anything, framed with checksums that are right: the answer is an error or the
// end, and it costs no more than the input is worth.
func FuzzReader(f *testing.F) {
	b := written(f, func(e *Writer) { sample(e, make([]byte, 16)) })
	f.Add(b)
	f.Add(Unframed(b))
	f.Fuzz(func(t *testing.T, in []byte) {
		_, _ = readAll(in)
		_, _ = readAll(Framed(in, b))
	})
}
