package faultfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
	"github.com/wasivirt/wasivirt/vfs/view"
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

func ExampleFS_LosePower() {
	disk, _ := faultfs.New(memfs.New(), nil, faultfs.TrackDurability())
	root, _ := vfs.NewRoot(disk)
	f, _ := root.OpenFile("log", os.O_RDWR|os.O_CREATE, 0o666)
	f.Write([]byte("kept, "))
	f.Sync()
	f.Write([]byte("lost"))
	disk.LosePower()
	b, _ := root.ReadFile("log")
	fmt.Printf("%q\n", b)
	// Output:
	// "kept, "
}

func suite(t *testing.T, newFS func() vfs.FS, opts ...vfstest.Option) {
	t.Helper()
	for _, c := range vfstest.Cases() {
		if !c.Applies(opts...) {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Run(newFS(), opts...); err != nil {
				t.Error(err)
			}
		})
	}
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
	t.Run("memfs", func(t *testing.T) { suite(t, func() vfs.FS { return wrap(memfs.New()) }) })
	t.Run("tracked", func(t *testing.T) {
		suite(t, func() vfs.FS { return wrap(memfs.New(), faultfs.TrackDurability()) })
	})
	t.Run("aferofs", func(t *testing.T) {
		suite(t, func() vfs.FS { return wrap(aferofs.New(afero.NewMemMapFs()), faultfs.TrackDurability()) },
			vfstest.Without(vfstest.Sparse))
	})
}

