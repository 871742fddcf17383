package vfs_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// The rows of the table of aims, without the 31 to 38 ns of the call from the guest.

// discard is a stream that takes everything.
type discard struct{ poll.Always }

func (discard) Read([]byte) (int, error)    { return 0, wasip1.EBADF }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

func expect(b *testing.B, e wasip1.Errno) {
	if e != wasip1.ESUCCESS {
		b.Helper()
		b.Fatal(e)
	}
}

func BenchmarkFdWriteDiscard(b *testing.B) {
	g := newGuest(b, newNS(b))
	fd := g.insert(vfs.NewStream("discard", discard{}, vfs.OpenWrite))
	iovs, n := g.iovs(1, 1)
	b.ReportAllocs()
	for b.Loop() {
		expect(b, vfs.FdWrite(&g.Caller, fd, iovs, n, resultAt))
	}
}

func BenchmarkFdWriteAppend(b *testing.B) {
	for _, size := range []int{1, 4096} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			g := newGuest(b, newNS(b))
			fd, e := g.openAt(root, "file", 0, wasip1.OCreat, rw, wasip1.FdAppend)
			expect(b, e)
			iovs, n := g.iovs(1, size)
			b.ReportAllocs()
			written := 0
			for b.Loop() {
				if written += size; written > 64<<20 {
					written = 0
					expect(b, vfs.FdFilestatSetSize(&g.Caller, fd, 0))
				}
				expect(b, vfs.FdWrite(&g.Caller, fd, iovs, n, resultAt))
			}
		})
	}
}

func BenchmarkFdRead(b *testing.B) {
	for _, size := range []int{1, 4096, 65536} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			g := newGuest(b, newNS(b))
			g.create("file", strings.Repeat("x", 65536))
			fd := g.mustOpen("file", 0, ro)
			iovs, n := g.iovs(1, size)
			b.ReportAllocs()
			for b.Loop() {
				expect(b, vfs.FdRead(&g.Caller, fd, iovs, n, resultAt))
				if g.u32() == 0 {
					expect(b, vfs.FdSeek(&g.Caller, fd, 0, 0, resultAt))
				}
			}
		})
	}
}

func BenchmarkIovecs8x512(b *testing.B) {
	g := newGuest(b, newNS(b))
	fd := g.mustOpen("file", wasip1.OCreat, rw)
	iovs, n := g.iovs(8, 512)
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			expect(b, vfs.FdPwrite(&g.Caller, fd, iovs, n, 0, resultAt))
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			expect(b, vfs.FdPread(&g.Caller, fd, iovs, n, 0, resultAt))
		}
	})
}

// deep makes a file at depth n and returns its path.
func deep(g *guest, n int) string {
	p := ""
	for i := range n - 1 {
		p += "d" + strconv.Itoa(i)
		g.mkdir(p)
		p += "/"
	}
	g.create(p+"file", "")
	return p + "file"
}

func BenchmarkPathOpenClose(b *testing.B) {
	for _, depth := range []int{1, 8} {
		b.Run(strconv.Itoa(depth), func(b *testing.B) {
			g := newGuest(b, newNS(b))
			p, n := g.path(deep(g, depth))
			b.ReportAllocs()
			for b.Loop() {
				expect(b, vfs.PathOpen(&g.Caller, root, 1, p, n, 0, uint64(ro), 0, 0, resultAt))
				expect(b, vfs.FdClose(&g.Caller, g.u32()))
			}
		})
	}
}

func BenchmarkPathFilestatGet(b *testing.B) {
	for _, depth := range []int{1, 8} {
		b.Run(strconv.Itoa(depth), func(b *testing.B) {
			g := newGuest(b, newNS(b))
			p, n := g.path(deep(g, depth))
			b.ReportAllocs()
			for b.Loop() {
				expect(b, vfs.PathFilestatGet(&g.Caller, root, 1, p, n, resultAt))
			}
		})
	}
}

func BenchmarkCreateCloseUnlink(b *testing.B) {
	g := newGuest(b, newNS(b))
	p, n := g.path("file")
	b.ReportAllocs()
	for b.Loop() {
		expect(b, vfs.PathOpen(&g.Caller, root, 1, p, n, uint32(wasip1.OCreat), uint64(rw), 0, 0, resultAt))
		expect(b, vfs.FdClose(&g.Caller, g.u32()))
		expect(b, vfs.PathUnlinkFile(&g.Caller, root, p, n))
	}
}

func BenchmarkPathRename(b *testing.B) {
	g := newGuest(b, newNS(b))
	g.create("a", "")
	p, n := g.path("a")
	p2, n2 := g.path2("b")
	b.ReportAllocs()
	for b.Loop() {
		expect(b, vfs.PathRename(&g.Caller, root, p, n, root, p2, n2))
		p, p2 = p2, p
	}
}

// BenchmarkFdReaddir reads whole directories through a buffer of 4 KiB. The time is linear: an
// entry of a directory ten times the size costs the same but for what no longer fits the caches of
// the processor.
func BenchmarkFdReaddir(b *testing.B) {
	for _, entries := range []int{10_000, 100_000} {
		b.Run(strconv.Itoa(entries), func(b *testing.B) {
			g := newGuest(b, newNS(b))
			for i := range entries {
				g.close(g.mustOpen("f"+strconv.Itoa(i), wasip1.OCreat, rw))
			}
			b.ReportAllocs()
			for b.Loop() {
				if n := g.count(root, 4096); n != entries+2 {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*entries), "ns/entry")
		})
	}
}

// count is len(list) without keeping the entries.
func (g *guest) count(dir uint32, size int) (n int) {
	for cookie := uint64(0); ; {
		if e := vfs.FdReaddir(&g.Caller, dir, bufAt, uint32(size), cookie, resultAt); e != wasip1.ESUCCESS {
			g.tb.Fatal(e)
		}
		used := int(g.u32())
		b := g.mem[bufAt : bufAt+used]
		for len(b) >= wasip1.SizeDirent {
			d := wasip1.DecodeDirent(b)
			if end := wasip1.SizeDirent + int(d.Namlen); len(b) >= end {
				n, cookie, b = n+1, uint64(d.Next), b[end:]
				continue
			}
			break
		}
		if used < size {
			return n
		}
	}
}
