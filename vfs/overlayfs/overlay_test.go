package overlayfs_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// world is an overlay with what it stands on.
type world struct {
	*vfs.Root
	t            *testing.T
	fs           *overlayfs.FS
	lower, upper *memfs.FS
	before       map[string]string
}

func newWorld(t *testing.T, files map[string]string) *world {
	t.Helper()
	lower, err := memfs.FromMap(files)
	if err != nil {
		t.Fatal(err)
	}
	upper := memfs.New()
	fs := overlayfs.New(lower, upper)
	root, err := vfs.NewRoot(fs)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Root: root, t: t, fs: fs, lower: lower, upper: upper, before: tree(t, lower)}
	t.Cleanup(func() {
		if d := cmp.Diff(w.before, tree(t, lower)); d != "" {
			t.Errorf("the lower was changed (-before +after):\n%s", d)
		}
	})
	return w
}

// tree returns all of a file system: contents by path, "dir" for directories, "-> target" for
// links.
func tree(t *testing.T, fsys vfs.FS) map[string]string {
	t.Helper()
	m := make(map[string]string)
	var walk func(d vfs.Directory, path string)
	walk = func(d vfs.Directory, path string) {
		var buf [3]vfs.DirEntry
		for cookie := uint64(0); ; {
			n, err := d.ReadDir(cookie, buf[:])
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				return
			}
			cookie = buf[n-1].Next
			for _, e := range append([]vfs.DirEntry(nil), buf[:n]...) {
				node, err := d.Lookup(e.Name)
				if err != nil {
					t.Fatal(path, e.Name, err)
				}
				if a, err := node.Attr(); err != nil || a.Ino != e.Ino || a.Type != e.Type {
					t.Errorf("%s/%s: listed as %+v, attr %+v, %v", path, e.Name, e, a, err)
				}
				p := path + "/" + e.Name
				switch node := node.(type) {
				case vfs.Directory:
					m[p] = "dir"
					walk(node, p)
				case vfs.Symlink:
					target, _ := node.Readlink()
					m[p] = "-> " + target
				case vfs.RegularFile:
					f, err := node.Open(vfs.OpenRead)
					if err != nil {
						t.Fatal(err)
					}
					b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
					if err != nil {
						t.Fatal(err)
					}
					f.Close()
					m[p] = string(b)
				}
			}
		}
	}
	walk(fsys.Root().(vfs.Directory), "")
	return m
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) shows(want map[string]string) {
	w.t.Helper()
	if d := cmp.Diff(want, tree(w.t, w.fs)); d != "" {
		w.t.Errorf("the overlay shows (-want +got):\n%s", d)
	}
}

func (w *world) diff(want ...string) {
	w.t.Helper()
	changes, err := w.fs.Diff()
	w.must(err)
	got := []string(nil)
	for _, c := range changes {
		s := c.Kind.String() + " " + c.Path
		if c.Replaced {
			s += " replaced"
		}
		if c.Attributes {
			s += " attributes"
		}
		got = append(got, s)
	}
	if d := cmp.Diff(want, got); d != "" {
		w.t.Errorf("Diff (-want +got):\n%s", d)
	}
}

// roundTrip checks that applying the difference to a copy of the lower, and to the lower itself,
// gives what the overlay shows.
func (w *world) roundTrip(files map[string]string) {
	w.t.Helper()
	want := tree(w.t, w.fs)
	other, err := memfs.FromMap(files)
	w.must(err)
	w.must(w.fs.Apply(other))
	if d := cmp.Diff(want, tree(w.t, other)); d != "" {
		w.t.Errorf("applied to a copy (-overlay +copy):\n%s", d)
	}
	w.must(w.fs.Apply(w.lower))
	w.must(w.fs.Discard())
	if d := cmp.Diff(want, tree(w.t, w.lower)); d != "" {
		w.t.Errorf("applied to the lower (-overlay +lower):\n%s", d)
	}
	w.shows(want)
	w.before = want
}

func TestReadsFallThrough(t *testing.T) {
	files := map[string]string{"a": "1", "d/b": "2", "d/e/c": "3"}
	w := newWorld(t, files)
	w.shows(map[string]string{"/a": "1", "/d": "dir", "/d/b": "2", "/d/e": "dir", "/d/e/c": "3"})
	if got := tree(t, w.upper); len(got) != 0 {
		t.Errorf("reading put %v into the upper", got)
	}
	w.diff()
}

