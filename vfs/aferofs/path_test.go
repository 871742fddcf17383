package aferofs

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// walked returns what stands at a path, name by name.
func walked(d vfs.Directory, path string) (vfs.Node, error) {
	var n vfs.Node = d
	for name := range strings.SplitSeq(path, "/") {
		d, ok := n.(vfs.Directory)
		if !ok {
			return nil, wasip1.ENOTDIR
		}
		var err error
		if n, err = d.Lookup(name); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// What a path leads to in one step is what it leads to name by name, whatever host code has done to
// the store.
func TestPathsInOneStep(t *testing.T) {
	paths := []string{"f", "d/f", "d/e/f", "d/e/f/g", "d/no", "no/f", "d/alias", "d/link", "other/e/f", "rel/f", "d/e"}
	for _, change := range []struct {
		name string
		do   func(s afero.Fs, root *dir) error
	}{
		{"nothing", func(afero.Fs, *dir) error { return nil }},
		{"a file is replaced", func(s afero.Fs, _ *dir) error {
			if err := s.Remove("/d/e/f"); err != nil {
				return err
			}
			return afero.WriteFile(s, "/d/e/f", []byte("another"), 0o666)
		}},
		{"a file is longer", func(s afero.Fs, _ *dir) error { return afero.WriteFile(s, "/d/f", []byte("longer"), 0o666) }},
		{"a directory is removed", func(s afero.Fs, _ *dir) error { return s.RemoveAll("/d") }},
		{"a directory is removed, and leaves orphans", func(s afero.Fs, _ *dir) error { return s.Remove("/d/e") }},
		{"a directory is renamed", func(s afero.Fs, _ *dir) error { return s.Rename("/d", "/other") }},
		{"a file takes a directory's place", func(s afero.Fs, _ *dir) error {
			if err := s.RemoveAll("/d/e"); err != nil {
				return err
			}
			return afero.WriteFile(s, "/d/e", nil, 0o666)
		}},
		{"a guest renames a directory", func(_ afero.Fs, root *dir) error { return root.Rename("d", root, "other") }},
		{"a guest has links", func(_ afero.Fs, root *dir) error {
			d, err := walked(root, "d")
			if err != nil {
				return err
			}
			f, err := walked(root, "f")
			if err != nil {
				return err
			}
			if err := d.(vfs.Directory).Link("alias", f); err != nil {
				return err
			}
			_, err = d.(vfs.Directory).Symlink("link", "../f")
			return err
		}},
	} {
		t.Run(change.name, func(t *testing.T) {
			store := afero.NewMemMapFs()
			for _, p := range []string{"/f", "/d/f", "/d/e/f", "rel/f"} {
				if err := afero.WriteFile(store, p, []byte(p), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			root := New(store).root
			for _, p := range paths {
				_, _ = walked(root, p) // they are known, as far as they are there
			}
			if err := change.do(store, root); err != nil {
				t.Fatal(err)
			}
			var at []string
			for _, p := range paths {
				got := "walk"
				if a, err := root.AttrPath(p, true); err != wasip1.ENOSYS {
					got = fmt.Sprint(a.Ino, a.Size, err)
				}
				n, f, err := root.OpenPath(p, true, 0, vfs.OpenRead, 0)
				var opened vfs.Node = n
				if err == nil {
					buf := make([]byte, 16)
					c, _ := f.ReadAt(buf, 0)
					got += " " + string(buf[:c])
					f.Close()
				}
				want := "walk"
				n, err2 := walked(root, p)
				if err2 != nil {
					want = fmt.Sprint(0, 0, err2)
				} else if n.Type() == wasip1.FiletypeRegularFile {
					a, err := n.Attr()
					want = fmt.Sprint(a.Ino, a.Size, err)
					f, err := n.(vfs.RegularFile).Open(vfs.OpenRead)
					if err != nil {
						t.Fatal(p, err)
					}
					buf := make([]byte, 16)
					c, _ := f.ReadAt(buf, 0)
					want += " " + string(buf[:c])
					f.Close()
					if opened != n {
						t.Errorf("%s: another node", p)
					}
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s (-walked +got):\n%s", p, d)
				}
				at = append(at, p+" "+got)
			}
			if !strings.Contains(strings.Join(at, "\n"), "f ") {
				t.Error("no path leads anywhere")
			}
		})
	}
}

// asking is a store that counts what it is asked.
type asking struct {
	afero.Fs
	calls []string
}

func (a *asking) Stat(name string) (os.FileInfo, error) {
	a.calls = append(a.calls, "stat "+name)
	return a.Fs.Stat(name)
}

func (a *asking) Open(name string) (afero.File, error) {
	a.calls = append(a.calls, "look "+name)
	return a.Fs.Open(name)
}

func (a *asking) OpenFile(name string, flag int, perm os.FileMode) (afero.File, error) {
	a.calls = append(a.calls, "open "+name)
	return a.Fs.OpenFile(name, flag, perm)
}

// A path costs one question a name, and opening it for reading none more. A new file costs one for
// the directory and none when it is closed.
func TestStoreIsAskedOnce(t *testing.T) {
	store := &asking{Fs: afero.NewMemMapFs()}
	if err := afero.WriteFile(store, "/d/f", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	fsys := New(store)
	fsys.memory = true // which the type does not tell any more
	root, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := root.Stat("d/f"); err != nil {
		t.Fatal(err)
	}
	open := func(name string, flags int) error {
		f, err := root.OpenFile(name, flags, 0o666)
		if err != nil {
			return err
		}
		return f.Close()
	}
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"attributes", func() error { _, err := root.Stat("d/f"); return err }, []string{"look /d", "look /d/f"}},
		{"open", func() error { return open("d/f", os.O_RDONLY) }, []string{"look /d", "look /d/f"}},
		{"open for writing", func() error { return open("d/f", os.O_RDWR) }, []string{"look /d", "look /d/f", "open /d/f"}},
		{"create", func() error { return open("d/new", os.O_RDWR|os.O_CREATE) },
			[]string{"look /d", "look /d", "open /d/new"}},
		{"rename", func() error { return root.Rename("d/new", "d/old") },
			[]string{"look /d", "look /d", "look /d/new", "look /d", "stat /d/old"}},
		{"unlink", func() error { return root.Remove("d/old") }, []string{"look /d", "look /d/old"}},
	} {
		store.calls = nil
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if d := cmp.Diff(step.want, store.calls); d != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, d)
		}
	}
}

// Listing a directory asks the store for its names once: a guest is told the number of "." beside
// them, not how many directories there are.
func TestGuestListsOnce(t *testing.T) {
	store := &asking{Fs: afero.NewMemMapFs()}
	if err := store.Mkdir("/d", 0o777); err != nil {
		t.Fatal(err)
	}
	fsys := New(store)
	fsys.memory = true // which the type does not tell any more
	ns := vfs.NewNamespace()
	if err := ns.Mount("/", fsys); err != nil {
		t.Fatal(err)
	}
	c := vfs.Caller{View: memory.NewView(make([]byte, 4096)), Table: vfs.NewTable(0)}
	defer c.Table.Close()
	if err := (&vfs.Preopens{Namespace: ns}).Install(c.Table); err != nil {
		t.Fatal(err)
	}
	store.calls = nil
	if e := vfs.FdReaddir(&c, 3, 0, 1024, 0, 2048); e != wasip1.ESUCCESS {
		t.Fatal(e)
	}
	if d := cmp.Diff([]string{"stat /", "stat /", "stat /", "look /"}, store.calls); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
