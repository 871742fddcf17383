package vfs_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

func TestPositions(t *testing.T) {
	g := newGuest(t, newNS(t))
	fd := g.mustOpen("f", wasip1.OCreat, rw)
	c := &g.Caller
	g.write(fd, "0123456789")
	for _, tt := range []struct {
		delta  int64
		whence wasip1.Whence
		want   wasip1.Errno
		at     uint64
	}{
		{0, wasip1.WhenceCur, 0, 10},
		{-4, wasip1.WhenceCur, 0, 6},
		{2, wasip1.WhenceSet, 0, 2},
		{-1, wasip1.WhenceEnd, 0, 9},
		{5, wasip1.WhenceEnd, 0, 15},
		{-16, wasip1.WhenceCur, wasip1.EINVAL, 15},
		{-1, wasip1.WhenceSet, wasip1.EINVAL, 15},
		{math.MinInt64, wasip1.WhenceEnd, wasip1.EINVAL, 15},
		{math.MaxInt64, wasip1.WhenceCur, wasip1.EOVERFLOW, 15},
		{math.MaxInt64, wasip1.WhenceSet, 0, math.MaxInt64},
		{0, 3, wasip1.EINVAL, math.MaxInt64},
	} {
		e := vfs.FdSeek(c, fd, uint64(tt.delta), uint32(tt.whence), resultAt)
		expectErrno(t, "fd_seek", e, tt.want)
		expectErrno(t, "fd_tell", vfs.FdTell(c, fd, resultAt), 0)
		if g.u64() != tt.at {
			t.Errorf("fd_seek(%d, %v) leads to %d, want %d", tt.delta, tt.whence, g.u64(), tt.at)
		}
	}
	_, e := g.write(fd, "beyond")
	expectErrno(t, "fd_write beyond all offsets", e, wasip1.EFBIG)
}

func TestReadWrite(t *testing.T) {
	g := newGuest(t, newNS(t))
	c := &g.Caller
	fd := g.mustOpen("f", wasip1.OCreat, rw)
	copy(g.mem[bufAt:], "aabbcc")
	iovs, n := g.iovs(3, 2)
	expectErrno(t, "fd_write of three", vfs.FdWrite(c, fd, iovs, n, resultAt), 0)
	expectErrno(t, "fd_pwrite", vfs.FdPwrite(c, fd, iovs, 1, 4, resultAt), 0)
	vfs.FdSeek(c, fd, 1, 0, resultAt)
	clear(g.mem[bufAt : bufAt+16])
	expectErrno(t, "fd_read into three", vfs.FdRead(c, fd, iovs, n, resultAt), 0)
	if got := string(g.mem[bufAt : bufAt+g.u32()]); got != "abbaa" {
		t.Errorf("read %q", got)
	}
	if s, e := g.read(fd, 5); s != "" || e != 0 {
		t.Errorf("at the end: %q, %v", s, e)
	}
	iovs, _ = g.iovs(1, 2)
	expectErrno(t, "fd_pread", vfs.FdPread(c, fd, iovs, 1, 2, resultAt), 0)
	if got := string(g.mem[bufAt : bufAt+g.u32()]); got != "bb" {
		t.Errorf("pread %q", got)
	}
	expectErrno(t, "fd_pread far behind", vfs.FdPread(c, fd, iovs, 1, math.MaxInt64, resultAt), 0)
	expectErrno(t, "fd_pread, negative", vfs.FdPread(c, fd, iovs, 1, 1<<63, resultAt), wasip1.EINVAL)
	expectErrno(t, "fd_pwrite, negative", vfs.FdPwrite(c, fd, iovs, 1, 1<<63, resultAt), wasip1.EINVAL)
	expectErrno(t, "fd_pwrite beyond all", vfs.FdPwrite(c, fd, iovs, 1, math.MaxInt64, resultAt), wasip1.EFBIG)
	expectErrno(t, "fd_write of nothing", vfs.FdWrite(c, fd, iovs, 0, resultAt), 0)
	if g.u32() != 0 {
		t.Errorf("wrote %d bytes of nothing", g.u32())
	}
}

