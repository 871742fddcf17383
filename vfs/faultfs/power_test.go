package faultfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/view"
	"github.com/wasivirt/wasivirt/wasip1"
)

func ExampleFS_LosePower() {
	disk, _ := faultfs.New(memfs.New(), nil, faultfs.WithDurability())
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
	if err := tree(t, mem).Symlink("a", "link"); err != nil {
		t.Fatal(err)
	}
	if err := tree(t, mem).Link("d/x", "hard"); err != nil {
		t.Fatal(err)
	}
	before := dump(t, mem)
	f, err := faultfs.New(mem, nil, faultfs.WithDurability())
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
	// Each word is a change: a name is made a directory (d/), or with =TEXT a file, >NAME renames
	// and &NAME links it, - removes it, ! syncs it.
	for _, c := range []struct {
		do     string
		want   string // of the files and directories after power was lost
		strict string // if not the same
	}{
		{"f=1", "", ""},
		{"f=1 f!", "f=1", ""},
		{"f=1 .!", "f=", "f="},
		{"f=1 f! .!", "f=1", "f=1"},
		{"f=1 f! .! f=22", "f=1", "f=1"},
		{"f=1 f! .! f-", "f=1", "f=1"},
		{"f=1 f! .! f- .!", "", ""},
		// Whoever is synced takes no others along, but what is above.
		{"d/ d/e/ d/e/other=1 f=2 f!", "f=2", ""},
		{"d/ d/e/ d/e/f=1 d/e/g=2 d/e/f!", "d/ d/e/ d/e/f=1", ""},
		{"d/ d/e/ d/e/f=1 d/e/f! d/e!", "d/ d/e/ d/e/f=1", "d/ d/e/ d/e/f=1"},
		{"d/ d!", "d/", ""},
		{"d/ .!", "d/", "d/"},
		{"d/ d/f=1 d/f! .!", "d/ d/f=1", "d/"},
		// A rename: the old or the new, never none.
		{"f=1 f! .! f>g", "g=1", "f=1"},
		{"f=1 f! .! f>g .!", "g=1", "g=1"},
		{"old=1 old! .! new=2 new! new>old", "old=2", "old=1"},
		{"old=1 old! .! new=2 new! new>old .!", "old=2", "old=2"},
		{"old=1 old! .! new=2 new>old", "old=1", "old=1"},
		{"old=1 old! .! new=2 new>old old!", "old=2", "old=1"},
		{"old=1 old! .! new=2 new>old .!", "old=", "old="}, // content that was not synced
		{"d/ .! f=1 f! .! f>d/f", "d/ d/f=1", "d/ f=1"},
		{"d/ .! f=1 f! .! f>d/f d!", "d/ d/f=1", "d/ d/f=1"},
		{"d/ .! f=1 f! .! f>d/f .!", "d/ d/f=1", "d/ d/f=1"},
		{"f=1 f! .! d/ f>d/f d!", "d/ d/f=1", "d/ d/f=1"},
		{"d/ d/f=1 d/f! d! d>e", "d/ d/f=1", "d/ d/f=1"},
		{"d/ d/f=1 d/f! d! d>e e/g=2 e/g! e!", "e/ e/f=1 e/g=2", "e/ e/f=1 e/g=2"},
		// Links.
		{"f=1 f! .! f&g", "f=1", "f=1"},
		{"f=1 f! .! f&g f!", "f=1 g=1", "f=1"},
		{"d/ .! f=1 f! .! f&d/g f- d!", "d/ d/g=1 f=1", "d/ d/g=1 f=1"},
		{"d/ .! f=1 f! .! f&d/g d! d/g- f- d!", "d/ f=1", "d/ f=1"},
		{"d/ .! f=1 f! .! f&d/g d! d/g- f- .!", "d/ d/g=1", "d/ d/g=1"},
		// A name that was used again.
		{"a=1 a- a/ a!", "a/", ""},
		{"a/ a/f=1 a/f! .! a/f- a- a=2 a! .!", "a=2", "a=2"},
		{"a/ .! a/f=1 a/f! a! a/f- a-", "a/ a/f=1", "a/ a/f=1"},
	} {
		for _, strict := range []bool{false, true} {
			opt, want := faultfs.WithDurability(), c.want
			if strict {
				opt, want = faultfs.WithStrictDurability(), c.strict
			}
			t.Run(fmt.Sprintf("%s/%v", c.do, strict), func(t *testing.T) {
				w := newWorld(t, nil, opt)
				for _, word := range strings.Fields(c.do) {
					w.change(word)
				}
				w.must(w.fs.LosePower())
				var got []string
				for name, content := range dump(t, w.fs) {
					switch {
					case name == ".":
					case content == "dir":
						got = append(got, name+"/")
					default:
						got = append(got, name+"="+content)
					}
				}
				slices.Sort(got)
				if got := strings.Join(got, " "); got != want {
					t.Errorf("there is %q, want %q", got, want)
				}
			})
		}
	}
}

