package random_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/wasip1"
)

func Example() {
	world := random.Seeded(42)
	guest := world.Stream(1)

	mem := memory.NewView(make([]byte, 64))
	errno := random.RandomGet(guest, mem, 16, 8)
	fmt.Printf("%s %x\n", errno.Name(), mem.Bytes()[16:24])

	// A budget: what does not fit fails whole.
	errno = random.RandomGet(random.Limited(guest, 8), mem, 0, 9)
	fmt.Println(errno.Name())
	// Output:
	// ESUCCESS 1f3c40ffec20e710
	// EDQUOT
}

func read(t *testing.T, src random.Source, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if k, err := src.Read(b); k != n || err != nil {
		t.Fatalf("Read of %d bytes = %d, %v", n, k, err)
	}
	return b
}

func TestSeededIsTheSameHoweverItIsCut(t *testing.T) {
	whole := read(t, random.Seeded(7), 1000)
	src, cut := random.Seeded(7), []byte(nil)
	for n := 1; len(cut) < 1000; n = n*2 + 1 {
		cut = append(cut, read(t, src, min(n, 1000-len(cut)))...)
	}
	if d := cmp.Diff(whole, cut); d != "" {
		t.Error(d)
	}
}

func TestStreamsAreIndependent(t *testing.T) {
	world := random.Seeded(7)
	want := read(t, world.Stream(3), 64)

	read(t, world, 100)
	read(t, world.Stream(4), 100)
	if got := read(t, world.Stream(3), 64); !bytes.Equal(got, want) {
		t.Error("a stream depends on what was read elsewhere")
	}

	seen := map[string]string{}
	add := func(name string, s random.Source) {
		b := string(read(t, s, 16))
		if other, ok := seen[b]; ok {
			t.Errorf("%s and %s give the same bytes", name, other)
		}
		seen[b] = name
	}
	for seed := range uint64(8) {
		add(fmt.Sprint("seed ", seed), random.Seeded(seed))
		for n := range uint64(8) {
			add(fmt.Sprint("seed ", seed, " stream ", n), random.Seeded(seed).Stream(n))
			add(fmt.Sprint("seed ", seed, " stream ", n, ".0"), random.Seeded(seed).Stream(n).Stream(0))
		}
	}
}

func TestCloneGoesOn(t *testing.T) {
	src := random.Seeded(1)
	read(t, src, 13)
	clone := src.Clone()
	if a, b := read(t, src, 100), read(t, clone, 100); !bytes.Equal(a, b) {
		t.Error("the clone gives other bytes")
	}
}

func TestSystemDiffers(t *testing.T) {
	if bytes.Equal(read(t, random.System(), 32), read(t, random.System(), 32)) {
		t.Error("the same 32 bytes twice")
	}
}

func TestScripted(t *testing.T) {
	end := errors.New("end of script")
	src := random.Scripted([]byte("abcdef"), end)
	if got := string(read(t, src, 4)); got != "abcd" {
		t.Errorf("got %q", got)
	}
	if n, err := src.Read(make([]byte, 3)); n != 0 || err != end {
		t.Errorf("past the end: %d, %v", n, err)
	}
	if got := string(read(t, src, 2)); got != "ef" {
		t.Errorf("a failed request took bytes: %q", got)
	}

	again := random.Scripted([]byte("abc"), nil)
	if got := string(read(t, again, 8)) + string(read(t, again, 2)); got != "abcabcabca" {
		t.Errorf("got %q", got)
	}
	if _, err := random.Scripted(nil, nil).Read(make([]byte, 1)); err != io.ErrUnexpectedEOF {
		t.Errorf("empty script: %v", err)
	}
}

func TestLimitedIsExactAmongThreads(t *testing.T) {
	const budget, guests = 10_000, 8
	src := random.Limited(random.Seeded(1), budget)
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		sum int
	)
	for range guests {
		wg.Go(func() {
			got, b := 0, make([]byte, 7)
			for {
				n, err := src.Read(b)
				if err != nil {
					break
				}
				got += n
			}
			mu.Lock()
			defer mu.Unlock()
			sum += got
		})
	}
	wg.Wait()
	if want := budget / 7 * 7; sum != want {
		t.Errorf("%d bytes given, want %d", sum, want)
	}
	if src.Left() != budget%7 {
		t.Errorf("%d bytes left, want %d", src.Left(), budget%7)
	}
	read(t, src, budget%7)
}

