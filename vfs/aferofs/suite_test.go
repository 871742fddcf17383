package aferofs_test

import (
	"testing"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
)

// suite runs every case that applies as a subtest.
func suite(t *testing.T, newFS func(t *testing.T) vfs.FS, opts ...vfstest.Option) {
	t.Helper()
	for _, c := range vfstest.Cases() {
		if !c.Applies(opts...) {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Run(newFS(t), opts...); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSuite(t *testing.T) {
	t.Run("MemMapFs", func(t *testing.T) {
		suite(t, func(*testing.T) vfs.FS { return aferofs.New(afero.NewMemMapFs()) }, vfstest.Without(vfstest.Sparse))
	})
	t.Run("OsFs", func(t *testing.T) {
		suite(t, func(t *testing.T) vfs.FS {
			return aferofs.New(afero.NewOsFs(), aferofs.Root(t.TempDir()))
		}, vfstest.Without(vfstest.DirNlink))
	})
	t.Run("BasePathFs", func(t *testing.T) {
		suite(t, func(t *testing.T) vfs.FS {
			return aferofs.New(afero.NewBasePathFs(afero.NewOsFs(), t.TempDir()))
		}, vfstest.Without(vfstest.Sparse|vfstest.DirNlink))
	})
	t.Run("CopyOnWriteFs", func(t *testing.T) {
		suite(t, func(t *testing.T) vfs.FS {
			return aferofs.New(afero.NewCopyOnWriteFs(afero.NewMemMapFs(), afero.NewMemMapFs()))
		}, vfstest.Without(vfstest.Sparse|vfstest.DirNlink))
	})
	t.Run("ReadOnlyFs", func(t *testing.T) {
		suite(t, func(t *testing.T) vfs.FS {
			store := afero.NewMemMapFs()
			for name, content := range vfstest.Tree() {
				if err := afero.WriteFile(store, "/"+name, []byte(content), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			return aferofs.New(afero.NewReadOnlyFs(store))
		}, vfstest.ReadOnly(), vfstest.Without(vfstest.Symlinks|vfstest.DirNlink))
	})
}
