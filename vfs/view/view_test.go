package view_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
	"github.com/wasivirt/wasivirt/vfs/view"
	"github.com/wasivirt/wasivirt/wasip1"
)

func Example() {
	world := memfs.New()
	host := view.Afero(world)
	host.MkdirAll("etc", 0o777)
	afero.WriteFile(host, "/etc/motd", []byte("welcome\n"), 0o666)
	fs.WalkDir(view.FS(world), ".", func(path string, d fs.DirEntry, err error) error {
		fmt.Println(path)
		return err
	})
	// Output:
	// .
	// etc
	// etc/motd
}

func fill(t *testing.T, v afero.Fs) {
	t.Helper()
	for name, content := range map[string]string{"a": "1", "d/b": "22", "d/e/c": "", "d/e/big": string(make([]byte, 100_000))} {
		if err := v.MkdirAll("d/e", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := afero.WriteFile(v, name, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.(afero.Symlinker).SymlinkIfPossible("b", "d/link"); err != nil {
		t.Fatal(err)
	}
}

func TestFS(t *testing.T) {
	for name, fsys := range map[string]vfs.FS{
		"memfs": memfs.New(), "aferofs": aferofs.New(afero.NewMemMapFs()), "overlayfs": overlayfs.New(memfs.New(), memfs.New()),
	} {
		t.Run(name, func(t *testing.T) {
			fill(t, view.Afero(fsys))
			if err := fstest.TestFS(view.FS(fsys), "a", "d/b", "d/e/c", "d/link"); err != nil {
				t.Error(err)
			}
			if err := fstest.TestFS(afero.NewIOFS(view.Afero(fsys)), "a", "d/b", "d/e/c"); err != nil {
				t.Error(err)
			}
		})
	}
	if err := fstest.TestFS(view.FS(memfs.New())); err != nil {
		t.Error(err)
	}
}

// A view of a file system, mounted again, behaves as the file system does.
func TestViewMountedAgain(t *testing.T) {
	for _, c := range vfstest.Cases() {
		opts := []vfstest.Option{vfstest.Without(vfstest.DirNlink | vfstest.Sparse)}
		if !c.Applies(opts...) {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Run(aferofs.New(view.Afero(memfs.New())), opts...); err != nil {
				t.Error(err)
			}
		})
	}
}

func is(t *testing.T, what string, err error, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestAferoErrors(t *testing.T) {
	v := view.Afero(memfs.New())
	fill(t, v)
	_, err := v.Open("nope")
	is(t, "open", err, fs.ErrNotExist)
	if e, ok := errors.AsType[*fs.PathError](err); !ok || e.Path != "nope" {
		t.Errorf("%#v", err)
	}
	_, err = v.OpenFile("d/b", os.O_CREATE|os.O_EXCL, 0o666)
	is(t, "exclusive", err, fs.ErrExist)
	_, err = v.OpenFile("d", os.O_RDWR, 0)
	is(t, "a directory for writing", err, wasip1.EISDIR)
	is(t, "remove", v.Remove("d"), wasip1.ENOTEMPTY)
	is(t, "mkdir", v.Mkdir("d", 0o777), fs.ErrExist)
	is(t, "mkdir below a file", v.MkdirAll("a/b", 0o777), wasip1.ENOTDIR)
	is(t, "chown", v.Chown("a", 1, 1), errors.ErrUnsupported)
	err = v.Rename("nope", "x")
	is(t, "rename", err, fs.ErrNotExist)
	if _, ok := errors.AsType[*os.LinkError](err); !ok {
		t.Errorf("%#v", err)
	}
	if err := v.RemoveAll("nope"); err != nil {
		t.Error(err)
	}
	if err := v.RemoveAll("d"); err != nil {
		t.Error(err)
	}
	_, err = v.Stat("d")
	is(t, "stat", err, fs.ErrNotExist)
}

func TestAferoFile(t *testing.T) {
	v := view.Afero(memfs.New())
	fill(t, v)
	f, err := v.OpenFile("d/b", os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("33"); err != nil {
		t.Error(err)
	}
	if _, err := f.Seek(1, io.SeekStart); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(f); string(b) != "233" {
		t.Errorf("%q, %v", b, err)
	}
	b := make([]byte, 8)
	if n, err := f.ReadAt(b, 2); n != 2 || err != io.EOF {
		t.Errorf("ReadAt: %d, %v", n, err)
	}
	if err := f.Truncate(1); err != nil {
		t.Error(err)
	}
	is(t, "truncate", f.Truncate(-1), wasip1.EINVAL)
	info, err := f.Stat()
	if err != nil || info.Size() != 1 || info.Name() != "b" {
		t.Errorf("%v, %v", info, err)
	}
	if a, ok := info.Sys().(vfs.Attr); !ok || a.Ino == 0 {
		t.Errorf("Sys %#v", info.Sys())
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	is(t, "second close", f.Close(), fs.ErrClosed)
	_, err = f.Read(b)
	is(t, "read after close", err, fs.ErrClosed)
}

func TestAferoDirectory(t *testing.T) {
	v := view.Afero(memfs.New())
	fill(t, v)
	d, err := v.Open("/d")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for range 2 {
		var names []string
		for {
			some, err := d.Readdirnames(2)
			names = append(names, some...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(names) != 3 {
			t.Errorf("names %q", names)
		}
		if _, err := d.Seek(0, io.SeekStart); err != nil {
			t.Error(err)
		}
	}
	infos, err := d.Readdir(-1)
	if err != nil || len(infos) != 3 {
		t.Errorf("%v, %v", infos, err)
	}
}

func TestAferoLinksAndTimes(t *testing.T) {
	v := view.Afero(memfs.New())
	fill(t, v)
	s := v.(afero.Symlinker)
	info, lstat, err := s.LstatIfPossible("d/link")
	if err != nil || !lstat || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("%v, %v, %v", info, lstat, err)
	}
	if target, err := s.ReadlinkIfPossible("d/link"); target != "b" || err != nil {
		t.Errorf("%q, %v", target, err)
	}
	when := time.Unix(1234, 5678)
	if err := v.Chtimes("d/link", when, when); err != nil {
		t.Error(err)
	}
	if err := v.Chmod("d/b", 0o640); err != nil {
		t.Error(err)
	}
	info, err = v.Stat("d/b")
	if err != nil || !info.ModTime().Equal(when) || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
}

type oneFile struct{ n vfs.Node }

func (o oneFile) Root() vfs.Node { return o.n }

func TestSingleFile(t *testing.T) {
	n, err := memfs.New().Root().(vfs.Directory).Create("f", 0o666)
	if err != nil {
		t.Fatal(err)
	}
	_, err = view.Afero(oneFile{n}).Open("f")
	is(t, "open", err, wasip1.ENOTDIR)
	_, err = view.FS(oneFile{n}).Open("f")
	is(t, "open", err, wasip1.ENOTDIR)
}