func TestAppend(t *testing.T) {
	g := newGuest(t, newNS(t))
	c := &g.Caller
	fd, _ := g.openAt(root, "f", 0, wasip1.OCreat, rw, wasip1.FdAppend)
	other := g.mustOpen("f", 0, rw)
	g.write(fd, "aa")
	g.write(other, "b")
	vfs.FdSeek(c, fd, 0, 0, resultAt)
	g.write(fd, "cc")
	vfs.FdTell(c, fd, resultAt)
	if g.u64() != 4 {
		t.Errorf("after an append the position is %d", g.u64())
	}
	expectErrno(t, "set_flags", vfs.FdFdstatSetFlags(c, fd, 0), 0)
	vfs.FdSeek(c, fd, 1, 0, resultAt)
	g.write(fd, "d")
	if b, _ := io.ReadAll(io.NewSectionReader(g.Table.Get(fd), 0, 100)); string(b) != "bdcc" {
		t.Errorf("content is %q", b)
	}
	expectErrno(t, "no such flag", vfs.FdFdstatSetFlags(c, fd, 1<<5), wasip1.EINVAL)
}

func TestSizes(t *testing.T) {
	g := newGuest(t, newNS(t))
	c := &g.Caller
	fd := g.mustOpen("f", wasip1.OCreat, rw)
	size := func(want uint64) {
		t.Helper()
		expectErrno(t, "fd_filestat_get", vfs.FdFilestatGet(c, fd, resultAt), 0)
		if s := wasip1.DecodeFilestat(g.mem[resultAt:]); s.Size != want {
			t.Errorf("size is %d, want %d", s.Size, want)
		}
	}
	expectErrno(t, "allocate", vfs.FdAllocate(c, fd, 90, 20), 0)
	size(110)
	expectErrno(t, "allocate less", vfs.FdAllocate(c, fd, 10, 10), 0)
	size(110)
	expectErrno(t, "allocate nothing", vfs.FdAllocate(c, fd, 10, 0), wasip1.EINVAL)
	expectErrno(t, "allocate too much", vfs.FdAllocate(c, fd, 1, math.MaxInt64), wasip1.EFBIG)
	expectErrno(t, "set_size", vfs.FdFilestatSetSize(c, fd, 3), 0)
	size(3)
	expectErrno(t, "set_size too large", vfs.FdFilestatSetSize(c, fd, 1<<63), wasip1.EFBIG)
	expectErrno(t, "advise", vfs.FdAdvise(c, fd, 0, 0, uint32(wasip1.AdviceNoreuse)), 0)
	expectErrno(t, "no such advice", vfs.FdAdvise(c, fd, 0, 0, 6), wasip1.EINVAL)
	expectErrno(t, "no such advice", vfs.FdAdvise(c, fd, 0, 0, 256), wasip1.EINVAL)
	expectErrno(t, "advise too far", vfs.FdAdvise(c, fd, 1, math.MaxInt64, 0), wasip1.EINVAL)
	expectErrno(t, "sync", vfs.FdSync(c, fd), 0)
	expectErrno(t, "datasync", vfs.FdDatasync(c, fd), 0)
	size(3)
}

