package overlayfs_test

import (
	"testing"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
)

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
	t.Run("empty lower", func(t *testing.T) {
		suite(t, func() vfs.FS { return overlayfs.New(memfs.New(), memfs.New()) })
	})
	t.Run("aferofs", func(t *testing.T) {
		suite(t, func() vfs.FS {
			return overlayfs.New(aferofs.New(afero.NewMemMapFs()), aferofs.New(afero.NewMemMapFs()))
		}, vfstest.Without(vfstest.Sparse))
	})
	t.Run("overlay on overlay", func(t *testing.T) {
		suite(t, func() vfs.FS {
			return overlayfs.New(overlayfs.New(memfs.New(), memfs.New()), overlayfs.New(memfs.New(), memfs.New()))
		})
	})
}
