package vfstest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// contentCases: reading, writing and sizes.
func contentCases() []Case {
	size := func(r *run, n vfs.Node, want uint64) {
		got := r.attr(n).Size
		r.check(got == want, "size is %d, want %d", got, want)
	}
	truncate := func(r *run, n vfs.Node, to uint64) { r.setAttr(n, vfs.SetAttr{Mask: vfs.SetSize, Size: to}) }
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	return []Case{
		{Name: "read/ends", run: func(r *run) {
			f := r.open(r.write(r.root, "a", "content"))
			for _, off := range []int64{7, 8, 1 << 20, 1 << 40} {
				n, err := f.ReadAt(make([]byte, 4), off)
				r.check(n == 0 && err == io.EOF, "a read at %d returns %d, %v", off, n, err)
			}
			r.check(r.readAt(f, 5, 10) == "nt", "a read over the end is wrong")
			n, err := f.ReadAt(nil, 0)
			r.check(n == 0 && err == nil, "a read of nothing returns %d, %v", n, err)
		}},
		{Name: "read/negative-offset", run: func(r *run) {
			f := r.open(r.write(r.root, "a", "content"))
			_, err := f.ReadAt(make([]byte, 1), -1)
			r.is(err, "read", wasip1.EINVAL)
			_, err = f.WriteAt([]byte("x"), -1)
			r.is(err, "write", wasip1.EINVAL)
			r.content(r.root, "a", "content")
		}},
		{Name: "write/extends", run: func(r *run) {
			n := r.create(r.root, "a")
			f := r.open(n)
			r.writeAt(f, "abc", 0)
			size(r, n, 3)
			r.writeAt(f, "def", 3)
			size(r, n, 6)
			r.writeAt(f, "XY", 1)
			size(r, n, 6)
			r.content(r.root, "a", "aXYdef")
		}},
		{Name: "write/nothing", run: func(r *run) {
			n := r.write(r.root, "a", "abc")
			k, err := r.open(n).WriteAt(nil, 100)
			r.check(k == 0 && err == nil, "writing nothing returns %d, %v", k, err)
			size(r, n, 3)
		}},
		{Name: "write/buffer-is-lent", run: func(r *run) {
			f := r.open(r.create(r.root, "a"))
			p := bytes.Repeat([]byte("a"), 40_000)
			_, err := f.WriteAt(p, 0)
			r.ok(err, "write")
			clear(p)
			r.content(r.root, "a", strings.Repeat("a", 40_000))
		}},
		{Name: "write/hole", run: func(r *run) {
			n := r.write(r.root, "a", "start")
			f := r.open(n)
			r.writeAt(f, "end", 100_000)
			size(r, n, 100_003)
			r.content(r.root, "a", "start"+zeros(99_995)+"end")
		}},
		{Name: "write/far", run: func(r *run) {
			const far = 1 << 40
			n := r.create(r.root, "a")
			f := r.open(n)
			k, err := f.WriteAt([]byte("end"), far)
			if !r.has(Sparse) {
				r.is(err, "write", wasip1.EFBIG, wasip1.ENOSPC)
				r.check(k == 0, "%d bytes were written", k)
				size(r, n, 0)
				return
			}
			r.ok(err, "write")
			size(r, n, far+3)
			r.check(r.readAt(f, far-5, 20) == zeros(5)+"end", "the end is wrong")
			r.check(r.readAt(f, 1<<30, 100) == zeros(100), "the hole is not of zeros")
			truncate(r, n, 10)
			r.check(r.readAt(f, 0, 20) == zeros(10), "what is left is not of zeros")
		}},
		{Name: "write/seen-by-other-open", run: func(r *run) {
			n := r.create(r.root, "a")
			f, g := r.open(n), r.open(r.lookupFile(r.root, "a"))
			r.writeAt(f, "abc", 0)
			r.check(r.readAt(g, 0, 10) == "abc", "not seen")
			r.writeAt(g, "x", 1)
			r.check(r.readAt(f, 0, 10) == "axc", "not seen")
		}},
		{Name: "write/kept-after-close", run: func(r *run) {
			n := r.create(r.root, "a")
			f := r.openMode(n, vfs.OpenWrite)
			r.writeAt(f, "abc", 0)
			r.ok(f.Sync(true), "sync of the data")
			r.ok(f.Sync(false), "sync")
			r.ok(f.Close(), "close")
			r.content(r.root, "a", "abc")
			g := r.openMode(n, vfs.OpenRead)
			r.check(r.readAt(g, 0, 10) == "abc", "not there when opened again")
			r.ok(g.Close(), "close")
		}},
		{Name: "open/truncate", run: func(r *run) {
			n := r.write(r.root, "a", "content")
			f := r.openMode(n, vfs.OpenWrite|vfs.OpenTruncate)
			size(r, n, 0)
			r.writeAt(f, "x", 2)
			r.ok(f.Close(), "close")
			r.content(r.root, "a", "\x00\x00x")
		}},
		{Name: "truncate/down-and-up", run: func(r *run) {
			n := r.write(r.root, "a", strings.Repeat("x", 50_000))
			for _, to := range []int{40_000, 16_384, 16_383, 100, 1} {
				truncate(r, n, uint64(to))
				size(r, n, uint64(to))
				truncate(r, n, 50_000)
				r.content(r.root, "a", strings.Repeat("x", to)+zeros(50_000-to))
				truncate(r, n, uint64(to))
			}
			truncate(r, n, 0)
			r.content(r.root, "a", "")
		}},
		{Name: "truncate/write-after", run: func(r *run) {
			n := r.write(r.root, "a", "0123456789")
			f := r.open(n)
			truncate(r, n, 4)
			r.writeAt(f, "x", 6)
			r.content(r.root, "a", "0123\x00\x00x")
		}},
		{Name: "truncate/too-large", run: func(r *run) {
			n := r.write(r.root, "a", "abc")
			r.is(n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: 1 << 63}), "truncate", wasip1.EFBIG, wasip1.EINVAL)
			size(r, n, 3)
		}},
		{Name: "truncate/directory", run: func(r *run) {
			d := r.mkdir(r.root, "d")
			r.is(d.SetAttr(vfs.SetAttr{Mask: vfs.SetSize}), "truncate", wasip1.EISDIR)
		}},
		{Name: "content/random", run: func(r *run) {
			// Writes and truncations at random, around the sizes at which stores change their ways.
			rng := rand.New(rand.NewPCG(7, 7))
			n := r.create(r.root, "a")
			f := r.open(n)
			var model []byte
			edges := []int{0, 1, 63, 64, 4095, 4096, 16383, 16384, 32768, 65535, 65536, 131072}
			pick := func() int { return max(0, edges[rng.IntN(len(edges))]+rng.IntN(5)-2) }
			for step := range 400 {
				if off := pick(); rng.IntN(4) > 0 {
					p := bytes.Repeat([]byte{byte(1 + step%250)}, pick()/(1+rng.IntN(4)))
					r.writeAt(f, string(p), int64(off))
					if len(p) > 0 && off+len(p) > len(model) {
						model = append(model, make([]byte, off+len(p)-len(model))...)
					}
					if len(p) > 0 {
						copy(model[off:], p)
					}
				} else {
					truncate(r, n, uint64(off))
					if off <= len(model) {
						model = model[:off:off]
					} else {
						model = append(model, make([]byte, off-len(model))...)
					}
				}
				off := pick()
				want := ""
				if off < len(model) {
					want = string(model[off:min(len(model), off+5000)])
				}
				r.check(r.readAt(f, int64(off), 5000) == want, "after step %d the content at %d is wrong", step, off)
			}
			r.content(r.root, "a", string(model))
		}},
		{Name: "content/vectors", run: func(r *run) {
			f := r.open(r.create(r.root, "a"))
			v, ok := f.(vfs.VectorFile)
			if !ok {
				return
			}
			n, err := v.WriteVector([][]byte{[]byte("ab"), nil, []byte("cde"), []byte("f")}, 2)
			r.check(n == 6 && err == nil, "writing returns %d, %v", n, err)
			r.content(r.root, "a", "\x00\x00abcdef")
			a, b, c := make([]byte, 1), make([]byte, 4), make([]byte, 10)
			n, err = v.ReadVector([][]byte{a, nil, b, c}, 2)
			r.check(n == 6 && (err == nil || err == io.EOF), "reading returns %d, %v", n, err)
			r.check(string(a)+string(b)+string(c[:1]) == "abcdef", "read %q %q %q", a, b, c)
			n, err = v.ReadVector([][]byte{a}, 8)
			r.check(n == 0 && (err == nil || err == io.EOF), "reading at the end returns %d, %v", n, err)
			_, err = v.WriteVector([][]byte{a}, -1)
			r.is(err, "writing at -1", wasip1.EINVAL)
			_, err = v.ReadVector([][]byte{a}, -1)
			r.is(err, "reading at -1", wasip1.EINVAL)
		}},
		{Name: "content/append", run: func(r *run) {
			n := r.write(r.root, "a", "start")
			ap, ok := r.open(n).(vfs.Appender)
			if !ok {
				return
			}
			k, end, err := ap.Append([][]byte{[]byte("ab"), []byte("c")})
			r.check(k == 3 && end == 8 && err == nil, "append returns %d, %d, %v", k, end, err)
			truncate(r, n, 6)
			k, end, err = ap.Append([][]byte{[]byte("xyz")})
			r.check(k == 3 && end == 9 && err == nil, "append returns %d, %d, %v", k, end, err)
			r.content(r.root, "a", "startaxyz")
		}},
		{Name: "content/allocate", run: func(r *run) {
			n := r.write(r.root, "a", "abc")
			al, ok := r.open(n).(vfs.Allocator)
			if !ok {
				return
			}
			r.ok(al.Allocate(0, 2), "allocate less than there is")
			size(r, n, 3)
			r.ok(al.Allocate(2, 8), "allocate more")
			size(r, n, 10)
			r.content(r.root, "a", "abc"+zeros(7))
		}},
	}
}
