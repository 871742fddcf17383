package quotafs_test

import (
	"io/fs"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

func TestPathsAreOpenedByWhoCan(t *testing.T) {
	if _, ok := quotafs.New(memfs.New(), quotafs.Limits{}).Root().(vfs.PathOpener); ok {
		t.Error("a root opens paths though the one below cannot")
	}
	host, err := hostfs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if _, ok := host.Root().(vfs.PathOpener); !ok {
		t.Skip("the file system of this system opens no paths")
	}
	fs := quotafs.New(host, quotafs.Limits{Bytes: 100})
	p := fs.Root().(vfs.PathOpener)
	if _, _, err := p.OpenPath("f", true, wasip1.OCreat, vfs.OpenWrite, 0o666); err != wasip1.ENOSYS {
		t.Errorf("what is to be made: %v", err)
	}
	root, err := vfs.NewRoot(fs)
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{root, t, fs, quotafs.Limits{Bytes: 100}}
	d.is(d.Mkdir("d", 0o777), wasip1.ESUCCESS)
	d.is(d.WriteFile("d/f", make([]byte, 60), 0o666), wasip1.ESUCCESS)
	n, f, err := p.OpenPath("d/f", true, wasip1.OCreat, vfs.OpenRead|vfs.OpenWrite, 0o666)
	d.is(err, wasip1.ESUCCESS)
	if k, err := f.WriteAt(make([]byte, 60), 50); k != 50 || wasip1.FromError(err) != wasip1.ENOSPC {
		t.Errorf("wrote %d, %v", k, err)
	}
	d.uses(100, 2)
	// One that only reads keeps the file as well.
	r, err := d.Open("d/f")
	d.is(err, wasip1.ESUCCESS)
	d.is(f.Close(), wasip1.ESUCCESS)
	n.(vfs.Releaser).Release()
	d.is(d.Remove("d/f"), wasip1.ESUCCESS)
	d.uses(100, 2)
	d.is(r.Close(), wasip1.ESUCCESS)
	d.uses(0, 1)
	again, err := d.OpenFile("d/f", os.O_RDWR|os.O_CREATE, 0o666)
	d.is(err, wasip1.ESUCCESS)
	d.write(again, 0, 10)
	d.is(again.Close(), wasip1.ESUCCESS)
	d.uses(10, 2)
}

// counting is a file system of one directory that opens paths. It notes what it is asked.
type counting struct {
	vfs.Directory
	calls *[]string
}

func (c counting) Root() vfs.Node { return c }

func (c counting) OpenPath(path string, _ bool, _ wasip1.Oflags, mode vfs.OpenMode, _ fs.FileMode) (vfs.Node, vfs.File, error) {
	*c.calls = append(*c.calls, "OpenPath")
	n, err := c.Lookup(path)
	if err != nil {
		return nil, nil, err
	}
	f, err := n.(vfs.RegularFile).Open(mode)
	return countingFile{n.(vfs.RegularFile), c.calls}, f, err
}

func (c counting) AttrPath(string, bool) (vfs.Attr, error) { return vfs.Attr{}, wasip1.ENOSYS }

type countingFile struct {
	vfs.RegularFile
	calls *[]string
}

func (c countingFile) Attr() (vfs.Attr, error) {
	*c.calls = append(*c.calls, "Attr")
	return c.RegularFile.Attr()
}

// Opening, reading and closing by a path asks no more below than without a quota, until it has to
// be known who has what open.
func TestOpeningAPathAsksForNothingElse(t *testing.T) {
	mem, err := memfs.FromMap(map[string]string{"f": "content", "g": "other"})
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	fs := quotafs.New(counting{mem.Root().(vfs.Directory), &calls}, quotafs.Limits{Bytes: 100})
	dir := wrapfs.Whole(fs.Root()).(vfs.PathOpener)
	open := func() vfs.File {
		t.Helper()
		_, f, err := dir.OpenPath("f", true, 0, vfs.OpenRead, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(make([]byte, 3), 0); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f, closed := open(), open()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"OpenPath", "OpenPath"}, calls); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if err := dir.Unlink("g"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"OpenPath", "OpenPath", "Attr"}, calls); d != "" {
		t.Errorf("after a removal (-want +got):\n%s", d)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
