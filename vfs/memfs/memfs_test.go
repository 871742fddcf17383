package memfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

func Example() {
	fsys := New()
	fsys.WriteFile("etc/motd", []byte("hello"))
	fork := fsys.Fork()
	fork.WriteFile("etc/motd", []byte("hello, fork"))

	before, _ := fsys.ReadFile("etc/motd")
	after, _ := fork.ReadFile("etc/motd")
	fmt.Printf("%s\n%s\n", before, after)
	// Output:
	// hello
	// hello, fork
}

func TestLimitBytes(t *testing.T) {
	f := New(WithMaxBytes(100_000))
	must(t, f.WriteFile("a", nil))
	n, err := f.open("a", vfs.OpenWrite)
	must(t, err)
	k, err := n.WriteAt(make([]byte, 150_000), 0)
	if k != 100_000 || err != wasip1.ENOSPC {
		t.Errorf("wrote %d, %v; want what fits, and ENOSPC", k, err)
	}
	if u := f.Usage(); u.Bytes != 100_000 {
		t.Errorf("usage is %+v", u)
	}
	if k, err := n.WriteAt([]byte("over"), 99_990); k != 4 || err != nil {
		t.Errorf("writing over what is there: %d, %v", k, err)
	}
	if k, end, err := n.Append([][]byte{[]byte("x")}); k != 0 || end != 100_000 || err != wasip1.ENOSPC {
		t.Errorf("append: %d, %d, %v", k, end, err)
	}
	must(t, n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: 50_000}))
	checkUsage(t, f)
	if k, err := n.WriteAt(make([]byte, 20_000), 50_000); k != 20_000 || err != nil {
		t.Errorf("writing what truncation gave back: %d, %v", k, err)
	}
	checkUsage(t, f)
	must(t, f.tree().Remove("a"))
	if u := f.Usage(); u.Bytes == 0 {
		t.Error("given back while open")
	}
	must(t, n.Close())
	if u := f.Usage(); u.Bytes != 0 || u.Inodes != 1 {
		t.Errorf("not given back by the last close: %+v", u)
	}
	if _, err := n.Open(vfs.OpenRead); err != wasip1.ENOENT {
		t.Errorf("opening what has gone: %v", err)
	}
	if err := n.Close(); err != wasip1.EBADF {
		t.Errorf("closing once more: %v", err)
	}
}

func TestLimitInodes(t *testing.T) {
	f := New(WithMaxInodes(4))
	must(t, f.WriteFile("a", nil))
	must(t, f.tree().Mkdir("d", 0o777))
	must(t, f.tree().Symlink("a", "l"))
	must(t, f.tree().Link("a", "b"))
	if err := f.WriteFile("c", nil); !errors.Is(err, wasip1.ENOSPC) {
		t.Errorf("one too many: %v", err)
	}
	for _, name := range []string{"d", "l"} {
		must(t, f.tree().Remove(name))
		must(t, f.WriteFile("c", nil))
		must(t, f.tree().Remove("c"))
		must(t, f.tree().Mkdir(name, 0o777))
	}
}

func TestLimitFileSize(t *testing.T) {
	f := New(WithMaxFileSize(1000))
	must(t, f.WriteFile("a", nil))
	n, err := f.open("a", vfs.OpenWrite)
	must(t, err)
	if k, err := n.WriteAt(make([]byte, 20), 990); k != 10 || err != wasip1.EFBIG {
		t.Errorf("write: %d, %v", k, err)
	}
	if k, err := n.WriteAt([]byte("x"), 1000); k != 0 || err != wasip1.EFBIG {
		t.Errorf("write at the end: %d, %v", k, err)
	}
	if err := n.Allocate(990, 20); err != wasip1.EFBIG {
		t.Errorf("allocate: %v", err)
	}
	if a, _ := n.Attr(); a.Size != 1000 {
		t.Errorf("size is %d", a.Size)
	}
}

// TestFarEnds: offsets and sizes at the ends of what can be said.
func TestFarEnds(t *testing.T) {
	f := New()
	must(t, f.WriteFile("a", nil))
	n, err := f.open("a", vfs.OpenWrite)
	must(t, err)
	if k, err := n.WriteAt([]byte("xy"), math.MaxInt64-1); k != 1 || err != wasip1.EFBIG {
		t.Errorf("write: %d, %v", k, err)
	}
	if a, _ := n.Attr(); a.Size != math.MaxInt64 {
		t.Errorf("size is %d", a.Size)
	}
	p := make([]byte, 5)
	if k, _ := n.ReadAt(p, math.MaxInt64-3); k != 3 || !bytes.Equal(p[:3], []byte("\x00\x00x"[:3])) && p[1] != 'x' {
		t.Errorf("read %d: %q", k, p)
	}
	if k, end, err := n.Append([][]byte{p}); k != 0 || end != math.MaxInt64 || err != wasip1.EFBIG {
		t.Errorf("append: %d, %d, %v", k, end, err)
	}
	if err := n.Allocate(1, math.MaxInt64); err != wasip1.EFBIG {
		t.Errorf("allocate: %v", err)
	}
	if u := f.Usage(); u.Bytes > chunkSize {
		t.Errorf("a hole takes %d bytes", u.Bytes)
	}
	must(t, n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize}))
	if u := f.Usage(); u.Bytes != 0 {
		t.Errorf("truncated, it takes %d bytes", u.Bytes)
	}
}