func TestChanges(t *testing.T) {
	files := map[string]string{
		"keep": "k", "edit": "old", "gone": "x", "dir/a": "1", "dir/b": "2", "dir/sub/c": "3", "moved/x": "m", "moved/deep/y": "n",
		"full/f": "f",
	}
	w := newWorld(t, files)
	w.must(w.WriteFile("edit", []byte("new"), 0o666))
	w.must(w.Remove("gone"))
	w.must(w.Mkdir("fresh", 0o777))
	w.must(w.WriteFile("fresh/file", []byte("f"), 0o666))
	w.must(w.WriteFile("dir/added", []byte("+"), 0o666))
	w.must(w.Remove("dir/a"))
	w.must(w.Rename("moved", "dir/sub/here"))
	w.must(w.RemoveAll("full"))
	w.must(w.Mkdir("full", 0o777))
	w.must(w.WriteFile("full/other", []byte("o"), 0o666))
	w.must(w.Symlink("edit", "link"))
	want := map[string]string{
		"/keep": "k", "/edit": "new", "/fresh": "dir", "/fresh/file": "f", "/dir": "dir", "/dir/added": "+", "/dir/b": "2",
		"/dir/sub": "dir", "/dir/sub/c": "3", "/dir/sub/here": "dir", "/dir/sub/here/x": "m", "/dir/sub/here/deep": "dir",
		"/dir/sub/here/deep/y": "n", "/full": "dir", "/full/other": "o", "/link": "-> edit",
	}
	w.shows(want)
	w.diff("removed dir/a", "added dir/added", "added dir/sub/here", "added dir/sub/here/deep", "added dir/sub/here/deep/y",
		"added dir/sub/here/x", "modified edit", "added fresh", "added fresh/file", "modified full replaced", "added full/other",
		"removed gone", "added link", "removed moved")
	// Moving a tree of the lower copies nothing.
	if d := cmp.Diff(map[string]string{
		"/edit": "new", "/fresh": "dir", "/fresh/file": "f", "/dir": "dir", "/dir/added": "+", "/full": "dir", "/full/other": "o", "/link": "-> edit",
	}, tree(t, w.upper)); d != "" {
		t.Errorf("the upper has (-want +got):\n%s", d)
	}
	w.roundTrip(files)
	w.diff()
}

func TestWriteIntoMovedTree(t *testing.T) {
	files := map[string]string{"d/e/f": "1"}
	w := newWorld(t, files)
	w.must(w.Rename("d", "x"))
	w.must(w.WriteFile("x/e/f", []byte("2"), 0o666))
	w.must(w.Mkdir("d", 0o777))
	w.shows(map[string]string{"/x": "dir", "/x/e": "dir", "/x/e/f": "2", "/d": "dir"})
	w.must(w.Rename("x", "d"))
	w.shows(map[string]string{"/d": "dir", "/d/e": "dir", "/d/e/f": "2"})
	w.diff("modified d/e/f")
	w.roundTrip(files)
}

func TestSwapNamesAndApply(t *testing.T) {
	files := map[string]string{"a": "was a", "b": "was b", "d/x": "was dx"}
	w := newWorld(t, files)
	w.must(w.Rename("a", "t"))
	w.must(w.Rename("b", "a"))
	w.must(w.Rename("t", "b"))
	w.must(w.Rename("d", "t"))
	w.must(w.Mkdir("d", 0o777))
	w.must(w.Rename("t", "d/d"))
	w.diff("modified a replaced", "modified b replaced", "modified d replaced", "added d/d", "added d/d/x")
	w.roundTrip(files)
}

func TestCopyUpHappensAtTheFirstWrite(t *testing.T) {
	w := newWorld(t, map[string]string{"d/f": "hello"})
	reader, err := w.Open("d/f")
	w.must(err)
	defer reader.Close()
	writer, err := w.OpenFile("d/f", 2 /* O_RDWR */, 0)
	w.must(err)
	defer writer.Close()
	before, err := w.Stat("d/f")
	w.must(err)
	if got := tree(t, w.upper); len(got) != 0 {
		t.Errorf("opening copied up: %v", got)
	}
	_, err = writer.WriteAt([]byte("J"), 0)
	w.must(err)
	if d := cmp.Diff(map[string]string{"/d": "dir", "/d/f": "Jello"}, tree(t, w.upper)); d != "" {
		t.Error(d)
	}
	b, err := io.ReadAll(reader)
	w.must(err)
	if string(b) != "Jello" {
		t.Errorf("who had the file open before reads %q", b)
	}
	after, err := w.Stat("d/f")
	w.must(err)
	if before.Ino != after.Ino {
		t.Errorf("inode %d became %d", before.Ino, after.Ino)
	}
	w.diff("modified d/f")
}