func (w *world) change(word string) {
	w.t.Helper()
	i := strings.IndexAny(word, "=>&")
	if i > 0 {
		name, rest := word[:i], word[i+1:]
		switch word[i] {
		case '=':
			w.must(w.WriteFile(name, []byte(rest), 0o666))
		case '>':
			w.must(w.Rename(name, rest))
		case '&':
			w.must(w.Link(name, rest))
		}
		return
	}
	name := word[:len(word)-1]
	switch word[len(name)] {
	case '/':
		w.must(w.Mkdir(name, 0o777))
	case '-':
		w.must(w.Remove(name))
	case '!':
		w.sync(name)
	}
}

func (w *world) sync(name string) {
	w.t.Helper()
	flag := os.O_RDWR
	if a, err := w.Stat(name); err == nil && a.Type == wasip1.FiletypeDirectory {
		flag = os.O_RDONLY
	}
	h, err := w.OpenFile(name, flag, 0)
	w.must(err)
	w.must(h.Sync())
	w.must(h.Close())
}

func TestWritesOfAFileOpenedToSync(t *testing.T) {
	w := newWorld(t, nil, faultfs.WithDurability())
	h, err := w.OpenFile("f", os.O_WRONLY|os.O_CREATE|os.O_SYNC, 0o666)
	w.must(err)
	_, err = h.Write([]byte("1"))
	w.must(err)
	w.must(w.fs.LosePower())
	if d := cmp.Diff(map[string]string{".": "dir", "f": "1"}, dump(t, w.fs)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// What is synced while it has no name comes back with the name that it had.
func TestSyncOfAFileWithoutNames(t *testing.T) {
	w := newWorld(t, nil, faultfs.WithStrictDurability())
	w.must(w.WriteFile("f", []byte("old"), 0o666))
	w.sync("f")
	w.sync(".")
	h, err := w.OpenFile("f", os.O_RDWR, 0)
	w.must(err)
	w.must(w.Remove("f"))
	_, err = h.WriteAt([]byte("newer"), 0)
	w.must(err)
	w.must(h.Sync())
	w.must(w.fs.LosePower())
	if b, err := w.ReadFile("f"); string(b) != "newer" {
		t.Errorf("%q, %v", b, err)
	}
}

// Whatever was changed before: what is synced last is there with its content, at the name that it
// had.
func TestRandomSyncs(t *testing.T) {
	names := []string{"a", "b", "c", "a/a", "a/b", "b/a", "b/c", "a/b/a", "c/c/c"}
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 9))
		name := func() string { return names[rng.IntN(len(names))] }
		strict := seed%2 == 1
		opt := faultfs.WithDurability()
		if strict {
			opt = faultfs.WithStrictDurability()
		}
		w := newWorld(t, nil, opt)
		var history []string
		for i := range 60 {
			p, q := name(), name()
			var err error
			switch rng.IntN(7) {
			case 0:
				err = w.Mkdir(p, 0o777)
			case 1, 2:
				err = w.WriteFile(p, fmt.Append(nil, i), 0o666)
			case 3:
				err = w.Remove(p)
			case 4:
				p += ">" + q
				err = w.Rename(strings.TrimSuffix(p, ">"+q), q)
			case 5:
				p += "&" + q
				err = w.Link(strings.TrimSuffix(p, "&"+q), q)
			case 6:
				a, e := w.Stat(p)
				if err = e; e != nil {
					break
				}
				w.sync(p)
				if strict {
					w.sync(path.Dir(p))
				}
				history = append(history, p+"!")
				if rng.IntN(3) > 0 || a.Type == wasip1.FiletypeDirectory {
					continue
				}
				want, err := w.ReadFile(p)
				w.must(err)
				if err := w.fs.LosePower(); err != nil {
					t.Fatalf("seed %d: %v\nafter %q", seed, err, history)
				}
				if got, err := w.ReadFile(p); err != nil || string(got) != string(want) {
					t.Fatalf("seed %d: %s has %q (%v), want %q\nafter %q", seed, p, got, err, want, history)
				}
				history = append(history, "POWER")
				continue
			}
			if err == nil {
				history = append(history, p)
			}
		}
	}
}

// A journal that syncs before it renames loses nothing that it has renamed, wherever the power
// goes; one that does not is caught.
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
		w := newWorld(t, []string{fmt.Sprintf("%s:*:nth=%d:powerloss", op, nth)}, faultfs.WithDurability())
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
