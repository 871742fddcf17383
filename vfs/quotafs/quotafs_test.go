package quotafs_test

import (
	"fmt"
	"math"
	"os"
	"sync"
	"testing"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/internal/fssuite"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
	"github.com/wasivirt/wasivirt/wasip1"
)

func Example() {
	disk := quotafs.New(memfs.New(), quotafs.Limits{Bytes: 10})
	root, _ := vfs.NewRoot(disk)
	err := root.WriteFile("f", []byte("more than ten bytes"), 0o666)
	b, _ := root.ReadFile("f")
	fmt.Printf("%q, then %v\n", b, wasip1.FromError(err))
	root.Remove("f")
	fmt.Println("in use:", disk.Quota().Usage().Bytes)
	// Output:
	// "more than ", then ENOSPC: no space left on device
	// in use: 0
}

func TestSuite(t *testing.T) {
	big := quotafs.Limits{Bytes: 1 << 62, Inodes: 1 << 40, DirEntries: 1 << 40}
	shared := quotafs.NewQuota(0, 0)
	t.Run("memfs", func(t *testing.T) {
		fssuite.Run(t, func(*testing.T) vfs.FS { return quotafs.New(memfs.New(), big, quotafs.WithQuota(shared)) })
	})
	t.Run("aferofs", func(t *testing.T) {
		fssuite.Run(t, func(*testing.T) vfs.FS { return quotafs.New(aferofs.New(afero.NewMemMapFs()), big) }, vfstest.Without(vfstest.Sparse))
	})
	t.Run("overlay over quota", func(t *testing.T) {
		fssuite.Run(t, func(*testing.T) vfs.FS {
			return overlayfs.New(quotafs.New(memfs.New(), big), quotafs.New(memfs.New(), big))
		})
	})
}

type disk struct {
	*vfs.Root
	t     *testing.T
	fs    *quotafs.FS
	limit quotafs.Limits
}

func newDisk(t *testing.T, l quotafs.Limits, opts ...quotafs.Option) *disk {
	t.Helper()
	fs := quotafs.New(memfs.New(), l, opts...)
	root, err := vfs.NewRoot(fs)
	if err != nil {
		t.Fatal(err)
	}
	return &disk{root, t, fs, l}
}

func (d *disk) is(err error, want wasip1.Errno) {
	d.t.Helper()
	if wasip1.FromError(err) != want {
		d.t.Errorf("got %v, want %v", err, want)
	}
}

func (d *disk) uses(bytes, inodes int64) {
	d.t.Helper()
	u := d.fs.Quota().Usage()
	if u.Bytes != bytes || u.Inodes != inodes {
		d.t.Errorf("in use: %d bytes, %d inodes; want %d, %d", u.Bytes, u.Inodes, bytes, inodes)
	}
	limit := d.limit.Bytes
	if limit == 0 {
		limit = math.MaxInt64
	}
	if u.Bytes+u.FreeBytes != limit {
		d.t.Errorf("used %d and free %d are not %d", u.Bytes, u.FreeBytes, limit)
	}
}

func (d *disk) write(f *vfs.OpenFile, off int64, n int) int {
	n, _ = f.WriteAt(make([]byte, n), off)
	return n
}

