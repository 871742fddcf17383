package vfs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// world is a guest with
//
//	file  dir/  dir/file  dir/sub/  link → file  dirlink → dir  dangling → nowhere  loop → loop
//	up → ../file  slash → dir/  long → dirlink/sub/../file  in → dir/back  dir/back → ../file
func world(tb testing.TB) *guest {
	g := newGuest(tb, newNS(tb))
	g.create("file", "content")
	for _, d := range []string{"dir", "dir/sub"} {
		expectErrno(tb, "mkdir "+d, g.mkdir(d), wasip1.ESUCCESS)
	}
	g.create("dir/file", "inner")
	for _, l := range [][2]string{
		{"file", "link"}, {"dir", "dirlink"}, {"nowhere", "dangling"}, {"loop", "loop"}, {"../file", "up"},
		{"dir/", "slash"}, {"dirlink/sub/../file", "long"}, {"dir/back", "in"}, {"../file", "dir/back"},
		{"dir/made", "make"},
	} {
		expectErrno(tb, "symlink "+l[1], g.symlink(l[0], l[1]), wasip1.ESUCCESS)
	}
	return g
}

func expectErrno(tb testing.TB, what string, got, want wasip1.Errno) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestWalk(t *testing.T) {
	g := world(t)
	const file, dir, link = wasip1.FiletypeRegularFile, wasip1.FiletypeDirectory, wasip1.FiletypeSymbolicLink
	for _, tt := range []struct {
		path   string
		follow bool
		want   wasip1.Errno
		kind   wasip1.Filetype
	}{
		{"file", false, 0, file},
		{"file/", false, wasip1.ENOTDIR, 0},
		{"file/.", false, wasip1.ENOTDIR, 0},
		{"file/..", false, wasip1.ENOTDIR, 0},
		{"file/x", false, wasip1.ENOTDIR, 0},
		{"dir", false, 0, dir},
		{"dir/", false, 0, dir},
		{"dir///", false, 0, dir},
		{".", false, 0, dir},
		{"./", false, 0, dir},
		{"./././dir/./sub/.", false, 0, dir},
		{"dir/..", false, 0, dir},
		{"dir/../file", false, 0, file},
		{"dir//sub/..//file", false, 0, file},
		{"nowhere", false, wasip1.ENOENT, 0},
		{"nowhere/", false, wasip1.ENOENT, 0},
		{"nowhere/../file", false, wasip1.ENOENT, 0},
		{"..", false, wasip1.EPERM, 0},
		{"../", false, wasip1.EPERM, 0},
		{"dir/../..", false, wasip1.EPERM, 0},
		{"dir/../../file", false, wasip1.EPERM, 0},
		{"/file", false, wasip1.EPERM, 0},
		{"/", false, wasip1.EPERM, 0},
		{"", false, wasip1.ENOENT, 0},
		{"link", false, 0, link},
		{"link", true, 0, file},
		{"link/", false, wasip1.ENOTDIR, 0},
		{"link/x", false, wasip1.ENOTDIR, 0},
		{"dirlink", false, 0, link},
		{"dirlink", true, 0, dir},
		{"dirlink/", false, 0, dir},
		{"dirlink/file", false, 0, file},
		{"dirlink/..", false, 0, dir},
		{"dirlink/../file", false, 0, file},
		{"slash", true, 0, dir},
		{"slash/file", true, 0, file},
		{"long", true, 0, file},
		{"in", true, 0, file},
		{"dir/back", true, 0, file},
		{"dangling", false, 0, link},
		{"dangling", true, wasip1.ENOENT, 0},
		{"dangling/", false, wasip1.ENOENT, 0},
		{"loop", false, 0, link},
		{"loop", true, wasip1.ELOOP, 0},
		{"loop/x", false, wasip1.ELOOP, 0},
		{"up", true, wasip1.EPERM, 0},
		{strings.Repeat("x", 255), false, wasip1.ENOENT, 0},
		{strings.Repeat("x", 256), false, wasip1.ENAMETOOLONG, 0},
		{"dir/" + strings.Repeat("x", 256) + "/y", false, wasip1.ENAMETOOLONG, 0},
		{strings.Repeat("./", 2046) + "file", false, 0, file},
		{strings.Repeat("./", 2047) + "file", false, wasip1.ENAMETOOLONG, 0},
		{"file\x00", false, wasip1.EINVAL, 0},
		{"\xff", false, wasip1.EILSEQ, 0},
	} {
		var flags wasip1.Lookupflags
		if tt.follow {
			flags = wasip1.LookupSymlinkFollow
		}
		got, e := g.stat(root, tt.path, flags)
		if e != tt.want || e == 0 && got.Filetype != tt.kind {
			t.Errorf("path_filestat_get(%q, follow %v): %v, %v, want %v, %v", tt.path, tt.follow, e, got.Filetype, tt.want, tt.kind)
		}
	}
}

