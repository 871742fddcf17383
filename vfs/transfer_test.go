package vfs_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// abyss is a file, and a stream, that takes and gives all it is asked for, and has somebody end the
// thread at its first call.
type abyss struct {
	poll.Always
	moved, calls int
	end          func()
}

func (a *abyss) move(p []byte) (int, error) {
	a.moved += len(p)
	if a.calls++; a.calls == 1 {
		a.end()
	}
	return len(p), nil
}

func (a *abyss) Type() wasip1.Filetype { return wasip1.FiletypeRegularFile }
func (a *abyss) Attr() (vfs.Attr, error) {
	return vfs.Attr{Ino: 7, Type: a.Type(), Nlink: 1, Size: 1 << 40}, nil
}
func (a *abyss) SetAttr(vfs.SetAttr) error              { return nil }
func (a *abyss) Open(vfs.OpenMode) (vfs.File, error)    { return a, nil }
func (a *abyss) ReadAt(p []byte, _ int64) (int, error)  { return a.move(p) }
func (a *abyss) WriteAt(p []byte, _ int64) (int, error) { return a.move(p) }
func (a *abyss) Sync(bool) error                        { return nil }
func (a *abyss) Close() error                           { return nil }
func (a *abyss) Read(p []byte) (int, error)             { return a.move(p) }
func (a *abyss) Write(p []byte) (int, error)            { return a.move(p) }
func (a *abyss) Recv(p []byte, _ bool) (int, error)     { return a.move(p) }
func (a *abyss) Shutdown(wasip1.Sdflags) error          { return nil }

// TestTransferOfThreadThatHasToEnd asks for much, with a small memory and with a large one, and has
// the thread end meanwhile: what goes on is a piece and no more.
func TestTransferOfThreadThatHasToEnd(t *testing.T) {
	const piece = 16 << 20
	for name, iovs := range map[string]struct{ count, size, mem int }{
		"many small buffers":  {1024, 64 << 10, memSize},
		"one large buffer":    {1, 40 << 20, 41 << 20},
		"two that are uneven": {2, 20 << 20, 21 << 20},
	} {
		for call, f := range map[string]func(c *vfs.Caller, fd uint32, ptr, n uint32) wasip1.Errno{
			"fd_read":   func(c *vfs.Caller, fd, ptr, n uint32) wasip1.Errno { return vfs.FdRead(c, fd, ptr, n, resultAt) },
			"fd_write":  func(c *vfs.Caller, fd, ptr, n uint32) wasip1.Errno { return vfs.FdWrite(c, fd, ptr, n, resultAt) },
			"fd_pread":  func(c *vfs.Caller, fd, ptr, n uint32) wasip1.Errno { return vfs.FdPread(c, fd, ptr, n, 5, resultAt) },
			"fd_pwrite": func(c *vfs.Caller, fd, ptr, n uint32) wasip1.Errno { return vfs.FdPwrite(c, fd, ptr, n, 5, resultAt) },
			"sock_recv": func(c *vfs.Caller, fd, ptr, n uint32) wasip1.Errno {
				return vfs.SockRecv(c, fd, ptr, n, uint32(wasip1.RecvWaitall), resultAt, resultAt+8)
			},
			"sock_send": func(c *vfs.Caller, fd, ptr, n uint32) wasip1.Errno { return vfs.SockSend(c, fd, ptr, n, 0, resultAt) },
		} {
			for _, ends := range []bool{true, false} {
				for _, kind := range []string{"file", "stream"} {
					if kind == "file" && call[0] == 's' || kind == "stream" && call[3] == 'p' {
						continue
					}
					t.Run(fmt.Sprintf("%s/%s of a %s, ends %v", name, call, kind, ends), func(t *testing.T) {
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						a := &abyss{end: func() {}}
						if ends {
							a.end = cancel
						}
						ns := vfs.NewNamespace()
						mustMount(t, ns, "/f", fileFS{a})
						g := newGuest(t, ns)
						g.mem = make([]byte, iovs.mem)
						g.View = memory.NewView(g.mem)
						g.Task = poll.NewTask(ctx)
						var fd uint32
						if kind == "file" {
							fd = g.mustOpen("f", 0, rw)
						} else {
							var err error
							if fd, err = g.Table.Insert(vfs.NewStream("s", a, vfs.OpenRead|vfs.OpenWrite)); err != nil {
								t.Fatal(err)
							}
						}
						for i := range iovs.count {
							wasip1.Iovec{Buf: bufAt, Len: uint32(iovs.size)}.Encode(g.mem[iovsAt+i*wasip1.SizeIovec:])
						}
						if e := f(&g.Caller, fd, iovsAt, uint32(iovs.count)); e != wasip1.ESUCCESS {
							t.Fatal(e)
						}
						all := iovs.count * iovs.size
						switch n := int(g.u32()); {
						case n != a.moved:
							t.Errorf("%d bytes are told, %d were moved", n, a.moved)
						case ends && n > piece:
							t.Errorf("%d bytes were moved for a thread that had to end", n)
						case !ends && n != all:
							t.Errorf("%d bytes were moved of %d", n, all)
						}
					})
				}
			}
		}
	}
}