func TestBytes(t *testing.T) {
	d := newDisk(t, quotafs.Limits{Bytes: 100})
	f, err := d.OpenFile("f", os.O_RDWR|os.O_CREATE, 0o666)
	d.is(err, wasip1.ESUCCESS)
	for _, c := range []struct {
		off       int64
		n, writes int
		size      int64
	}{
		{0, 60, 60, 60},
		{30, 20, 20, 60},  // within
		{50, 20, 20, 70},  // across the end
		{80, 10, 10, 90},  // a hole counts
		{80, 40, 20, 100}, // what fits
		{100, 1, 0, 100},
		{0, 100, 100, 100}, // overwriting needs nothing
		{500, 1, 0, 100},
	} {
		if n := d.write(f, c.off, c.n); n != c.writes {
			t.Errorf("%+v: wrote %d", c, n)
		}
		d.uses(c.size, 1)
	}
	d.is(d.Truncate("f", 101), wasip1.ENOSPC)
	d.is(d.Truncate("f", 40), wasip1.ESUCCESS)
	d.uses(40, 1)
	d.is(d.Truncate("f", 100), wasip1.ESUCCESS)
	d.uses(100, 1)
	d.is(d.Link("f", "g"), wasip1.ESUCCESS)
	d.is(d.Remove("f"), wasip1.ESUCCESS)
	d.uses(100, 1)
	d.is(d.Remove("g"), wasip1.ESUCCESS)
	d.uses(100, 1) // it is open
	d.is(f.Close(), wasip1.ESUCCESS)
	d.uses(0, 0)
}

func TestTruncateAtOpenAndReplace(t *testing.T) {
	d := newDisk(t, quotafs.Limits{Bytes: 100})
	d.is(d.WriteFile("a", make([]byte, 50), 0o666), wasip1.ESUCCESS)
	d.is(d.WriteFile("a", make([]byte, 60), 0o666), wasip1.ESUCCESS)
	d.uses(60, 1)
	d.is(d.WriteFile("b", make([]byte, 40), 0o666), wasip1.ESUCCESS)
	d.uses(100, 2)
	d.is(d.Rename("b", "a"), wasip1.ESUCCESS)
	d.uses(40, 1)
	d.is(d.Link("a", "b"), wasip1.ESUCCESS)
	d.is(d.Rename("a", "b"), wasip1.ESUCCESS)
	d.uses(40, 1)
	d.is(d.Symlink("0123456789", "l"), wasip1.ESUCCESS)
	d.uses(50, 2)
	d.is(d.Remove("l"), wasip1.ESUCCESS)
	d.uses(40, 1)
}

func TestInodesAndEntries(t *testing.T) {
	d := newDisk(t, quotafs.Limits{Inodes: 3, DirEntries: 2, FileSize: 10})
	d.is(d.Mkdir("d", 0o777), wasip1.ESUCCESS)
	d.is(d.WriteFile("f", []byte("0123456789ab"), 0o666), wasip1.EFBIG)
	d.uses(10, 2)
	d.is(d.Mkdir("third", 0o777), wasip1.ENOSPC) // entries of the root
	d.is(d.Mkdir("d/e", 0o777), wasip1.ESUCCESS)
	d.is(d.Mkdir("d/g", 0o777), wasip1.ENOSPC) // inodes
	d.is(d.Rename("d/e", "third"), wasip1.ENOSPC)
	d.is(d.Rename("f", "d/f"), wasip1.ESUCCESS)
	d.is(d.Link("d/f", "d/h"), wasip1.ENOSPC)
	d.is(d.Link("d/f", "h"), wasip1.ESUCCESS)
	d.is(d.Rename("h", "d"), wasip1.EISDIR)
	d.is(d.Remove("d/e"), wasip1.ESUCCESS)
	d.uses(10, 2)
	d.is(d.Truncate("h", 11), wasip1.EFBIG)
}

func TestSharedAnswersEDQUOT(t *testing.T) {
	q := quotafs.NewQuota(100, 2)
	a := newDisk(t, quotafs.Limits{Bytes: 90}, quotafs.WithQuota(q))
	b := newDisk(t, quotafs.Limits{}, quotafs.WithQuota(q))
	a.is(a.WriteFile("f", make([]byte, 95), 0o666), wasip1.ENOSPC)
	b.is(b.WriteFile("f", make([]byte, 95), 0o666), wasip1.EDQUOT)
	a.uses(90, 1)
	b.uses(10, 1)
	if u := q.Usage(); u.Bytes != 100 || u.FreeBytes != 0 || u.Inodes != 2 || u.FreeInodes != 0 {
		t.Errorf("%+v", u)
	}
	a.is(a.Mkdir("d", 0o777), wasip1.EDQUOT)
}

