package vfstest_test

import (
	"runtime"
	"testing"
	"testing/fstest"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/faultfs"
	"github.com/wasivirt/wasivirt/vfs/internal/fssuite"
	"github.com/wasivirt/wasivirt/vfs/iofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
	"github.com/wasivirt/wasivirt/wasip1"
)

// store is a file system that holds something itself.
type store struct {
	name     string
	make     func(t *testing.T) vfs.FS
	missing  vfstest.Capability
	readOnly bool
	disk     bool // it is slow
}

var stores = []store{
	{name: "memfs", make: func(*testing.T) vfs.FS { return memfs.New() }},
	{name: "fork", make: func(*testing.T) vfs.FS { return memfs.New().Fork() }},
	{name: "hostfs", disk: true, missing: onWindows, make: fssuite.HostDir},
	{name: "afero-memory", missing: vfstest.Sparse, make: func(*testing.T) vfs.FS {
		return aferofs.New(afero.NewMemMapFs())
	}},
	{name: "afero-os", disk: true, missing: onWindows | vfstest.DirNlink, make: func(t *testing.T) vfs.FS {
		return aferofs.New(afero.NewOsFs(), aferofs.WithRoot(t.TempDir()))
	}},
	{name: "iofs", readOnly: true, make: func(*testing.T) vfs.FS {
		files := fstest.MapFS{}
		for name, content := range vfstest.Tree() {
			files[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
		}
		return iofs.New(files)
	}},
}

// onWindows is what files of that system cannot do.
var onWindows = func() vfstest.Capability {
	if runtime.GOOS != "windows" {
		return 0
	}
	return vfstest.ByteNames | vfstest.Modes | vfstest.DirNlink | vfstest.OpenUnlink
}()

// wrapper is a file system around another one.
type wrapper struct {
	name     string
	wrap     func(vfs.FS) vfs.FS
	provides vfstest.Capability // what there is even if it is missing below
	writable bool               // what is below is not written
	two      bool               // it is more than one
}

var wrappers = []wrapper{
	{name: "itself", wrap: func(f vfs.FS) vfs.FS { return f }},
	{name: "quota", wrap: quota},
	{name: "faults", wrap: faults()},
	{name: "faults-tracked", wrap: faults(faultfs.WithDurability())},
	{name: "overlay", writable: true, provides: vfstest.Sparse, wrap: overlay},
	{name: "quota-overlay", two: true, writable: true, provides: vfstest.Sparse, wrap: func(f vfs.FS) vfs.FS { return quota(overlay(f)) }},
	{name: "faults-overlay", two: true, writable: true, provides: vfstest.Sparse, wrap: func(f vfs.FS) vfs.FS {
		return faults(faultfs.WithStrictDurability())(overlay(f))
	}},
	{name: "overlay-quota-faults", two: true, writable: true, provides: vfstest.Sparse, wrap: func(f vfs.FS) vfs.FS {
		return overlay(quota(faults()(f)))
	}},
}

func overlay(f vfs.FS) vfs.FS { return overlayfs.New(f, memfs.New()) }

func quota(f vfs.FS) vfs.FS {
	return quotafs.New(f, quotafs.Limits{Bytes: 1 << 62, Inodes: 1 << 40, DirEntries: 1 << 40}, quotafs.WithQuota(quotafs.NewQuota(0, 0)))
}

// faults has a rule that every call is held against.
func faults(opts ...faultfs.Option) func(vfs.FS) vfs.FS {
	return func(f vfs.FS) vfs.FS {
		w, err := faultfs.New(f, []faultfs.Rule{{Op: "*", Path: "/no/such/path", Errno: wasip1.EIO}}, opts...)
		if err != nil {
			panic(err)
		}
		return w
	}
}

// TestEveryFileSystem: each store, and each wrapper around each store, shows the same behaviour.
func TestEveryFileSystem(t *testing.T) {
	for _, s := range stores {
		for _, w := range wrappers {
			if s.disk && w.two {
				continue // it takes long, and memory shows the same
			}
			t.Run(s.name+"/"+w.name, func(t *testing.T) {
				t.Parallel()
				opts := []vfstest.Option{vfstest.Without(s.missing &^ w.provides)}
				newFS := func(t *testing.T) vfs.FS { return w.wrap(s.make(t)) }
				switch {
				case s.readOnly && !w.writable:
					opts = append(opts, vfstest.WithReadOnly())
				case s.readOnly:
					newFS = func(*testing.T) vfs.FS { return w.wrap(iofs.New(fstest.MapFS{})) }
				}
				if s.disk {
					// Thousands of files: the tests of hostfs and aferofs have it.
					opts = append(opts, vfstest.WithSkip("readdir/many"))
				}
				fssuite.Run(t, newFS, opts...)
			})
		}
	}
}
