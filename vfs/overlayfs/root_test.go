package overlayfs_test

import (
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
)

// rootOf returns the file system for host code.
func rootOf(t testing.TB, fsys vfs.FS) *vfs.Root {
	t.Helper()
	root, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return root
}
