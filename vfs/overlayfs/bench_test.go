package overlayfs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
)

// machine is a directory of the machine with files at several depths, and one of 1,000 names.
func machine(tb testing.TB) *hostfs.FS {
	dir := tb.TempDir()
	for _, p := range []string{"file", "1/2/3/4/5/6/7/file"} {
		at := filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(at, []byte("x"), 0o666); err != nil {
			tb.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "many"), 0o777); err != nil {
		tb.Fatal(err)
	}
	for i := range 1000 {
		if err := os.WriteFile(filepath.Join(dir, "many", fmt.Sprint("file-", i)), nil, 0o666); err != nil {
			tb.Fatal(err)
		}
	}
	fsys, err := hostfs.New(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { fsys.Close() })
	return fsys
}

// rows are what is done with a world.
var rows = []struct {
	name string
	run  func(tb testing.TB, r *vfs.Root) func() error
}{
	{"open-close/1", func(_ testing.TB, r *vfs.Root) func() error { return opening(r, "file") }},
	{"open-close/8", func(_ testing.TB, r *vfs.Root) func() error { return opening(r, "1/2/3/4/5/6/7/file") }},
	{"stat/1", func(_ testing.TB, r *vfs.Root) func() error { return stating(r, "file") }},
	{"stat/8", func(_ testing.TB, r *vfs.Root) func() error { return stating(r, "1/2/3/4/5/6/7/file") }},
	{"list/1000", func(tb testing.TB, r *vfs.Root) func() error {
		d, err := r.Open("many")
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { d.Close() })
		entries := make([]vfs.DirEntry, 128)
		return func() error {
			for cookie, total := uint64(0), 0; ; {
				n, err := d.ReadDir(cookie, entries)
				if err != nil {
					return err
				}
				if n == 0 {
					if total < 1000 {
						return fmt.Errorf("%d names", total)
					}
					return nil
				}
				total, cookie = total+n, entries[n-1].Next
			}
		}
	}},
}

func opening(r *vfs.Root, path string) func() error {
	return func() error {
		f, err := r.Open(path)
		if err != nil {
			return err
		}
		return f.Close()
	}
}

func stating(r *vfs.Root, path string) func() error {
	return func() error { _, err := r.Stat(path); return err }
}

// worlds are the lower alone, as the floor, and overlays of it: unchanged, and with changes
// elsewhere.
func worlds(tb testing.TB) map[string]*vfs.Root {
	lower := machine(tb)
	all := make(map[string]*vfs.Root)
	for name, fsys := range map[string]vfs.FS{
		"floor": lower, "overlay": overlayfs.New(lower, memfs.New()), "changed": overlayfs.New(lower, memfs.New()),
	} {
		root, err := vfs.NewRoot(fsys)
		if err != nil {
			tb.Fatal(err)
		}
		all[name] = root
	}
	for i, p := range []string{"new", "1/2/new", "many/new"} {
		if err := all["changed"].WriteFile(p, []byte{byte(i)}, 0o666); err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

func BenchmarkOverlay(b *testing.B) {
	for _, row := range rows {
		for _, name := range []string{"floor", "overlay", "changed"} {
			b.Run(row.name+"/"+name, func(b *testing.B) {
				do := row.run(b, worlds(b)[name])
				b.ReportAllocs()
				for b.Loop() {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// An overlay allocates a few times an operation more than its lower, but neither for each name on
// the way nor for each that is listed.
func TestAllocationsDependOnNeitherDepthNorNames(t *testing.T) {
	for _, row := range rows {
		counts := make(map[string]float64)
		for name, root := range worlds(t) {
			do := row.run(t, root)
			counts[name] = testing.AllocsPerRun(20, func() {
				if err := do(); err != nil {
					t.Fatal(row.name, err)
				}
			})
		}
		for _, name := range []string{"overlay", "changed"} {
			if counts[name] > counts["floor"]+20 { // to find its place and to list again
				t.Errorf("%s: %v allocations, of the lower alone %v", row.name, counts[name], counts["floor"])
			}
		}
	}
}
