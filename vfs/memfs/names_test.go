package memfs

import (
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// TestRenameAllocs: names that come back take no memory, looked up meanwhile or not.
func TestRenameAllocs(t *testing.T) {
	f := New()
	d := f.root
	for _, name := range []string{"a", "log"} {
		_, err := d.Create(name, 0o666)
		must(t, err)
	}
	there := func(name string) {
		if _, err := d.Lookup(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	rename := func(from, to string) {
		if err := d.Rename(from, d, to); err != nil {
			t.Errorf("%s to %s: %v", from, to, err)
		}
	}
	if allocs := testing.AllocsPerRun(200, func() {
		rename("a", "b")
		there("b")
		rename("b", "c")
		rename("c", "a")
		there("a")
		rename("log", "log.1")
		rename("log.1", "log")
	}); allocs > 0 {
		t.Errorf("renaming makes %v allocations", allocs)
	}
}

// TestRenameInFork: a rename changes its own side only, whichever renames first and again.
func TestRenameInFork(t *testing.T) {
	f := New()
	for _, name := range []string{"a", "old"} {
		_, err := f.root.Create(name, 0o666)
		must(t, err)
	}
	g := f.Fork()
	for _, s := range []struct {
		fs         *FS
		name, gone string
	}{{f, "in f", "in g"}, {g, "in g", "in f"}} {
		must(t, s.fs.root.Rename("a", s.fs.root, s.name))
		must(t, s.fs.root.Rename(s.name, s.fs.root, "old"))
		must(t, s.fs.root.Rename("old", s.fs.root, s.name))
		var entries [4]vfs.DirEntry
		n, err := s.fs.root.ReadDir(0, entries[:])
		must(t, err)
		if n != 1 || entries[0].Name != s.name {
			t.Errorf("%d names, the first %q; want %q alone", n, entries[0].Name, s.name)
		}
		if _, err := s.fs.root.Lookup(s.gone); err != wasip1.ENOENT {
			t.Errorf("%q: %v, want ENOENT", s.gone, err)
		}
	}
}

// TestLookupDuringRename: whoever looks while two files keep replacing each other's names finds,
// under each, the file that has it or none.
func TestLookupDuringRename(t *testing.T) {
	f := New()
	d := f.root
	a, err := d.Create("a", 0o666)
	must(t, err)
	b, err := d.Create("b", 0o666)
	must(t, err)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, look := range []struct {
		names []string
		want  vfs.Node
	}{{[]string{"a", "a2"}, a}, {[]string{"b", "b2"}, b}} {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, name := range look.names {
					if n, err := d.Lookup(name); err == nil && n != look.want || err != nil && err != wasip1.ENOENT {
						t.Errorf("%s: %v, %v", name, n, err)
					}
				}
			}
		})
	}
	for range 2000 {
		must(t, d.Rename("a", d, "a2"))
		must(t, d.Rename("b", d, "b2"))
		must(t, d.Rename("a2", d, "a"))
		must(t, d.Rename("b2", d, "b"))
	}
	close(done)
	wg.Wait()
}
