package memfs

import (
	"bufio"
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
)

// stored is a file system with everything that one can hold, as a file, and what it was.
func stored(t testing.TB) (*FS, []byte) {
	t.Helper()
	f := New()
	for i := range 100 {
		must(t, f.WriteFile(fmt.Sprintf("d/e/%d", i), bytes.Repeat([]byte{byte(i)}, i*i)))
	}
	for i := range 50 {
		must(t, f.tree().Remove(fmt.Sprintf("d/e/%d", 2*i)))
	}
	must(t, f.tree().Symlink("target", "link"))
	must(t, f.WriteFile("sparse", nil))
	sparse, err := f.open("sparse", vfs.OpenWrite)
	must(t, err)
	_, err = sparse.WriteAt([]byte("far out"), 1<<40)
	must(t, err)
	must(t, sparse.Close())
	must(t, f.WriteFile("orphan", []byte("orphan's")))
	_, err = f.open("orphan", vfs.OpenRead)
	must(t, err)
	must(t, f.tree().Remove("orphan"))
	n, err := f.lookup("d/e/7")
	must(t, err)
	must(t, f.root.Link("second", n))
	var b bytes.Buffer
	must(t, f.Store(&b))
	return f, b.Bytes()
}

func TestStoredFileSystemsAreTheSame(t *testing.T) {
	f, file := stored(t)
	r := bufio.NewReader(bytes.NewReader(append(bytes.Clone(file), "behind"...)))
	g, err := Load(r)
	must(t, err)
	was, is := f.Usage(), g.Usage()
	if is.Bytes > was.Bytes || is.Metadata != was.Metadata || is.Inodes != was.Inodes {
		t.Errorf("%+v loaded, %+v stored", is, was)
	}
	var again bytes.Buffer
	must(t, g.Store(&again))
	if !bytes.Equal(file, again.Bytes()) {
		t.Error("stored again, it is something else")
	}
	for _, name := range []string{"", "d/e", "d/e/7", "second", "link", "sparse"} {
		a, err := f.tree().Lstat(name)
		must(t, err)
		b, err := g.tree().Lstat(name)
		must(t, err)
		if d := cmp.Diff(a, b); d != "" {
			t.Errorf("%q (-stored +loaded):\n%s", name, d)
		}
		if n := g.Inode(a.Ino); n == nil {
			t.Errorf("%q has no inode %d", name, a.Ino)
		}
	}
	a, err := f.ReadFile("d/e/99")
	must(t, err)
	b, err := g.ReadFile("d/e/99")
	must(t, err)
	if !bytes.Equal(a, b) {
		t.Error("a file holds something else")
	}
	must(t, g.WriteFile("d/e/99", []byte("changed")))
	must(t, g.WriteFile("new", []byte("made")))
	g.DropOrphans()
	if u := g.Usage(); u.Inodes != was.Inodes {
		t.Errorf("with an orphan less and a file more: %+v", u)
	}
	if rest, _ := r.Peek(6); string(rest) != "behind" {
		t.Errorf("more was read than was written: %q is left", rest)
	}
	for _, limit := range []Option{WithMaxBytes(1000), WithMaxInodes(10), WithMaxFileSize(100)} {
		if _, err := Load(bytes.NewReader(file), limit); err == nil {
			t.Error("more was loaded than the limit allows")
		}
	}
}

func FuzzLoad(f *testing.F) {
	_, file := stored(f)
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Fuzz(func(t *testing.T, file []byte) {
		g, err := Load(bytes.NewReader(file), WithMaxBytes(1<<24))
		if err != nil {
			return
		}
		var again bytes.Buffer
		must(t, g.Store(&again))
		h, err := Load(bytes.NewReader(again.Bytes()))
		must(t, err)
		if g.Usage().Inodes != h.Usage().Inodes {
			t.Errorf("%+v became %+v", g.Usage(), h.Usage())
		}
		_ = g.WriteFile("a/b/c", []byte("x")) // a may be a file; it must not panic
	})
}
