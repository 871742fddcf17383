package vfs_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/vfs/quotafs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// inUse returns how many bytes of the heap are in use.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// keepers are the ways in which a guest makes a file system keep something: each makes one more
// thing, the i-th, until that is refused.
var keepers = map[string]func(g *guest, i int) wasip1.Errno{
	"files": func(g *guest, i int) wasip1.Errno { return g.touch(fmt.Sprint("file", i)) },
	"files with long names": func(g *guest, i int) wasip1.Errno {
		return g.touch(fmt.Sprintf("%0255d", i))
	},
	"directories": func(g *guest, i int) wasip1.Errno { return g.mkdir(fmt.Sprint("dir", i)) },
	"directories in directories": func(g *guest, i int) wasip1.Errno {
		if i%300 == 0 {
			return g.mkdir(fmt.Sprint("top", i/300))
		}
		return g.mkdir(fmt.Sprint("top", i/300) + strings.Repeat("/d", i%300))
	},
	"hard links": func(g *guest, i int) wasip1.Errno {
		if i == 0 {
			return g.touch("file")
		}
		return g.link("file", fmt.Sprintf("%0200d", i), 0)
	},
	"symbolic links": func(g *guest, i int) wasip1.Errno {
		return g.symlink(strings.Repeat("t", 4000), fmt.Sprint("link", i))
	},
	"small files": func(g *guest, i int) wasip1.Errno {
		return g.fill(fmt.Sprint("file", i), 1, -1)
	},
	"files cut short": func(g *guest, i int) wasip1.Errno {
		return g.fill(fmt.Sprint("file", i), 16<<10, 1)
	},
	"large files emptied": func(g *guest, i int) wasip1.Errno {
		for n := range 8 {
			if e := g.fill(fmt.Sprint("file", i, n), 64<<10, -1); e != wasip1.ESUCCESS {
				return e
			}
			if e := g.fill(fmt.Sprint("file", i, n), 0, 0); e != wasip1.ESUCCESS {
				return e
			}
		}
		return wasip1.ESUCCESS
	},
	"holes": func(g *guest, i int) wasip1.Errno {
		fd, e := g.open("holes", wasip1.OCreat, rw)
		if e != wasip1.ESUCCESS {
			return e
		}
		defer vfs.FdClose(&g.Caller, fd)
		iovs, n := g.iovs(1, 1)
		return vfs.FdPwrite(&g.Caller, fd, iovs, n, uint64(i)<<14, resultAt)
	},
	"files that are open without a name": func(g *guest, i int) wasip1.Errno {
		fd, e := g.open("file", wasip1.OCreat, rw)
		if e != wasip1.ESUCCESS {
			return e
		}
		iovs, n := g.iovs(1, 1<<10)
		if e := vfs.FdWrite(&g.Caller, fd, iovs, n, resultAt); e != wasip1.ESUCCESS {
			return e
		}
		return g.unlink("file")
	},
	"names that come and go": func(g *guest, i int) wasip1.Errno {
		if e := g.touch(fmt.Sprintf("%0100d", i)); e != wasip1.ESUCCESS || i%64 == 0 {
			return e
		}
		return g.unlink(fmt.Sprintf("%0100d", i))
	},
}

// touch makes an empty file.
func (g *guest) touch(name string) wasip1.Errno { return g.fill(name, 0, -1) }

// fill makes a file of size bytes, and cuts it then unless cut is negative.
func (g *guest) fill(name string, size int, cut int64) wasip1.Errno {
	fd, e := g.open(name, wasip1.OCreat, rw)
	if e != wasip1.ESUCCESS {
		return e
	}
	defer vfs.FdClose(&g.Caller, fd)
	if size > 0 {
		iovs, n := g.iovs(1, size)
		if e := vfs.FdWrite(&g.Caller, fd, iovs, n, resultAt); e != wasip1.ESUCCESS {
			return e
		}
		if wrote := int(g.u32()); wrote < size {
			return wasip1.EDQUOT
		}
	}
	if cut >= 0 {
		return vfs.FdFilestatSetSize(&g.Caller, fd, uint64(cut))
	}
	return wasip1.ESUCCESS
}

const (
	// spaceDisk and spaceDescriptors are the limits of a guest that keeps what it can.
	spaceDisk        = 1 << 20
	spaceDescriptors = 1000
	spaceTurns       = 10_000
	// spaceFixed is what the caches of a file system take whatever the guest does.
	spaceFixed = 1 << 20
)

