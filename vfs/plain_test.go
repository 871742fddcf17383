package vfs_test

import (
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// plain is a file that can do no more than a file must.
type plain struct {
	mu      sync.Mutex
	content []byte
	calls   []string
	fail    error // what Close says
}

func (p *plain) Type() wasip1.Filetype { return wasip1.FiletypeRegularFile }

func (p *plain) Attr() (vfs.Attr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return vfs.Attr{Ino: 7, Type: p.Type(), Nlink: 1, Size: uint64(len(p.content))}, nil
}

func (p *plain) SetAttr(set vfs.SetAttr) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if set.Mask&vfs.SetSize != 0 {
		p.content = append(p.content, make([]byte, 1000)...)[:set.Size]
	}
	return nil
}

func (p *plain) Open(vfs.OpenMode) (vfs.File, error) { return p, nil }

func (p *plain) ReadAt(b []byte, off int64) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if off >= int64(len(p.content)) {
		return 0, io.EOF
	}
	return copy(b, p.content[off:]), nil
}

func (p *plain) WriteAt(b []byte, off int64) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for int64(len(p.content)) < off+int64(len(b)) {
		p.content = append(p.content, 0)
	}
	return copy(p.content[off:], b), nil
}

func (p *plain) Sync(dataOnly bool) error {
	if dataOnly {
		p.calls = append(p.calls, "datasync")
	} else {
		p.calls = append(p.calls, "sync")
	}
	return nil
}

func (p *plain) Close() error { p.calls = append(p.calls, "close"); return p.fail }

// plainGuest has a plain file at "f".
func plainGuest(t *testing.T) (*guest, *plain) {
	f := &plain{}
	ns := vfs.NewNamespace()
	mustMount(t, ns, "/f", fileFS{f})
	return newGuest(t, ns), f
}

func TestPlainFile(t *testing.T) {
	g, f := plainGuest(t)
	c := &g.Caller
	fd := g.mustOpen("f", 0, rw)
	copy(g.mem[bufAt:], "aabbcc")
	iovs, n := g.iovs(3, 2)
	expectErrno(t, "fd_write", vfs.FdWrite(c, fd, iovs, n, resultAt), 0)
	clear(g.mem[bufAt : bufAt+10])
	iovs, n = g.iovs(5, 2)
	expectErrno(t, "fd_pread", vfs.FdPread(c, fd, iovs, n, 1, resultAt), 0)
	if got := string(g.mem[bufAt : bufAt+g.u32()]); got != "abbcc" {
		t.Errorf("read %q", got)
	}
	expectErrno(t, "append", vfs.FdFdstatSetFlags(c, fd, uint32(wasip1.FdAppend)), 0)
	vfs.FdSeek(c, fd, 0, 0, resultAt)
	g.write(fd, "d")
	vfs.FdTell(c, fd, resultAt)
	if string(f.content) != "aabbccd" || g.u64() != 7 {
		t.Errorf("after an append: %q at %d", f.content, g.u64())
	}
	expectErrno(t, "fd_allocate", vfs.FdAllocate(c, fd, 5, 5), 0)
	expectErrno(t, "fd_allocate less", vfs.FdAllocate(c, fd, 0, 5), 0)
	if len(f.content) != 10 {
		t.Errorf("after fd_allocate there are %d bytes", len(f.content))
	}
	if len(f.calls) != 0 {
		t.Errorf("unasked for: %q", f.calls)
	}
}

// Flags that ask for the store after every write hold also if they are set later.
func TestSyncFlags(t *testing.T) {
	g, f := plainGuest(t)
	fd := g.mustOpen("f", 0, rw)
	for _, flags := range []wasip1.Fdflags{0, wasip1.FdDsync, wasip1.FdSync, wasip1.FdRsync} {
		expectErrno(t, "set_flags", vfs.FdFdstatSetFlags(&g.Caller, fd, uint32(flags)), 0)
		g.write(fd, "x")
	}
	dup, err := g.Table.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	g.close(fd)
	g.close(dup)
	if diff := cmp.Diff([]string{"datasync", "sync", "close"}, f.calls); diff != "" {
		t.Error(diff)
	}
}

// What closing says is passed on, and the number is free all the same.
func TestCloseError(t *testing.T) {
	g, f := plainGuest(t)
	f.fail = wasip1.EDQUOT
	fd := g.mustOpen("f", 0, rw)
	expectErrno(t, "fd_close", vfs.FdClose(&g.Caller, fd), wasip1.EDQUOT)
	expectErrno(t, "fd_close again", vfs.FdClose(&g.Caller, fd), wasip1.EBADF)
}

// An open file that was found before its descriptor was closed answers EBADF afterwards.
func TestUseAfterClose(t *testing.T) {
	g, _ := plainGuest(t)
	fd := g.mustOpen("f", 0, rw)
	f := g.Table.Get(fd)
	g.close(fd)
	b := make([]byte, 1)
	_, read := f.Read(b)
	_, readAt := f.ReadAt(b, 0)
	_, write := f.Write(b)
	_, writeAt := f.WriteAt(b, 0)
	for name, err := range map[string]error{"Read": read, "ReadAt": readAt, "Write": write, "WriteAt": writeAt, "Sync": f.Sync()} {
		if !errors.Is(err, wasip1.EBADF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Threads that append to a file which cannot do so by itself lose nothing.
func TestConcurrentAppend(t *testing.T) {
	_, f := plainGuest(t)
	ns := vfs.NewNamespace()
	mustMount(t, ns, "/f", fileFS{f})
	var wg sync.WaitGroup
	for range 4 {
		g := newGuest(t, ns)
		fd, e := g.openAt(root, "f", 0, 0, rw, wasip1.FdAppend)
		if e != 0 {
			t.Fatal(e)
		}
		wg.Go(func() {
			for range 100 {
				g.write(fd, "xyz")
			}
		})
	}
	wg.Wait()
	if len(f.content) != 1200 {
		t.Errorf("%d bytes of 1200 are there", len(f.content))
	}
}