func TestLimitedCountsWhatWasGiven(t *testing.T) {
	src := random.Limited(random.Failing(wasip1.EIO), 10)
	if _, err := src.Read(make([]byte, 4)); err != wasip1.EIO {
		t.Error(err)
	}
	if src.Left() != 10 {
		t.Errorf("%d bytes left of 10 after a failure", src.Left())
	}
	_, err := src.Read(make([]byte, 11))
	var limit *random.LimitError
	if !errors.As(err, &limit) || limit.Limit != 10 || !errors.Is(err, wasip1.EDQUOT) {
		t.Errorf("error past the budget: %v", err)
	}
}

func TestRandomGet(t *testing.T) {
	const size = 1 << 16
	abc := func() random.Source { return random.Scripted([]byte("abcdefgh"), io.ErrUnexpectedEOF) }
	for _, tt := range []struct {
		name   string
		src    random.Source
		buf, n uint32
		want   wasip1.Errno
		bytes  string // at buf, afterwards
		writes []memory.Range
	}{
		{"fills", abc(), 100, 3, wasip1.ESUCCESS, "abc", []memory.Range{{Ptr: 100, Len: 3}}},
		{"nothing", random.Failing(io.EOF), 100, 0, wasip1.ESUCCESS, "", nil},
		{"to the end", abc(), size - 3, 3, wasip1.ESUCCESS, "abc", []memory.Range{{Ptr: size - 3, Len: 3}}},
		{"past the end", abc(), size - 3, 4, wasip1.EFAULT, "\x00\x00\x00", nil},
		{"wraps around", abc(), 8, 1<<32 - 1, wasip1.EFAULT, "\x00", nil},
		{"fails", random.Failing(wasip1.ENOSYS), 0, 8, wasip1.ENOSYS, "\x00", nil},
		{"budget", random.Limited(abc(), 2), 0, 3, wasip1.EDQUOT, "\x00\x00\x00", nil},
		{"one by one", iotest.OneByteReader(strings.NewReader("abc")), 0, 3, wasip1.ESUCCESS, "abc", []memory.Range{{Ptr: 0, Len: 3}}},
		{"error with the last", iotest.DataErrReader(strings.NewReader("abc")), 0, 3, wasip1.ESUCCESS, "abc", []memory.Range{{Ptr: 0, Len: 3}}},
		{"short", strings.NewReader("ab"), 0, 3, wasip1.EIO, "ab\x00", []memory.Range{{Ptr: 0, Len: 2}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, log := memory.NewView(make([]byte, size)), new(memory.Log)
			v.SetLog(log)
			if got := random.RandomGet(tt.src, v, tt.buf, tt.n); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if d := cmp.Diff(tt.bytes, string(v.Bytes()[tt.buf:][:len(tt.bytes)])); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.writes, log.Writes); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRandomGetAllocatesNothing(t *testing.T) {
	v := memory.NewView(make([]byte, 1<<16))
	for name, src := range map[string]random.Source{
		"seeded":   random.Seeded(1),
		"limited":  random.Limited(random.Seeded(1), 1<<40),
		"scripted": random.Scripted([]byte("abc"), nil),
	} {
		if n := testing.AllocsPerRun(100, func() { random.RandomGet(src, v, 0, 100) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkRandomGet(b *testing.B) {
	v := memory.NewView(make([]byte, 1<<16))
	for _, src := range []struct {
		name string
		random.Source
	}{{"system", random.System()}, {"seeded", random.Seeded(1)}} {
		for _, n := range []uint32{32, 1 << 16} {
			b.Run(fmt.Sprintf("%s/%d", src.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					random.RandomGet(src.Source, v, 0, n)
				}
			})
		}
	}
}
