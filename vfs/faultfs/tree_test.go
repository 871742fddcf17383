package faultfs_test

import (
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
)

// tree returns the file system for host code.
func tree(t testing.TB, fsys vfs.FS) *vfs.Root {
	t.Helper()
	root, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return root
}