func TestTruncateCopiesOnlyWhatStays(t *testing.T) {
	w := newWorld(t, map[string]string{"f": "hello"})
	n, release, err := w.Lookup("f", true)
	w.must(err)
	defer release()
	w.must(n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: 2}))
	w.shows(map[string]string{"/f": "he"})
	w.must(n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: 4}))
	w.shows(map[string]string{"/f": "he\x00\x00"})
}

func TestMetadataAloneCopiesNothing(t *testing.T) {
	files := map[string]string{"d/f": "hello"}
	w := newWorld(t, files)
	for _, p := range []string{"d/f", "d"} {
		n, release, err := w.Lookup(p, true)
		w.must(err)
		w.must(n.SetAttr(vfs.SetAttr{Mask: vfs.SetMtim | vfs.SetMode, Mtim: 77, Mode: 0o400}))
		a, err := n.Attr()
		w.must(err)
		if a.Mtim != 77 || a.Mode.Perm() != 0o400 {
			t.Errorf("%s: %+v", p, a)
		}
		release()
	}
	if got := tree(t, w.upper); len(got) != 0 {
		t.Errorf("the upper has %v", got)
	}
	w.diff("modified d attributes", "modified d/f attributes")
	w.must(w.fs.Apply(w.lower))
	if a, err := rootOf(t, w.lower).Stat("d/f"); err != nil || a.Mtim != 77 || a.Mode.Perm() != 0o400 {
		t.Errorf("applied: %+v, %v", a, err)
	}
}

func TestHardLinksOfTheLowerStayOneFile(t *testing.T) {
	files := map[string]string{"a": "old", "d/": ""}
	w := newWorld(t, files)
	w.must(rootOf(t, w.lower).Link("a", "d/b"))
	w.before = tree(t, w.lower)
	w.must(w.WriteFile("a", []byte("new!"), 0o666))
	// Nobody has looked at d/b yet.
	w.diff("modified a", "modified d/b")
	w.must(w.Remove("a"))
	w.shows(map[string]string{"/d": "dir", "/d/b": "new!"})
	if a, err := w.Stat("d/b"); err != nil || a.Nlink != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	w.diff("removed a", "modified d/b")
	w.must(w.Link("d/b", "c"))
	w.must(w.WriteFile("c", []byte("newer"), 0o666))
	w.shows(map[string]string{"/c": "newer", "/d": "dir", "/d/b": "newer"})
	w.must(w.Remove("d/b"))
	w.shows(map[string]string{"/c": "newer", "/d": "dir"})
}

func TestFileThatLostAllKnownNamesIsFoundAgain(t *testing.T) {
	w := newWorld(t, map[string]string{"a": "old"})
	w.must(rootOf(t, w.lower).Link("a", "b"))
	w.before = tree(t, w.lower)
	w.must(w.WriteFile("a", []byte("new"), 0o666))
	w.must(w.Remove("a"))
	w.shows(map[string]string{"/b": "new"})
	w.must(w.Remove("b"))
	if got := tree(t, w.upper); len(got) != 0 {
		t.Errorf("left in the upper: %v", got)
	}
}

func TestUnlinkedButOpen(t *testing.T) {
	w := newWorld(t, map[string]string{"f": "hello"})
	h, err := w.OpenFile("f", 2, 0)
	w.must(err)
	w.must(w.Remove("f"))
	w.shows(map[string]string{})
	_, err = h.WriteAt([]byte("J"), 0)
	w.must(err)
	b, err := io.ReadAll(h)
	w.must(err)
	if string(b) != "Jello" {
		t.Errorf("%q", b)
	}
	w.must(h.Close())
	if got := tree(t, w.upper); len(got) != 0 {
		t.Errorf("left in the upper: %v", got)
	}
	w.diff("removed f")
}