func TestWalkDeep(t *testing.T) {
	g := newGuest(t, newNS(t))
	p := deep(g, 200)
	if _, e := g.stat(root, p, 0); e != wasip1.ESUCCESS {
		t.Errorf("at depth 200: %v", e)
	}
	back := strings.TrimSuffix(p, "file") + strings.Repeat("../", 199) + "d0"
	if s, e := g.stat(root, back, 0); e != wasip1.ESUCCESS || s.Filetype != wasip1.FiletypeDirectory {
		t.Errorf("there and back: %v", e)
	}
	if _, e := g.stat(root, back+"/../..", 0); e != wasip1.EPERM {
		t.Errorf("there and back and one more: %v", e)
	}
}

func TestWalkLinkLimit(t *testing.T) {
	g := newGuest(t, newNS(t))
	g.create("l0", "")
	name := func(i int) string { return "l" + strings.Repeat("x", i) }
	expectErrno(t, "symlink", g.symlink("l0", name(1)), 0)
	for i := 2; i <= vfs.MaxLinks+1; i++ {
		expectErrno(t, "symlink", g.symlink(name(i-1), name(i)), 0)
	}
	_, e := g.stat(root, name(vfs.MaxLinks), wasip1.LookupSymlinkFollow)
	expectErrno(t, "as many links as may be", e, 0)
	_, e = g.stat(root, name(vfs.MaxLinks+1), wasip1.LookupSymlinkFollow)
	expectErrno(t, "one more", e, wasip1.ELOOP)
}

// Links in the middle of links: what is left of each path is walked in the right order.
func TestWalkNestedLinks(t *testing.T) {
	g := newGuest(t, newNS(t))
	for _, d := range []string{"a", "a/b", "a/b/c", "a/b/c/d"} {
		g.mkdir(d)
	}
	g.create("a/b/c/d/end", "")
	g.symlink("y/c", "x")
	g.symlink("z/b", "y")
	g.symlink("a", "z")
	s, e := g.stat(root, "x/d/end", 0)
	if e != 0 || s.Filetype != wasip1.FiletypeRegularFile {
		t.Errorf("x/d/end: %v", e)
	}
}

