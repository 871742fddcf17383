package virt_test

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/vfs/view"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/wasip1"
)

//go:embed testdata/bare/fill.wasm
var fillGuest []byte

// instances is how many guests write at the same time.
const instances = 64

// fillAll runs the guest that writes until it may write no more in all instances at once, each with
// a file of its own, and returns the errnos that ended their writing. mount says what instance i
// sees.
func fillAll(t *testing.T, mount func(i int) vfs.FS) map[wasip1.Errno]int {
	t.Helper()
	host := newHost(t)
	guest := compiled(t, host, fillGuest)
	errnos := map[wasip1.Errno]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range instances {
		wg.Go(func() {
			var stdout bytes.Buffer
			result, err := host.RunModule(t.Context(), guest, virt.WithArgs(fmt.Sprint("file", i)), virt.WithMount("/", mount(i)), virt.WithStdout(&stdout))
			if err != nil || result.Outcome != virt.Exited || result.ExitCode != 0 {
				t.Errorf("guest %d: %v, %v", i, result, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for out := stdout.Bytes(); len(out) >= 16; out = out[16:] {
				errnos[wasip1.Errno(binary.LittleEndian.Uint32(out[8:]))]++
			}
		})
	}
	wg.Wait()
	return errnos
}

// held returns how many bytes and files a file system holds.
func held(t *testing.T, fsys vfs.FS) (bytes, inodes int64) {
	t.Helper()
	err := fs.WalkDir(view.FS(fsys), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes, inodes = bytes+info.Size(), inodes+1
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return bytes, inodes
}

// TestQuotaOfManyWriters lets 64 guests write to one file system until its quota is used up, give a
// part back, and go on. All the time another looks at it: a fork of the file system below is what
// it holds at one moment.
func TestQuotaOfManyWriters(t *testing.T) {
	const limit, files = 1_000_003, 40
	below := memfs.New()
	disk := quotafs.New(below, quotafs.Limits{Bytes: limit, Inodes: files})
	samples := 0
	look := func() {
		samples++
		before := disk.Quota().Usage()
		bytes, inodes := held(t, below.Fork())
		for _, u := range []quotafs.Usage{before, disk.Quota().Usage()} {
			if u.Bytes+u.FreeBytes != limit || u.Bytes < 0 || u.FreeBytes < 0 || u.Inodes+u.FreeInodes != files || u.Inodes < 0 || u.FreeInodes < 0 {
				t.Errorf("%+v, which is not the limit of %d bytes and %d files", u, limit, files)
			}
		}
		if bytes > limit || inodes > files {
			t.Errorf("it holds %d bytes in %d files, more than %d in %d", bytes, inodes, limit, files)
		}
	}
	stop := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				look()
			}
		}
	})
	errnos := fillAll(t, func(int) vfs.FS { return disk })
	close(stop)
	looking.Wait()
	look()

	if errnos[wasip1.ENOSPC] != 6*instances {
		t.Errorf("writing ended with %v, want ENOSPC in all rounds", errnos)
	}
	bytes, inodes := held(t, below)
	if u := disk.Quota().Usage(); u.Bytes != bytes || u.Inodes != inodes {
		t.Errorf("%d bytes in %d files are counted, %d in %d are there", u.Bytes, u.Inodes, bytes, inodes)
	}
	t.Logf("looked %d times; %d bytes in %d files are left", samples, bytes, inodes)

	root, err := vfs.NewRoot(disk)
	if err != nil {
		t.Fatal(err)
	}
	list, err := root.ReadDir("/")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if err := root.Remove(e.Name); err != nil {
			t.Error(err)
		}
	}
	if u := disk.Quota().Usage(); u.Bytes != 0 || u.Inodes != 0 {
		t.Errorf("%+v, although nothing is left", u)
	}
}

// TestSharedQuota lets 64 guests write to eight file systems that have a quota each and one
// together.
func TestSharedQuota(t *testing.T) {
	const own, together, files = 300_000, 1_000_003, 1000
	shared := quotafs.NewQuota(together, files)
	var below [8]*memfs.FS
	var disks [8]*quotafs.FS
	for i := range disks {
		below[i] = memfs.New()
		disks[i] = quotafs.New(below[i], quotafs.Limits{Bytes: own}, quotafs.WithQuota(shared))
	}
	errnos := fillAll(t, func(i int) vfs.FS { return disks[i%len(disks)] })
	if errnos[wasip1.EDQUOT] == 0 || errnos[wasip1.EDQUOT]+errnos[wasip1.ENOSPC] != 6*instances {
		t.Errorf("writing ended with %v, want EDQUOT, and here and there ENOSPC", errnos)
	}
	var bytes, inodes int64
	for i, d := range disks {
		b, n := held(t, below[i])
		if u := d.Quota().Usage(); u.Bytes != b || u.Inodes != n || b > own || u.Bytes+u.FreeBytes != own {
			t.Errorf("file system %d counts %+v and holds %d bytes in %d files", i, u, b, n)
		}
		bytes, inodes = bytes+b, inodes+n
	}
	if u := shared.Usage(); u.Bytes != bytes || u.Inodes != inodes || bytes > together || u.Bytes+u.FreeBytes != together {
		t.Errorf("%+v are counted together, %d bytes in %d files are there", u, bytes, inodes)
	}
	t.Logf("%s: %d bytes of %d", strings.TrimSpace(fmt.Sprint(errnos)), bytes, together)
}