// What a directory and a stream answer to what only files can do, and what a file answers without
// the right.
func TestWrongKind(t *testing.T) {
	g := newGuest(t, newNS(t))
	c := &g.Caller
	stream := g.insert(vfs.NewStream("s", discard{}, vfs.OpenWrite))
	bare := g.mustOpen("f", wasip1.OCreat, 0)
	iovs, n := g.iovs(1, 1)
	const isdir, spipe, cap = wasip1.EISDIR, wasip1.ESPIPE, wasip1.ENOTCAPABLE
	for _, tt := range []struct {
		name              string
		do                func(fd uint32) wasip1.Errno
		dir, stream, bare wasip1.Errno
	}{
		{"fd_advise", func(fd uint32) wasip1.Errno { return vfs.FdAdvise(c, fd, 0, 0, 0) }, 0, spipe, cap},
		{"fd_allocate", func(fd uint32) wasip1.Errno { return vfs.FdAllocate(c, fd, 0, 1) }, isdir, spipe, cap},
		{"fd_datasync", func(fd uint32) wasip1.Errno { return vfs.FdDatasync(c, fd) }, cap, wasip1.EINVAL, cap},
		{"fd_fdstat_get", func(fd uint32) wasip1.Errno { return vfs.FdFdstatGet(c, fd, resultAt) }, 0, 0, 0},
		{"fd_fdstat_set_flags", func(fd uint32) wasip1.Errno { return vfs.FdFdstatSetFlags(c, fd, 0) }, 0, 0, cap},
		{"fd_fdstat_set_rights", func(fd uint32) wasip1.Errno {
			base, inherit := g.Table.Get(fd).Rights()
			return vfs.FdFdstatSetRights(c, fd, uint64(base), uint64(inherit))
		}, 0, 0, 0},
		{"fd_filestat_get", func(fd uint32) wasip1.Errno { return vfs.FdFilestatGet(c, fd, resultAt) }, 0, 0, cap},
		{"fd_filestat_set_size", func(fd uint32) wasip1.Errno { return vfs.FdFilestatSetSize(c, fd, 0) }, isdir, wasip1.EINVAL, cap},
		{"fd_filestat_set_times", func(fd uint32) wasip1.Errno { return vfs.FdFilestatSetTimes(c, fd, 0, 0, 0) }, 0, cap, cap},
		{"fd_pread", func(fd uint32) wasip1.Errno { return vfs.FdPread(c, fd, iovs, n, 0, resultAt) }, isdir, spipe, cap},
		{"fd_pwrite", func(fd uint32) wasip1.Errno { return vfs.FdPwrite(c, fd, iovs, n, 0, resultAt) }, isdir, spipe, cap},
		{"fd_read", func(fd uint32) wasip1.Errno { return vfs.FdRead(c, fd, iovs, n, resultAt) }, isdir, cap, cap},
		{"fd_readdir", func(fd uint32) wasip1.Errno { return vfs.FdReaddir(c, fd, bufAt, 10, 0, resultAt) }, 0, wasip1.EBADF, wasip1.EBADF},
		{"fd_seek", func(fd uint32) wasip1.Errno { return vfs.FdSeek(c, fd, 0, 0, resultAt) }, isdir, spipe, cap},
		{"fd_sync", func(fd uint32) wasip1.Errno { return vfs.FdSync(c, fd) }, 0, wasip1.EINVAL, cap},
		{"fd_tell", func(fd uint32) wasip1.Errno { return vfs.FdTell(c, fd, resultAt) }, isdir, spipe, cap},
		{"fd_write", func(fd uint32) wasip1.Errno { return vfs.FdWrite(c, fd, iovs, n, resultAt) }, isdir, 0, cap},
		{"path_open", func(fd uint32) wasip1.Errno { _, e := g.openAt(fd, "x", 0, 0, 0, 0); return e }, wasip1.ENOENT, wasip1.ENOTDIR, wasip1.ENOTDIR},
		{"sock_accept", func(fd uint32) wasip1.Errno { return vfs.SockAccept(c, fd, 0, resultAt) }, wasip1.EBADF, wasip1.ENOTSOCK, wasip1.ENOTSOCK},
		{"sock_recv", func(fd uint32) wasip1.Errno { return vfs.SockRecv(c, fd, iovs, n, 0, resultAt, resultAt+4) }, wasip1.EBADF, wasip1.ENOTSOCK, wasip1.ENOTSOCK},
		{"sock_send", func(fd uint32) wasip1.Errno { return vfs.SockSend(c, fd, iovs, n, 0, resultAt) }, wasip1.EBADF, wasip1.ENOTSOCK, wasip1.ENOTSOCK},
		{"sock_shutdown", func(fd uint32) wasip1.Errno { return vfs.SockShutdown(c, fd, 1) }, wasip1.EBADF, wasip1.ENOTSOCK, wasip1.ENOTSOCK},
	} {
		expectErrno(t, tt.name+" of a directory", tt.do(root), tt.dir)
		expectErrno(t, tt.name+" of a stream", tt.do(stream), tt.stream)
		expectErrno(t, tt.name+" of a file without rights", tt.do(bare), tt.bare)
		for _, fd := range []uint32{99, 1 << 31, math.MaxUint32} {
			if tt.name == "fd_fdstat_set_rights" {
				break // it asks the table for fd before
			}
			expectErrno(t, tt.name+" of nothing", tt.do(fd), wasip1.EBADF)
		}
	}
}

