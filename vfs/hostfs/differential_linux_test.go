package hostfs_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// differ is a guest with one file system at "/", which answers each call with a text.
type differ struct {
	vfs.Caller
	mem []byte
	fds []uint32 // open, in the order of opening
}

const (
	dRoot   = 3
	dResult = 0x10
	dIovs   = 0x40
	dPath   = 0x1000
	dPath2  = 0x3000
	dBuf    = 0x5000
)

func newDiffer(t *testing.T, fsys vfs.FS) *differ {
	ns := vfs.NewNamespace()
	if err := ns.Mount("/", fsys); err != nil {
		t.Fatal(err)
	}
	d := &differ{mem: make([]byte, 1<<18)}
	d.View, d.Table, d.Clock = memory.NewView(d.mem), vfs.NewTable(0), clock.Real()
	if err := (&vfs.Preopens{Namespace: ns}).Install(d.Table); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Table.Close() })
	return d
}

func (d *differ) path(at int, p string) (uint32, uint32) {
	copy(d.mem[at:], p)
	return uint32(at), uint32(len(p))
}

func (d *differ) u32() uint32 { return binary.LittleEndian.Uint32(d.mem[dResult:]) }
func (d *differ) u64() uint64 { return binary.LittleEndian.Uint64(d.mem[dResult:]) }

func (d *differ) iov(n int) (uint32, uint32) {
	half := n / 2
	wasip1.Iovec{Buf: dBuf, Len: uint32(half)}.Encode(d.mem[dIovs:])
	wasip1.Iovec{Buf: uint32(dBuf + half), Len: uint32(n - half)}.Encode(d.mem[dIovs+wasip1.SizeIovec:])
	return dIovs, 2
}

func (d *differ) filestat(e wasip1.Errno) string {
	if e != wasip1.ESUCCESS {
		return e.Name()
	}
	s := wasip1.DecodeFilestat(d.mem[dResult:])
	if s.Filetype == wasip1.FiletypeDirectory {
		return "directory" // sizes and links of directories are the store's own
	}
	return fmt.Sprintf("%v of %d bytes, %d links", s.Filetype, s.Size, s.Nlink)
}

// list is the names in a directory and their types.
func (d *differ) list(fd uint32) string {
	var all []string
	for cookie := uint64(0); ; {
		const size = 100
		if e := vfs.FdReaddir(&d.Caller, fd, dBuf, size, cookie, dResult); e != wasip1.ESUCCESS {
			return e.Name()
		}
		used := d.u32()
		b := d.mem[dBuf : dBuf+used]
		for len(b) >= wasip1.SizeDirent {
			ent := wasip1.DecodeDirent(b)
			if b = b[wasip1.SizeDirent:]; len(b) < int(ent.Namlen) {
				break
			}
			all = append(all, fmt.Sprintf("%s:%v", b[:ent.Namlen], ent.Type))
			b, cookie = b[ent.Namlen:], uint64(ent.Next)
		}
		if used < size {
			slices.Sort(all)
			return strings.Join(all, " ")
		}
	}
}

// step is one call, the same for both.
type step struct {
	op     string
	p1, p2 string
	fd     int // index in fds
	a, b   uint64
}

func (s step) String() string {
	return fmt.Sprintf("%s %q %q #%d %d %d", s.op, s.p1, s.p2, s.fd, s.a, s.b)
}

