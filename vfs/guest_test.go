package vfs_test

import (
	"encoding/binary"
	"testing"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// guest is a Caller with memory of its own and helpers that put the arguments of a call there.
type guest struct {
	vfs.Caller
	tb  testing.TB
	mem []byte
}

// Where a guest keeps things.
const (
	resultAt = 0x10   // results
	iovsAt   = 0x100  // iovecs
	pathAt   = 0x1000 // the first path
	path2At  = 0x3000 // the second path
	bufAt    = 0x5000 // content
	memSize  = 0x20000
)

// root is the descriptor of "/".
const root = 3

// testClock stands still.
var testClock clock.Clock = frozen{}

type frozen struct{}

func (frozen) Realtime() int64                     { return 1_700_000_000_000_000_000 }
func (frozen) Monotonic() int64                    { return 1 }
func (frozen) AfterFunc(int64, func()) clock.Timer { return frozen{} }
func (frozen) Stop() bool                          { return false }

// newGuest returns a guest with the preopened directories of ns.
func newGuest(tb testing.TB, ns *vfs.Namespace) *guest {
	tb.Helper()
	g := &guest{tb: tb, mem: make([]byte, memSize)}
	g.View, g.Table, g.Clock = memory.NewView(g.mem), vfs.NewTable(0), testClock
	if err := (&vfs.Preopens{Namespace: ns}).Install(g.Table); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { g.Table.Close() })
	return g
}

// newNS returns a Namespace with an empty memfs at "/".
func newNS(tb testing.TB, opts ...vfs.NamespaceOption) *vfs.Namespace {
	tb.Helper()
	ns := vfs.NewNamespace(append(opts, vfs.WithEnv(vfs.Env{Clock: testClock}))...)
	mustMount(tb, ns, "/", memfs.New())
	return ns
}

func mustMount(tb testing.TB, ns *vfs.Namespace, path string, fsys vfs.FS, opts ...vfs.MountOption) {
	tb.Helper()
	if err := ns.Mount(path, fsys, opts...); err != nil {
		tb.Fatal(err)
	}
}

func (g *guest) path(p string) (uint32, uint32) {
	copy(g.mem[pathAt:], p)
	return pathAt, uint32(len(p))
}

func (g *guest) path2(p string) (uint32, uint32) {
	copy(g.mem[path2At:], p)
	return path2At, uint32(len(p))
}

func (g *guest) u32() uint32 { return binary.LittleEndian.Uint32(g.mem[resultAt:]) }
func (g *guest) u64() uint64 { return binary.LittleEndian.Uint64(g.mem[resultAt:]) }

// iovs makes iovecs for n buffers of size bytes each, one after the other from bufAt on.
func (g *guest) iovs(n, size int) (uint32, uint32) {
	for i := range n {
		wasip1.Iovec{Buf: uint32(bufAt + i*size), Len: uint32(size)}.Encode(g.mem[iovsAt+i*wasip1.SizeIovec:])
	}
	return iovsAt, uint32(n)
}

const (
	rw         = wasip1.RightsFile
	ro         = wasip1.RightsFile &^ wasip1.RightFdWrite
	dirRights  = wasip1.RightsDirectoryBase
	dirInherit = wasip1.RightsDirectoryInheriting
)

func (g *guest) openAt(dir uint32, p string, lookup wasip1.Lookupflags, o wasip1.Oflags, rights wasip1.Rights, fl wasip1.Fdflags) (uint32, wasip1.Errno) {
	ptr, n := g.path(p)
	e := vfs.PathOpen(&g.Caller, dir, uint32(lookup), ptr, n, uint32(o), uint64(rights), uint64(dirInherit), uint32(fl), resultAt)
	return g.u32(), e
}

func (g *guest) open(p string, o wasip1.Oflags, rights wasip1.Rights) (uint32, wasip1.Errno) {
	return g.openAt(root, p, wasip1.LookupSymlinkFollow, o, rights, 0)
}

func (g *guest) mustOpen(p string, o wasip1.Oflags, rights wasip1.Rights) uint32 {
	g.tb.Helper()
	fd, e := g.open(p, o, rights)
	if e != wasip1.ESUCCESS {
		g.tb.Fatalf("path_open(%q): %v", p, e)
	}
	return fd
}

func (g *guest) openDir(p string) uint32 {
	g.tb.Helper()
	return g.mustOpen(p, wasip1.ODirectory, dirRights)
}

func (g *guest) close(fd uint32) {
	g.tb.Helper()
	if e := vfs.FdClose(&g.Caller, fd); e != wasip1.ESUCCESS {
		g.tb.Fatalf("fd_close: %v", e)
	}
}

