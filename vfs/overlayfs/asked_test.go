package overlayfs_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// asked is a file system that counts the names that its root is asked for.
type asked struct {
	vfs.FS
	root askedRoot
}

type askedRoot struct {
	vfs.Directory
	names *int
}

func (a asked) Root() vfs.Node { return a.root }

func (r askedRoot) Lookup(name string) (vfs.Node, error) {
	*r.names++
	return r.Directory.Lookup(name)
}

// A layer does not change while the overlay is in use: what it said of a name is not asked again
// where the overlay keeps the name.
func TestTheLowerIsAskedOnce(t *testing.T) {
	below := memfs.New()
	if err := below.WriteFile("old", []byte("old")); err != nil {
		t.Fatal(err)
	}
	n := 0
	lower := asked{below, askedRoot{below.Root().(vfs.Directory), &n}}
	r, err := vfs.NewRoot(overlayfs.New(lower, memfs.New()))
	if err != nil {
		t.Fatal(err)
	}
	create := func(name string) error {
		f, err := r.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return err
		}
		return f.Close()
	}
	for _, step := range []struct {
		name string
		want int
		do   func() error
	}{
		{"make a file", 1, func() error { return create("new") }},
		{"remove it", 0, func() error { return r.Remove("new") }},
		{"make a directory", 1, func() error { return r.Mkdir("dir", 0o777) }},
		{"rename it", 1, func() error { return r.Rename("dir", "dir2") }},
		{"remove a file of the lower", 1, func() error { return r.Remove("old") }},
		{"make one in its place", 0, func() error { return create("old") }},
		{"remove that", 1, func() error { return r.Remove("old") }},
	} {
		n = 0
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if n != step.want {
			t.Errorf("%s: the lower was asked %d times, want %d", step.name, n, step.want)
		}
	}
	if _, err := r.Stat("old"); !errors.Is(err, wasip1.ENOENT) {
		t.Errorf("a removed file of the lower shows again: %v", err)
	}
}

// A file that is made in the step that looks its name up is charged for as any other.
func TestMakeCharges(t *testing.T) {
	below := memfs.New()
	if err := below.WriteFile("dir/old", nil); err != nil {
		t.Fatal(err)
	}
	dir, err := overlayfs.New(below, memfs.New()).Root().(vfs.Directory).Lookup("dir")
	if err != nil {
		t.Fatal(err)
	}
	kept := int64(0)
	view := dir.(vfs.Keeper).Charging(func(_ uint64, bytes int64) error { kept += bytes; return nil })
	maker := view.(interface {
		Make(name string, perm fs.FileMode) (vfs.Node, vfs.File, error)
	})
	n, f, err := maker.Make("new", 0o666)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if want := 2*vfs.InodeBytes + vfs.NameCost("dir"); kept != want { // for the directory in the upper
		t.Errorf("%d bytes were charged, want %d", kept, want)
	}
	if again, f, err := maker.Make("new", 0o666); again != n || f != nil || err != nil {
		t.Errorf("made again: %v, %v, %v; want the same node", again, f, err)
	}
}