func TestCopyUpWithoutSpaceLeavesNothing(t *testing.T) {
	lower, err := memfs.FromMap(map[string]string{"f": string(bytes.Repeat([]byte("x"), 1<<20))})
	if err != nil {
		t.Fatal(err)
	}
	upper := memfs.New(memfs.WithMaxBytes(64 << 10))
	root, err := vfs.NewRoot(overlayfs.New(lower, upper))
	if err != nil {
		t.Fatal(err)
	}
	h, err := root.OpenFile("f", 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.WriteAt([]byte("y"), 0); !errors.Is(err, wasip1.ENOSPC) {
		t.Errorf("write: %v", err)
	}
	if got := tree(t, upper); len(got) != 0 {
		t.Errorf("left in the upper: %d names", len(got))
	}
	b := make([]byte, 1)
	if _, err := h.ReadAt(b, 0); err != nil || b[0] != 'x' {
		t.Errorf("reads %q, %v", b, err)
	}
}

func TestExportTar(t *testing.T) {
	w := newWorld(t, map[string]string{"a": "1", "gone/x": "2", "d/x": "3", "f": "4"})
	w.must(w.RemoveAll("gone"))
	w.must(w.RemoveAll("d"))
	w.must(w.Mkdir("d", 0o777))
	w.must(w.WriteFile("d/new", []byte("5"), 0o666))
	w.must(w.Link("d/new", "d/same"))
	w.must(w.Symlink("a", "s"))
	var one, two bytes.Buffer
	w.must(w.fs.ExportTar(&one))
	w.must(w.fs.ExportTar(&two))
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two exports differ")
	}
	var got []string
	for r := tar.NewReader(&one); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		w.must(err)
		b, err := io.ReadAll(r)
		w.must(err)
		got = append(got, fmt.Sprintf("%c %s %s%s", h.Typeflag, h.Name, h.Linkname, b))
	}
	want := []string{"5 d/ ", "0 d/.wh..wh..opq ", "0 d/new 5", "1 d/same d/new", "0 .wh.gone ", "2 s a"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	w.must(w.WriteFile(".wh.me", nil, 0o666))
	if err := w.fs.ExportTar(io.Discard); !errors.Is(err, wasip1.EINVAL) {
		t.Errorf("a file that looks like a whiteout: %v", err)
	}
}

func TestDiscard(t *testing.T) {
	files := map[string]string{"a": "1", "d/b": "2", "e/f/g": "3"}
	w := newWorld(t, files)
	d, err := w.Open("e")
	w.must(err)
	defer d.Close()
	w.must(w.WriteFile("a", []byte("x"), 0o666))
	w.must(w.WriteFile("e/f/new", []byte("x"), 0o666))
	w.must(w.RemoveAll("d"))
	w.must(w.Rename("e/f/g", "g"))
	w.must(w.fs.Discard())
	w.shows(map[string]string{"/a": "1", "/d": "dir", "/d/b": "2", "/e": "dir", "/e/f": "dir", "/e/f/g": "3"})
	w.diff()
	if got := tree(t, w.upper); len(got) != 0 {
		t.Errorf("the upper has %v", got)
	}
	w.must(w.WriteFile("e/f/again", []byte("y"), 0o666))
	w.diff("added e/f/again")
}

func TestUpperThatIsNotEmpty(t *testing.T) {
	lower, _ := memfs.FromMap(map[string]string{"d/a": "1", "f": "lower", "x/y": "2"})
	upper, _ := memfs.FromMap(map[string]string{"d/b": "2", "f": "upper", "x": "file"})
	o := overlayfs.New(lower, upper)
	w := &world{t: t, fs: o, lower: lower, upper: upper}
	w.shows(map[string]string{"/d": "dir", "/d/a": "1", "/d/b": "2", "/f": "upper", "/x": "file"})
	w.diff("added d/b", "modified f replaced", "modified x replaced")
}

// A file that is opened by its path alone, and then changed, stands in the upper under its name,
// and is told.
func TestWhatIsOpenedByItsPathIsChangedUnderItsName(t *testing.T) {
	lower := machine(t)
	upper := memfs.New()
	fs := overlayfs.New(lower, upper)
	root, err := vfs.NewRoot(fs)
	if err != nil {
		t.Fatal(err)
	}
	change := func(path string, before func()) {
		t.Helper()
		f, err := root.OpenFile(path, 2 /* O_RDWR */, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		before()
		if _, err := f.WriteAt([]byte("J"), 0); err != nil {
			t.Fatal(err)
		}
	}
	change("1/2/3/4/5/6/7/file", func() {})
	change("file", func() {})
	if got, err := upper.ReadFile("1/2/3/4/5/6/7/file"); err != nil || string(got) != "J" {
		t.Errorf("the upper has %q, %v", got, err)
	}
	change("many/file-7", func() {
		if err := root.Rename("many", "moved"); err != nil {
			t.Fatal(err)
		}
	})
	for _, p := range []string{"1/2/3/4/5/6/7/file", "file", "moved/file-7"} {
		if got, err := root.ReadFile(p); err != nil || string(got) != "J" {
			t.Errorf("%s: %q, %v", p, got, err)
		}
	}
	changes, err := fs.Diff()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range changes[:2] {
		got = append(got, c.Kind.String()+" "+c.Path)
	}
	if d := cmp.Diff([]string{"modified 1/2/3/4/5/6/7/file", "modified file"}, got); d != "" {
		t.Error(d)
	}
}
