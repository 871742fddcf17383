package aferofs

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// stores are the kinds of store that the adapter treats differently.
func stores(t *testing.T) map[string]afero.Fs {
	return map[string]afero.Fs{
		"MemMapFs":      afero.NewMemMapFs(),
		"OsFs":          afero.NewBasePathFs(afero.NewOsFs(), t.TempDir()),
		"BasePath(Mem)": afero.NewBasePathFs(afero.NewMemMapFs(), "/"),
	}
}

func mk(t *testing.T, d vfs.Directory, name string) vfs.RegularFile {
	t.Helper()
	n, err := d.Create(name, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	return n.(vfs.RegularFile)
}

func mkdir(t *testing.T, d vfs.Directory, name string) vfs.Directory {
	t.Helper()
	n, err := d.Mkdir(name, 0o777)
	if err != nil {
		t.Fatal(err)
	}
	return n.(vfs.Directory)
}

func openRW(t *testing.T, f vfs.RegularFile) vfs.File {
	t.Helper()
	h, err := f.Open(vfs.OpenRead | vfs.OpenWrite)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func write(t *testing.T, h vfs.File, off int64, s string) {
	t.Helper()
	if _, err := h.WriteAt([]byte(s), off); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, h vfs.File) string {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(h, 0, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func errno(t *testing.T, what string, err error, want wasip1.Errno) {
	t.Helper()
	if wasip1.FromError(err) != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestUnlinkedFileLivesWhileOpen(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			root := New(store).Root().(vfs.Directory)
			f := mk(t, root, "f")
			h := openRW(t, f)
			write(t, h, 0, "hello")
			if err := root.Unlink("f"); err != nil {
				t.Fatal(err)
			}
			write(t, h, 5, " world")
			if got := content(t, h); got != "hello world" {
				t.Errorf("content %q", got)
			}
			a, err := f.Attr()
			if err != nil || a.Nlink != 0 || a.Size != 11 {
				t.Errorf("attr %+v, %v", a, err)
			}
			var names [4]vfs.DirEntry
			if n, err := root.ReadDir(0, names[:]); n != 0 || err != nil {
				t.Errorf("names %v, %v", names[:n], err)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			if infos, _ := afero.ReadDir(store, "/"); len(infos) != 0 {
				t.Errorf("left in the store: %v", infos[0].Name())
			}
			_, err = f.Open(vfs.OpenRead)
			errno(t, "open of a removed file", err, wasip1.ENOENT)
		})
	}
}

func TestHardLinksOutliveTheStoredName(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			root := New(store).Root().(vfs.Directory)
			d := mkdir(t, root, "d")
			f := mk(t, root, "a")
			h := openRW(t, f)
			defer h.Close()
			write(t, h, 0, "x")
			if err := d.Link("b", f); err != nil {
				t.Fatal(err)
			}
			errno(t, "link onto a name", d.Link("b", f), wasip1.EEXIST)
			errno(t, "rename between two names of a file", root.Rename("a", d, "b"), wasip1.ESUCCESS)
			errno(t, "rmdir", root.Rmdir("d"), wasip1.ENOTEMPTY)
			if err := root.Unlink("a"); err != nil {
				t.Fatal(err)
			}
			n, err := d.Lookup("b")
			if err != nil {
				t.Fatal(err)
			}
			if n != vfs.Node(f) {
				t.Error("another node")
			}
			a, err := n.Attr()
			if err != nil || a.Nlink != 1 {
				t.Errorf("attr %+v, %v", a, err)
			}
			if b, err := afero.ReadFile(store, "/d/b"); string(b) != "x" {
				t.Errorf("the store has %q, %v", b, err)
			}
		})
	}
}

func TestHostChangesAreSeen(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			root := New(store).Root().(vfs.Directory)
			if err := afero.WriteFile(store, "/new", []byte("1"), 0o666); err != nil {
				t.Fatal(err)
			}
			n, err := root.Lookup("new")
			if err != nil {
				t.Fatal(err)
			}
			if err := root.Link("alias", n); err != nil {
				t.Fatal(err)
			}
			store.Remove("/new")
			_, err = root.Lookup("alias")
			errno(t, "alias of a file the host removed", err, wasip1.ENOENT)
			_, err = root.Lookup("new")
			errno(t, "file the host removed", err, wasip1.ENOENT)

			d := mkdir(t, root, "d")
			if _, err := d.Symlink("l", "target"); err != nil {
				t.Fatal(err)
			}
			store.RemoveAll("/d")
			_, err = d.Create("x", 0o666)
			errno(t, "create where the host removed the directory", err, wasip1.ENOENT)
			if _, err := store.Stat("/d"); err == nil {
				t.Error("the directory came back")
			}
			// A file in place of a directory is a new file.
			afero.WriteFile(store, "/d", nil, 0o666)
			if n, err := root.Lookup("d"); err != nil || n.Type() != wasip1.FiletypeRegularFile {
				t.Errorf("%v, %v", n, err)
			}
		})
	}
}

