package aferofs_test

import (
	"testing"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/internal/fssuite"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
)

func TestSuite(t *testing.T) {
	t.Run("MemMapFs", func(t *testing.T) {
		t.Parallel()
		fssuite.Run(t, func(*testing.T) vfs.FS { return aferofs.New(afero.NewMemMapFs()) }, vfstest.Without(vfstest.Sparse))
	})
	t.Run("OsFs", func(t *testing.T) {
		t.Parallel()
		fssuite.Run(t, func(t *testing.T) vfs.FS {
			return aferofs.New(afero.NewOsFs(), aferofs.WithRoot(t.TempDir()))
		}, vfstest.Without(vfstest.DirNlink))
	})
	t.Run("BasePathFs", func(t *testing.T) {
		t.Parallel()
		fssuite.Run(t, func(t *testing.T) vfs.FS {
			return aferofs.New(afero.NewBasePathFs(afero.NewOsFs(), t.TempDir()))
		}, vfstest.Without(vfstest.Sparse|vfstest.DirNlink))
	})
	t.Run("CopyOnWriteFs", func(t *testing.T) {
		t.Parallel()
		fssuite.Run(t, func(t *testing.T) vfs.FS {
			return aferofs.New(afero.NewCopyOnWriteFs(afero.NewMemMapFs(), afero.NewMemMapFs()))
		}, vfstest.Without(vfstest.Sparse|vfstest.DirNlink))
	})
	t.Run("ReadOnlyFs", func(t *testing.T) {
		t.Parallel()
		fssuite.Run(t, func(t *testing.T) vfs.FS {
			store := afero.NewMemMapFs()
			for name, content := range vfstest.Tree() {
				if err := afero.WriteFile(store, "/"+name, []byte(content), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			return aferofs.New(afero.NewReadOnlyFs(store))
		}, vfstest.WithReadOnly(), vfstest.Without(vfstest.Symlinks|vfstest.DirNlink))
	})
}