// TestLimitIsExact: goroutines write and remove at a limit, and used + free is the limit at every
// moment.
func TestLimitIsExact(t *testing.T) {
	const limit = 300_000
	f := New(WithMaxBytes(limit), WithMaxInodes(20))
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for round := range 60 {
				name := fmt.Sprintf("f%d-%d", i, round)
				err := f.WriteFile(name, make([]byte, 37_000))
				if err != nil && !errors.Is(err, wasip1.ENOSPC) {
					t.Error(err)
				}
				if u := f.Usage(); u.Bytes > limit || u.Bytes < 0 || u.Inodes > 20 {
					t.Errorf("over the limit: %+v", u)
				}
				if err := f.tree().Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	checkUsage(t, f)
	if u := f.Usage(); u.Bytes != 0 || u.Inodes != 1 {
		t.Errorf("all was removed, and there is %+v", u)
	}
}

// setClock is a clock that says what it is told.
type setClock struct{ now int64 }

func (c *setClock) Realtime() int64                     { return c.now }
func (c *setClock) Monotonic() int64                    { return c.now }
func (c *setClock) AfterFunc(int64, func()) clock.Timer { return nil }

func TestTimes(t *testing.T) {
	f := New()
	must(t, f.WriteFile("before", nil))
	c := &setClock{now: 100}
	f.Attach(vfs.Env{})
	f.Attach(vfs.Env{Clock: c})
	f.Attach(vfs.Env{Clock: &setClock{now: 7}})
	type times struct{ Atim, Mtim, Ctim int64 }
	check := func(name string, want times) {
		t.Helper()
		a, err := f.tree().Stat(name)
		must(t, err)
		if diff := cmp.Diff(want, times{a.Atim, a.Mtim, a.Ctim}); diff != "" {
			t.Errorf("%s at %d: %s", name, c.now, diff)
		}
	}
	check("before", times{0, 0, 0})
	must(t, f.WriteFile("d/a", []byte("content")))
	check("d/a", times{100, 100, 100})
	check("", times{0, 100, 100})

	c.now = 110
	_, err := f.ReadFile("d/a")
	must(t, err)
	check("d/a", times{110, 100, 100}) // the first read after a change
	c.now = 120
	_, err = f.ReadFile("d/a")
	must(t, err)
	check("d/a", times{110, 100, 100}) // the second
	_, err = f.tree().ReadDir("d")
	must(t, err)
	check("d", times{120, 100, 100})

	c.now = 130
	must(t, f.tree().Rename("d/a", "b"))
	check("b", times{110, 100, 130})
	check("d", times{120, 130, 130})
	c.now = 140
	must(t, f.tree().Link("b", "d/c"))
	check("b", times{110, 100, 140})
	must(t, f.tree().Chmod("b", 0o600))
	check("b", times{110, 100, 140})
	c.now = 150
	must(t, f.tree().SetAttr("b", false, vfs.SetAttr{Mask: vfs.SetAtim, Atim: 5}))
	check("b", times{5, 100, 150})
	_, err = f.ReadFile("b")
	must(t, err)
	check("b", times{5, 100, 150})
	c.now = 160
	must(t, f.tree().SetAttr("b", false, vfs.SetAttr{Mask: vfs.SetSize, Size: 2}))
	check("b", times{5, 160, 160})
}

// TestClockOfFork: a fork keeps time as before until it is mounted, then as its Host does; a clock
// chosen by the embedder stays.
func TestClockOfFork(t *testing.T) {
	mtime := func(f *FS) int64 {
		must(t, f.WriteFile("a", []byte("x")))
		a, err := f.tree().Stat("a")
		must(t, err)
		return a.Mtim
	}
	f := New()
	f.Attach(vfs.Env{Clock: &setClock{now: 1}})
	g := f.Fork()
	if got := mtime(g); got != 1 {
		t.Errorf("not mounted: %d", got)
	}
	g.Attach(vfs.Env{Clock: &setClock{now: 2}})
	g.Attach(vfs.Env{Clock: &setClock{now: 3}})
	if got := mtime(g); got != 2 {
		t.Errorf("mounted: %d", got)
	}
	if got := mtime(f); got != 1 {
		t.Errorf("the old side: %d", got)
	}
	g = New(WithClock(&setClock{now: 9})).Fork()
	g.Attach(vfs.Env{Clock: &setClock{now: 2}})
	if got := mtime(g); got != 9 {
		t.Errorf("chosen: %d", got)
	}
}

func TestFromMap(t *testing.T) {
	f, err := FromMap(map[string]string{"a/b/c": "deep", "x": "", "/abs": "made relative", "empty/": ""})
	must(t, err)
	want := map[string]string{
		"a": "ino 3, nlink 3: ", "a/b": "ino 4, nlink 2: ", "a/b/c": "ino 5, nlink 1: deep",
		"x": "ino 7, nlink 1: ", "abs": "ino 2, nlink 1: made relative", "empty": "ino 6, nlink 2: ",
	}
	if diff := cmp.Diff(want, dump(t, f)); diff != "" {
		t.Error(diff)
	}
	if _, err := FromMap(map[string]string{"a": "", "a/b": ""}); !errors.Is(err, wasip1.ENOTDIR) {
		t.Errorf("a file below a file: %v", err)
	}
}

// TestHostNames: what the methods for host code say of names.
func TestHostNames(t *testing.T) {
	f, err := FromMap(map[string]string{"d/file": "content"})
	must(t, err)
	must(t, f.tree().Symlink("d", "link"))
	for _, tt := range []struct {
		name string
		want wasip1.Errno
	}{
		{"d/file", wasip1.ESUCCESS},
		{"//d/./file", wasip1.ESUCCESS},
		{"d", wasip1.EISDIR},
		{"", wasip1.EISDIR},
		{"absent", wasip1.ENOENT},
		{"absent/file", wasip1.ENOENT},
		{"d/file/x", wasip1.ENOTDIR},
		{"link", wasip1.EISDIR},
		{"link/file", wasip1.ESUCCESS},
		{"d/../d/file", wasip1.ESUCCESS},
		{"d/../../d/file", wasip1.ESUCCESS},
	} {
		_, err := f.ReadFile(tt.name)
		if got := wasip1.FromError(err); got != tt.want {
			t.Errorf("reading %q: %v, want %v", tt.name, err, tt.want)
		}
		var pe *fs.PathError
		if err != nil && (!errors.As(err, &pe) || pe.Path != tt.name) {
			t.Errorf("reading %q: the error is %T: %v", tt.name, err, err)
		}
	}
	must(t, f.tree().RemoveAll("d"))
	must(t, f.tree().RemoveAll("d"))
	if _, err := f.tree().Stat("d/file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed, it is there: %v", err)
	}
}