func TestPathOpen(t *testing.T) {
	const (
		c, x, d, tr = wasip1.OCreat, wasip1.OExcl, wasip1.ODirectory, wasip1.OTrunc
		follow      = wasip1.LookupSymlinkFollow
	)
	for _, tt := range []struct {
		path   string
		lookup wasip1.Lookupflags
		o      wasip1.Oflags
		rights wasip1.Rights
		want   wasip1.Errno
	}{
		{"file", 0, 0, ro, 0},
		{"file", 0, 0, 0, 0},
		{"file", 0, c, rw, 0},
		{"file", 0, c | x, rw, wasip1.EEXIST},
		{"file", 0, d, ro, wasip1.ENOTDIR},
		{"file/", 0, 0, ro, wasip1.ENOTDIR},
		{"file/", 0, c, ro, wasip1.ENOTDIR},
		{"new", 0, 0, ro, wasip1.ENOENT},
		{"new", 0, c, rw, 0},
		{"new", 0, c | x, rw, 0},
		{"new/", 0, c, rw, wasip1.EISDIR},
		{"new", 0, c | d, rw, wasip1.EINVAL},
		{"nowhere/new", 0, c, rw, wasip1.ENOENT},
		{"file/new", 0, c, rw, wasip1.ENOTDIR},
		{"../new", 0, c, rw, wasip1.EPERM},
		{"", 0, c, rw, wasip1.ENOENT},
		{"dir", 0, 0, ro, 0},
		{"dir", 0, d, dirRights, 0},
		{"dir/", 0, d, dirRights, 0},
		{"dir", 0, 0, rw, wasip1.EISDIR},
		{"dir", 0, c, ro, wasip1.EISDIR},
		{"dir", 0, c | x, ro, wasip1.EEXIST},
		{"dir", 0, tr, ro, wasip1.EISDIR},
		{".", 0, 0, ro, 0},
		{".", 0, c, ro, wasip1.EISDIR},
		{".", 0, 0, rw, wasip1.EISDIR},
		{"dir/..", 0, d, dirRights, 0},
		{"..", 0, d, dirRights, wasip1.EPERM},
		{"link", 0, 0, ro, wasip1.ELOOP},
		{"link", 0, d, ro, wasip1.ENOTDIR},
		{"link", follow, 0, ro, 0},
		{"link", follow, d, ro, wasip1.ENOTDIR},
		{"link", follow, c | x, rw, wasip1.EEXIST},
		{"dirlink", 0, d, ro, wasip1.ENOTDIR},
		{"dirlink", follow, d, ro, 0},
		{"dirlink/", 0, d, ro, 0},
		{"dangling", follow, 0, ro, wasip1.ENOENT},
		{"dangling", follow, c, rw, 0},
		{"dangling", follow, c | x, rw, wasip1.EEXIST},
		{"dangling", 0, c, rw, wasip1.ELOOP},
		{"make", follow, c, rw, 0},
		{"loop", 0, 0, ro, wasip1.ELOOP},
		{"loop", follow, c, ro, wasip1.ELOOP},
		{"file", 0, tr, 0, 0},
		{"file", 2, 0, ro, wasip1.EINVAL},
		{"file", 0, 1 << 4, ro, wasip1.EINVAL},
	} {
		g := world(t)
		_, e := g.openAt(root, tt.path, tt.lookup, tt.o, tt.rights, 0)
		if e != tt.want {
			t.Errorf("path_open(%q, %v, %v, write %v): %v, want %v", tt.path, tt.lookup, tt.o,
				tt.rights.Has(wasip1.RightFdWrite), e, tt.want)
		}
	}
}

// A file that is made through a dangling link is made where the link leads.
func TestPathOpenCreatesThroughLink(t *testing.T) {
	g := world(t)
	g.mustOpen("make", wasip1.OCreat, rw)
	if _, e := g.stat(root, "dir/made", 0); e != 0 {
		t.Errorf("dir/made: %v", e)
	}
}