func TestReplacedByHost(t *testing.T) {
	store := afero.NewMemMapFs()
	root := New(store).Root().(vfs.Directory)
	f := mk(t, root, "f")
	store.Remove("/f")
	afero.WriteFile(store, "/f", []byte("other"), 0o666)
	n, err := root.Lookup("f")
	if err != nil {
		t.Fatal(err)
	}
	if n == vfs.Node(f) {
		t.Error("a replaced file kept its node")
	}
	_, err = f.Open(vfs.OpenRead)
	errno(t, "open of the old file", err, wasip1.ENOENT)
}

func TestRelativeNamesInMemMapFs(t *testing.T) {
	store := afero.NewMemMapFs()
	afero.WriteFile(store, "top", []byte("1"), 0o666)
	afero.WriteFile(store, "dir/sub/f", []byte("2"), 0o666)
	root := New(store).Root().(vfs.Directory)
	var names [8]vfs.DirEntry
	if n, _ := root.ReadDir(0, names[:]); n != 2 {
		t.Fatalf("%d names", n)
	}
	n, err := root.Lookup("dir")
	if err != nil {
		t.Fatal(err)
	}
	n, err = n.(vfs.Directory).Lookup("sub")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = n.(vfs.Directory).Lookup("f"); err != nil {
		t.Fatal(err)
	}
	if err := root.Rename("top", n.(vfs.Directory), "moved"); err != nil {
		t.Fatal(err)
	}
	if b, err := afero.ReadFile(store, "dir/sub/moved"); string(b) != "1" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err = root.Lookup("top"); err == nil {
		t.Error("the old name stayed")
	}
}

func TestSizesAreBounded(t *testing.T) {
	root := New(afero.NewMemMapFs(), WithMaxFileSize(8)).Root().(vfs.Directory)
	f := mk(t, root, "f")
	h := openRW(t, f)
	defer h.Close()
	errno(t, "set size", f.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: 1 << 37}), wasip1.EFBIG)
	errno(t, "set size", f.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: 1<<64 - 1}), wasip1.EFBIG)
	_, err := h.WriteAt([]byte("x"), 1<<37)
	errno(t, "write far beyond", err, wasip1.EFBIG)
	n, err := h.WriteAt([]byte("abcdef"), 5)
	errno(t, "write across", err, wasip1.EFBIG)
	if n != 3 {
		t.Errorf("%d bytes fit", n)
	}
	_, err = h.ReadAt(make([]byte, 1), -1)
	errno(t, "negative offset", err, wasip1.EINVAL)
}

func TestReadOnlyStore(t *testing.T) {
	mem := afero.NewMemMapFs()
	afero.WriteFile(mem, "/f", []byte("x"), 0o666)
	for _, fs := range []*FS{New(afero.NewReadOnlyFs(mem)), New(mem, WithReadOnly()), New(afero.NewBasePathFs(afero.NewReadOnlyFs(mem), "/"))} {
		root := fs.Root().(vfs.Directory)
		n, err := root.Lookup("f")
		if err != nil {
			t.Fatal(err)
		}
		_, err = n.(vfs.RegularFile).Open(vfs.OpenWrite)
		errno(t, "open for writing", err, wasip1.EROFS)
		_, err = root.Create("g", 0o666)
		errno(t, "create", err, wasip1.EROFS)
		_, err = root.Mkdir("d", 0o777)
		errno(t, "mkdir", err, wasip1.EROFS)
		errno(t, "unlink", root.Unlink("f"), wasip1.EROFS)
		errno(t, "rename", root.Rename("f", root, "g"), wasip1.EROFS)
		errno(t, "chmod", n.SetAttr(vfs.SetAttr{Mask: vfs.SetMode, Mode: 0o600}), wasip1.EROFS)
		h, err := n.(vfs.RegularFile).Open(vfs.OpenRead)
		if err != nil {
			t.Fatal(err)
		}
		if content(t, h) != "x" {
			t.Error("content")
		}
		h.Close()
	}
}