func TestLongTarget(t *testing.T) {
	f := New()
	must(t, f.tree().Symlink(strings.Repeat("t", vfs.MaxPath), "longest"))
	if err := f.tree().Symlink(strings.Repeat("t", vfs.MaxPath+1), "longer"); !errors.Is(err, wasip1.ENAMETOOLONG) {
		t.Errorf("a target that is too long: %v", err)
	}
}

// TestSameNode: of each file there is one node, however it is found.
func TestSameNode(t *testing.T) {
	f := New()
	d := f.root
	made, err := d.Create("a", 0o666)
	must(t, err)
	must(t, d.Link("b", made))
	must(t, f.tree().Rename("a", "c"))
	for _, name := range []string{"b", "c", "b"} {
		if n, err := d.Lookup(name); n != made || err != nil {
			t.Errorf("%s is %p, %v; want %p", name, n, err, made)
		}
	}
}

// TestNoAllocations: what a guest does most costs none.
func TestNoAllocations(t *testing.T) {
	n := newFile(t, 100)
	d := n.fs.root
	p := make([]byte, 10)
	bufs := [][]byte{p, p}
	entries := make([]vfs.DirEntry, 10)
	for what, do := range map[string]func(){
		"Lookup":      func() { d.Lookup("a") },
		"Attr":        func() { n.Attr() },
		"Open, Close": func() { n.Open(vfs.OpenRead); n.Close() },
		"ReadAt":      func() { n.ReadAt(p, 5) },
		"WriteAt":     func() { n.WriteAt(p, 5) },
		"ReadVector":  func() { n.ReadVector(bufs, 5) },
		"WriteVector": func() { n.WriteVector(bufs, 5) },
		"ReadDir":     func() { d.ReadDir(0, entries) },
		"SetAttr":     func() { n.SetAttr(vfs.SetAttr{Mask: vfs.SetMtim, Mtim: 5}) },
	} {
		if allocs := testing.AllocsPerRun(100, do); allocs > 0 {
			t.Errorf("%s makes %v allocations", what, allocs)
		}
	}
}

