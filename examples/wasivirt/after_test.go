package main

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
)

// TestDiffOfWhatSeemsLarge writes no archive of a file that a guest has made seem to have 1<<62
// bytes.
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

// TestExportOfTheDefaultWorld writes the tree of the default world without its devices, and leaves
// no file behind where there is nothing to write.
func TestExportOfTheDefaultWorld(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.tar")
	if got := wasivirt(t, "run", "-export", "/="+out, do, "write", "/tmp/a", "hi"); got.status != 0 {
		t.Fatalf("%+v", got)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if diff := cmp.Diff([]string{"dev/", "tmp/", "tmp/a"}, names); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	gone := filepath.Join(t.TempDir(), "gone.tar")
	if got := wasivirt(t, "run", "-export", "/nosuch="+gone, do); got.status != 125 || !strings.Contains(got.stderr, "/nosuch") {
		t.Errorf("of what is missing: %+v", got)
	}
	if _, err := os.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s was left behind: %v", gone, err)
	}
}