func TestTimesReachTheStore(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			root := New(store).Root().(vfs.Directory)
			f := mk(t, root, "f")
			if err := f.SetAttr(vfs.SetAttr{Mask: vfs.SetAtim | vfs.SetMtim, Atim: 5e9, Mtim: 7e9}); err != nil {
				t.Fatal(err)
			}
			a, err := f.Attr()
			if err != nil || a.Atim != 5e9 || a.Mtim != 7e9 {
				t.Errorf("%+v, %v", a, err)
			}
			if fi, _ := store.Stat("/f"); !fi.ModTime().Equal(time.Unix(7, 0)) {
				t.Errorf("the store says %v", fi.ModTime())
			}
			// Opening for writing and closing changes no time, as MemMapFs would.
			openRW(t, f).Close()
			if a, _ := f.Attr(); a.Mtim != 7e9 {
				t.Errorf("after close: %+v", a)
			}
			// The host's change of the time is taken over.
			store.Chtimes("/f", time.Unix(1, 0), time.Unix(9, 0))
			if a, _ := f.Attr(); a.Mtim != 9e9 {
				t.Errorf("after the host's change: %+v", a)
			}
		})
	}
}

func TestTranslate(t *testing.T) {
	for err, want := range map[error]wasip1.Errno{
		afero.ErrFileClosed: wasip1.EBADF,
		afero.ErrOutOfRange: wasip1.EINVAL,
		afero.ErrTooLarge:   wasip1.EFBIG,
		afero.ErrNoSymlink:  wasip1.ENOTSUP,
		os.ErrNotExist:      wasip1.ENOENT,
		errors.New("what"):  wasip1.EIO,
	} {
		if got := translate(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

// A file in memory that is cut may be made anew in the store: those who have it open for reading
// see the new one.
func TestReaderSeesTheFileCut(t *testing.T) {
	root := New(afero.NewMemMapFs()).Root().(vfs.Directory)
	f := mk(t, root, "f")
	w := openRW(t, f)
	write(t, w, 0, strings.Repeat("x", 2*maxSpare))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	h, err := f.Open(vfs.OpenRead)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := f.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: 3}); err != nil {
		t.Fatal(err)
	}
	if got := content(t, h); got != "xxx" {
		t.Errorf("the reader has %d bytes, want 3", len(got))
	}
	if a, err := f.Attr(); err != nil || a.Size != 3 {
		t.Errorf("%+v, %v", a, err)
	}
}

// Files in memory that were cut keep 4 MiB together, until they grow again or are gone.
func TestCutFilesKeepLittle(t *testing.T) {
	store := afero.NewMemMapFs()
	fsys := New(store)
	root := fsys.Root().(vfs.Directory)
	const size = maxSpare / 4
	cut := func(name string, last int64) {
		t.Helper()
		f := mk(t, root, name)
		h := openRW(t, f)
		defer h.Close()
		write(t, h, 0, strings.Repeat("x", size))
		for _, to := range []int64{last + 1, last} {
			if err := f.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(to)}); err != nil {
				t.Fatal(err)
			}
		}
		if got := content(t, h); got != strings.Repeat("x", int(last)) {
			t.Errorf("%s is %q", name, got)
		}
	}
	spare := func(what string, want int64) {
		t.Helper()
		if fsys.spare != want {
			t.Errorf("%s: files keep %d bytes, want %d", what, fsys.spare, want)
		}
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		cut(name, 0)
	}
	spare("four files", maxSpare)
	before, err := store.Stat("/d")
	if err != nil {
		t.Fatal(err)
	}
	cut("e", 1)
	spare("a fifth, which is made anew", maxSpare)

	h := openRW(t, found(t, root, "d"))
	write(t, h, 0, strings.Repeat("y", size))
	if after, err := store.Stat("/d"); err != nil || !same(before, after) {
		t.Errorf("a file that keeps its memory was made anew: %v", err)
	}
	if err := root.Unlink("d"); err != nil {
		t.Fatal(err)
	}
	spare("an unlinked file that is open", maxSpare)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	spare("which is closed", 3*size)
	if err := root.Rename("a", root, "b"); err != nil {
		t.Fatal(err)
	}
	spare("a file onto another", 2*size)
	if err := store.Remove("/c"); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Lookup("c"); err == nil {
		t.Fatal("the file is still there")
	}
	spare("host code removes one", size)
	if err := root.Unlink("b"); err != nil {
		t.Fatal(err)
	}
	spare("none", 0)
}

func found(t *testing.T, d vfs.Directory, name string) vfs.RegularFile {
	t.Helper()
	n, err := d.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return n.(vfs.RegularFile)
}
