package vfs_test

import (
	"context"
	"errors"

	"math"
	"testing"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// miscounting is a file system with a file "f", whose methods answer other counts than they should.
type miscounting struct {
	*memfs.FS
	count int
}

func (m miscounting) Root() vfs.Node { return miscountingDir{m.FS.Root().(vfs.Directory), m.count} }

type miscountingDir struct {
	vfs.Directory
	count int
}

func (d miscountingDir) Lookup(name string) (vfs.Node, error) {
	n, err := d.Directory.Lookup(name)
	if f, ok := n.(vfs.RegularFile); ok {
		return miscountingFile{f, d.count}, nil
	}
	return n, err
}

func (d miscountingDir) ReadDir(uint64, []vfs.DirEntry) (int, error) { return d.count, nil }

type miscountingFile struct {
	vfs.RegularFile
	count int
}

func (f miscountingFile) Open(mode vfs.OpenMode) (vfs.File, error) {
	o, err := f.RegularFile.Open(mode)
	return miscountingOpen{o, f.count}, err
}

type miscountingOpen struct {
	vfs.File
	count int
}

func (o miscountingOpen) ReadAt([]byte, int64) (int, error)  { return o.count, nil }
func (o miscountingOpen) WriteAt([]byte, int64) (int, error) { return o.count, nil }

// miscountingStream is a stream that does so.
type miscountingStream struct{ count int }

func (s miscountingStream) Read([]byte) (int, error)         { return s.count, nil }
func (s miscountingStream) Write([]byte) (int, error)        { return s.count, nil }
func (s miscountingStream) Recv([]byte, bool) (int, error)   { return s.count, nil }
func (s miscountingStream) Shutdown(wasip1.Sdflags) error    { return nil }
func (s miscountingStream) Close() error                     { return nil }
func (s miscountingStream) Poll(want poll.Events) poll.State { return poll.State{Ready: want} }
func (s miscountingStream) Subscribe(*poll.Waiter)           {}
func (s miscountingStream) Unsubscribe(*poll.Waiter)         {}

// Counts that cannot be are EIO, for guests and for host code; the position stays.
func TestCountsThatCannotBe(t *testing.T) {
	for _, count := range []int{-1, math.MinInt, 1000, math.MaxInt} {
		mem := memfs.New()
		if err := mem.WriteFile("f", []byte("0123456789")); err != nil {
			t.Fatal(err)
		}
		ns := vfs.NewNamespace()
		mustMount(t, ns, "/", miscounting{mem, count})
		g := newGuest(t, ns)
		fd := g.mustOpen("f", 0, rw)
		stream := g.insert(vfs.NewStream("s", miscountingStream{count}, vfs.OpenRead|vfs.OpenWrite))
		socket := g.insert(vfs.NewStream("c", miscountingStream{count}, vfs.OpenRead|vfs.OpenWrite))
		for n := 1; n <= 2; n++ { // buffers
			iovs, k := g.iovs(n, 5)
			for name, call := range map[string]func() wasip1.Errno{
				"fd_read":           func() wasip1.Errno { return vfs.FdRead(&g.Caller, fd, iovs, k, resultAt) },
				"fd_pread":          func() wasip1.Errno { return vfs.FdPread(&g.Caller, fd, iovs, k, 1, resultAt) },
				"fd_write":          func() wasip1.Errno { return vfs.FdWrite(&g.Caller, fd, iovs, k, resultAt) },
				"fd_pwrite":         func() wasip1.Errno { return vfs.FdPwrite(&g.Caller, fd, iovs, k, 1, resultAt) },
				"fd_readdir":        func() wasip1.Errno { return vfs.FdReaddir(&g.Caller, root, bufAt, 1000, 2, resultAt) },
				"fd_read, stream":   func() wasip1.Errno { return vfs.FdRead(&g.Caller, stream, iovs, k, resultAt) },
				"fd_write, stream":  func() wasip1.Errno { return vfs.FdWrite(&g.Caller, stream, iovs, k, resultAt) },
				"sock_recv":         func() wasip1.Errno { return vfs.SockRecv(&g.Caller, socket, iovs, k, 0, resultAt, resultAt+8) },
				"sock_recv, a peek": func() wasip1.Errno { return vfs.SockRecv(&g.Caller, socket, iovs, k, 1, resultAt, resultAt+8) },
			} {
				if e := call(); e != wasip1.EIO {
					t.Errorf("%s to %d buffers, with the count %d: %v", name, n, count, e)
				}
			}
		}
		if e := vfs.FdTell(&g.Caller, fd, resultAt); e != wasip1.ESUCCESS || g.u64() != 0 {
			t.Errorf("the position is %d, %v", g.u64(), e)
		}
		f, s, dir := g.Table.Get(fd), g.Table.Get(stream), g.Table.Get(root)
		b := make([]byte, 10)
		for name, call := range map[string]func() (int, error){
			"Read":          func() (int, error) { return f.Read(b) },
			"ReadAt":        func() (int, error) { return f.ReadAt(b, 1) },
			"Write":         func() (int, error) { return f.Write(b) },
			"WriteAt":       func() (int, error) { return f.WriteAt(b, 1) },
			"Read, stream":  func() (int, error) { return s.Read(b) },
			"Write, stream": func() (int, error) { return s.Write(b) },
			"ReadDir":       func() (int, error) { return dir.ReadDir(2, make([]vfs.DirEntry, 10)) },
		} {
			if n, err := call(); n != 0 || !errors.Is(err, wasip1.EIO) {
				t.Errorf("%s with the count %d: %d, %v", name, count, n, err)
			}
		}
	}
}

// readyForever says that it is ready, and then is not.
type readyForever struct{ miscountingStream }

func (readyForever) Read([]byte) (int, error)       { return 0, wasip1.EAGAIN }
func (readyForever) Write([]byte) (int, error)      { return 0, nil }
func (readyForever) Recv([]byte, bool) (int, error) { return 0, wasip1.EAGAIN }
func (readyForever) Accept() (vfs.Socket, error)    { return nil, wasip1.EAGAIN }

// A call that waits for a stream which says for ever that it is ready ends with the thread.
func TestStreamsThatAreNeverReadyAndSaySo(t *testing.T) {
	g := newGuest(t, newNS(t))
	ctx, cancel := context.WithCancel(t.Context())
	g.Task = poll.NewTask(ctx)
	stream := g.insert(vfs.NewStream("s", readyForever{}, vfs.OpenRead|vfs.OpenWrite))
	socket := g.insert(vfs.NewStream("c", readyForever{}, vfs.OpenRead|vfs.OpenWrite))
	iovs, k := g.iovs(2, 5)
	cancel()
	for name, call := range map[string]func() wasip1.Errno{
		"fd_read":     func() wasip1.Errno { return vfs.FdRead(&g.Caller, stream, iovs, k, resultAt) },
		"fd_write":    func() wasip1.Errno { return vfs.FdWrite(&g.Caller, stream, iovs, k, resultAt) },
		"sock_recv":   func() wasip1.Errno { return vfs.SockRecv(&g.Caller, socket, iovs, k, 0, resultAt, resultAt+8) },
		"sock_accept": func() wasip1.Errno { return vfs.SockAccept(&g.Caller, socket, 0, resultAt) },
	} {
		if e := call(); e != wasip1.ECANCELED {
			t.Errorf("%s: %v", name, e)
		}
	}
}
