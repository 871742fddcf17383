package vfs_test

import (
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// FuzzWalk resolves hostile paths, links among them, below a directory that they must not leave:
// whatever they reach, a file outside stays as it is and is not seen.
func FuzzWalk(f *testing.F) {
	for _, seed := range []string{"file", "../secret", "a/../../secret", "l/../../secret", "l", "//l//..//", "a/./b/", "..", "/secret", "l/l/l"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, path, target string) {
		if len(path) > 8000 || len(target) > 8000 {
			t.Skip()
		}
		g := newGuest(t, newNS(t))
		g.mkdir("jail")
		g.mkdir("jail/a")
		g.mkdir("jail/a/b")
		g.create("secret", "secret")
		secret, _ := g.stat(root, "secret", 0)
		outside, _ := g.stat(root, ".", 0)
		jail := g.openDir("jail")
		c := &g.Caller
		tp, tn := g.path(target)
		for _, l := range []string{"l", "a/l"} {
			lp, ln := g.path2(l)
			vfs.PathSymlink(c, tp, tn, jail, lp, ln)
		}
		p, n := g.path(path)
		for follow := range uint32(2) {
			if vfs.PathFilestatGet(c, jail, follow, p, n, resultAt) == wasip1.ESUCCESS {
				if s := wasip1.DecodeFilestat(g.mem[resultAt:]); s.Ino == secret.Ino || s.Ino == outside.Ino {
					t.Errorf("%q with a link to %q leads out", path, target)
				}
			}
			vfs.PathOpen(c, jail, follow, p, n, uint32(wasip1.OCreat|wasip1.OTrunc), uint64(rw), 0, 0, resultAt)
			vfs.PathOpen(c, jail, follow, p, n, uint32(wasip1.ODirectory), uint64(dirRights), 0, 0, resultAt)
			vfs.PathLink(c, jail, follow, p, n, jail, p, n)
		}
		vfs.PathCreateDirectory(c, jail, p, n)
		vfs.PathReadlink(c, jail, p, n, bufAt, 10, resultAt)
		vfs.PathRename(c, jail, p, n, jail, p, n)
		vfs.PathUnlinkFile(c, jail, p, n)
		vfs.PathRemoveDirectory(c, jail, p, n)
		if got := names(g.list(root, 4096)); len(got) != 4 {
			t.Errorf("outside there is %q now", got)
		}
		if s, e := g.stat(root, "secret", 0); e != 0 || s.Size != 6 || s.Nlink != 1 {
			t.Errorf("the secret has changed: %+v, %v", s, e)
		}
		clear(g.mem[pathAt:bufAt])
	})
}

// Every function takes every argument from hostile values; whatever it answers, it does not panic,
// and a pointer that leads nowhere is found before anything is done.
func TestHostileArguments(t *testing.T) {
	hostile := []uint64{0, 1, 3, 4, memSize - 1, memSize, memSize + 1, 1 << 31, math.MaxUint32, math.MaxUint64}
	for _, f := range []any{
		vfs.FdAdvise, vfs.FdAllocate, vfs.FdClose, vfs.FdDatasync, vfs.FdFdstatGet, vfs.FdFdstatSetFlags,
		vfs.FdFdstatSetRights, vfs.FdFilestatGet, vfs.FdFilestatSetSize, vfs.FdFilestatSetTimes, vfs.FdPread,
		vfs.FdPrestatGet, vfs.FdPrestatDirName, vfs.FdPwrite, vfs.FdRead, vfs.FdReaddir, vfs.FdRenumber,
		vfs.FdSeek, vfs.FdSync, vfs.FdTell, vfs.FdWrite, vfs.PathCreateDirectory, vfs.PathFilestatGet,
		vfs.PathFilestatSetTimes, vfs.PathLink, vfs.PathOpen, vfs.PathReadlink, vfs.PathRemoveDirectory,
		vfs.PathRename, vfs.PathSymlink, vfs.PathUnlinkFile, vfs.SockAccept, vfs.SockRecv, vfs.SockSend, vfs.SockShutdown,
	} {
		fn := reflect.ValueOf(f)
		name := runtime.FuncForPC(fn.Pointer()).Name()
		name = name[strings.LastIndexByte(name, '.')+1:]
		params := fn.Type().NumIn() - 1
		for _, fd := range []uint64{root, root + 1, root + 2, root + 3} {
			for arg := range params {
				for _, value := range hostile {
					g := newGuest(t, newNS(t))
					g.mustOpen("file", wasip1.OCreat, rw)
					g.insert(vfs.NewStream("s", discard{}, vfs.OpenRead|vfs.OpenWrite))
					g.insert(vfs.NewStream("q", &queueStream{}, vfs.OpenRead|vfs.OpenWrite))
					in := []reflect.Value{reflect.ValueOf(&g.Caller)}
					for i := range params {
						v := uint64(8)
						switch {
						case i == arg:
							v = value
						case i == 0:
							v = fd
						}
						in = append(in, reflect.ValueOf(v).Convert(fn.Type().In(i+1)))
					}
					errno := wasip1.Errno(fn.Call(in)[0].Uint())
					if !errno.Valid() {
						t.Errorf("%s, argument %d = %#x: %v", name, arg, value, errno)
					}
					if n := g.Table.Len(); n > 5 {
						t.Errorf("%s: %d descriptors", name, n)
					}
					g.Table.Close()
				}
			}
		}
	}
}

// A result that cannot be stored is found before anything is done.
func TestNothingIsDoneWithoutResult(t *testing.T) {
	g := newGuest(t, newNS(t))
	c := &g.Caller
	p, n := g.path("file")
	const bad = memSize - 3
	e := vfs.PathOpen(c, root, 0, p, n, uint32(wasip1.OCreat), uint64(rw), 0, 0, bad)
	expectErrno(t, "path_open", e, wasip1.EFAULT)
	if _, e := g.stat(root, "file", 0); e != wasip1.ENOENT {
		t.Errorf("the file has been made: %v", e)
	}
	fd := g.mustOpen("file", wasip1.OCreat, rw)
	iovs, k := g.iovs(1, 5)
	expectErrno(t, "fd_write", vfs.FdWrite(c, fd, iovs, k, bad), wasip1.EFAULT)
	expectErrno(t, "fd_pwrite", vfs.FdPwrite(c, fd, iovs, k, 0, bad), wasip1.EFAULT)
	expectErrno(t, "fd_seek", vfs.FdSeek(c, fd, 9, 0, memSize-7), wasip1.EFAULT)
	if a, _ := g.Table.Get(fd).Attr(); a.Size != 0 {
		t.Errorf("%d bytes have been written", a.Size)
	}
	expectErrno(t, "fd_tell", vfs.FdTell(c, fd, resultAt), 0)
	if g.u64() != 0 {
		t.Errorf("the position has moved to %d", g.u64())
	}
}
