package vfstest_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/vfstest"
	"github.com/wasivirt/wasivirt/wasip1"
)

// A file system is tested in one line.
func Example() {
	err := vfstest.Test(func() (vfs.FS, error) { return memfs.New(), nil })
	fmt.Println(err)
	// Output: <nil>
}

func TestCases(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range vfstest.Cases() {
		if seen[c.Name] {
			t.Errorf("two cases are named %s", c.Name)
		}
		seen[c.Name] = true
	}
	if len(seen) < 60 {
		t.Errorf("%d cases are few", len(seen))
	}
}

// faulty is a directory with a fault of a kind that file systems have.
type faulty struct {
	vfs.Directory
	fault string
}

func (f faulty) Root() vfs.Node { return f }

func (f faulty) Lookup(name string) (vfs.Node, error) {
	n, err := f.Directory.Lookup(name)
	if f.fault == "says EIO for ENOENT" && err == wasip1.ENOENT {
		err = wasip1.EIO
	}
	return n, err
}

func (f faulty) Create(name string, perm fs.FileMode) (vfs.Node, error) {
	n, err := f.Directory.Create(name, perm)
	if f.fault == "opens what is there" && err == wasip1.EEXIST {
		return f.Directory.Lookup(name)
	}
	return n, err
}

func (f faulty) Unlink(name string) error {
	err := f.Directory.Unlink(name)
	if f.fault == "unlinks directories" && err == wasip1.EISDIR {
		err = f.Directory.Rmdir(name)
	}
	return err
}

func (f faulty) Rename(name string, to vfs.Directory, newName string) error {
	if f.fault == "renames in two steps" {
		f.Directory.Unlink(newName)
	}
	if g, ok := to.(faulty); ok {
		to = g.Directory
	}
	return f.Directory.Rename(name, to, newName)
}

func (f faulty) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	if f.fault == "counts entries" {
		all := make([]vfs.DirEntry, 1000)
		n, err := f.Directory.ReadDir(0, all)
		got := copy(entries, all[min(int(cookie), n):n])
		for i := range got {
			entries[i].Next = cookie + uint64(i) + 1
		}
		return got, err
	}
	n, err := f.Directory.ReadDir(cookie, entries)
	if f.fault == "lists inode 0" {
		for i := range entries[:n] {
			entries[i].Ino = 0
		}
	}
	return n, err
}

// TestFindsFaults: each fault is found by the case that is there for it, which the same directory
// without the fault passes.
func TestFindsFaults(t *testing.T) {
	cases := map[string]vfstest.Case{}
	for _, c := range vfstest.Cases() {
		cases[c.Name] = c
	}
	for _, tt := range []struct{ fault, found string }{
		{"says EIO for ENOENT", "lookup/absent"},
		{"opens what is there", "create/exists"},
		{"unlinks directories", "unlink/directory"},
		{"renames in two steps", "readdir/replace-while-reading"},
		{"counts entries", "readdir/remove-while-reading"},
		{"lists inode 0", "readdir/entries"},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			c := cases[tt.found]
			if err := c.Run(faulty{memfs.New().Root().(vfs.Directory), ""}); err != nil {
				t.Errorf("without the fault: %v", err)
			}
			err := c.Run(faulty{memfs.New().Root().(vfs.Directory), tt.fault})
			if err == nil {
				t.Fatalf("%s does not find it", tt.found)
			}
			if !strings.HasPrefix(err.Error(), tt.found+": ") {
				t.Errorf("%q does not begin with the name of the case", err)
			}
		})
	}
}

// linkless is a memfs root without links of either kind.
type linkless struct{ vfs.Directory }

func (l linkless) Root() vfs.Node                         { return l }
func (linkless) Link(string, vfs.Node) error              { return wasip1.ENOTSUP }
func (linkless) Symlink(string, string) (vfs.Node, error) { return nil, wasip1.ENOTSUP }

func TestWithout(t *testing.T) {
	newFS := func() vfs.FS { return linkless{memfs.New().Root().(vfs.Directory)} }
	without := vfstest.Without(vfstest.HardLinks | vfstest.Symlinks)
	for _, c := range vfstest.Cases() {
		if c.Name != "link/missing" && c.Name != "symlink/missing" {
			continue
		}
		if err := c.Run(newFS(), without); err != nil {
			t.Error(err)
		}
		if err := c.Run(memfs.New(), without); err == nil {
			t.Errorf("%s: nobody notices that links are there after all", c.Name)
		}
	}
	for _, c := range vfstest.Cases() {
		if c.Name == "link/nlink" && c.Applies(without) {
			t.Error("link/nlink applies without links")
		}
	}
}
