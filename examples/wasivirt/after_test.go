package main

import (
	"archive/tar"
	"io"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
)

// TestDiffOfWhatSeemsLarge writes no archive of a file that a guest has made seem to have 1<<62 bytes.
func TestDiffOfWhatSeemsLarge(t *testing.T) {
	fsys := overlayfs.New(memfs.New(), memfs.New())
	root, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if err := root.WriteFile("f", []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := root.Truncate("f", 1<<62); err != nil {
		t.Fatal(err)
	}
	err = changed{guest: "/", fsys: fsys}.write(tar.NewWriter(io.Discard))
	if err == nil || !strings.Contains(err.Error(), "-disk") {
		t.Errorf("error %v", err)
	}
}
