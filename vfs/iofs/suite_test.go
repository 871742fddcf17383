package iofs

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"testing"
	"testing/fstest"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
)

func TestSuite(t *testing.T) {
	files := fstest.MapFS{}
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for name, content := range vfstest.Tree() {
		files[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
		e, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	for name, fsys := range map[string]fs.FS{
		"MapFS":      files,
		"sequential": sequentialFS{files},
		"seeker":     seekFS{files},
		"zip":        archive,
		"os.DirFS":   os.DirFS(dir),
	} {
		t.Run(name, func(t *testing.T) {
			err := vfstest.Test(func() (vfs.FS, error) { return New(fsys), nil }, vfstest.WithReadOnly())
			if err != nil {
				t.Error(err)
			}
		})
	}
}