// keepAll lets a guest keep what it can of one kind in fsys, and compares what the heap holds then
// with the sum of the budgets: contents, metadata, descriptors. begin is called before that. It
// returns how many things were made, and what refused the next.
func keepAll(t *testing.T, fsys vfs.FS, begin func(*guest), keep func(g *guest, i int) wasip1.Errno) (made int, e wasip1.Errno) {
	t.Helper()
	quota := quotafs.NewQuota(spaceDisk, 0)
	ns := vfs.NewNamespace(vfs.WithEnv(vfs.Env{Clock: testClock}))
	mustMount(t, ns, "/", quotafs.New(fsys, quotafs.Limits{}, quotafs.WithQuota(quota)))
	g := newGuest(t, ns)
	g.Table = vfs.NewTable(spaceDescriptors)
	if err := (&vfs.Preopens{Namespace: ns}).Install(g.Table); err != nil {
		t.Fatal(err)
	}
	defer g.Table.Close()
	begin(g)
	before := inUse()
	for ; made < spaceTurns && e == wasip1.ESUCCESS; made++ {
		e = keep(g, made)
	}
	most := int64(2*(spaceDisk+vfs.MetadataLimit(spaceDisk)+spaceDescriptors*512) + spaceFixed)
	held := inUse() - before
	t.Logf("%d things, then %v: the heap holds %d KiB", made, e, held>>10)
	if held > most {
		t.Errorf("the heap holds %d bytes for %d things, more than %d", held, made, most)
	}
	runtime.KeepAlive(g)
	return made, e
}

// TestSpaceIsWhatIsKept makes guests keep what they can, in every way, within a limit of disk.
func TestSpaceIsWhatIsKept(t *testing.T) {
	worlds := map[string]func() vfs.FS{
		"memfs":   func() vfs.FS { return memfs.New() },
		"overlay": func() vfs.FS { return overlayfs.New(memfs.New(), memfs.New()) },
		"aferofs": func() vfs.FS { return aferofs.New(afero.NewMemMapFs()) },
	}
	for world, newFS := range worlds {
		for way, keep := range keepers {
			t.Run(world+"/"+way, func(t *testing.T) {
				if testing.Short() && world != "memfs" {
					t.Skip("one world is enough for a short test")
				}
				keepAll(t, newFS(), func(*guest) {}, keep)
			})
		}
	}
}

// changers are the ways in which a guest makes an overlay keep that the lower is not as it was:
// each changes the i-th directory.
var changers = map[string]func(g *guest, dir string) wasip1.Errno{
	"removed names": func(g *guest, dir string) wasip1.Errno { return g.unlink(dir + "/file") },
	"removed directories": func(g *guest, dir string) wasip1.Errno {
		if e := g.unlink(dir + "/file"); e != wasip1.ESUCCESS {
			return e
		}
		return g.rmdir(dir)
	},
	"times": func(g *guest, dir string) wasip1.Errno {
		ptr, n := g.path(dir + "/file")
		return vfs.PathFilestatSetTimes(&g.Caller, root, 0, ptr, n, 1, 1, uint32(wasip1.FstAtim|wasip1.FstMtim))
	},
	"new names": func(g *guest, dir string) wasip1.Errno { return g.symlink("t", dir+"/new") },
	"moved files": func(g *guest, dir string) wasip1.Errno {
		return g.rename(dir+"/file", fmt.Sprintf("%0200s", strings.ReplaceAll(dir, "/", "-")))
	},
	"further names": func(g *guest, dir string) wasip1.Errno {
		return g.link(dir+"/file", fmt.Sprintf("%0200s", strings.ReplaceAll(dir, "/", "-")), 0)
	},
	"copies": func(g *guest, dir string) wasip1.Errno { return g.fill(dir+"/file", 1, -1) },
}

// TestChangesOfALowerAreCharged makes a guest change each directory of a large lower.
func TestChangesOfALowerAreCharged(t *testing.T) {
	dirOf := func(i int) string { return fmt.Sprintf("top%d/%0150d", i%10, i) }
	fill := func(t *testing.T) *memfs.FS {
		lower := memfs.New()
		for i := range spaceTurns {
			if err := lower.MkdirAll(dirOf(i)); err != nil {
				t.Fatal(err)
			}
			if err := lower.WriteFile(dirOf(i)+"/file", nil); err != nil {
				t.Fatal(err)
			}
		}
		return lower
	}
	for way, change := range changers {
		t.Run(way, func(t *testing.T) {
			look := func(g *guest) { // what is known of the lower is not a change
				for i := range spaceTurns {
					if _, e := g.stat(root, dirOf(i)+"/file", 0); e != wasip1.ESUCCESS {
						t.Fatal(e)
					}
				}
			}
			made, e := keepAll(t, overlayfs.New(fill(t), memfs.New()), look, func(g *guest, i int) wasip1.Errno {
				return change(g, dirOf(i))
			})
			if e != wasip1.EDQUOT {
				t.Errorf("%d changes ended with %v", made, e)
			}
		})
	}
}