func TestMutations(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, tt := range []struct {
		name string
		do   func(g *guest) wasip1.Errno
		want wasip1.Errno
	}{
		{"mkdir new", func(g *guest) wasip1.Errno { return g.mkdir("new") }, 0},
		{"mkdir new/", func(g *guest) wasip1.Errno { return g.mkdir("new/") }, 0},
		{"mkdir file", func(g *guest) wasip1.Errno { return g.mkdir("file") }, wasip1.EEXIST},
		{"mkdir dir", func(g *guest) wasip1.Errno { return g.mkdir("dir") }, wasip1.EEXIST},
		{"mkdir .", func(g *guest) wasip1.Errno { return g.mkdir(".") }, wasip1.EEXIST},
		{"mkdir dir/..", func(g *guest) wasip1.Errno { return g.mkdir("dir/..") }, wasip1.EEXIST},
		{"mkdir ..", func(g *guest) wasip1.Errno { return g.mkdir("..") }, wasip1.EPERM},
		{"mkdir ../new", func(g *guest) wasip1.Errno { return g.mkdir("../new") }, wasip1.EPERM},
		{"mkdir dangling", func(g *guest) wasip1.Errno { return g.mkdir("dangling") }, wasip1.EEXIST},
		{"mkdir file/new", func(g *guest) wasip1.Errno { return g.mkdir("file/new") }, wasip1.ENOTDIR},
		{"mkdir nowhere/new", func(g *guest) wasip1.Errno { return g.mkdir("nowhere/new") }, wasip1.ENOENT},
		{"mkdir long", func(g *guest) wasip1.Errno { return g.mkdir(long) }, wasip1.ENAMETOOLONG},

		{"unlink file", func(g *guest) wasip1.Errno { return g.unlink("file") }, 0},
		{"unlink file/", func(g *guest) wasip1.Errno { return g.unlink("file/") }, wasip1.ENOTDIR},
		{"unlink dir", func(g *guest) wasip1.Errno { return g.unlink("dir") }, wasip1.EISDIR},
		{"unlink dir/", func(g *guest) wasip1.Errno { return g.unlink("dir/") }, wasip1.EISDIR},
		{"unlink .", func(g *guest) wasip1.Errno { return g.unlink(".") }, wasip1.EISDIR},
		{"unlink link", func(g *guest) wasip1.Errno { return g.unlink("link") }, 0},
		{"unlink link/", func(g *guest) wasip1.Errno { return g.unlink("link/") }, wasip1.ENOTDIR},
		{"unlink loop", func(g *guest) wasip1.Errno { return g.unlink("loop") }, 0},
		{"unlink nowhere", func(g *guest) wasip1.Errno { return g.unlink("nowhere") }, wasip1.ENOENT},
		{"unlink up/../file", func(g *guest) wasip1.Errno { return g.unlink("up/../file") }, wasip1.EPERM},

		{"rmdir dir/sub", func(g *guest) wasip1.Errno { return g.rmdir("dir/sub") }, 0},
		{"rmdir dir/sub/", func(g *guest) wasip1.Errno { return g.rmdir("dir/sub/") }, 0},
		{"rmdir dir", func(g *guest) wasip1.Errno { return g.rmdir("dir") }, wasip1.ENOTEMPTY},
		{"rmdir file", func(g *guest) wasip1.Errno { return g.rmdir("file") }, wasip1.ENOTDIR},
		{"rmdir file/", func(g *guest) wasip1.Errno { return g.rmdir("file/") }, wasip1.ENOTDIR},
		{"rmdir dirlink", func(g *guest) wasip1.Errno { return g.rmdir("dirlink") }, wasip1.ENOTDIR},
		{"rmdir dirlink/", func(g *guest) wasip1.Errno { return g.rmdir("dirlink/") }, wasip1.ENOTDIR},
		{"rmdir .", func(g *guest) wasip1.Errno { return g.rmdir(".") }, wasip1.EINVAL},
		{"rmdir dir/sub/.", func(g *guest) wasip1.Errno { return g.rmdir("dir/sub/.") }, wasip1.EINVAL},
		{"rmdir dir/..", func(g *guest) wasip1.Errno { return g.rmdir("dir/..") }, wasip1.ENOTEMPTY},
		{"rmdir nowhere", func(g *guest) wasip1.Errno { return g.rmdir("nowhere") }, wasip1.ENOENT},

		{"rename file new", func(g *guest) wasip1.Errno { return g.rename("file", "new") }, 0},
		{"rename file dir/new", func(g *guest) wasip1.Errno { return g.rename("file", "dir/new") }, 0},
		{"rename file new/", func(g *guest) wasip1.Errno { return g.rename("file", "new/") }, wasip1.ENOTDIR},
		{"rename file/ new", func(g *guest) wasip1.Errno { return g.rename("file/", "new") }, wasip1.ENOTDIR},
		{"rename file dir", func(g *guest) wasip1.Errno { return g.rename("file", "dir") }, wasip1.EISDIR},
		{"rename dir file", func(g *guest) wasip1.Errno { return g.rename("dir", "file") }, wasip1.ENOTDIR},
		{"rename dir/ new/", func(g *guest) wasip1.Errno { return g.rename("dir/", "new/") }, 0},
		{"rename dir dir/sub/x", func(g *guest) wasip1.Errno { return g.rename("dir", "dir/sub/x") }, wasip1.EINVAL},
		{"rename dir/sub dir", func(g *guest) wasip1.Errno { return g.rename("dir/sub", "dir") }, wasip1.ENOTEMPTY},
		{"rename . new", func(g *guest) wasip1.Errno { return g.rename(".", "new") }, wasip1.EBUSY},
		{"rename file dir/..", func(g *guest) wasip1.Errno { return g.rename("file", "dir/..") }, wasip1.EBUSY},
		{"rename file ../x", func(g *guest) wasip1.Errno { return g.rename("file", "../x") }, wasip1.EPERM},
		{"rename nowhere new", func(g *guest) wasip1.Errno { return g.rename("nowhere", "new") }, wasip1.ENOENT},
		{"rename dirlink/ new", func(g *guest) wasip1.Errno { return g.rename("dirlink/", "new") }, wasip1.ENOTDIR},

		{"link file new", func(g *guest) wasip1.Errno { return g.link("file", "new", 0) }, 0},
		{"link file new/", func(g *guest) wasip1.Errno { return g.link("file", "new/", 0) }, wasip1.ENOENT},
		{"link file/ new", func(g *guest) wasip1.Errno { return g.link("file/", "new", 0) }, wasip1.ENOTDIR},
		{"link file dir", func(g *guest) wasip1.Errno { return g.link("file", "dir", 0) }, wasip1.EEXIST},
		{"link file file", func(g *guest) wasip1.Errno { return g.link("file", "file", 0) }, wasip1.EEXIST},
		{"link file dangling", func(g *guest) wasip1.Errno { return g.link("file", "dangling", 0) }, wasip1.EEXIST},
		{"link dir new", func(g *guest) wasip1.Errno { return g.link("dir", "new", 0) }, wasip1.EPERM},
		{"link dangling new", func(g *guest) wasip1.Errno { return g.link("dangling", "new", 0) }, 0},
		{"link dangling new, followed", func(g *guest) wasip1.Errno {
			return g.link("dangling", "new", wasip1.LookupSymlinkFollow)
		}, wasip1.ENOENT},
		{"link file .", func(g *guest) wasip1.Errno { return g.link("file", ".", 0) }, wasip1.EEXIST},

		{"symlink new", func(g *guest) wasip1.Errno { return g.symlink("x", "new") }, 0},
		{"symlink new/", func(g *guest) wasip1.Errno { return g.symlink("x", "new/") }, wasip1.ENOENT},
		{"symlink dir/", func(g *guest) wasip1.Errno { return g.symlink("x", "dir/") }, wasip1.EEXIST},
		{"symlink file/", func(g *guest) wasip1.Errno { return g.symlink("x", "file/") }, wasip1.ENOTDIR},
		{"symlink file", func(g *guest) wasip1.Errno { return g.symlink("x", "file") }, wasip1.EEXIST},
		{"symlink absolute", func(g *guest) wasip1.Errno { return g.symlink("/file", "new") }, wasip1.EPERM},
		{"symlink empty", func(g *guest) wasip1.Errno { return g.symlink("", "new") }, wasip1.ENOENT},
		{"symlink .", func(g *guest) wasip1.Errno { return g.symlink("x", ".") }, wasip1.EEXIST},

		{"readlink file", func(g *guest) wasip1.Errno { _, e := g.readlink("file", 10); return e }, wasip1.EINVAL},
		{"readlink dir", func(g *guest) wasip1.Errno { _, e := g.readlink("dir", 10); return e }, wasip1.EINVAL},
		{"readlink dirlink/", func(g *guest) wasip1.Errno { _, e := g.readlink("dirlink/", 10); return e }, wasip1.EINVAL},
		{"readlink nowhere", func(g *guest) wasip1.Errno { _, e := g.readlink("nowhere", 10); return e }, wasip1.ENOENT},
	} {
		g := world(t)
		expectErrno(t, tt.name, tt.do(g), tt.want)
	}
}

