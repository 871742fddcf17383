package memfs

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// work is what operations on a directory take, for each of its entries.
type work struct {
	made, listed, found, removed float64 // allocations
	steps                        float64 // entries looked at to find one
	height                       int     // pages on the way to one
	bytes                        int64   // in use, beside the name
	left                         int64   // bytes in use when all are removed, in all
}

func mallocs() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Mallocs)
}

// measure makes n files in one directory, lists and finds them, and removes them.
func measure(t *testing.T, n int) (w work) {
	t.Helper()
	before := heapUse()
	f := New()
	d := f.root
	name := make([]byte, 0, 32)
	of := func(i int) []byte { return strconv.AppendInt(append(name[:0], "file"...), int64(i), 10) }
	each := func(do func(name string) error) float64 {
		start := mallocs()
		for i := range n {
			must(t, do(string(of(i))))
		}
		return (mallocs()-start)/float64(n) - 1 // the name
	}
	w.made = each(func(name string) error { _, err := d.Create(name, 0o666); return err })
	w.bytes = (heapUse()-before)/int64(n) - 16 - 16 // the name and its header
	start, listed := mallocs(), 0
	entries := make([]vfs.DirEntry, 64)
	for cookie := uint64(0); ; {
		k, err := d.ReadDir(cookie, entries)
		must(t, err)
		if k == 0 {
			break
		}
		listed, cookie = listed+k, entries[k-1].Next
	}
	if w.listed = (mallocs() - start) / float64(n); listed != n {
		t.Fatalf("%d of %d entries listed", listed, n)
	}
	looked := 0
	for i := range d.in.dir.nbuckets {
		if b := d.in.dir.buckets.get(i); b != nil {
			looked += len(b.slots) * (len(b.slots) + 1) / 2
		}
	}
	w.steps, w.height = float64(looked)/float64(n), max(d.in.dir.buckets.height, d.in.dir.order.height, f.table.height)
	w.found = each(func(name string) error { _, err := d.Lookup(name); return err })
	w.removed = each(d.Unlink)
	if _, err := d.Lookup("file0"); err != wasip1.ENOENT {
		t.Errorf("Lookup of what was removed: %v", err)
	}
	w.left = heapUse() - before
	runtime.KeepAlive(f)
	return w
}

// An operation in a directory of a million entries, or of fewer unless WASIVIRT_FULL is set, takes
// what it takes in one of a thousand.
func TestAMillionEntries(t *testing.T) {
	most := 100_000
	if os.Getenv("WASIVIRT_FULL") != "" {
		most = 1_000_000
	}
	small, large := measure(t, 1_000), measure(t, most)
	t.Logf("of a thousand: %+v", small)
	t.Logf("of %d: %+v", most, large)
	for _, c := range []struct {
		what         string
		small, large float64
	}{
		{"making allocates", small.made, large.made},
		{"listing allocates", small.listed, large.listed},
		{"finding allocates", small.found, large.found},
		{"removing allocates", small.removed, large.removed},
		{"finding looks at", small.steps, large.steps},
	} {
		if c.large > 1.2*c.small+0.5 {
			t.Errorf("%s %.2f times an entry, and %.2f times among a thousand", c.what, c.large, c.small)
		}
	}
	if large.height > small.height+2 { // 64 times as many a page
		t.Errorf("%d pages on the way to an entry, and %d among a thousand", large.height, small.height)
	}
	if large.bytes > 250 {
		t.Errorf("%d bytes an entry beside its name, more than 250", large.bytes)
	}
	if left := int64(17 << 20); large.left > left { // the cache of names, which stays
		t.Errorf("%d bytes are in use when all entries are removed, more than %d", large.left, left)
	}
}
