// Package fssuite runs package vfstest's cases as subtests.
package fssuite

import (
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
)

// Run runs every case that applies as a subtest, each on a file system of its own.
func Run(t *testing.T, newFS func(*testing.T) vfs.FS, opts ...vfstest.Option) {
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

// HostDir returns an empty directory of the host as a file system, which is closed when the test
// ends.
func HostDir(t *testing.T) vfs.FS {
	t.Helper()
	f, err := hostfs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("closing the host's directory: %v", err)
		}
	})
	return f
}