func TestReadlinkCuts(t *testing.T) {
	g := world(t)
	for size, want := range map[int]string{0: "", 4: "nowh", 7: "nowhere", 20: "nowhere"} {
		if got, e := g.readlink("dangling", size); e != 0 || got != want {
			t.Errorf("path_readlink with %d bytes: %q, %v, want %q", size, got, e, want)
		}
	}
}

func TestAbsoluteLinks(t *testing.T) {
	ns := newNS(t, vfs.WithAbsoluteLinks())
	g := newGuest(t, ns)
	g.mkdir("dir")
	g.create("file", "")
	for target, want := range map[string]wasip1.Errno{
		"/file": 0, "/dir/../file": 0, "/../file": 0, "/": 0, "/nowhere": wasip1.ENOENT,
	} {
		expectErrno(t, "symlink to "+target, g.symlink(target, "dir/l"), 0)
		d := g.openDir("dir")
		_, e := g.stat(d, "l", wasip1.LookupSymlinkFollow)
		expectErrno(t, "through a link to "+target, e, want)
		g.close(d)
		g.unlink("dir/l")
	}
}

func TestSetTimes(t *testing.T) {
	g := world(t)
	set := func(p string, follow uint32, flags wasip1.Fstflags) wasip1.Errno {
		ptr, n := g.path(p)
		return vfs.PathFilestatSetTimes(&g.Caller, root, follow, ptr, n, 11, 22, uint32(flags))
	}
	expectErrno(t, "both", set("file", 0, wasip1.FstAtim|wasip1.FstMtim), 0)
	s, _ := g.stat(root, "file", 0)
	if s.Atim != 11 || s.Mtim != 22 {
		t.Errorf("times are %d, %d", s.Atim, s.Mtim)
	}
	expectErrno(t, "now", set("file", 0, wasip1.FstAtimNow), 0)
	s, _ = g.stat(root, "file", 0)
	if s.Atim != uint64(testClock.Realtime()) || s.Mtim != 22 {
		t.Errorf("times are %d, %d", s.Atim, s.Mtim)
	}
	expectErrno(t, "time and now", set("file", 0, wasip1.FstAtimNow|wasip1.FstAtim), wasip1.EINVAL)
	expectErrno(t, "no such flag", set("file", 0, 1<<4), wasip1.EINVAL)
	expectErrno(t, "nothing", set("file", 0, 0), 0)
	expectErrno(t, "nothing, of nothing", set("nowhere", 0, 0), wasip1.ENOENT)
	expectErrno(t, "of a link", set("link", 0, wasip1.FstMtim), 0)
	s, _ = g.stat(root, "link", 0)
	f, _ := g.stat(root, "link", wasip1.LookupSymlinkFollow)
	if diff := cmp.Diff([]uint64{22, 22}, []uint64{s.Mtim, f.Mtim}); diff != "" {
		t.Error(diff)
	}
}