func TestReaddir(t *testing.T) {
	g := newGuest(t, newNS(t))
	var want []string
	for i := range 50 {
		name := "file" + strings.Repeat("x", i)
		g.close(g.mustOpen(name, wasip1.OCreat, rw))
		want = append(want, name)
	}
	g.symlink("x", "link")
	g.mkdir("dir")
	want = append([]string{".", ".."}, append(want, "link", "dir")...)
	for _, size := range []int{100, 101, 128, 4096, 65536} {
		if diff := cmp.Diff(want, names(g.list(root, size))); diff != "" {
			t.Errorf("through %d bytes: %s", size, diff)
		}
	}
	kinds := map[string]wasip1.Filetype{}
	for _, e := range g.list(root, 4096) {
		kinds[e.Name] = e.Type
		if e.Ino == 0 {
			t.Errorf("%s has inode 0", e.Name)
		}
	}
	if kinds["link"] != wasip1.FiletypeSymbolicLink || kinds["dir"] != wasip1.FiletypeDirectory || kinds["file"] != wasip1.FiletypeRegularFile {
		t.Errorf("%v", kinds)
	}
	// The last entry is cut exactly where the buffer ends.
	full := make([]byte, 8192)
	expectErrno(t, "fd_readdir", vfs.FdReaddir(&g.Caller, root, bufAt, 8192, 0, resultAt), 0)
	copy(full, g.mem[bufAt:])
	end := int(g.u32())
	for size := range end {
		clear(g.mem[bufAt : bufAt+size+1])
		expectErrno(t, "fd_readdir", vfs.FdReaddir(&g.Caller, root, bufAt, uint32(size), 0, resultAt), 0)
		if int(g.u32()) != size || string(g.mem[bufAt:bufAt+size]) != string(full[:size]) || g.mem[bufAt+size] != 0 {
			t.Fatalf("with %d bytes: used %d", size, g.u32())
		}
	}
	sub := g.openDir("dir")
	self, _ := g.stat(root, ".", 0)
	if l := g.list(sub, 100); l[1].Ino != self.Ino {
		t.Errorf(`".." has inode %d, want %d`, l[1].Ino, self.Ino)
	}
	expectErrno(t, "fd_readdir, hostile cookie", vfs.FdReaddir(&g.Caller, sub, bufAt, 100, math.MaxUint64, resultAt), 0)
}

func TestRenumber(t *testing.T) {
	g := newGuest(t, newNS(t))
	c := &g.Caller
	a, b := g.mustOpen("a", wasip1.OCreat, rw), g.mustOpen("b", wasip1.OCreat, rw)
	g.write(a, "from a")
	expectErrno(t, "onto another", vfs.FdRenumber(c, a, b), 0)
	expectErrno(t, "the old number", vfs.FdTell(c, a, resultAt), wasip1.EBADF)
	vfs.FdTell(c, b, resultAt)
	if g.u64() != 6 {
		t.Errorf("the position did not move along: %d", g.u64())
	}
	expectErrno(t, "onto itself", vfs.FdRenumber(c, b, b), 0)
	for _, to := range []uint32{a, 1000, 0x7fffff00, math.MaxUint32} {
		expectErrno(t, "onto what is not open", vfs.FdRenumber(c, b, to), wasip1.EBADF)
		expectErrno(t, "from what is not open", vfs.FdRenumber(c, to, b), wasip1.EBADF)
	}
	expectErrno(t, "a preopen onto another", vfs.FdRenumber(c, root, b), 0)
	expectErrno(t, "it is preopened still", vfs.FdPrestatGet(c, b, resultAt), 0)
}

