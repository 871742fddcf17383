package vfs_test

import (
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// down opens name n times, each time relative to the directory before, and returns the last
// descriptor.
func down(g *guest, n int, name string) (fd uint32, e wasip1.Errno) {
	fd = root
	for range n {
		next, e := g.openAt(fd, name, 0, wasip1.ODirectory, dirRights, 0)
		if e != wasip1.ESUCCESS {
			return fd, e
		}
		if fd != root {
			g.close(fd)
		}
		fd = next
	}
	return fd, wasip1.ESUCCESS
}

// A guest that opens directories relative to each other for ever has no paths that grow for ever.
func TestPathsOfOpenFilesAreBounded(t *testing.T) {
	g := newGuest(t, newNS(t))
	fd, e := down(g, 20, strings.Repeat("./", 1000))
	expectErrno(t, "path_open", e, wasip1.ESUCCESS)
	path := g.Table.Get(fd).Path()
	if want := "..." + strings.Repeat("./", vfs.MaxPath/2); path != want {
		t.Errorf("the path has %d bytes and begins with %.20q", len(path), path)
	}
}

// A policy has to know all of a place, so one that is too long to be kept is no place to go.
func TestPlacesOfOpenFilesAreBounded(t *testing.T) {
	g := newGuest(t, newNS(t))
	longest := 0
	g.SetGuard(func(places ...string) error {
		for _, p := range places {
			longest = max(longest, len(p))
		}
		return nil
	})
	name := strings.Repeat("d", vfs.MaxName)
	fd := uint32(root)
	depth := 0
	for ; depth < 1000; depth++ {
		at, n := g.path(name)
		if e := vfs.PathCreateDirectory(&g.Caller, fd, at, n); e != wasip1.ESUCCESS {
			expectErrno(t, "path_create_directory", e, wasip1.ENAMETOOLONG)
			break
		}
		next, e := g.openAt(fd, name, 0, wasip1.ODirectory, dirRights, 0)
		expectErrno(t, "path_open", e, wasip1.ESUCCESS)
		fd = next
	}
	if want := 4 * vfs.MaxPath / (vfs.MaxName + 1); depth != want || longest != want*(vfs.MaxName+1) {
		t.Errorf("%d directories deep, a place of %d bytes; want %d", depth, longest, want)
	}
	if got := g.Table.Get(fd).Resolved(); len(got) != longest {
		t.Errorf("the last directory's place has %d bytes", len(got))
	}
}
