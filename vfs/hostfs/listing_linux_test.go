package hostfs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// openListed opens a directory of a guest on a new hostfs with files 0 to n-1 in it, which it
// returns in order as list tells them.
func openListed(t *testing.T, n int) (d *differ, fd uint32, want string) {
	dir := t.TempDir()
	names := make([]string, n)
	for i := range names {
		// Each length of a name beside that of the record.
		name := fmt.Sprint(i, strings.Repeat("x", i%19))
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
		names[i] = fmt.Sprint(name, ":", wasip1.FiletypeRegularFile)
	}
	fsys, err := hostfs.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fsys.Close() })
	names = append(names, fmt.Sprint(".:", wasip1.FiletypeDirectory), fmt.Sprint("..:", wasip1.FiletypeDirectory))
	slices.Sort(names)
	d = newDiffer(t, fsys)
	path, size := d.path(dPath, ".")
	if e := vfs.PathOpen(&d.Caller, dRoot, 0, path, size, uint32(wasip1.ODirectory), uint64(wasip1.RightFdReaddir), 0, 0, dResult); e != wasip1.ESUCCESS {
		t.Fatal(e)
	}
	return d, d.u32(), strings.Join(names, " ")
}

func TestListingOfManyNames(t *testing.T) {
	d, fd, want := openListed(t, 2000)
	for range 2 {
		if got := d.list(fd); got != want {
			t.Errorf("listed %s\nwant %s", got, want)
		}
	}
	const size = 200_000
	if n := testing.AllocsPerRun(20, func() {
		if e := vfs.FdReaddir(&d.Caller, fd, dBuf, size, 0, dResult); e != wasip1.ESUCCESS || d.u32() == size {
			t.Error(e, d.u32())
		}
	}); n != 0 {
		t.Errorf("a listing took %v allocations", n)
	}
}

// Names that are told to a guest lie in a buffer that others use too: other calls of the same
// descriptor, and host code, which may keep what it gets.
func TestListingByManyAtOnce(t *testing.T) {
	d, fd, want := openListed(t, 1000)
	var wg sync.WaitGroup
	for range 2 {
		other := &differ{mem: make([]byte, len(d.mem))}
		other.View, other.Table = memory.NewView(other.mem), d.Table
		wg.Go(func() {
			for range 10 {
				if got := other.list(fd); got != want {
					t.Errorf("listed %s\nwant %s", got, want)
				}
			}
		})
	}
	var kept []string
	entries := make([]vfs.DirEntry, 100)
	for cookie := uint64(0); ; {
		n, err := d.Table.Get(fd).ReadDir(cookie, entries)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		for _, e := range entries[:n] {
			kept = append(kept, e.Name)
		}
		cookie = entries[n-1].Next
	}
	wg.Wait()
	for i := range kept {
		kept[i] += fmt.Sprint(":", wasip1.FiletypeRegularFile)
	}
	slices.Sort(kept)
	names := slices.DeleteFunc(strings.Fields(want), func(s string) bool { return s[0] == '.' })
	if !slices.Equal(kept, names) {
		t.Errorf("host code kept %q", kept)
	}
}
