package memory

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/wasip1"
)

func TestStringsAndPaths(t *testing.T) {
	const size = 3 * MaxPath
	for _, tt := range []struct {
		name   string
		bytes  string
		ptr, n uint32
		str    wasip1.Errno
		path   wasip1.Errno
	}{
		{"plain", "a/b.txt", 8, 7, 0, 0},
		{"empty", "", 8, 0, 0, 0},
		{"empty at the end", "", size, 0, 0, 0},
		{"empty behind the end", "", size + 1, 0, wasip1.EFAULT, wasip1.EFAULT},
		{"UTF-8", "größe/\u4e16", 8, 11, 0, 0},
		{"NUL within", "a\x00b", 8, 3, wasip1.EINVAL, wasip1.EINVAL},
		{"NUL at the end", "ab\x00", 8, 3, wasip1.EINVAL, wasip1.EINVAL},
		{"not UTF-8", "a\xffb", 8, 3, wasip1.EILSEQ, wasip1.EILSEQ},
		{"cut UTF-8", "a\xc3", 8, 2, wasip1.EILSEQ, wasip1.EILSEQ},
		{"surrogate", "\xed\xa0\x80", 8, 3, wasip1.EILSEQ, wasip1.EILSEQ},
		{"longest path", strings.Repeat("x", MaxPath), 8, MaxPath, 0, 0},
		{"longer", strings.Repeat("x", MaxPath+1), 8, MaxPath + 1, 0, wasip1.ENAMETOOLONG},
		{"past the end", "", size - 3, 4, wasip1.EFAULT, wasip1.EFAULT},
		{"length of 4 GiB", "", 8, 1<<32 - 1, wasip1.EFAULT, wasip1.EFAULT},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := NewView(make([]byte, size))
			if tt.ptr < size {
				copy(v.Bytes()[tt.ptr:], tt.bytes)
			}
			s, errno := v.String(tt.ptr, tt.n)
			if errno != tt.str || errno == 0 && s != tt.bytes || errno != 0 && s != "" {
				t.Errorf("String: %.20q, %v, want %v", s, errno, tt.str)
			}
			s, errno = v.Path(tt.ptr, tt.n, new(Scratch))
			if errno != tt.path || errno == 0 && s != tt.bytes || errno != 0 && s != "" {
				t.Errorf("Path: %.20q, %v, want %v", s, errno, tt.path)
			}
		})
	}
}

func TestTwoPathsLiveSideBySide(t *testing.T) {
	v, s := NewView([]byte("from/ato/b")), new(Scratch)
	from, _ := v.Path(0, 6, s)
	to, _ := v.Path(6, 4, s)
	clear(v.Bytes()) // what another thread may do
	if from != "from/a" || to != "to/b" {
		t.Errorf("%q, %q", from, to)
	}
}

// viewOfIovecs has the list at 0 and 256 bytes in all.
func viewOfIovecs(list ...wasip1.Iovec) *View {
	v := NewView(make([]byte, testSize))
	for i, iov := range list {
		iov.Encode(v.Bytes()[i*wasip1.SizeIovec:])
	}
	return v
}

func TestIovecs(t *testing.T) {
	iov := func(buf, n uint32) wasip1.Iovec { return wasip1.Iovec{Buf: buf, Len: n} }
	list := func(l ...wasip1.Iovec) []wasip1.Iovec { return l }
	for _, tt := range []struct {
		name       string
		list       []wasip1.Iovec
		ptr, count uint32
		want       wasip1.Errno
		lens       []int
	}{
		{"none", nil, 0, 0, 0, []int{}},
		{"one", list(iov(100, 5)), 0, 1, 0, []int{5}},
		{"several", list(iov(100, 5), iov(200, 0), iov(110, 7)), 0, 3, 0, []int{5, 0, 7}},
		{"to the end", list(iov(testSize-5, 5)), 0, 1, 0, []int{5}},
		{"past the end", list(iov(testSize-5, 6)), 0, 1, wasip1.EFAULT, nil},
		{"the second past the end", list(iov(0, 1), iov(testSize, 1)), 0, 2, wasip1.EFAULT, nil},
		{"wraps around", list(iov(16, 1<<32-8)), 0, 1, wasip1.EFAULT, nil},
		{"empty and wild", list(iov(0xaaaaaaaa, 0), iov(1<<32-1, 0)), 0, 2, 0, []int{0, 0}},
		{"overlapping", list(iov(0, 200), iov(0, 200)), 0, 2, 0, []int{200, 200}},
		{"array past the end", nil, testSize - 8, 2, wasip1.EFAULT, nil},
		{"array behind the end", nil, testSize + 1, 0, wasip1.EFAULT, nil},
		{"array wraps around", nil, 1<<32 - 8, 2, wasip1.EFAULT, nil},
		{"too many", nil, 0, MaxIovecs + 1, wasip1.EINVAL, nil},
		{"far too many", nil, 0, 1 << 29, wasip1.EINVAL, nil}, // times 8 is 0 in 32 bits
		{"far too many", nil, 0, 1<<32 - 1, wasip1.EINVAL, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := viewOfIovecs(tt.list...)
			l, errno := v.Iovecs(tt.ptr, tt.count, new(Scratch), true)
			if errno != tt.want {
				t.Fatalf("got %v, want %v", errno, tt.want)
			}
			total := uint64(0)
			for i, b := range l.Bufs {
				total += uint64(len(b))
				if len(b) != tt.lens[i] || cap(b) != len(b) {
					t.Errorf("buffer %d has %d bytes with room for %d", i, len(b), cap(b))
				}
			}
			if len(l.Bufs) != len(tt.lens) || l.Total() != total {
				t.Errorf("%d buffers of %d bytes in all, want %d of %d", len(l.Bufs), l.Total(), len(tt.lens), total)
			}
		})
	}
}

