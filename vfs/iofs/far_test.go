package iofs_test

import (
	"archive/zip"
	"bytes"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/iofs"
)

// TestReadingFarBehindGoesInPieces reads the end of a large entry of an archive: each call does a
// bounded piece of the way there.
func TestReadingFarBehindGoesInPieces(t *testing.T) {
	const size = 40 << 20
	var packed bytes.Buffer
	zw := zip.NewWriter(&packed)
	w, err := zw.Create("zeros")
	if err != nil {
		t.Fatal(err)
	}
	for range size >> 20 {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	zr, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
	if err != nil {
		t.Fatal(err)
	}
	fsys := iofs.New(zr, iofs.WithBuffer(1<<20))
	n, err := fsys.Root().(vfs.Directory).Lookup("zeros")
	if err != nil {
		t.Fatal(err)
	}
	f, err := n.(vfs.RegularFile).Open(vfs.OpenRead)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pieces, read := 0, 0
	for read, err = f.ReadAt(make([]byte, 1), size-1); err == vfs.ErrUnfinished; read, err = f.ReadAt(make([]byte, 1), size-1) {
		pieces++
	}
	if read != 1 || err != nil || pieces < 4 {
		t.Errorf("%d bytes, %v, after %d pieces", read, err, pieces)
	}

	// Host code does not see the pieces.
	root, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	h, err := root.Open("zeros")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if n, err := h.ReadAt(make([]byte, 2), size-2); n != 2 || err != nil {
		t.Errorf("host code: %d, %v", n, err)
	}
}
