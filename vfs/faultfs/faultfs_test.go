package faultfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/internal/fssuite"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
	"github.com/wasivirt/wasivirt/wasip1"
)

func Example() {
	rule, _ := faultfs.ParseRule("path_open:/data/*:nth=2:EIO")
	disk, _ := faultfs.New(memfs.New(), []faultfs.Rule{rule})
	root, _ := vfs.NewRoot(disk)
	root.Mkdir("data", 0o777)
	for range 3 {
		fmt.Println(root.WriteFile("data/f", []byte("x"), 0o666))
	}
	// Output:
	// <nil>
	// open data/f: EIO: input/output error
	// <nil>
}

func TestSuite(t *testing.T) {
	rules := []faultfs.Rule{{Op: "*", Path: "/no/such/path", Errno: wasip1.EIO}}
	wrap := func(fsys vfs.FS, opts ...faultfs.Option) vfs.FS {
		f, err := faultfs.New(fsys, rules, opts...)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	t.Run("memfs", func(t *testing.T) { fssuite.Run(t, func(*testing.T) vfs.FS { return wrap(memfs.New()) }) })
	t.Run("tracked", func(t *testing.T) {
		fssuite.Run(t, func(*testing.T) vfs.FS { return wrap(memfs.New(), faultfs.WithDurability()) })
	})
	t.Run("aferofs", func(t *testing.T) {
		fssuite.Run(t, func(*testing.T) vfs.FS { return wrap(aferofs.New(afero.NewMemMapFs()), faultfs.WithDurability()) },
			vfstest.Without(vfstest.Sparse))
	})
}

type world struct {
	*vfs.Root
	t   *testing.T
	fs  *faultfs.FS
	mem *memfs.FS
}

func newWorld(t *testing.T, rules []string, opts ...faultfs.Option) *world {
	t.Helper()
	var parsed []faultfs.Rule
	for _, s := range rules {
		r, err := faultfs.ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, r)
	}
	mem := memfs.New()
	fs, err := faultfs.New(mem, parsed, opts...)
	if err != nil {
		t.Fatal(err)
	}
	root, err := vfs.NewRoot(fs)
	if err != nil {
		t.Fatal(err)
	}
	return &world{root, t, fs, mem}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) is(err error, want wasip1.Errno) {
	w.t.Helper()
	if wasip1.FromError(err) != want {
		w.t.Errorf("got %v, want %v", err, want)
	}
}

func TestErrnos(t *testing.T) {
	w := newWorld(t, []string{"path_unlink_file:/d/*:EACCES", "mkdir:/x:nth=2:ENOSPC", "fd_write:/f:from=2:EDQUOT", "rename:/d/b:EIO"})
	w.must(w.Mkdir("d", 0o777))
	w.must(w.WriteFile("d/a", nil, 0o666))
	w.is(w.Remove("d/a"), wasip1.EACCES)
	w.must(w.Mkdir("x", 0o777))
	w.must(w.Remove("x"))
	w.is(w.Mkdir("x", 0o777), wasip1.ENOSPC)
	w.must(w.Mkdir("x", 0o777))
	w.must(w.WriteFile("f", []byte("1"), 0o666))
	w.is(w.WriteFile("f", []byte("2"), 0o666), wasip1.EDQUOT)
	w.is(w.Rename("d/a", "d/b"), wasip1.EIO)
	w.must(w.Rename("d/a", "d/c"))
	var acted []int
	for _, h := range w.fs.Hits() {
		acted = append(acted, h.Acted)
	}
	if d := cmp.Diff([]int{1, 1, 1, 1}, acted); d != "" {
		t.Error(d)
	}
	w.fs.Clear()
	w.must(w.Remove("d/c"))
}

func TestPathOpenCountsOnceWithCreation(t *testing.T) {
	w := newWorld(t, []string{"path_open:/f*:nth=2:EIO"})
	w.must(w.WriteFile("f1", nil, 0o666))
	w.is(w.WriteFile("f2", nil, 0o666), wasip1.EIO)
	if _, err := w.Stat("f2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a creation that failed left a file: %v", err)
	}
	w.must(w.WriteFile("f2", nil, 0o666))
	_, err := w.ReadFile("f2")
	w.must(err)
}

func TestShortTransfers(t *testing.T) {
	w := newWorld(t, []string{"write:*:short=3", "read:*:short=2"})
	f, err := w.OpenFile("f", os.O_RDWR|os.O_CREATE, 0o666)
	w.must(err)
	n, _ := f.WriteAt([]byte("hello"), 0)
	if b, _ := w.mem.ReadFile("f"); string(b[:min(3, len(b))]) != "hel" {
		t.Errorf("wrote %d: %q", n, b)
	}
	w.fs.Clear()
	w.must(w.fs.Add(faultfs.Rule{Op: "read", Nth: 1, Short: 2}))
	b := make([]byte, 3)
	if n, err := f.Read(b); n != 2 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
}

func TestCorruptReadsAreRepeatable(t *testing.T) {
	read := func(seed uint64) string {
		w := newWorld(t, []string{"read:*:corrupt=2"}, faultfs.WithSeed(seed))
		w.must(w.WriteFile("f", make([]byte, 64), 0o666))
		b, err := w.ReadFile("f")
		w.must(err)
		if clean, _ := w.mem.ReadFile("f"); string(clean) != string(make([]byte, 64)) {
			t.Error("the file itself was changed")
		}
		return string(b)
	}
	if a, b := read(1), read(1); a != b || a == string(make([]byte, 64)) {
		t.Errorf("%q, %q", a, b)
	}
	if read(1) == read(2) {
		t.Error("two seeds spoil alike")
	}
}

func TestProbability(t *testing.T) {
	w := newWorld(t, []string{"mkdir:*:p=0.3:EIO"}, faultfs.WithSeed(7))
	failed := 0
	for i := range 1000 {
		if w.Mkdir(fmt.Sprint(i), 0o777) != nil {
			failed++
		}
	}
	if failed < 250 || failed > 350 {
		t.Errorf("%d of 1000 failed", failed)
	}
}

func TestDelays(t *testing.T) {
	var slept time.Duration
	w := newWorld(t, []string{"mkdir:*:delay=3s"}, faultfs.WithSleep(func(d time.Duration) { slept += d }))
	w.must(w.Mkdir("a", 0o777))
	if slept != 3*time.Second {
		t.Errorf("slept %v", slept)
	}
	w = newWorld(t, []string{"mkdir:*:delay=1h"})
	c := clock.NewVirtual(clock.WithAutoAdvance())
	w.fs.Attach(vfs.Env{Clock: c})
	for _, hold := range []bool{false, true} {
		if hold {
			c.Hold()
		}
		before := c.Monotonic()
		w.must(w.Mkdir(fmt.Sprint(hold), 0o777))
		if d := time.Duration(c.Monotonic() - before); d != time.Hour {
			t.Errorf("held %v: %v passed", hold, d)
		}
	}
	c.Release()
}

func TestAt(t *testing.T) {
	w := newWorld(t, []string{"mkdir:/data/sub/*:EIO"}, faultfs.WithDir("data"))
	w.must(w.Mkdir("sub", 0o777))
	w.is(w.Mkdir("sub/x", 0o777), wasip1.EIO)
}
