package overlayfs_test

import (
	"fmt"
	"os"
	"testing"
	"testing/fstest"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/internal/fssuite"
	"github.com/wasivirt/wasivirt/vfs/iofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
)

// cleared returns an overlay whose root is full of what the lower has, all of it removed, so that
// each case works on whiteouts.
func cleared(t *testing.T, lower vfs.FS) vfs.FS {
	o := overlayfs.New(lower, memfs.New())
	root, err := vfs.NewRoot(o)
	if err != nil {
		t.Fatal(err)
	}
	list, err := root.ReadDir("/")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if err := root.RemoveAll(e.Name); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func TestSuiteOnWhiteouts(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f", "x", "y", "dir", "file", "old", "new", "from", "to", "src", "dst", "link"}
	files := make(map[string]string)
	for i, n := range names {
		if i%2 == 0 {
			files[n] = "content of the lower"
		} else {
			files[n+"/inside"] = "in a directory of the lower"
		}
	}
	fssuite.Run(t, func(*testing.T) vfs.FS {
		lower, err := memfs.FromMap(files)
		if err != nil {
			t.Fatal(err)
		}
		return cleared(t, lower)
	})
}

func TestSuite(t *testing.T) {
	t.Run("empty lower", func(t *testing.T) {
		fssuite.Run(t, func(*testing.T) vfs.FS { return overlayfs.New(memfs.New(), memfs.New()) })
	})
	t.Run("aferofs", func(t *testing.T) {
		fssuite.Run(t, func(*testing.T) vfs.FS {
			return overlayfs.New(aferofs.New(afero.NewMemMapFs()), aferofs.New(afero.NewMemMapFs()))
		}, vfstest.Without(vfstest.Sparse))
	})
	t.Run("hostfs below and above", func(t *testing.T) {
		fssuite.Run(t, func(t *testing.T) vfs.FS { return overlayfs.New(fssuite.HostDir(t), fssuite.HostDir(t)) })
	})
	t.Run("iofs below", func(t *testing.T) {
		fssuite.Run(t, func(*testing.T) vfs.FS { return overlayfs.New(iofs.New(fstest.MapFS{}), memfs.New()) })
	})
	t.Run("overlay on overlay", func(t *testing.T) {
		fssuite.Run(t, func(*testing.T) vfs.FS {
			return overlayfs.New(overlayfs.New(memfs.New(), memfs.New()), overlayfs.New(memfs.New(), memfs.New()))
		})
	})
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(fds)
}

// Whatever was changed, an overlay keeps no descriptors of the machine for it.
func TestChangedDirectoriesKeepNoDescriptors(t *testing.T) {
	for name, newUpper := range map[string]func() vfs.FS{
		"memory":      func() vfs.FS { return memfs.New() },
		"the machine": func() vfs.FS { return fssuite.HostDir(t) },
	} {
		t.Run(name, func(t *testing.T) {
			lower := fssuite.HostDir(t)
			into, err := vfs.NewRoot(lower)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 100 {
				for _, d := range []string{"d", "moved", "gone", "cut"} {
					if err := into.MkdirAll(fmt.Sprintf("%s%d/e", d, i), 0o777); err != nil {
						t.Fatal(err)
					}
				}
				if err := into.WriteFile(fmt.Sprintf("cut%d/f", i), []byte("content"), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			root, err := vfs.NewRoot(overlayfs.New(lower, newUpper()))
			if err != nil {
				t.Fatal(err)
			}
			before := openDescriptors(t)
			for i := range 100 {
				p := func(name string) string { return fmt.Sprintf(name, i) }
				for what, err := range map[string]error{
					"make":     root.WriteFile(p("d%d/e/new"), []byte("x"), 0o666),
					"rename":   root.Rename(p("moved%d"), p("d%d/here")),
					"remove":   root.RemoveAll(p("gone%d")),
					"cut":      root.Truncate(p("cut%d/f"), 3),
					"make two": root.WriteFile(p("d%d/here/e/f"), []byte("y"), 0o666),
				} {
					if err != nil {
						t.Fatal(what, err)
					}
				}
				if root.Mkdir(p("d%d"), 0o777) == nil || root.Remove(p("nothing%d")) == nil {
					t.Fatal("what cannot be succeeded")
				}
				if n := openDescriptors(t); n > before {
					t.Fatalf("after %d rounds %d descriptors are open, before there were %d", i+1, n, before)
				}
			}
			for i := range 100 {
				for p, want := range map[string]string{"d%d/e/new": "x", "d%d/here/e/f": "y", "cut%d/f": "con"} {
					if got, err := root.ReadFile(fmt.Sprintf(p, i)); err != nil || string(got) != want {
						t.Fatalf(p+": %q, %v", i, got, err)
					}
				}
			}
			if n := openDescriptors(t); n > before {
				t.Errorf("%d descriptors are open, before there were %d", n, before)
			}
		})
	}
}

// What a walk through a directory of the host opens is closed again.
func TestNodesOfTheHostAreReleased(t *testing.T) {
	open := func() int { return openDescriptors(t) }
	lower := fssuite.HostDir(t)
	into, err := vfs.NewRoot(lower)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if err := into.MkdirAll(fmt.Sprintf("d%d/e", i), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := into.WriteFile(fmt.Sprintf("d%d/e/f", i), []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	upper := fssuite.HostDir(t)
	root, err := vfs.NewRoot(overlayfs.New(lower, upper))
	if err != nil {
		t.Fatal(err)
	}
	before := open()
	for i := range 50 {
		p := fmt.Sprintf("d%d/e/f", i)
		if _, err := root.ReadFile(p); err != nil {
			t.Fatal(err)
		}
		if _, err := root.Stat(p); err != nil {
			t.Fatal(err)
		}
	}
	if n := open(); n > before+3 {
		t.Errorf("%d descriptors were open before, %d after", before, n)
	}
}
