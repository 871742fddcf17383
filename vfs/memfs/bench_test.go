package memfs

import (
	"fmt"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
)

// bigTree returns a file system with n files in 100 directories.
func bigTree(tb testing.TB, n int) *FS {
	tb.Helper()
	f := New()
	for i := range n {
		if err := f.WriteFile(fmt.Sprintf("d%02d/file%06d", i%100, i), []byte("content")); err != nil {
			tb.Fatal(err)
		}
	}
	return f
}

// flat returns a directory with n files in it.
func flat(tb testing.TB, n int) *dirNode {
	tb.Helper()
	d := New().root
	for i := range n {
		if _, err := d.Create(fmt.Sprintf("file%06d", i), 0o666); err != nil {
			tb.Fatal(err)
		}
	}
	return d
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func newFile(tb testing.TB, size int) *fileNode {
	tb.Helper()
	f := New()
	must(tb, f.WriteFile("a", make([]byte, size)))
	n, err := f.open("a", vfs.OpenRead|vfs.OpenWrite)
	must(tb, err)
	return n
}

func BenchmarkFork(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("files=%d", n), func(b *testing.B) {
			f := bigTree(b, n)
			b.ReportAllocs()
			for b.Loop() {
				f.Fork()
			}
		})
	}
}

// BenchmarkForkWrite is a fork and its first write into one of 100,000 files.
func BenchmarkForkWrite(b *testing.B) {
	f := bigTree(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		n, err := f.Fork().open("d42/file000042", vfs.OpenWrite)
		must(b, err)
		_, err = n.WriteAt([]byte("x"), 0)
		must(b, err)
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprintf("entries=%d/same", n), func(b *testing.B) {
			d := flat(b, n)
			b.ReportAllocs()
			for b.Loop() {
				d.Lookup("file000007")
			}
		})
		b.Run(fmt.Sprintf("entries=%d/all", n), func(b *testing.B) {
			d := flat(b, n)
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprintf("file%06d", i*7919%n)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				d.Lookup(names[i])
				if i++; i == n {
					i = 0
				}
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		d := flat(b, 10)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				d.Lookup("file000007")
			}
		})
	})
}

func BenchmarkAttr(b *testing.B) {
	n := newFile(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		n.Attr()
	}
}

func BenchmarkRead(b *testing.B) {
	benchmarkOffsets(b, func(n *fileNode, p []byte, off int64) { n.ReadAt(p, off) })
}

func BenchmarkWrite(b *testing.B) {
	benchmarkOffsets(b, func(n *fileNode, p []byte, off int64) { n.WriteAt(p, off) })
}

// benchmarkOffsets goes through a file of 1 MiB again and again.
func benchmarkOffsets(b *testing.B, do func(n *fileNode, p []byte, off int64)) {
	for _, size := range []int{1, 4096, 65536} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			n := newFile(b, 1<<20)
			p := make([]byte, size)
			b.ReportAllocs()
			off := int64(0)
			for b.Loop() {
				do(n, p, off)
				off = (off + int64(size)) % (1 << 20)
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			n := newFile(b, 0)
			bufs := [][]byte{make([]byte, size)}
			b.ReportAllocs()
			for b.Loop() {
				_, end, _ := n.Append(bufs)
				if end > 64<<20 {
					n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize})
				}
			}
		})
	}
}

func BenchmarkCreateUnlink(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			d := flat(b, n)
			b.ReportAllocs()
			for b.Loop() {
				d.Create("new", 0o666)
				d.Unlink("new")
			}
		})
	}
}

func BenchmarkRename(b *testing.B) {
	d := flat(b, 10)
	d.Create("a", 0o666)
	b.ReportAllocs()
	from, to := "a", "b"
	for b.Loop() {
		if err := d.Rename(from, d, to); err != nil {
			b.Fatal(err)
		}
		from, to = to, from
	}
}

// BenchmarkReadDir reads 100,000 entries in each round, as many at a time as a buffer of 4 KiB
// takes.
func BenchmarkReadDir(b *testing.B) {
	d := flat(b, 100_000)
	entries := make([]vfs.DirEntry, 120)
	b.ReportAllocs()
	for b.Loop() {
		for cookie := uint64(0); ; {
			n, _ := d.ReadDir(cookie, entries)
			if n == 0 {
				break
			}
			cookie = entries[n-1].Next
		}
	}
}

func BenchmarkCreate100000(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		flat(b, 100_000)
	}
}
