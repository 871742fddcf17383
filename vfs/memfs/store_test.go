package memfs

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/internal/binfile"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// stored is a file system with everything that one can hold, as a file, and what it was.
func stored(t testing.TB) (*FS, []byte) {
	t.Helper()
	f := New()
	for i := range 100 {
		must(t, f.WriteFile(fmt.Sprintf("d/e/%d", i), bytes.Repeat([]byte{byte(i)}, i*i)))
	}
	for i := range 50 {
		must(t, f.tree().Remove(fmt.Sprintf("d/e/%d", 2*i)))
	}
	must(t, f.tree().Symlink("target", "link"))
	must(t, f.WriteFile("sparse", nil))
	sparse, err := f.open("sparse", vfs.OpenWrite)
	must(t, err)
	_, err = sparse.WriteAt([]byte("far out"), 1<<40)
	must(t, err)
	must(t, sparse.Close())
	must(t, f.WriteFile("orphan", []byte("orphan's")))
	_, err = f.open("orphan", vfs.OpenRead)
	must(t, err)
	must(t, f.tree().Remove("orphan"))
	n, err := f.lookup("d/e/7")
	must(t, err)
	must(t, f.root.Link("second", n))
	var b bytes.Buffer
	must(t, f.Store(&b))
	return f, b.Bytes()
}

func TestStoredFileSystemsAreTheSame(t *testing.T) {
	f, file := stored(t)
	r := bufio.NewReader(bytes.NewReader(append(bytes.Clone(file), "behind"...)))
	g, err := Load(r)
	must(t, err)
	was, is := f.Usage(), g.Usage()
	if is.Bytes > was.Bytes || is.Metadata != was.Metadata || is.Inodes != was.Inodes {
		t.Errorf("%+v loaded, %+v stored", is, was)
	}
	var again bytes.Buffer
	must(t, g.Store(&again))
	if !bytes.Equal(file, again.Bytes()) {
		t.Error("stored again, it is something else")
	}
	for _, name := range []string{"", "d/e", "d/e/7", "second", "link", "sparse"} {
		a, err := f.tree().Lstat(name)
		must(t, err)
		b, err := g.tree().Lstat(name)
		must(t, err)
		if d := cmp.Diff(a, b); d != "" {
			t.Errorf("%q (-stored +loaded):\n%s", name, d)
		}
		if n := g.Inode(a.Ino); n == nil {
			t.Errorf("%q has no inode %d", name, a.Ino)
		}
	}
	a, err := f.ReadFile("d/e/99")
	must(t, err)
	b, err := g.ReadFile("d/e/99")
	must(t, err)
	if !bytes.Equal(a, b) {
		t.Error("a file holds something else")
	}
	must(t, g.WriteFile("d/e/99", []byte("changed")))
	must(t, g.WriteFile("new", []byte("made")))
	g.DropOrphans()
	if u := g.Usage(); u.Inodes != was.Inodes {
		t.Errorf("with an orphan less and a file more: %+v", u)
	}
	if rest, _ := r.Peek(6); string(rest) != "behind" {
		t.Errorf("more was read than was written: %q is left", rest)
	}
	for _, limit := range []Option{WithMaxBytes(1000), WithMaxInodes(10), WithMaxFileSize(100)} {
		if _, err := Load(bytes.NewReader(file), limit); err == nil {
			t.Error("more was loaded than the limit allows")
		}
	}
}

func FuzzLoad(f *testing.F) {
	_, file := stored(f)
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Fuzz(func(t *testing.T, file []byte) {
		g, err := Load(bytes.NewReader(file), WithMaxBytes(1<<24))
		if err != nil {
			return
		}
		var again bytes.Buffer
		must(t, g.Store(&again))
		h, err := Load(bytes.NewReader(again.Bytes()))
		must(t, err)
		if g.Usage().Inodes != h.Usage().Inodes {
			t.Errorf("%+v became %+v", g.Usage(), h.Usage())
		}
		_ = g.WriteFile("a/b/c", []byte("x")) // a may be a file; it must not panic
	})
}

// forged writes a file of a file system that never was: a root with names for inodes that are files
// with chunks of a byte each, at these places.
func forged(t *testing.T, inodes, seqs, chunks []uint64) []byte {
	t.Helper()
	var b bytes.Buffer
	out := binfile.NewWriter(&b)
	out.Uint(lastInode)
	out.Uint(uint64(1 + len(inodes)))
	inode := func(ino uint64, typ wasip1.Filetype) {
		out.Uint(ino)
		out.Uint(uint64(typ))
		for range 5 { // mode, mark, times
			out.Uint(0)
		}
	}
	inode(rootIno, wasip1.FiletypeDirectory)
	out.Uint(rootIno)
	out.Uint(lastInode)
	out.Uint(uint64(len(inodes)))
	for i, ino := range inodes {
		out.Uint(seqs[i])
		out.Uint(ino)
		out.String(fmt.Sprint(i))
	}
	for _, ino := range inodes {
		inode(ino, wasip1.FiletypeRegularFile)
		out.Uint(math.MaxInt64)
		out.Uint(uint64(len(chunks)))
		for _, at := range chunks {
			out.Uint(at)
			out.Bytes([]byte{1})
		}
	}
	_, err := out.Flush()
	must(t, err)
	return b.Bytes()
}

// steps are n numbers that are so far apart.
func steps(n int, apart uint64) (s []uint64) {
	for i := range uint64(n) {
		s = append(s, 2+i*apart)
	}
	return s
}

// What is loaded takes no more memory than its charges say, whatever the numbers in the file are.
func TestLoadedFileSystemsTakeWhatTheyAreCharged(t *testing.T) {
	const n = 20_000
	for name, c := range map[string]struct{ inodes, seqs, chunks []uint64 }{
		"one after another":         {steps(n, 1), steps(n, 1), nil},
		"most files removed":        {steps(n, 64), steps(n, 64), nil},
		"inode numbers far apart":   {steps(n, 1<<47), steps(n, 1), nil},
		"places far apart":          {steps(n, 1), steps(n, 1<<47), nil},
		"chunks far apart":          {steps(1, 1), steps(1, 1), steps(n, 1<<34)},
		"chunks one after another":  {steps(1, 1), steps(1, 1), steps(n, 1)},
		"many files of far chunks":  {steps(n/10, 1), steps(n/10, 1), steps(10, 1<<43)},
		"many files of near chunks": {steps(n/10, 1), steps(n/10, 1), steps(10, 1)},
	} {
		file := forged(t, c.inodes, c.seqs, c.chunks)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		f, err := Load(bytes.NewReader(file), WithMaxBytes(1<<28))
		runtime.GC()
		runtime.ReadMemStats(&after)
		if err != nil {
			if strings.Contains(err.Error(), "further apart") == strings.Contains(name, "far apart") {
				continue
			}
			t.Errorf("%s: %v", name, err)
			continue
		}
		u := f.Usage()
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2*(u.Bytes+u.Metadata)+1<<20 {
			t.Errorf("%s: %d bytes are charged, and %d are taken for a file of %d", name, u.Bytes+u.Metadata, grown, len(file))
		}
		runtime.KeepAlive(f)
	}
}
