package devfs_test

import (
	"errors"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/devfs"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Each opening of an opener's file is a stream of its own; what the opener answers is the error of
// the opening.
func TestAddOpener(t *testing.T) {
	dev := devfs.Empty()
	opened := 0
	if err := dev.AddOpener("line", wasip1.FiletypeSocketStream, func(vfs.OpenMode) (vfs.Stream, error) {
		if opened++; opened > 2 {
			return nil, wasip1.ECONNREFUSED
		}
		r, w := pipe.New(0)
		_ = r.Close()
		return w, nil
	}); err != nil {
		t.Fatal(err)
	}
	r := newRoot(t, dev)
	a, err := r.Lstat("line")
	if err != nil || a.Type != wasip1.FiletypeSocketStream {
		t.Errorf("type %v, error %v", a.Type, err)
	}
	for range 2 {
		f, err := r.Open("line")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := r.Open("line"); !errors.Is(err, wasip1.ECONNREFUSED) || opened != 3 {
		t.Errorf("the third opening: %v after %d calls, want ECONNREFUSED after 3", err, opened)
	}
}
