package memfs

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
)

// heapUse returns how many bytes of the heap are in use.
func heapUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryOfAnEntry makes many files and directories and looks at the heap.
func TestMemoryOfAnEntry(t *testing.T) {
	for _, c := range []struct {
		name        string
		dirs, files int
		most        int64 // bytes an entry takes beside its name
	}{
		{"one directory", 1, 100_000, 250},
		{"many directories", 1000, 100, 250},
		{"small directories", 20_000, 4, 300}, // each has tables of its own
	} {
		t.Run(c.name, func(t *testing.T) {
			before := heapUse()
			f := New()
			names := int64(0)
			for i := range c.dirs {
				n, err := f.root.Mkdir(fmt.Sprint("dir", i), 0o777)
				if err != nil {
					t.Fatal(err)
				}
				d := n.(vfs.Directory)
				names += 8
				for j := range c.files {
					if _, err := d.Create(fmt.Sprint("file", j), 0o666); err != nil {
						t.Fatal(err)
					}
					names += 16 // as the allocator rounds
				}
			}
			entries := int64(c.dirs + c.dirs*c.files)
			each := (heapUse() - before - names) / entries
			t.Logf("%d bytes an entry", each)
			if each > c.most {
				t.Errorf("%d bytes an entry, more than %d", each, c.most)
			}
			runtime.KeepAlive(f)
		})
	}
}