func TestTable(t *testing.T) {
	table := vfs.NewTable(100)
	stream := func() *vfs.OpenFile { return vfs.NewStream("s", discard{}, vfs.OpenWrite) }
	for i := range 100 {
		if fd, err := table.Insert(stream()); err != nil || int(fd) != i {
			t.Fatalf("Insert: %d, %v", fd, err)
		}
	}
	if _, err := table.Insert(stream()); !errors.Is(err, wasip1.EMFILE) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := table.Dup(5); !errors.Is(err, wasip1.EMFILE) {
		t.Errorf("Dup, one too many: %v", err)
	}
	if err := errors.Join(table.Remove(70), table.Remove(7)); err != nil {
		t.Error(err)
	}
	if fd, err := table.Dup(3); err != nil || fd != 7 {
		t.Errorf("the lowest free number: %d, %v", fd, err)
	}
	if table.Get(3) != table.Get(7) {
		t.Error("a duplicate is another file")
	}
	for _, fd := range []uint32{100, math.MaxUint32} {
		if err := table.InsertAt(fd, stream()); !errors.Is(err, wasip1.EBADF) {
			t.Errorf("InsertAt(%d): %v", fd, err)
		}
	}
	if err := table.InsertAt(99, stream()); err != nil {
		t.Error(err)
	}
	if n := len(table.List()); n != 99 || table.Len() != 99 {
		t.Errorf("%d are listed, %d counted", n, table.Len())
	}
	if err := table.Close(); err != nil || table.Len() != 0 || table.Get(3) != nil {
		t.Error("Close left something")
	}
	if _, err := table.Insert(stream()); !errors.Is(err, wasip1.EBADF) {
		t.Errorf("Insert after Close: %v", err)
	}
}

// counted is a stream that counts how often it is closed.
type counted struct {
	discard
	closed *int
}

func (c counted) Close() error { *c.closed++; return nil }

func TestLastCloseCloses(t *testing.T) {
	n := 0
	table := vfs.NewTable(0)
	fd, _ := table.Insert(vfs.NewStream("s", counted{closed: &n}, vfs.OpenWrite))
	dup, _ := table.Dup(fd)
	table.Remove(fd)
	if n != 0 {
		t.Error("closed while a duplicate is open")
	}
	table.Remove(dup)
	if n != 1 {
		t.Errorf("closed %d times", n)
	}
}

// Threads of one guest use and close the same descriptors at once.
func TestConcurrentUse(t *testing.T) {
	ns := newNS(t)
	first := newGuest(t, ns)
	first.create("file", strings.Repeat("x", 1000))
	var wg sync.WaitGroup
	for range 4 {
		g := &guest{tb: t, mem: make([]byte, memSize)}
		g.View, g.Table, g.Clock = memory.NewView(g.mem), first.Table, testClock
		wg.Go(func() {
			for i := range 300 {
				fd, e := g.open("file", 0, rw)
				if e != 0 {
					t.Errorf("path_open: %v", e)
					return
				}
				g.read(fd, 100)
				g.write(fd, "y")
				g.read(4, 10)
				g.list(root, 512)
				vfs.FdRenumber(&g.Caller, fd, 5)
				vfs.FdClose(&g.Caller, uint32(4+i%3))
			}
		})
	}
	wg.Wait()
}

// Threads that share one position write each record to a place of its own, and read each record
// once, however much they read at a time.
func TestConcurrentPosition(t *testing.T) {
	ns := newNS(t)
	first := newGuest(t, ns)
	fd := first.mustOpen("file", wasip1.OCreat, rw)
	f := first.Table.Get(fd)
	const threads, each = 4, 20_000
	at := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			select {
			case <-at:
				return
			default:
				first.Table.List()
			}
		}
	})
	records := func(n int, use func(thread int)) {
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { use(i) })
		}
		wg.Wait()
	}
	records(threads, func(thread int) {
		var b [4]byte
		for i := range each {
			binary.LittleEndian.PutUint32(b[:], uint32(thread*each+i))
			if _, err := f.Write(b[:]); err != nil {
				t.Error(err)
				return
			}
		}
	})
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	var seen [threads * each]atomic.Int32
	records(threads, func(thread int) {
		b := make([]byte, []int{4, 64, 4096, 8192}[thread])
		for {
			n, err := f.Read(b)
			if err != nil || n%4 != 0 {
				if err != io.EOF {
					t.Error(n, err)
				}
				return
			}
			for at := 0; at < n; at += 4 {
				seen[binary.LittleEndian.Uint32(b[at:])].Add(1)
			}
		}
	})
	close(at)
	looking.Wait()
	for i := range seen {
		if n := seen[i].Load(); n != 1 {
			t.Fatalf("record %d was read %d times", i, n)
		}
	}
}

// queueStream is a stream that gives and takes what a test says.
type queueStream struct {
	poll.Queue
	mu   sync.Mutex
	data []byte
	eof  bool
	room int
	got  []byte
}

