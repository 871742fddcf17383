package overlayfs_test

import (
	"runtime/debug"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// TestDeepTree has a guest make a tree that is deeper than a path leads. Telling what changed is
// refused, since the paths would take the square of the depth; throwing it away works, without a
// piece of Go's stack for each level.
func TestDeepTree(t *testing.T) {
	const depth = 20_000
	defer debug.SetMaxStack(debug.SetMaxStack(2 << 20)) // 100 bytes a level
	upper := memfs.New()
	fsys := overlayfs.New(memfs.New(), upper)
	at := fsys.Root().(vfs.Directory)
	for range depth {
		sub, err := at.Mkdir("d", 0o755)
		if err != nil {
			t.Fatal(err)
		}
		at = sub.(vfs.Directory)
	}
	if changes, err := fsys.Diff(); wasip1.FromError(err) != wasip1.ENAMETOOLONG {
		t.Errorf("Diff: %d changes, %v; want ENAMETOOLONG", len(changes), err)
	}
	if err := fsys.Discard(); err != nil {
		t.Fatal(err)
	}
	if u := upper.Usage(); u.Inodes != 1 {
		t.Errorf("%d inodes are left in the upper, want the root", u.Inodes)
	}
}
