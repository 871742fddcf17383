package memfs_test

import (
	"runtime/debug"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
)

// TestRemoveAllOfDeepTree removes a tree as a guest can make it, one directory in the other, for which a call for each level would
// need more of Go's stack than there may be: that is no panic but the end of the process.
func TestRemoveAllOfDeepTree(t *testing.T) {
	const depth = 20_000
	defer debug.SetMaxStack(debug.SetMaxStack(4 << 20)) // 200 bytes a level; by default there is room for fifty times as many
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
	if err := fsys.RemoveAll("d"); err != nil {
		t.Fatal(err)
	}
	if u := fsys.Usage(); u.Inodes != 2 {
		t.Errorf("%d inodes are left, want the root and a file", u.Inodes)
	}
}