func TestRightsOfPaths(t *testing.T) {
	g := world(t)
	fd := g.openDir("dir")
	restrict := func(base, inherit wasip1.Rights) wasip1.Errno {
		return vfs.FdFdstatSetRights(&g.Caller, fd, uint64(base), uint64(inherit))
	}
	p, n := g.path("file")
	p2, n2 := g.path2("x")
	c := &g.Caller
	for _, tt := range []struct {
		name  string
		right wasip1.Rights
		do    func() wasip1.Errno
	}{
		{"path_create_directory", wasip1.RightPathCreateDirectory, func() wasip1.Errno { return vfs.PathCreateDirectory(c, fd, p, n) }},
		{"path_filestat_get", wasip1.RightPathFilestatGet, func() wasip1.Errno { return vfs.PathFilestatGet(c, fd, 0, p, n, resultAt) }},
		{"path_filestat_set_times", wasip1.RightPathFilestatSetTimes, func() wasip1.Errno { return vfs.PathFilestatSetTimes(c, fd, 0, p, n, 0, 0, 0) }},
		{"path_link from", wasip1.RightPathLinkSource, func() wasip1.Errno { return vfs.PathLink(c, fd, 0, p, n, root, p2, n2) }},
		{"path_link to", wasip1.RightPathLinkTarget, func() wasip1.Errno { return vfs.PathLink(c, root, 0, p, n, fd, p2, n2) }},
		{"path_open", wasip1.RightPathOpen, func() wasip1.Errno { return vfs.PathOpen(c, fd, 0, p, n, 0, 0, 0, 0, resultAt) }},
		{"path_open, create", wasip1.RightPathCreateFile, func() wasip1.Errno { return vfs.PathOpen(c, fd, 0, p, n, uint32(wasip1.OCreat), 0, 0, 0, resultAt) }},
		{"path_open, truncate", wasip1.RightPathFilestatSetSize, func() wasip1.Errno { return vfs.PathOpen(c, fd, 0, p, n, uint32(wasip1.OTrunc), 0, 0, 0, resultAt) }},
		{"path_readlink", wasip1.RightPathReadlink, func() wasip1.Errno { return vfs.PathReadlink(c, fd, p, n, bufAt, 1, resultAt) }},
		{"path_remove_directory", wasip1.RightPathRemoveDirectory, func() wasip1.Errno { return vfs.PathRemoveDirectory(c, fd, p, n) }},
		{"path_rename from", wasip1.RightPathRenameSource, func() wasip1.Errno { return vfs.PathRename(c, fd, p, n, root, p2, n2) }},
		{"path_rename to", wasip1.RightPathRenameTarget, func() wasip1.Errno { return vfs.PathRename(c, root, p, n, fd, p2, n2) }},
		{"path_symlink", wasip1.RightPathSymlink, func() wasip1.Errno { return vfs.PathSymlink(c, p, n, fd, p2, n2) }},
		{"path_unlink_file", wasip1.RightPathUnlinkFile, func() wasip1.Errno { return vfs.PathUnlinkFile(c, fd, p, n) }},
		{"fd_readdir", wasip1.RightFdReaddir, func() wasip1.Errno { return vfs.FdReaddir(c, fd, bufAt, 100, 0, resultAt) }},
	} {
		g.close(fd)
		fd = g.openDir("dir")
		expectErrno(t, tt.name+": restrict", restrict(dirRights&^tt.right, dirInherit), 0)
		expectErrno(t, tt.name, tt.do(), wasip1.ENOTCAPABLE)
	}
	expectErrno(t, "more rights", restrict(dirRights|wasip1.RightFdWrite, dirInherit), wasip1.ENOTCAPABLE)
	expectErrno(t, "nothing passed on", restrict(wasip1.RightPathOpen, 0), 0)
	_, e := g.openAt(fd, "file", 0, 0, ro, 0)
	expectErrno(t, "read where it is not passed on", e, wasip1.ENOTCAPABLE)
	_, e = g.openAt(fd, "file", 0, 0, 0, 0)
	expectErrno(t, "open with no rights", e, 0)
}