func TestIovecTotalIsCapped(t *testing.T) {
	// Every buffer may be the same part of memory: a small guest asks for much.
	const each = 1 << 21
	v := NewView(make([]byte, each+MaxIovecs*wasip1.SizeIovec))
	for i := range uint32(MaxIovecs) {
		wasip1.Iovec{Buf: 0, Len: each}.Encode(v.Bytes()[each+i*wasip1.SizeIovec:])
	}
	s := new(Scratch)
	if l, errno := v.Iovecs(each, MaxIovecs, s, true); errno != wasip1.EINVAL || l.Total() != 0 {
		t.Errorf("%d bytes: %v", l.Total(), errno)
	}
	if l, errno := v.Iovecs(each, MaxIovecs-1, s, true); errno != 0 || l.Total() != (MaxIovecs-1)*each {
		t.Errorf("%d bytes: %v", l.Total(), errno)
	}
}

func TestIovecsNoteWhatWasUsed(t *testing.T) {
	list := []wasip1.Iovec{{Buf: 100, Len: 5}, {Buf: 0xaaaaaaaa, Len: 0}, {Buf: 200, Len: 7}}
	array := Range{0, 24}
	for _, tt := range []struct {
		name string
		w    bool
		use  func(l *IovecList)
		want Log
	}{
		{"written", true, func(l *IovecList) { l.Note(7) }, Log{[]Range{array}, []Range{{100, 5}, {200, 2}}}},
		{"written in the first", true, func(l *IovecList) { l.Note(3) }, Log{[]Range{array}, []Range{{100, 3}}}},
		{"written more than there is", true, func(l *IovecList) { l.Wrote(99) }, Log{[]Range{array}, []Range{{100, 5}, {200, 7}}}},
		{"read", false, func(l *IovecList) { l.Note(12) }, Log{[]Range{array, {100, 5}, {200, 7}}, nil}},
		{"said aloud", true, func(l *IovecList) { l.DidRead(1) }, Log{[]Range{array, {100, 1}}, nil}},
		{"nothing", true, func(l *IovecList) { l.Note(0) }, Log{[]Range{array}, nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, log, s := viewOfIovecs(list...), new(Log), new(Scratch)
			v.SetLog(log)
			l, errno := v.Iovecs(0, 3, s, tt.w)
			if errno != 0 {
				t.Fatal(errno)
			}
			tt.use(&l)
			if d := cmp.Diff(tt.want, *log); d != "" {
				t.Error(d)
			}

			// Without a log again: nothing more is noted.
			v.SetLog(nil)
			l, _ = v.Iovecs(0, 3, s, tt.w)
			l.Note(12)
			if d := cmp.Diff(tt.want, *log); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReleaseForgetsMemory(t *testing.T) {
	v, s := viewOfIovecs(wasip1.Iovec{Buf: 0, Len: 8}), new(Scratch)
	l, _ := v.Iovecs(0, 1, s, true)
	s.Release()
	if l.Bufs[0] != nil {
		t.Error("still refers to guest memory")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x10\x00\x00\x00\x04\x00\x00\x00path"), uint32(0), uint32(1), false)
	f.Add([]byte("a\x00b\xff"), uint32(1), uint32(3), true)
	f.Add([]byte{}, uint32(1<<32-1), uint32(1<<32-1), true)
	f.Fuzz(func(t *testing.T, mem []byte, ptr, n uint32, logged bool) {
		v, s := NewView(mem), new(Scratch)
		if logged {
			v.SetLog(new(Log))
		}
		in := uint64(ptr)+uint64(n) <= uint64(len(mem))
		path, errno := v.Path(ptr, n, s)
		switch {
		case !in && errno != wasip1.EFAULT, in && errno == wasip1.EFAULT:
			t.Fatalf("Path: %v", errno)
		case errno == 0 && (path != string(mem[ptr:][:n]) || !utf8.ValidString(path) || strings.Contains(path, "\x00")):
			t.Fatalf("Path: %q", path)
		}
		l, errno := v.Iovecs(ptr, n, s, true)
		if errno == 0 {
			total := uint64(0)
			for _, b := range l.Bufs {
				total += uint64(len(b))
				for i := range b {
					b[i]++ // must lie in mem: a stray write would crash or be seen by -race
				}
			}
			if total != l.Total() || len(l.Bufs) != int(n) {
				t.Fatalf("%d buffers of %d bytes, said %d", len(l.Bufs), total, l.Total())
			}
			l.Note(total / 2)
		}
		if log := v.Log(); log != nil {
			for _, r := range append(log.Reads, log.Writes...) {
				if uint64(r.Ptr)+uint64(r.Len) > uint64(len(mem)) || r.Len == 0 {
					t.Fatalf("noted %+v of %d bytes", r, len(mem))
				}
			}
		}
	})
}
