package archive_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/archive"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// block returns a tar header of an entry with that content, and the content, both padded.
func block(typ byte, name string, content []byte) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x00")
	copy(b[108:], "0000000\x000000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00", len(content)))
	copy(b[136:], "00000000000\x00        ")
	b[156] = typ
	copy(b[257:], "ustar\x0000")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	b = append(b, content...)
	return append(b, make([]byte, (512-len(b)%512)%512)...)
}

// sparseTar is a tar of n files that are nothing but a hole of size bytes each.
func sparseTar(n int, size int64) []byte {
	var tar []byte
	for i := range n {
		var pax []byte
		for _, kv := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", fmt.Sprint("GNU.sparse.name=f", i), fmt.Sprint("GNU.sparse.realsize=", size)} {
			length := len(kv) + 2
			for len(fmt.Sprint(length))+len(kv)+2 != length {
				length = len(fmt.Sprint(length)) + len(kv) + 2
			}
			pax = fmt.Appendf(pax, "%d %s\n", length, kv)
		}
		tar = append(tar, block('x', "pax", pax)...)
		tar = append(tar, block('0', "sparse", append([]byte("0\n"), make([]byte, 510)...))...)
	}
	return append(tar, make([]byte, 1024)...)
}

func TestSparseTarsAreBounded(t *testing.T) {
	if err := archive.FromTar(memfs.New(), bytes.NewReader(sparseTar(1, 1<<20))); err != nil {
		t.Fatalf("1 MiB: %v", err)
	}
	for _, c := range []struct {
		files int
		size  int64
		opts  []archive.Option
	}{
		{1, 1 << 62, nil},
		{1, archive.DefaultMaxBytes + 1, nil},
		{3, 1 << 20, []archive.Option{archive.WithMaxBytes(3<<20 - 1)}},
	} {
		err := archive.FromTar(memfs.New(), bytes.NewReader(sparseTar(c.files, c.size)), c.opts...)
		if !errors.Is(err, wasip1.ENOSPC) {
			t.Errorf("%d files of %d bytes: %v, want ENOSPC", c.files, c.size, err)
		}
	}
}

// countdown is a context that ends when it has been looked at some times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

var errStopped = errors.New("stopped")

func TestArchivesEndWithTheContext(t *testing.T) {
	full := memfs.New()
	if err := full.WriteFile("dir/file", bytes.Repeat([]byte("x"), 1<<20)); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	zw := zip.NewWriter(&packed)
	w, err := zw.Create("file")
	if err == nil {
		_, err = w.Write(make([]byte, 1<<20))
	}
	if err := errors.Join(err, zw.Close()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, work := range map[string]func(...archive.Option) error{
		"from tar": func(o ...archive.Option) error {
			return archive.FromTar(memfs.New(), bytes.NewReader(sparseTar(1, 1<<20)), o...)
		},
		"from zip": func(o ...archive.Option) error {
			return archive.FromZip(memfs.New(), bytes.NewReader(packed.Bytes()), int64(packed.Len()), o...)
		},
		"from map": func(o ...archive.Option) error {
			return archive.FromMap(memfs.New(), map[string]string{"f": strings.Repeat("x", 1<<20)}, o...)
		},
		"to tar": func(o ...archive.Option) error { return archive.ToTar(full, io.Discard, o...) },
		"to dir": func(o ...archive.Option) error { return archive.ToDir(full, dir+"/out", o...) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(errStopped)
			if err := work(archive.WithContext(ctx)); !errors.Is(err, errStopped) {
				t.Errorf("with a context that is done: %v", err)
			}
			if err := work(archive.WithContext(&countdown{t.Context(), 8})); err == nil {
				t.Error("it goes on after the end of its context")
			}
		})
	}
}

func TestHolesAreNotWrittenWithoutEnd(t *testing.T) {
	fsys := memfs.New()
	if err := fsys.WriteFile("f", nil); err != nil {
		t.Fatal(err)
	}
	if err := tree(t, fsys).SetAttr("f", false, vfs.SetAttr{Mask: vfs.SetSize, Size: 1 << 62}); err != nil {
		t.Fatal(err)
	}
	if err := archive.ToTar(fsys, io.Discard); !errors.Is(err, wasip1.ENOSPC) {
		t.Errorf("%v, want ENOSPC", err)
	}
}