// TestNameCache: names that are cached and change are never found as they were.
func TestNameCache(t *testing.T) {
	f := New()
	d := f.root
	for i := range 64 * minCache { // more than the cache has room for, more than once
		name := fmt.Sprint(i)
		n, err := d.Create(name, 0o666)
		must(t, err)
		for range 2 {
			if got, err := d.Lookup(name); got != n || err != nil {
				t.Fatalf("%s: %v, %v", name, got, err)
			}
		}
		switch i % 3 {
		case 0:
			must(t, d.Unlink(name))
		case 1:
			must(t, d.Rename(name, d, "other"))
			if got, err := d.Lookup("other"); got != n || err != nil {
				t.Fatalf("renamed %s: %v, %v", name, got, err)
			}
		case 2:
			continue
		}
		if _, err := d.Lookup(name); err != wasip1.ENOENT {
			t.Fatalf("%s has gone: %v", name, err)
		}
	}
}

func TestLock(t *testing.T) {
	var l rwlock
	var p parking
	p.cond.L = &p.mu
	var wg sync.WaitGroup
	a, b := 0, 0
	for i := range 10 {
		wg.Go(func() {
			for range 3000 {
				switch {
				case i >= 8:
					l.lock(&p)
					l.downgrade(&p)
					if a != b {
						t.Error("a writer that became a reader saw a writer at work")
					}
					l.runlock(&p)
				case i < 4:
					l.lock(&p)
					a++
					b++
					l.unlock(&p)
				default:
					l.rlock(&p)
					if a != b {
						t.Error("a reader saw a writer at work")
					}
					l.runlock(&p)
				}
			}
		})
	}
	wg.Wait()
	if a != 12_000 {
		t.Errorf("counted %d, want 12000", a)
	}
	if s, w, q := l.state.Load(), atomic.LoadInt32(&l.writers), l.waiting.Load(); s != 0 || w != 0 || q != 0 {
		t.Errorf("left behind: state %d, %d writers, %d waiting", s, w, q)
	}
}

func TestMetadataIsCharged(t *testing.T) {
	f := New(WithMaxBytes(1 << 20))
	is := func(want int64) {
		t.Helper()
		if u := f.Usage(); u.Metadata != want || u.MaxMetadata != 1<<20 {
			t.Errorf("metadata: %d of %d, want %d", u.Metadata, u.MaxMetadata, want)
		}
	}
	cost := func(name string) int64 { return vfs.NameBytes + int64(len(name)) }
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(f.WriteFile("dir/file", []byte("content")))
	is(2*vfs.InodeBytes + cost("dir") + cost("file"))
	check(f.tree().Link("dir/file", "other"))
	check(f.tree().Symlink("target", "link"))
	is(3*vfs.InodeBytes + cost("dir") + cost("file") + cost("other") + cost("link") + int64(len("target")))
	check(f.tree().Rename("other", "link"))
	is(2*vfs.InodeBytes + cost("dir") + cost("file") + cost("link"))
	g := f.Fork()
	check(g.tree().RemoveAll("dir"))
	check(g.tree().RemoveAll("link"))
	if u := g.Usage(); u.Metadata != 0 {
		t.Errorf("the empty fork is charged %d", u.Metadata)
	}
	is(2*vfs.InodeBytes + cost("dir") + cost("file") + cost("link"))

	check(f.tree().RemoveAll("dir"))
	var err error
	names := 0
	for ; err == nil; names++ {
		err = f.tree().Link("link", fmt.Sprintf("%0250d", names))
	}
	if !errors.Is(err, wasip1.ENOSPC) || names > 1<<20/250 {
		t.Errorf("%d links: %v", names, err)
	}
	check(f.tree().Rename("link", "knil"))
	check(f.tree().RemoveAll("knil"))
}

func TestFileCutShortKeepsWhatItNeeds(t *testing.T) {
	f := New()
	for _, size := range []uint64{1, 64, 65, 5000} {
		if err := f.WriteFile("f", make([]byte, chunkSize)); err != nil {
			t.Fatal(err)
		}
		if err := f.tree().SetAttr("f", false, vfs.SetAttr{Mask: vfs.SetSize, Size: size}); err != nil {
			t.Fatal(err)
		}
		if u, most := f.Usage().Bytes, int64(max(2*size, minChunk)); u > most {
			t.Errorf("%d bytes are kept for %d", u, size)
		}
	}
}
