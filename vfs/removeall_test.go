package vfs_test

import (
	"runtime/debug"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
)

// TestRemoveAllOfADeepTree that is deeper than a path may be, and than Go's stack would bear.
func TestRemoveAllOfADeepTree(t *testing.T) {
	const depth = 20_000
	defer debug.SetMaxStack(debug.SetMaxStack(4 << 20))
	fsys := memfs.New()
	at := fsys.Root().(vfs.Directory)
	for range depth {
		sub, err := at.Mkdir("d", 0o755)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := at.Create("f", 0o644); err != nil {
			t.Fatal(err)
		}
		at = sub.(vfs.Directory)
	}
	root, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if err := root.RemoveAll("d"); err != nil {
		t.Fatal(err)
	}
	if u := fsys.Usage(); u.Inodes != 2 {
		t.Errorf("%d inodes are left, want the root and a file", u.Inodes)
	}
}