func TestWhatWasThereIsFree(t *testing.T) {
	files := map[string]string{"f": "0123456789", "d/g": "abc"}
	mem, err := memfs.FromMap(files)
	if err != nil {
		t.Fatal(err)
	}
	fs := quotafs.New(mem, quotafs.Limits{Bytes: 20})
	root, _ := vfs.NewRoot(fs)
	d := &disk{root, t, fs, quotafs.Limits{Bytes: 20}}
	d.is(d.Truncate("f", 5), wasip1.ESUCCESS)
	d.uses(0, 0)
	d.is(d.Truncate("f", 15), wasip1.ESUCCESS)
	d.uses(10, 0)
	d.is(d.Remove("f"), wasip1.ESUCCESS)
	d.uses(0, 0)

	mem, _ = memfs.FromMap(files)
	counted := quotafs.New(mem, quotafs.Limits{Bytes: 20})
	if err := counted.Count(); err != nil {
		t.Fatal(err)
	}
	root, _ = vfs.NewRoot(counted)
	d = &disk{root, t, counted, quotafs.Limits{Bytes: 20}}
	d.uses(13, 3)
	d.is(d.Remove("f"), wasip1.ESUCCESS)
	d.uses(3, 2)

	mem, _ = memfs.FromMap(files)
	small := quotafs.New(mem, quotafs.Limits{Bytes: 12})
	if err := small.Count(); wasip1.FromError(err) != wasip1.ENOSPC {
		t.Errorf("count: %v", err)
	}
	if u := small.Quota().Usage(); u.Bytes != 0 || u.Inodes != 0 {
		t.Errorf("%+v after a count that failed", u)
	}
}