func (d *differ) do(s step) string {
	c := &d.Caller
	fd := uint32(99)
	if len(d.fds) > 0 {
		fd = d.fds[s.fd%len(d.fds)]
	}
	p, n := d.path(dPath, s.p1)
	p2, n2 := d.path(dPath2, s.p2)
	flags := uint32(s.a & 1)
	switch s.op {
	case "open":
		base := wasip1.RightsFile | wasip1.RightsDirectoryBase
		if s.b&1 != 0 {
			base &^= wasip1.RightFdWrite
		}
		if s.b&2 != 0 {
			base &^= wasip1.RightFdRead
		}
		var fdflags wasip1.Fdflags
		if s.b&4 != 0 {
			fdflags = wasip1.FdAppend
		}
		e := vfs.PathOpen(c, dRoot, flags, p, n, uint32(s.a>>1&15), uint64(base), uint64(base), uint32(fdflags), dResult)
		if e == wasip1.ESUCCESS {
			d.fds = append(d.fds, d.u32())
		}
		return e.Name()
	case "close":
		e := vfs.FdClose(c, fd)
		if e == wasip1.ESUCCESS {
			i := slices.Index(d.fds, fd)
			d.fds = slices.Delete(d.fds, i, i+1)
		}
		return e.Name()
	case "read", "pread":
		clear(d.mem[dBuf : dBuf+0x10000])
		iovs, k := d.iov(int(s.a))
		var e wasip1.Errno
		if s.op == "read" {
			e = vfs.FdRead(c, fd, iovs, k, dResult)
		} else {
			e = vfs.FdPread(c, fd, iovs, k, s.b, dResult)
		}
		if e != wasip1.ESUCCESS {
			return e.Name()
		}
		return fmt.Sprintf("%d: %x", d.u32(), d.mem[dBuf:dBuf+d.u32()])
	case "write", "pwrite":
		for i := range s.a {
			d.mem[dBuf+i] = byte(s.b + i + 1)
		}
		iovs, k := d.iov(int(s.a))
		var e wasip1.Errno
		if s.op == "write" {
			e = vfs.FdWrite(c, fd, iovs, k, dResult)
		} else {
			e = vfs.FdPwrite(c, fd, iovs, k, s.b, dResult)
		}
		return fmt.Sprint(e.Name(), d.u32())
	case "seek":
		e := vfs.FdSeek(c, fd, s.b, uint32(s.a%4), dResult)
		return fmt.Sprint(e.Name(), d.u64())
	case "size":
		return vfs.FdFilestatSetSize(c, fd, s.b).Name()
	case "allocate":
		return vfs.FdAllocate(c, fd, s.b, s.a).Name()
	case "fstat":
		return d.filestat(vfs.FdFilestatGet(c, fd, dResult))
	case "list":
		return d.list(fd)
	case "root":
		return d.list(dRoot)
	case "stat":
		return d.filestat(vfs.PathFilestatGet(c, dRoot, flags, p, n, dResult))
	case "mkdir":
		return vfs.PathCreateDirectory(c, dRoot, p, n).Name()
	case "rmdir":
		return vfs.PathRemoveDirectory(c, dRoot, p, n).Name()
	case "unlink":
		return vfs.PathUnlinkFile(c, dRoot, p, n).Name()
	case "rename":
		return vfs.PathRename(c, dRoot, p, n, dRoot, p2, n2).Name()
	case "link":
		return vfs.PathLink(c, dRoot, flags, p, n, dRoot, p2, n2).Name()
	case "symlink":
		return vfs.PathSymlink(c, p, n, dRoot, p2, n2).Name()
	case "readlink":
		e := vfs.PathReadlink(c, dRoot, p, n, dBuf, 64, dResult)
		if e != wasip1.ESUCCESS {
			return e.Name()
		}
		return string(d.mem[dBuf : dBuf+d.u32()])
	case "times":
		return vfs.PathFilestatSetTimes(c, dRoot, flags, p, n, s.b, s.b, uint32(wasip1.FstAtim|wasip1.FstMtim)).Name()
	}
	panic(s.op)
}

// randomStep draws a call, of names so few that they meet.
func randomStep(r *rand.Rand) step {
	name := func() string {
		parts := []string{"a", "b", "c", "d", "a", "b", ".", "..", "d", "l"}
		p := parts[r.IntN(len(parts))]
		for r.IntN(3) == 0 {
			p += "/" + parts[r.IntN(len(parts))]
		}
		switch r.IntN(12) {
		case 0:
			p += "/"
		case 1:
			p += "/."
		}
		return p
	}
	sizes := []uint64{0, 1, 2, 100, 4095, 4096, 4097, 16383, 16384, 16385, 40000}
	size := func() uint64 { return sizes[r.IntN(len(sizes))] }
	s := step{p1: name(), p2: name(), fd: r.IntN(8)}
	ops := []string{
		"open", "open", "open", "open", "open", "close", "read", "pread", "pread", "write", "write", "pwrite", "pwrite", "seek", "size", "allocate",
		"fstat", "list", "root", "stat", "stat", "mkdir", "mkdir", "rmdir", "unlink", "rename", "rename", "rename", "link", "symlink", "readlink", "times",
	}
	s.op = ops[r.IntN(len(ops))]
	s.a, s.b = uint64(r.IntN(32)), uint64(r.IntN(8))
	switch s.op {
	case "read", "write", "allocate":
		s.a, s.b = size(), size()
	case "pread", "pwrite":
		s.a, s.b = size(), size()+size()
	case "seek":
		forward, back := size(), size()
		s.b = forward - back
	case "size":
		s.b = size() + size()
	}
	return s
}