func TestParseRule(t *testing.T) {
	for _, c := range []struct {
		text string
		want faultfs.Rule
	}{
		{"path_open:/data/*:nth=3:EIO", faultfs.Rule{Op: "path_open", Path: "/data/*", Nth: 3, Errno: wasip1.EIO}},
		{"fd_write:/log/**:p=0.01:short=1", faultfs.Rule{Op: "fd_write", Path: "/log/**", Probability: 0.01, Short: 1}},
		{"read:*:delay=20ms:corrupt", faultfs.Rule{Op: "read", Path: "*", Delay: 20 * time.Millisecond, Corrupt: 1}},
		{"*:/a\\:b:from=2:corrupt=9:powerloss", faultfs.Rule{Op: "*", Path: `/a\:b`, From: 2, Corrupt: 9, PowerLoss: true}},
		{"unlink::ENOSPC", faultfs.Rule{Op: "unlink", Errno: wasip1.ENOSPC}},
	} {
		got, err := faultfs.ParseRule(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.text, d)
		}
		if again, err := faultfs.ParseRule(got.String()); err != nil || again != got {
			t.Errorf("%s became %s: %v", c.text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                                    "want OPERATION:PATTERN",
		"path_open:/x":                        "want OPERATION:PATTERN",
		"path_opne:/x:EIO":                    `unknown operation "path_opne"`,
		"read:[:EIO":                          "pattern",
		"read:*:nth=0:EIO":                    "at least 1",
		"read:*:nth=x:EIO":                    "at least 1",
		"read:*:nth=1:from=2:EIO":             "exclude",
		"read:*:p=2:EIO":                      "probability",
		"read:*:p=NaN:EIO":                    "probability",
		"read:*:EWHAT":                        `unknown field "EWHAT"`,
		"read:*:nth=3":                        "no effect",
		"read:*:delay=5":                      "delay",
		"read:*:delay=-1s":                    "duration above 0",
		"read:*:EIO:EPERM":                    "two errnos",
		"read:*:powerloss=1":                  "takes no value",
		"read:*:short=-1":                     "at least 1",
		"read:*:ESUCCESS":                     "unknown field",
		"read:*:corrupt=99999999999999999999": "at least 1",
	} {
		if _, err := faultfs.ParseRule(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParseRule(f *testing.F) {
	f.Add("path_open:/data/*:nth=3:EIO")
	f.Add(`*:\::p=0.5:delay=1s:corrupt=3:powerloss:short=7`)
	f.Fuzz(func(t *testing.T, s string) {
		r, err := faultfs.ParseRule(s)
		if err != nil {
			return
		}
		again, err := faultfs.ParseRule(r.String())
		if err != nil || again != r {
			t.Errorf("%q is %+v, then %+v, %v", s, r, again, err)
		}
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
		w := newWorld(t, []string{"read:*:corrupt=2"}, faultfs.Seed(seed))
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
	w := newWorld(t, []string{"mkdir:*:p=0.3:EIO"}, faultfs.Seed(7))
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
	w := newWorld(t, []string{"mkdir:*:delay=3s"}, faultfs.Sleep(func(d time.Duration) { slept += d }))
	w.must(w.Mkdir("a", 0o777))
	if slept != 3*time.Second {
		t.Errorf("slept %v", slept)
	}
	w = newWorld(t, []string{"mkdir:*:delay=1h"})
	c := clock.NewVirtual(clock.AutoAdvance())
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
	w := newWorld(t, []string{"mkdir:/data/sub/**:EIO"}, faultfs.At("data"))
	w.must(w.Mkdir("sub", 0o777))
	w.is(w.Mkdir("sub/x", 0o777), wasip1.EIO)
}

// dump returns all of a file system by path.
func dump(t *testing.T, fsys vfs.FS) map[string]string {
	t.Helper()
	m := make(map[string]string)
	v := view.FS(fsys)
	err := fs.WalkDir(v, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Type()&fs.ModeSymlink != 0:
			target, err := fs.ReadLink(v, p)
			m[p] = "-> " + target
			return err
		case d.IsDir():
			m[p] = "dir"
			return nil
		}
		b, err := fs.ReadFile(v, p)
		m[p] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPowerTakesBackEverythingNotSynced(t *testing.T) {
	mem, err := memfs.FromMap(map[string]string{"a": "0123456789", "b": "b", "d/x": "x", "d/e/y": "y", "gone": "g", "empty/": ""})
	if err != nil {
		t.Fatal(err)
	}
	if err := mem.Symlink("a", "link"); err != nil {
		t.Fatal(err)
	}
	if err := mem.Link("d/x", "hard"); err != nil {
		t.Fatal(err)
	}
	before := dump(t, mem)
	f, err := faultfs.New(mem, nil, faultfs.TrackDurability())
	if err != nil {
		t.Fatal(err)
	}
	root, err := vfs.NewRoot(f)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{root, t, f, mem}
	h, err := w.OpenFile("a", os.O_RDWR, 0)
	w.must(err)
	_, err = h.WriteAt([]byte("XYZ"), 2)
	w.must(err)
	w.must(w.Truncate("a", 4))
	_, err = h.WriteAt([]byte("longer than before"), 3)
	w.must(err)
	w.must(w.WriteFile("new", []byte("n"), 0o666))
	w.must(w.Rename("new", "b"))
	w.must(w.WriteFile("d/e/y", []byte("changed"), 0o666))
	w.must(w.Rename("d", "moved"))
	w.must(w.WriteFile("moved/e/z", []byte("z"), 0o666))
	w.must(w.Remove("moved/x"))
	w.must(w.WriteFile("hard", []byte("changed too"), 0o666))
	w.must(w.Remove("gone"))
	w.must(w.Remove("link"))
	w.must(w.Symlink("elsewhere", "link"))
	w.must(w.Remove("empty"))
	w.must(w.WriteFile("empty", []byte("a file now"), 0o666))
	w.must(w.Link("moved/e/z", "zz"))
	w.must(f.CutPower())
	_, err = w.ReadFile("a")
	w.is(err, wasip1.EIO)
	f.RestorePower()
	if d := cmp.Diff(before, dump(t, f)); d != "" {
		t.Errorf("after power came back (-before +after):\n%s", d)
	}
	_, err = h.WriteAt([]byte("x"), 0)
	w.is(err, wasip1.EIO)
	if a, err := w.Stat("hard"); err != nil || a.Nlink != 2 {
		t.Errorf("%+v, %v", a, err)
	}
	// The world goes on.
	w.must(w.WriteFile("d/again", []byte("1"), 0o666))
	w.must(f.LosePower())
	if d := cmp.Diff(before, dump(t, f)); d != "" {
		t.Errorf("the second time (-before +after):\n%s", d)
	}
}

func TestWhatIsDurable(t *testing.T) {
	sync := func(w *world, name string) {
		h, err := w.OpenFile(name, os.O_RDWR, 0)
		w.must(err)
		w.must(h.Sync())
		w.must(h.Close())
	}
	for _, c := range []struct {
		name string
		do   func(w *world)
		want map[string]string
	}{
		{"a synced file", func(w *world) {
			w.must(w.WriteFile("f", []byte("1"), 0o666))
			sync(w, "f")
		}, map[string]string{".": "dir", "f": "1"}},
		{"what is written after", func(w *world) {
			w.must(w.WriteFile("f", []byte("1"), 0o666))
			sync(w, "f")
			w.must(w.WriteFile("f", []byte("22"), 0o666))
		}, map[string]string{".": "dir", "f": "1"}},
		{"the names of others, not their content", func(w *world) {
			w.must(w.MkdirAll("d/e", 0o777))
			w.must(w.WriteFile("d/e/other", []byte("1"), 0o666))
			w.must(w.WriteFile("f", []byte("2"), 0o666))
			sync(w, "f")
		}, map[string]string{".": "dir", "d": "dir", "d/e": "dir", "d/e/other": "", "f": "2"}},
		{"a rename of what is synced", func(w *world) {
			w.must(w.WriteFile("f", []byte("1"), 0o666))
			sync(w, "f")
			w.must(w.Rename("f", "g"))
		}, map[string]string{".": "dir", "g": "1"}},
		{"a rename of what is not", func(w *world) {
			w.must(w.WriteFile("old", []byte("1"), 0o666))
			sync(w, "old")
			w.must(w.WriteFile("new", []byte("2"), 0o666))
			w.must(w.Rename("new", "old"))
		}, map[string]string{".": "dir", "old": "1"}},
		{"a synced directory", func(w *world) {
			w.must(w.Mkdir("d", 0o777))
			h, err := w.Open("d")
			w.must(err)
			w.must(h.Sync())
			w.must(h.Close())
		}, map[string]string{".": "dir", "d": "dir"}},
		{"writes of a file opened for it", func(w *world) {
			h, err := w.OpenFile("f", os.O_WRONLY|os.O_CREATE|os.O_SYNC, 0o666)
			w.must(err)
			_, err = h.Write([]byte("1"))
			w.must(err)
		}, map[string]string{".": "dir", "f": "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil, faultfs.TrackDurability())
			c.do(w)
			w.must(w.fs.LosePower())
			if d := cmp.Diff(c.want, dump(t, w.fs)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// A journal that syncs before it renames loses nothing that it has renamed, wherever the power goes; one that does not is caught.
func TestJournal(t *testing.T) {
	commits := func(w *world, sync bool) (done int) {
		for i := 1; i <= 20; i++ {
			h, err := w.OpenFile("journal.tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
			if err != nil {
				return
			}
			_, err = fmt.Fprintf(h, "entry %d\n", i)
			if err == nil && sync {
				err = h.Sync()
			}
			h.Close()
			if err != nil || w.Rename("journal.tmp", "journal") != nil {
				return
			}
			done = i
		}
		return
	}
	run := func(op string, nth int, sync bool) (lost bool, all bool) {
		w := newWorld(t, []string{fmt.Sprintf("%s:*:nth=%d:powerloss", op, nth)}, faultfs.TrackDurability())
		done := commits(w, sync)
		if done == 20 {
			w.must(w.fs.LosePower())
		}
		w.fs.Clear()
		w.fs.RestorePower()
		b, err := w.ReadFile("journal")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		found := 0
		if len(b) > 0 {
			if _, err := fmt.Sscanf(string(b), "entry %d\n", &found); err != nil {
				t.Errorf("half an entry: %q", b)
			}
		}
		return found < done, done == 20
	}
	losses := 0
	for _, op := range []string{"*", "write", "rename", "open", "sync"} {
		for nth := 1; ; nth++ {
			lost, all := run(op, nth, true)
			if lost {
				t.Errorf("power lost at %s %d: an entry that was renamed is lost", op, nth)
			}
			if without, _ := run(op, nth, false); without {
				losses++
			}
			if all {
				break
			}
		}
	}
	if losses == 0 {
		t.Error("a journal without sync was never caught")
	}
}

func TestPowerWithoutTracking(t *testing.T) {
	w := newWorld(t, nil)
	w.is(w.fs.LosePower(), wasip1.ENOTSUP)
}