// Many writers fill a disk: at no moment is more in use than there is, and at the end all that is
// in use is in files.
func TestExactUnderConcurrency(t *testing.T) {
	const limit = 1 << 20
	q := quotafs.NewQuota(limit, 0)
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for {
			if u := q.Usage(); u.Bytes+u.FreeBytes != limit || u.Bytes < 0 || u.FreeBytes < 0 {
				t.Errorf("%+v", u)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	var writers sync.WaitGroup
	total := make([]int64, 64)
	for i := range total {
		writers.Go(func() {
			fs := quotafs.New(memfs.New(), quotafs.Limits{}, quotafs.WithQuota(q))
			root, _ := vfs.NewRoot(fs)
			for n := 0; ; n++ {
				name := fmt.Sprint(n % 7)
				err := root.WriteFile(name, make([]byte, 1000+37*i), 0o666)
				if err != nil || n == 200 {
					break
				}
				if n%5 == 4 {
					root.Remove(name)
				}
			}
			list, _ := root.ReadDir("/")
			for _, e := range list {
				a, _ := root.Stat(e.Name)
				total[i] += int64(a.Size)
			}
			if u := fs.Quota().Usage(); u.Bytes != total[i] {
				t.Errorf("%d bytes in files, %d in use", total[i], u.Bytes)
			}
		})
	}
	writers.Wait()
	close(stop)
	watcher.Wait()
	sum := int64(0)
	for _, n := range total {
		sum += n
	}
	if u := q.Usage(); u.Bytes != sum {
		t.Errorf("%d bytes in files, %d in use", sum, u.Bytes)
	}
}

// TestCountOfDeepTree counts a tree that is deeper than a path leads, which a guest may have made:
// an error, where a call for each level could end the process.
func TestCountOfDeepTree(t *testing.T) {
	deep := func(levels int) *quotafs.FS {
		fsys := memfs.New()
		at := fsys.Root().(vfs.Directory)
		for range levels {
			sub, err := at.Mkdir("d", 0o755)
			if err != nil {
				t.Fatal(err)
			}
			at = sub.(vfs.Directory)
		}
		return quotafs.New(fsys, quotafs.Limits{Inodes: 1 << 20})
	}
	if err := deep(2048).Count(); err != nil {
		t.Errorf("2048 levels: %v", err)
	}
	fsys := deep(3000)
	if err := fsys.Count(); wasip1.FromError(err) != wasip1.ENAMETOOLONG {
		t.Errorf("3000 levels: %v, want ENAMETOOLONG", err)
	}
	if n := fsys.Quota().Usage().Inodes; n != 0 {
		t.Errorf("%d inodes are charged after an error", n)
	}
}

// metadata returns what the metadata of files with these names is charged, and of names that files
// have besides.
func metadata(files, names []string) (n int64) {
	for _, name := range files {
		n += vfs.InodeBytes + vfs.NameCost(name)
	}
	for _, name := range names {
		n += vfs.NameCost(name)
	}
	return n
}

func TestNamesAndInodesAreMetadata(t *testing.T) {
	d := newDisk(t, quotafs.Limits{Bytes: 100})
	is := func(files, names []string) {
		t.Helper()
		if u := d.fs.Quota().Usage(); u.Metadata != metadata(files, names) || u.Metadata+u.FreeMetadata != vfs.MinMetadata {
			t.Errorf("metadata: %d in use, %d free; want %d in use of %d", u.Metadata, u.FreeMetadata, metadata(files, names), vfs.MinMetadata)
		}
	}
	d.is(d.WriteFile("a", nil, 0o666), wasip1.ESUCCESS)
	d.is(d.Mkdir("dir", 0o777), wasip1.ESUCCESS)
	d.is(d.Symlink("target", "link"), wasip1.ESUCCESS)
	is([]string{"a", "dir", "link"}, nil)
	d.is(d.Link("a", "dir/another"), wasip1.ESUCCESS)
	is([]string{"a", "dir", "link"}, []string{"another"})
	d.is(d.Rename("dir/another", "dir/x"), wasip1.ESUCCESS)
	is([]string{"a", "dir", "link"}, []string{"x"})
	d.is(d.Rename("a", "a longer name"), wasip1.ESUCCESS)
	is([]string{"a longer name", "dir", "link"}, []string{"x"})
	d.is(d.Rename("link", "a longer name"), wasip1.ESUCCESS)
	is([]string{"x", "dir", "a longer name"}, nil)
	d.is(d.RemoveAll("dir"), wasip1.ESUCCESS)
	d.is(d.Remove("a longer name"), wasip1.ESUCCESS)
	is(nil, nil)
}

func TestLinksWithoutEnd(t *testing.T) {
	d := newDisk(t, quotafs.Limits{Bytes: 1 << 10})
	d.is(d.WriteFile("f", nil, 0o666), wasip1.ESUCCESS)
	links := 0
	var err error
	for ; links < 10_000 && err == nil; links++ {
		err = d.Link("f", fmt.Sprintf("%0200d", links))
	}
	d.is(err, wasip1.ENOSPC)
	if most := vfs.MinMetadata / vfs.NameBytes; links > most {
		t.Errorf("%d links", links)
	}
	// What costs no more than it gives back still succeeds.
	d.is(d.Rename("f", "g"), wasip1.ESUCCESS)
}

func TestNamesThatWereThereAreFree(t *testing.T) {
	mem := memfs.New()
	if err := mem.WriteFile("a name that was there", nil); err != nil {
		t.Fatal(err)
	}
	fs := quotafs.New(mem, quotafs.Limits{Bytes: 20})
	root, _ := vfs.NewRoot(fs)
	d := &disk{root, t, fs, quotafs.Limits{Bytes: 20}}
	d.is(d.Link("a name that was there", "b"), wasip1.ESUCCESS)
	d.is(d.Remove("a name that was there"), wasip1.ESUCCESS)
	d.is(d.Rename("b", "c"), wasip1.ESUCCESS)
	d.is(d.Remove("c"), wasip1.ESUCCESS)
	if u := fs.Quota().Usage(); u.Metadata != 0 {
		t.Errorf("%d bytes of metadata for nothing", u.Metadata)
	}
}
