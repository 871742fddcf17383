package memfs_test

import (
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
)

func TestSuite(t *testing.T) {
	for name, newFS := range map[string]func() (vfs.FS, error){
		"new":  func() (vfs.FS, error) { return memfs.New(), nil },
		"fork": func() (vfs.FS, error) { return memfs.New().Fork(), nil },
		"forked": func() (vfs.FS, error) {
			f := memfs.New()
			f.Fork()
			return f, nil
		},
		// What is shared with a fork, rather than made after it, is what changes.
		"fork-of-changed": func() (vfs.FS, error) {
			f := memfs.New()
			for _, name := range []string{"a", "b", "d/e", "l"} {
				if err := f.WriteFile(name, make([]byte, 20_000)); err != nil {
					return nil, err
				}
			}
			root, err := vfs.NewRoot(f)
			if err != nil {
				return nil, err
			}
			for _, name := range []string{"a", "b", "d", "l"} {
				if err := root.RemoveAll(name); err != nil {
					return nil, err
				}
			}
			g := f.Fork()
			return g, f.WriteFile("not in the fork", []byte("x"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := vfstest.Test(newFS); err != nil {
				t.Error(err)
			}
		})
	}
}