// TestMemfsAnswersAsTheMachineDoes makes the same calls of a file system in memory and of a
// directory of the machine: what is answered, and what is read, must be the same.
func TestMemfsAnswersAsTheMachineDoes(t *testing.T) {
	rounds := uint64(100)
	if testing.Short() {
		rounds = 20
	}
	for seed := range rounds {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { differential(t, seed) }) {
			return
		}
	}
}

// alsoRight reports whether POSIX has both answers, and only the order in which a kernel looks
// decides.
func alsoRight(s step, mem, machine string) bool {
	switch {
	case s.op == "rename" && mem == "EISDIR" && machine == "ENOTEMPTY": // a file onto a directory that it is in
		return true
	case s.op == "open" && (mem == "ELOOP" || mem == "ENOTDIR") && machine == "EISDIR": // OCreat through a link with a slash behind its target
		return true
	}
	return false
}

func differential(t *testing.T, seed uint64) {
	host, err := hostfs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	machine, mem := newDiffer(t, host), newDiffer(t, memfs.New())
	r := rand.New(rand.NewPCG(seed, 1))
	var done []step
	for range 300 {
		s := randomStep(r)
		done = append(done, s)
		want, got := machine.do(s), mem.do(s)
		if got != want && !alsoRight(s, got, want) {
			t.Fatalf("%v: memfs %.200s, the machine %.200s\nafter %v", s, got, want, done)
		}
	}
	if diff := cmp.Diff(machine.list(dRoot), mem.list(dRoot)); diff != "" {
		t.Error(diff)
	}
}

// TestOddOpenings has what a file system in memory takes for granted and the kernel's open(2) does
// not.
func TestOddOpenings(t *testing.T) {
	host, err := hostfs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	const creat, excl, trunc = uint64(wasip1.OCreat) << 1, uint64(wasip1.OExcl) << 1, uint64(wasip1.OTrunc) << 1
	const readOnly, neither = 1, 3
	for name, d := range map[string]*differ{"the machine": newDiffer(t, host), "memfs": newDiffer(t, memfs.New())} {
		for _, tt := range []struct {
			step
			want string
		}{
			{step{op: "open", p1: "f", a: creat}, "ESUCCESS"},
			{step{op: "write", a: 10}, "ESUCCESS10"},
			{step{op: "open", p1: "f", a: trunc, b: readOnly}, "ESUCCESS"},
			{step{op: "fstat"}, "REGULAR_FILE of 0 bytes, 1 links"},
			{step{op: "pwrite", a: 2, b: 0}, "ESUCCESS2"},
			{step{op: "read", fd: 1, a: 5}, "2: 0102"},
			{step{op: "allocate", fd: 1, a: 4, b: 4}, "ESUCCESS"},
			{step{op: "fstat"}, "REGULAR_FILE of 8 bytes, 1 links"},
			{step{op: "open", p1: ".", a: excl, b: neither}, "ESUCCESS"},
			{step{op: "open", p1: "f", a: excl, b: neither}, "ESUCCESS"},
			{step{op: "open", p1: ".", a: creat | excl}, "EEXIST"},
		} {
			if got := d.do(tt.step); got != tt.want {
				t.Errorf("%s: %v: %s, want %s", name, tt.step, got, tt.want)
			}
		}
	}
}

// TestAllocateOfReadOnlyMount reserves nothing in a directory that is mounted read-only, whatever
// rights a descriptor has.
func TestAllocateOfReadOnlyMount(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("content"), 0o666); err != nil {
		t.Fatal(err)
	}
	host, err := hostfs.New(dir, hostfs.WithReadOnly())
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	d := newDiffer(t, host)
	if got := d.do(step{op: "open", p1: "f", b: 1}); got != "ESUCCESS" {
		t.Fatal(got)
	}
	if got := d.do(step{op: "allocate", a: 100, b: 100}); got != "EROFS" {
		t.Errorf("fd_allocate: %s, want EROFS", got)
	}
	if fi, err := os.Stat(filepath.Join(dir, "f")); err != nil || fi.Size() != 7 {
		t.Errorf("the file is %v, %v afterwards", fi, err)
	}
}
