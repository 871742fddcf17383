package overlayfs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/wasivirt/wasivirt/memory"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/hostfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/overlayfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// A guest is told the names of both layers, as host code is, whatever its buffer holds: those of a
// directory of the machine come to it without a copy.
func TestGuestListsBothLayers(t *testing.T) {
	dir := t.TempDir()
	for i := range 500 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("file", i)), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	machine, err := hostfs.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer machine.Close()
	files := memfs.New()
	for i := range 500 {
		if err := files.WriteFile(fmt.Sprint("file", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, lower := range map[string]vfs.FS{"hostfs": machine, "memfs": files, "overlay": overlayfs.New(machine, memfs.New())} {
		t.Run(name, func(t *testing.T) {
			fsys := overlayfs.New(lower, memfs.New())
			root, err := vfs.NewRoot(fsys)
			if err != nil {
				t.Fatal(err)
			}
			listed := guestLists(t, fsys, 4000)
			for i := range 20 {
				for _, err := range []error{
					root.Remove(fmt.Sprint("file", i)),
					root.WriteFile(fmt.Sprint("file", 20+i), []byte("changed"), 0o666),
					root.WriteFile(fmt.Sprint("new", i), nil, 0o666),
				} {
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			for i := range 20 {
				listed = slices.DeleteFunc(listed, func(s string) bool { return s == fmt.Sprint("file", i) })
				listed = append(listed, fmt.Sprint("new", i))
			}
			slices.Sort(listed)
			if len(listed) != 502 {
				t.Errorf("%d names, want 500 with . and ..", len(listed))
			}
			for _, size := range []uint32{50, 300, 4000, 60_000} {
				if got := guestLists(t, fsys, size); !slices.Equal(got, listed) {
					t.Errorf("in %d bytes: %q\nwant %q", size, got, listed)
				}
			}
		})
	}
}

// guestLists returns the names that fd_readdir stores in buffers of that size, sorted.
func guestLists(t *testing.T, fsys vfs.FS, size uint32) (names []string) {
	t.Helper()
	const root, used, buf = 3, 16, 64
	ns := vfs.NewNamespace()
	if err := ns.Mount("/", fsys); err != nil {
		t.Fatal(err)
	}
	mem := make([]byte, 1<<16)
	c := &vfs.Caller{View: memory.NewView(mem), Table: vfs.NewTable(0)}
	defer c.Table.Close()
	if err := (&vfs.Preopens{Namespace: ns}).Install(c.Table); err != nil {
		t.Fatal(err)
	}
	for cookie := uint64(0); ; {
		if e := vfs.FdReaddir(c, root, buf, size, cookie, used); e != wasip1.ESUCCESS {
			t.Fatal(e)
		}
		n, _ := c.View.Uint32(used)
		for b := mem[buf : buf+n]; len(b) >= wasip1.SizeDirent; {
			e := wasip1.DecodeDirent(b)
			if b = b[wasip1.SizeDirent:]; len(b) < int(e.Namlen) {
				break
			}
			names = append(names, string(b[:e.Namlen]))
			b, cookie = b[e.Namlen:], uint64(e.Next)
		}
		if n < size {
			slices.Sort(names)
			return names
		}
	}
}
