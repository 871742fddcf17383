//go:build unix

package aferofs_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/wasip1"
)

func TestAFIFOThatTookAFilesPlaceIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	root := aferofs.New(afero.NewOsFs(), aferofs.WithRoot(dir)).Root().(vfs.Directory)
	n, err := root.Lookup("f")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Skip(err)
	}
	for _, mode := range []vfs.OpenMode{vfs.OpenRead, vfs.OpenRead | vfs.OpenWrite} {
		if _, err := n.(vfs.RegularFile).Open(mode); !errors.Is(err, wasip1.ENXIO) {
			t.Errorf("Open(%b) = %v, want ENXIO", mode, err)
		}
	}
}