func (g *guest) write(fd uint32, s string) (int, wasip1.Errno) {
	copy(g.mem[bufAt:], s)
	ptr, n := g.iovs(1, len(s))
	e := vfs.FdWrite(&g.Caller, fd, ptr, n, resultAt)
	return int(g.u32()), e
}

func (g *guest) read(fd uint32, size int) (string, wasip1.Errno) {
	ptr, n := g.iovs(1, size)
	e := vfs.FdRead(&g.Caller, fd, ptr, n, resultAt)
	if e != wasip1.ESUCCESS {
		return "", e
	}
	return string(g.mem[bufAt : bufAt+g.u32()]), e
}

func (g *guest) stat(dir uint32, p string, lookup wasip1.Lookupflags) (wasip1.Filestat, wasip1.Errno) {
	ptr, n := g.path(p)
	e := vfs.PathFilestatGet(&g.Caller, dir, uint32(lookup), ptr, n, resultAt)
	return wasip1.DecodeFilestat(g.mem[resultAt:]), e
}

func (g *guest) mkdir(p string) wasip1.Errno {
	ptr, n := g.path(p)
	return vfs.PathCreateDirectory(&g.Caller, root, ptr, n)
}

func (g *guest) unlink(p string) wasip1.Errno {
	ptr, n := g.path(p)
	return vfs.PathUnlinkFile(&g.Caller, root, ptr, n)
}

func (g *guest) rmdir(p string) wasip1.Errno {
	ptr, n := g.path(p)
	return vfs.PathRemoveDirectory(&g.Caller, root, ptr, n)
}

func (g *guest) rename(from, to string) wasip1.Errno {
	ptr, n := g.path(from)
	ptr2, n2 := g.path2(to)
	return vfs.PathRename(&g.Caller, root, ptr, n, root, ptr2, n2)
}

func (g *guest) link(from, to string, lookup wasip1.Lookupflags) wasip1.Errno {
	ptr, n := g.path(from)
	ptr2, n2 := g.path2(to)
	return vfs.PathLink(&g.Caller, root, uint32(lookup), ptr, n, root, ptr2, n2)
}

func (g *guest) symlink(target, p string) wasip1.Errno {
	ptr, n := g.path(target)
	ptr2, n2 := g.path2(p)
	return vfs.PathSymlink(&g.Caller, ptr, n, root, ptr2, n2)
}

func (g *guest) readlink(p string, size int) (string, wasip1.Errno) {
	ptr, n := g.path(p)
	e := vfs.PathReadlink(&g.Caller, root, ptr, n, bufAt, uint32(size), resultAt)
	return string(g.mem[bufAt : bufAt+min(g.u32(), 0x1000)]), e
}

// create makes a file with content.
func (g *guest) create(p, content string) {
	g.tb.Helper()
	fd := g.mustOpen(p, wasip1.OCreat|wasip1.OTrunc, rw)
	if n, e := g.write(fd, content); e != wasip1.ESUCCESS || n != len(content) {
		g.tb.Fatalf("fd_write: %d, %v", n, e)
	}
	g.close(fd)
}

// list returns the entries of the directory dir, read through a buffer of size bytes.
func (g *guest) list(dir uint32, size int) []entry {
	g.tb.Helper()
	var list []entry
	for cookie := uint64(0); ; {
		e := vfs.FdReaddir(&g.Caller, dir, bufAt, uint32(size), cookie, resultAt)
		if e != wasip1.ESUCCESS {
			g.tb.Fatalf("fd_readdir: %v", e)
		}
		used := int(g.u32())
		b := g.mem[bufAt : bufAt+used]
		for len(b) >= wasip1.SizeDirent {
			d := wasip1.DecodeDirent(b)
			end := wasip1.SizeDirent + int(d.Namlen)
			if len(b) < end {
				break
			}
			list = append(list, entry{string(b[wasip1.SizeDirent:end]), d.Type, d.Ino})
			cookie, b = uint64(d.Next), b[end:]
		}
		if used < size {
			return list
		}
	}
}

type entry struct {
	Name string
	Type wasip1.Filetype
	Ino  uint64
}

func names(list []entry) []string {
	var s []string
	for _, e := range list {
		s = append(s, e.Name)
	}
	return s
}

// dup gives f, a new number in the guest's table.
func (g *guest) insert(f *vfs.OpenFile) uint32 {
	g.tb.Helper()
	fd, err := g.Table.Insert(f)
	if err != nil {
		g.tb.Fatal(err)
	}
	return fd
}
