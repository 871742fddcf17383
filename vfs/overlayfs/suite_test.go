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

// cleared returns an overlay whose root is full of what the lower has, all of it removed, so that each case works on whiteouts.
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

// What a walk through a directory of the host opens is closed again.
func TestNodesOfTheHostAreReleased(t *testing.T) {
	open := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(fds)
	}
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