func (q *queueStream) put(s string) {
	q.mu.Lock()
	q.data = append(q.data, s...)
	q.mu.Unlock()
	q.Wake()
}

func (q *queueStream) Read(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.data) == 0 {
		if q.eof {
			return 0, io.EOF
		}
		return 0, wasip1.EAGAIN
	}
	n := copy(p, q.data)
	q.data = q.data[n:]
	return n, nil
}

func (q *queueStream) Recv(p []byte, peek bool) (int, error) {
	if peek {
		q.mu.Lock()
		defer q.mu.Unlock()
		if len(q.data) == 0 {
			return 0, wasip1.EAGAIN
		}
		return copy(p, q.data), nil
	}
	return q.Read(p)
}

func (q *queueStream) Shutdown(wasip1.Sdflags) error { return nil }

func (q *queueStream) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(p), q.room)
	if n == 0 {
		return 0, wasip1.EAGAIN
	}
	q.room -= n
	q.got = append(q.got, p[:n]...)
	return n, nil
}

func (q *queueStream) Close() error { return nil }

func (q *queueStream) Poll(want poll.Events) (s poll.State) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if want&poll.Readable != 0 && (len(q.data) > 0 || q.eof) {
		s.Ready |= poll.Readable
	}
	if want&poll.Writable != 0 && q.room > 0 {
		s.Ready |= poll.Writable
	}
	return s
}

// task is a thread that runs a function each time it would wait, and ends when there is none left.
type task struct{ steps []func() }

func (t *task) Wake()                    {}
func (t *task) Context() context.Context { return context.Background() }
func (t *task) Park(poll.Wait) error {
	if len(t.steps) == 0 {
		return context.Canceled
	}
	step := t.steps[0]
	t.steps = t.steps[1:]
	step()
	return nil
}

func TestBlockingStreams(t *testing.T) {
	q := &queueStream{}
	g := newGuest(t, newNS(t))
	fd := g.insert(vfs.NewStream("q", q, vfs.OpenRead|vfs.OpenWrite))

	g.Task = &task{steps: []func(){func() {}, func() { q.put("hello") }}}
	if s, e := g.read(fd, 3); s != "hel" || e != 0 {
		t.Errorf("fd_read: %q, %v", s, e)
	}
	iovs, n := g.iovs(3, 1)
	expectErrno(t, "what there is", vfs.FdRead(&g.Caller, fd, iovs, n, resultAt), 0)
	if g.u32() != 2 {
		t.Errorf("read %d bytes", g.u32())
	}
	_, e := g.read(fd, 3)
	expectErrno(t, "cancelled", e, wasip1.ECANCELED)
	expectErrno(t, "set nonblocking", vfs.FdFdstatSetFlags(&g.Caller, fd, uint32(wasip1.FdNonblock)), 0)
	_, e = g.read(fd, 3)
	expectErrno(t, "nothing to read, not waiting", e, wasip1.EAGAIN)
	_, e = g.write(fd, "abc")
	expectErrno(t, "no room, not waiting", e, wasip1.EAGAIN)
	q.room = 2
	if n, e := g.write(fd, "abc"); n != 2 || e != 0 {
		t.Errorf("some room, not waiting: %d, %v", n, e)
	}
	vfs.FdFdstatSetFlags(&g.Caller, fd, 0)
	g.Task = &task{steps: []func(){func() { q.room = 2 }, func() { q.room = 5 }}}
	if n, e := g.write(fd, "defg"); n != 4 || e != 0 || string(q.got) != "abdefg" {
		t.Errorf("some room, waiting: %d, %v, %q", n, e, q.got)
	}
	q.eof = true
	if s, e := g.read(fd, 3); s != "" || e != 0 {
		t.Errorf("the end: %q, %v", s, e)
	}
}

// listener has connections to accept.
type listener struct {
	discard
	conns []vfs.Socket
}

func (l *listener) Accept() (vfs.Socket, error) {
	if len(l.conns) == 0 {
		return nil, wasip1.EAGAIN
	}
	c := l.conns[0]
	l.conns = l.conns[1:]
	return c, nil
}

