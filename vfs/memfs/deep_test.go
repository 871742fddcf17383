package memfs_test

import (
	"errors"
	"runtime/debug"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// TestRemoveAllOfDeepTree removes a tree as a guest can make it, one directory in the other, for
// which a call for each level would need more of Go's stack than there may be: that is no panic but
// the end of the process.
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

// TestReadFileOfWhatSeemsLarge reads a file back that a guest has made seem to have terabytes.
func TestReadFileOfWhatSeemsLarge(t *testing.T) {
	fsys := memfs.New()
	root, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{vfs.MaxReadFile + 1, 1 << 45, 1 << 62} {
		if err := fsys.WriteFile("f", []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := root.Truncate("f", size); err != nil {
			t.Fatal(err)
		}
		if b, err := fsys.ReadFile("f"); !errors.Is(err, wasip1.EFBIG) {
			t.Errorf("a file of %d bytes: %d were read, %v; want EFBIG", size, len(b), err)
		}
		if b, err := root.ReadFile("f"); !errors.Is(err, wasip1.EFBIG) {
			t.Errorf("a file of %d bytes, by a Root: %d were read, %v; want EFBIG", size, len(b), err)
		}
	}
}