// What Go's os.Root does: a directory is opened without RightPathFilestatSetSize, and files are cut
// through it.
func TestTruncateThroughGoDirectory(t *testing.T) {
	g := world(t)
	fd := g.mustOpen("dir", wasip1.ODirectory, dirRights&^wasip1.RightPathFilestatSetSize)
	_, e := g.openAt(fd, "file", 0, wasip1.OCreat|wasip1.OTrunc, rw, 0)
	expectErrno(t, "path_open with O_TRUNC", e, 0)
}

// TestDepthOfWalk has a link lead deeper than a path could: each directory on the way may be a
// descriptor of the machine.
func TestDepthOfWalk(t *testing.T) {
	fsys := memfs.New()
	at := fsys.Root().(vfs.Directory)
	for range 3000 {
		sub, err := at.Mkdir("d", 0o755)
		if err != nil {
			t.Fatal(err)
		}
		at = sub.(vfs.Directory)
	}
	ns := vfs.NewNamespace()
	mustMount(t, ns, "/", fsys)
	g := newGuest(t, ns)
	down := func(n int) string { return strings.Repeat("d/", n) }
	expectErrno(t, "symlink", g.symlink(down(1500), "l"), wasip1.ESUCCESS)
	for _, tt := range []struct {
		path string
		want wasip1.Errno
	}{
		{down(2047) + "d", wasip1.ESUCCESS},
		{"l/" + down(500) + "d", wasip1.ESUCCESS},
		{"l/" + down(1000) + "d", wasip1.ENAMETOOLONG},
		{"l/" + strings.Repeat("../d/", 600) + "d", wasip1.ESUCCESS},
	} {
		_, e := g.stat(root, tt.path, wasip1.LookupSymlinkFollow)
		expectErrno(t, tt.path[:9]+"…", e, tt.want)
	}
}
