package quotafs_test

import (
	"os"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
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
