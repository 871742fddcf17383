//go:build unix

package iofs_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/iofs"
	"github.com/wasivirt/wasivirt/wasip1"
)

func TestAFIFOThatTookAFilesPlaceIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	n, err := iofs.New(os.DirFS(dir)).Root().(vfs.Directory).Lookup("f")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Skip(err)
	}
	if _, err := n.(vfs.RegularFile).Open(vfs.OpenRead); !errors.Is(err, wasip1.ENXIO) {
		t.Errorf("Open = %v, want ENXIO", err)
	}
}