func TestSockets(t *testing.T) {
	l, conn := &listener{}, &queueStream{room: 100}
	g := newGuest(t, newNS(t))
	c := &g.Caller
	lfd := g.insert(vfs.NewStream("listener", l, vfs.OpenRead))
	expectErrno(t, "nobody there, nobody waits", vfs.SockAccept(c, lfd, 0, resultAt), wasip1.EAGAIN)
	expectErrno(t, "no such flag", vfs.SockAccept(c, lfd, uint32(wasip1.FdAppend), resultAt), wasip1.EINVAL)
	l.conns = append(l.conns, conn)
	expectErrno(t, "sock_accept", vfs.SockAccept(c, lfd, uint32(wasip1.FdNonblock), resultAt), 0)
	fd := g.u32()
	expectErrno(t, "fd_fdstat_get", vfs.FdFdstatGet(c, fd, resultAt), 0)
	if s := wasip1.DecodeFdstat(g.mem[resultAt:]); s.Filetype != wasip1.FiletypeSocketStream || s.Flags != wasip1.FdNonblock {
		t.Errorf("%+v", s)
	}
	iovs, n := g.iovs(2, 4)
	recv := func(flags wasip1.Riflags) (string, wasip1.Errno) {
		e := vfs.SockRecv(c, fd, iovs, n, uint32(flags), resultAt, resultAt+4)
		return string(g.mem[bufAt : bufAt+g.u32()%100]), e
	}
	_, e := recv(0)
	expectErrno(t, "nothing", e, wasip1.EAGAIN)
	conn.put("abcdef")
	if s, e := recv(wasip1.RecvPeek); s != "abcd" || e != 0 {
		t.Errorf("peek: %q, %v", s, e)
	}
	if s, e := recv(0); s != "abcdef" || e != 0 {
		t.Errorf("recv: %q, %v", s, e)
	}
	vfs.FdFdstatSetFlags(c, fd, 0)
	conn.put("123")
	g.Task = &task{steps: []func(){func() { conn.put("4567") }, func() { conn.put("89") }}}
	if s, e := recv(wasip1.RecvWaitall); s != "12345678" || e != 0 {
		t.Errorf("waitall: %q, %v", s, e)
	}
	_, e = recv(1 << 2)
	expectErrno(t, "no such flag", e, wasip1.EINVAL)
	copy(g.mem[bufAt:], "out")
	iovs, n = g.iovs(1, 3)
	expectErrno(t, "sock_send", vfs.SockSend(c, fd, iovs, n, 0, resultAt), 0)
	expectErrno(t, "sock_send with flags", vfs.SockSend(c, fd, iovs, n, 1, resultAt), wasip1.EINVAL)
	if string(conn.got) != "out" {
		t.Errorf("sent %q", conn.got)
	}
	for how, want := range map[uint32]wasip1.Errno{0: wasip1.EINVAL, 1: 0, 2: 0, 3: 0, 4: wasip1.EINVAL, 257: wasip1.EINVAL} {
		expectErrno(t, "sock_shutdown", vfs.SockShutdown(c, fd, how), want)
	}
	expectErrno(t, "sock_accept of a connection", vfs.SockAccept(c, fd, 0, resultAt), wasip1.EINVAL)
	expectErrno(t, "sock_shutdown of a listener", vfs.SockShutdown(c, lfd, 1), wasip1.ENOTCONN)
}

func TestPollable(t *testing.T) {
	g := newGuest(t, newNS(t))
	fd := g.mustOpen("f", wasip1.OCreat, rw)
	g.write(fd, "12345")
	vfs.FdSeek(&g.Caller, fd, 2, 0, resultAt)
	p, e := g.Table.Pollable(fd, poll.Readable)
	if e != 0 {
		t.Fatal(e)
	}
	if diff := cmp.Diff(poll.State{Ready: poll.Readable, Bytes: 3}, p.Poll(poll.Readable)); diff != "" {
		t.Error(diff)
	}
	_, e = g.Table.Pollable(77, poll.Readable)
	expectErrno(t, "nothing", e, wasip1.EBADF)
	_, e = g.Table.Pollable(g.mustOpen("f", 0, wasip1.RightFdRead), poll.Readable)
	expectErrno(t, "without the right", e, wasip1.ENOTCAPABLE)
}
