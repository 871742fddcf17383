package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

func TestHostFile(t *testing.T) {
	r := newNS(t).Root()
	f, err := r.OpenFile("f", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.WriteString(f, "hello, world"); err != nil {
		t.Fatal(err)
	}
	if at, err := f.Seek(-5, io.SeekEnd); at != 7 || err != nil {
		t.Errorf("Seek: %d, %v", at, err)
	}
	if b, err := io.ReadAll(f); string(b) != "world" || err != nil {
		t.Errorf("ReadAll: %q, %v", b, err)
	}
	if _, err := f.WriteAt([]byte("HELL"), 0); err != nil {
		t.Error(err)
	}
	var buf bytes.Buffer
	if _, err := io.Copy(&buf, io.NewSectionReader(f, 0, 100)); buf.String() != "HELLo, world" || err != nil {
		t.Errorf("Copy: %q, %v", buf.String(), err)
	}
	if err := f.SetAttr(vfs.SetAttr{Mask: vfs.SetSize | vfs.SetMtim | vfs.SetMode, Size: 5, Mtim: 99, Mode: 0o640}); err != nil {
		t.Error(err)
	}
	a, err := f.Attr()
	if err != nil {
		t.Fatal(err)
	}
	info := a.FileInfo("dir/f")
	if info.Name() != "f" || info.Size() != 5 || info.Mode() != 0o640 || info.ModTime() != time.Unix(0, 99).UTC() || info.IsDir() {
		t.Errorf("%v", info)
	}
	if err := f.Sync(); err != nil {
		t.Error(err)
	}
	if _, err := r.OpenFile("f", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0); !errors.Is(err, fs.ErrExist) {
		t.Errorf("O_EXCL: %v", err)
	}
	b := make([]byte, 1)
	for name, err := range map[string]error{
		"ReadAt":  second(f.ReadAt(b, -1)),
		"WriteAt": second(f.WriteAt(b, -1)),
		"Seek":    second(f.Seek(0, 3)),
	} {
		if !errors.Is(err, wasip1.EINVAL) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestHostFileIsOpenedForOneThing(t *testing.T) {
	r := newNS(t).Root()
	if err := errors.Join(r.WriteFile("f", []byte("x"), 0o644), r.Mkdir("d", 0o755)); err != nil {
		t.Fatal(err)
	}
	rd, _ := r.Open("f")
	wr, _ := r.OpenFile("f", os.O_WRONLY|os.O_APPEND, 0)
	dir, _ := r.Open("d")
	stream := vfs.NewStream("s", discard{}, vfs.OpenRead|vfs.OpenWrite)
	b := make([]byte, 1)
	for _, tt := range []struct {
		name      string
		err, want error
	}{
		{"Write to a file open for reading", second(rd.Write(b)), wasip1.EBADF},
		{"WriteAt", second(rd.WriteAt(b, 0)), wasip1.EBADF},
		{"SetAttr of the size", rd.SetAttr(vfs.SetAttr{Mask: vfs.SetSize}), wasip1.EBADF},
		{"Read of a file open for writing", second(wr.Read(b)), wasip1.EBADF},
		{"ReadAt", second(wr.ReadAt(b, 0)), wasip1.EBADF},
		{"Read of a directory", second(dir.Read(b)), wasip1.EISDIR},
		{"Seek in a directory", second(dir.Seek(0, 0)), wasip1.EISDIR},
		{"ReadDir of a file", second(rd.ReadDir(0, nil)), wasip1.ENOTDIR},
		{"Seek in a stream", second(stream.Seek(0, 0)), wasip1.ESPIPE},
		{"ReadAt of a stream", second(stream.ReadAt(b, 0)), wasip1.ESPIPE},
		{"WriteAt to a stream", second(stream.WriteAt(b, 0)), wasip1.ESPIPE},
		{"Sync of a stream", stream.Sync(), wasip1.EINVAL},
		{"SetAttr of a stream", stream.SetAttr(vfs.SetAttr{}), wasip1.ENOTSUP},
		{"OpenFile of a directory for writing", second(r.OpenFile("d", os.O_WRONLY, 0)), wasip1.EISDIR},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, tt.err, tt.want)
		}
	}
}

func TestFileModes(t *testing.T) {
	for kind, want := range map[wasip1.Filetype]fs.FileMode{
		wasip1.FiletypeRegularFile:     0o644,
		wasip1.FiletypeDirectory:       fs.ModeDir | 0o644,
		wasip1.FiletypeSymbolicLink:    fs.ModeSymlink | 0o644,
		wasip1.FiletypeCharacterDevice: fs.ModeDevice | fs.ModeCharDevice | 0o644,
		wasip1.FiletypeBlockDevice:     fs.ModeDevice | 0o644,
		wasip1.FiletypeSocketStream:    fs.ModeSocket | 0o644,
		wasip1.FiletypeUnknown:         fs.ModeIrregular | 0o644,
	} {
		if got := (vfs.Attr{Type: kind, Mode: 0o644}).FileMode(); got != want {
			t.Errorf("%v: %v, want %v", kind, got, want)
		}
	}
}

// A file system that was made before its Host gets the Host's clock.
func TestAttach(t *testing.T) {
	ns := vfs.NewNamespace()
	mustMount(t, ns, "/before", memfs.New())
	ns.Attach(vfs.Env{Clock: testClock})
	mustMount(t, ns, "/after", memfs.New())
	var got []int64
	for _, p := range []string{"before/f", "after/f"} {
		if err := ns.Root().WriteFile(p, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		a, err := ns.Root().Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, a.Mtim)
	}
	now := clock.Clock(testClock).Realtime()
	if diff := cmp.Diff([]int64{now, now}, got); diff != "" {
		t.Error(diff)
	}
}

// readOnly is a directory that embeds what answers for all that would change it.
type readOnly struct{ vfs.ReadOnlyDirectory }

func (readOnly) Attr() (vfs.Attr, error) {
	return vfs.Attr{Ino: 1, Type: wasip1.FiletypeDirectory}, nil
}
func (readOnly) ReadDir(uint64, []vfs.DirEntry) (int, error) { return 0, nil }
func (d readOnly) Lookup(name string) (vfs.Node, error) {
	if name == "there" {
		return d, nil
	}
	return nil, wasip1.ENOENT
}

func TestReadOnlyDirectory(t *testing.T) {
	d := readOnly{}
	d.Names = readOnly{}
	for name, want := range map[string][2]error{
		"there": {wasip1.EEXIST, wasip1.EROFS}, "missing": {wasip1.EROFS, wasip1.ENOENT},
	} {
		for i, err := range []error{
			second(d.Create(name, 0)), second(d.Mkdir(name, 0)), second(d.Symlink(name, "x")), d.Link(name, d),
		} {
			if err != want[0] {
				t.Errorf("adding %s (%d): %v, want %v", name, i, err, want[0])
			}
		}
		for i, err := range []error{d.Unlink(name), d.Rmdir(name), d.Rename(name, d, "x")} {
			if err != want[1] {
				t.Errorf("removing %s (%d): %v, want %v", name, i, err, want[1])
			}
		}
	}
	if err := d.SetAttr(vfs.SetAttr{}); err != wasip1.EROFS {
		t.Errorf("SetAttr: %v", err)
	}
}

func TestCheckName(t *testing.T) {
	for name, want := range map[string]error{
		"a": nil, "...": nil, "": wasip1.EINVAL, ".": wasip1.EINVAL, "..": wasip1.EINVAL, "a/b": wasip1.EINVAL,
		"a\x00": wasip1.EINVAL, strings.Repeat("a", 99): nil, strings.Repeat("a", 99) + "/b": wasip1.EINVAL,
		strings.Repeat("a", 99) + "\x00": wasip1.EINVAL, string(make([]byte, 256)): wasip1.ENAMETOOLONG,
	} {
		if err := vfs.CheckName(name); err != want {
			t.Errorf("CheckName(%q): %v, want %v", name, err, want)
		}
	}
}
