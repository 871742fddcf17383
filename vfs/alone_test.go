package vfs_test

import (
	"os"
	"sync"
	"testing"

	"github.com/wasivirt/wasivirt/internal/vfslink"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// A Caller that is alone uses closed files again, but none that host code may know.
func TestAlone(t *testing.T) {
	for _, tt := range []struct {
		name  string
		look  func(table *vfs.Table, fd uint32)
		alloc float64
	}{
		{"nobody looks", func(*vfs.Table, uint32) {}, 0},
		{"Get", func(table *vfs.Table, fd uint32) { table.Get(fd) }, 1},
		{"List", func(table *vfs.Table, fd uint32) { table.List() }, 1},
		{"Share", func(table *vfs.Table, fd uint32) { vfslink.Share(table) }, 1},
		{"Pollable", func(table *vfs.Table, fd uint32) { table.Pollable(fd, 1) }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGuest(t, newNS(t))
			vfslink.Alone(&g.Caller, true)
			g.create("a", "1")
			g.create("b", "22")
			a := g.mustOpen("a", 0, rw)
			tt.look(g.Table, a)
			expectErrno(t, "fd_close", vfs.FdClose(&g.Caller, a), wasip1.ESUCCESS)
			p, n := g.path("b")
			if got := testing.AllocsPerRun(20, func() {
				vfs.PathOpen(&g.Caller, root, 0, p, n, 0, uint64(rw), 0, 0, resultAt)
				vfs.FdClose(&g.Caller, g.u32())
			}); got != tt.alloc {
				t.Errorf("path_open and fd_close allocate %v times, want %v", got, tt.alloc)
			}
		})
	}
}

// What host code got from the table stays what it was, however many files are opened and closed
// after it.
func TestAloneKeepsWhatTheHostKnows(t *testing.T) {
	g := newGuest(t, newNS(t))
	vfslink.Alone(&g.Caller, true)
	g.create("a", "1")
	g.create("b", "22")
	fd := g.mustOpen("a", 0, rw)
	f := g.Table.Get(fd)
	expectErrno(t, "fd_close", vfs.FdClose(&g.Caller, fd), wasip1.ESUCCESS)
	g.mustOpen("b", 0, rw)
	if got := f.Path(); got != "/a" {
		t.Errorf("the file that the host holds is %s now", got)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); err != wasip1.EBADF {
		t.Errorf("reading a closed file: %v, want EBADF", err)
	}
}

// A file with a second descriptor is not closed with the first.
func TestAloneKeepsDuplicates(t *testing.T) {
	g := newGuest(t, newNS(t))
	vfslink.Alone(&g.Caller, true)
	g.create("a", "1")
	g.create("b", "22")
	fd := g.mustOpen("a", 0, rw)
	dup, err := g.Table.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	expectErrno(t, "fd_close", vfs.FdClose(&g.Caller, fd), wasip1.ESUCCESS)
	g.mustOpen("b", 0, rw)
	if got := g.Table.Get(dup).Path(); got != "/a" {
		t.Errorf("the duplicate is %s now", got)
	}
}

// Files that come and go take no memory, as long as nobody can know them.
func TestAloneMakesAndRemoves(t *testing.T) {
	g := newGuest(t, newNS(t))
	vfslink.Alone(&g.Caller, true)
	p, n := g.path("new")
	if got := testing.AllocsPerRun(20, func() {
		vfs.PathOpen(&g.Caller, root, 0, p, n, uint32(wasip1.OCreat), uint64(rw), 0, 0, resultAt)
		vfs.FdClose(&g.Caller, g.u32())
		vfs.PathUnlinkFile(&g.Caller, root, p, n)
	}); got != 0 {
		t.Errorf("making, closing and removing a file allocates %v times, want 0", got)
	}
}

// A node that host code has is that of a file that has gone, and of no other.
func TestAloneKeepsNodes(t *testing.T) {
	g := newGuest(t, newNS(t))
	vfslink.Alone(&g.Caller, true)
	fd := g.mustOpen("new", wasip1.OCreat, rw)
	node := g.Table.Get(fd).Node()
	expectErrno(t, "fd_close", vfs.FdClose(&g.Caller, fd), wasip1.ESUCCESS)
	p, n := g.path("new")
	expectErrno(t, "path_unlink_file", vfs.PathUnlinkFile(&g.Caller, root, p, n), wasip1.ESUCCESS)
	other := g.Table.Get(g.mustOpen("other", wasip1.OCreat, rw)).Node()
	if other == node {
		t.Error("the node that the host holds is that of another file now")
	}
}

// Files in memory are not kept open for a call. What is removed and closed in the midst of one
// takes no memory afterwards.
func TestFilesAreClosedWhileTheyAreUsed(t *testing.T) {
	fsys := memfs.New()
	r, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		f, err := r.OpenFile("file", os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		all.Go(func() {
			for i := range 20 {
				f.WriteAt([]byte("content"), int64(i)<<10)
				f.Write([]byte("content"))
				f.ReadAt(make([]byte, 8), 0)
			}
		})
		all.Go(func() {
			if err := r.Remove("file"); err != nil {
				t.Error(err)
			}
			f.Close()
		})
		all.Wait()
		if u := fsys.Usage(); u.Bytes != 0 || u.Inodes != 1 {
			t.Fatalf("usage %+v after the last file has gone", u)
		}
	}
}
