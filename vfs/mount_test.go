package vfs_test

import (
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// fileFS is a file system that is a single file.
type fileFS struct{ node vfs.Node }

func (f fileFS) Root() vfs.Node { return f.node }

// single returns a file system that is one file with content.
func single(tb testing.TB, content string) vfs.FS {
	tb.Helper()
	r, err := vfs.NewRoot(memfs.New())
	if err != nil {
		tb.Fatal(err)
	}
	if err := r.WriteFile("x", []byte(content), 0o644); err != nil {
		tb.Fatal(err)
	}
	node, release, err := r.Lookup("x", false)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(release)
	return fileFS{node}
}

func TestMountPointsAreSeenInParents(t *testing.T) {
	ns := vfs.NewNamespace()
	mustMount(t, ns, "/src", memfs.New())
	mustMount(t, ns, "/out/deep/er", memfs.New())
	mustMount(t, ns, "/out/file", single(t, "hello"))
	g := newGuest(t, ns)

	want := []string{".", "..", "src", "out"}
	if diff := cmp.Diff(want, names(g.list(root, 4096))); diff != "" {
		t.Error(diff)
	}
	out := g.openDir("out")
	list := g.list(out, 40)
	if diff := cmp.Diff([]string{".", "..", "deep", "file"}, names(list)); diff != "" {
		t.Error(diff)
	}
	for _, e := range list {
		if e.Ino == 0 {
			t.Errorf("%s has inode 0", e.Name)
		}
		if e.Name == ".." {
			continue
		}
		if s, errno := g.stat(out, e.Name, 0); errno != 0 || s.Ino != e.Ino || s.Filetype != e.Type {
			t.Errorf("path_filestat_get(%s): %+v, %v; listed %+v", e.Name, s, errno, e)
		}
	}
	g.create("out/deep/er/x", "x")
	fd := g.mustOpen("out/file", 0, ro)
	if s, _ := g.read(fd, 100); s != "hello" {
		t.Errorf("the mounted file says %q", s)
	}
	for _, p := range []string{"new", "out/new", "out/deep/new"} {
		expectErrno(t, "mkdir "+p, g.mkdir(p), wasip1.EROFS)
	}
	expectErrno(t, "mkdir out", g.mkdir("out"), wasip1.EEXIST)
	if _, e := g.stat(root, "out/deep/../../src/../out/deep/er/x", 0); e != 0 {
		t.Errorf("across mounts and back: %v", e)
	}
	if _, e := g.stat(root, "src/..", 0); e != 0 {
		t.Errorf("out of a mount: %v", e)
	}
	if _, e := g.stat(root, "src/../..", 0); e != wasip1.EPERM {
		t.Errorf("out of the root: %v", e)
	}
}

// Every cookie of a directory with entries and mount points goes on behind its entry, and fits into
// the 31 bits that wasi-libc's telldir keeps.
func TestCookiesOfMountsAndEntries(t *testing.T) {
	ns := newNS(t)
	mustMount(t, ns, "/covered", memfs.New())
	mustMount(t, ns, "/m", memfs.New())
	mustMount(t, ns, "/n/deep", memfs.New())
	g := newGuest(t, ns)
	for _, name := range []string{"a", "b", "c"} {
		g.mustOpen(name, wasip1.OCreat, 0)
	}
	read := func(cookie uint64) (rest []string, cookies []uint64) {
		t.Helper()
		if e := vfs.FdReaddir(&g.Caller, 3, bufAt, 4096, cookie, resultAt); e != wasip1.ESUCCESS {
			t.Fatalf("cookie %d: %v", cookie, e)
		}
		for b := g.mem[bufAt : bufAt+int(g.u32())]; len(b) > 0; {
			d := wasip1.DecodeDirent(b)
			rest = append(rest, string(b[wasip1.SizeDirent:wasip1.SizeDirent+int(d.Namlen)]))
			cookies = append(cookies, uint64(d.Next))
			b = b[wasip1.SizeDirent+int(d.Namlen):]
		}
		return rest, cookies
	}
	all, cookies := read(0)
	if len(all) != 8 {
		t.Fatalf("entries %q, want 8", all)
	}
	for i, cookie := range cookies {
		if cookie == 0 || cookie >= 1<<31 {
			t.Errorf("%s: cookie %#x", all[i], cookie)
		}
		if rest, _ := read(cookie); !slices.Equal(rest, all[i+1:]) {
			t.Errorf("behind %s, cookie %d: %q, want %q", all[i], cookie, rest, all[i+1:])
		}
	}
}

func TestMountHidesAndOverlays(t *testing.T) {
	ns := newNS(t)
	g := newGuest(t, ns)
	g.mkdir("a")
	g.mkdir("a/b")
	g.create("a/b/hidden", "")
	g.create("a/real", "")
	g.create("c", "a file where a mount point will be")
	mustMount(t, ns, "/a/b", memfs.New())
	mustMount(t, ns, "/a/x/y", memfs.New())
	mustMount(t, ns, "/c/d", memfs.New())

	if _, e := g.stat(root, "a/b/hidden", 0); e != wasip1.ENOENT {
		t.Errorf("what a mount hides: %v", e)
	}
	if _, e := g.stat(root, "a/real", 0); e != 0 {
		t.Errorf("beside a mount: %v", e)
	}
	got := names(g.list(g.openDir("a"), 64))
	slices.Sort(got)
	if diff := cmp.Diff([]string{".", "..", "b", "real", "x"}, got); diff != "" {
		t.Error(diff)
	}
	if s, e := g.stat(root, "c", 0); e != 0 || s.Filetype != wasip1.FiletypeDirectory {
		t.Errorf("a file that leads to a mount point: %+v, %v", s, e)
	}
	expectErrno(t, "create in a real directory above a mount", g.mkdir("a/new"), 0)
	expectErrno(t, "create in a synthetic directory", g.mkdir("a/x/new"), wasip1.EROFS)

	for name, e := range map[string]wasip1.Errno{
		"rmdir of a mount point":    g.rmdir("a/b"),
		"rmdir above":               g.rmdir("a"),
		"rmdir of what leads there": g.rmdir("a/x"),
		"rename of a mount point":   g.rename("a/b", "a/z"),
		"rename above":              g.rename("a", "z"),
		"rename onto":               g.rename("a/new", "a/b"),
	} {
		expectErrno(t, name, e, wasip1.EBUSY)
	}
	expectErrno(t, "unlink of a mount point", g.unlink("a/b"), wasip1.EISDIR)
	expectErrno(t, "mkdir of a mount point", g.mkdir("a/b"), wasip1.EEXIST)
	expectErrno(t, "symlink onto a mount point", g.symlink("x", "a/b"), wasip1.EEXIST)

	expectErrno(t, "rename across mounts", g.rename("a/real", "a/b/real"), wasip1.EXDEV)
	expectErrno(t, "link across mounts", g.link("a/real", "a/b/real", 0), wasip1.EXDEV)

	a, _ := g.stat(root, "a", 0)
	b, _ := g.stat(root, "a/b", 0)
	x, _ := g.stat(root, "a/x", 0)
	if a.Dev == b.Dev || a.Dev == x.Dev || b.Dev == x.Dev {
		t.Errorf("device numbers %d, %d, %d", a.Dev, b.Dev, x.Dev)
	}
}

func TestSingleFileMountIsBusy(t *testing.T) {
	ns := newNS(t)
	mustMount(t, ns, "/f", single(t, "x"))
	g := newGuest(t, ns)
	expectErrno(t, "unlink", g.unlink("f"), wasip1.EBUSY)
	expectErrno(t, "rename", g.rename("f", "g"), wasip1.EBUSY)
	expectErrno(t, "through it", g.mkdir("f/x"), wasip1.ENOTDIR)
	_, e := g.open("f/", 0, ro)
	expectErrno(t, "with a slash", e, wasip1.ENOTDIR)
}

func TestReadOnlyMount(t *testing.T) {
	ns := newNS(t)
	r := ns.Root()
	if err := errors.Join(r.MkdirAll("ro/dir", 0o755), r.WriteFile("ro/file", nil, 0o644), r.Symlink("file", "ro/link")); err != nil {
		t.Fatal(err)
	}
	fsys := memfs.New()
	sub, _ := vfs.NewRoot(fsys)
	if err := errors.Join(sub.MkdirAll("dir/sub", 0o755), sub.WriteFile("file", []byte("x"), 0o644)); err != nil {
		t.Fatal(err)
	}
	mustMount(t, ns, "/m", fsys, vfs.WithReadOnly())
	g := newGuest(t, ns)
	_, readable := g.open("m/file", 0, ro)
	expectErrno(t, "open for reading", readable, 0)
	open := func(p string, o wasip1.Oflags, rights wasip1.Rights) wasip1.Errno {
		_, e := g.open(p, o, rights)
		return e
	}
	times := func(p string) wasip1.Errno {
		ptr, n := g.path(p)
		return vfs.PathFilestatSetTimes(&g.Caller, root, 0, ptr, n, 1, 1, uint32(wasip1.FstMtim))
	}
	fd := g.mustOpen("m/file", 0, ro)
	for _, tt := range []struct {
		name string
		got  wasip1.Errno
		want wasip1.Errno
	}{
		{"open for writing", open("m/file", 0, rw), wasip1.EROFS},
		{"truncate", open("m/file", wasip1.OTrunc, ro), wasip1.EROFS},
		{"create", open("m/new", wasip1.OCreat, rw), wasip1.EROFS},
		{"create what is there", open("m/file", wasip1.OCreat, ro), 0},
		{"create exclusively what is there", open("m/file", wasip1.OCreat|wasip1.OExcl, ro), wasip1.EEXIST},
		{"mkdir", g.mkdir("m/new"), wasip1.EROFS},
		{"mkdir of what is there", g.mkdir("m/dir"), wasip1.EEXIST},
		{"unlink", g.unlink("m/file"), wasip1.EROFS},
		{"unlink of what is missing", g.unlink("m/nowhere"), wasip1.ENOENT},
		{"rmdir", g.rmdir("m/dir/sub"), wasip1.EROFS},
		{"rename", g.rename("m/file", "m/new"), wasip1.EROFS},
		{"link", g.link("m/file", "m/new", 0), wasip1.EROFS},
		{"symlink", g.symlink("x", "m/new"), wasip1.EROFS},
		{"times", times("m/file"), wasip1.EROFS},
		{"size", vfs.FdFilestatSetSize(&g.Caller, fd, 0), wasip1.EROFS},
		{"allocate", vfs.FdAllocate(&g.Caller, fd, 0, 1), wasip1.EROFS},
	} {
		expectErrno(t, tt.name, tt.got, tt.want)
	}
}

func TestPreopens(t *testing.T) {
	ns := vfs.NewNamespace()
	mustMount(t, ns, "data", memfs.New())
	mustMount(t, ns, ".", memfs.New())
	mustMount(t, ns, "/abs", memfs.New())
	mustMount(t, ns, "a rather long name for a preopened directory, longer than most", memfs.New())
	table := vfs.NewTable(0)
	defer table.Close()
	in := vfs.NewStream("stdin", discard{}, vfs.OpenRead)
	extra := vfs.NewStream("extra", discard{}, vfs.OpenRead|vfs.OpenWrite)
	err := (&vfs.Preopens{Stdin: in, Stderr: vfs.NewStream("stderr", discard{}, vfs.OpenWrite), Namespace: ns, Files: []*vfs.OpenFile{extra}}).Install(table)
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint32]string{}
	for _, d := range table.List() {
		got[d.Fd] = d.Path
	}
	want := map[uint32]string{
		0: "stdin", 2: "stderr", 3: "/", 4: "data", 5: ".",
		6: "a rather long name for a preopened directory, longer than most", 7: "extra",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	g := newGuest(t, nil)
	g.Table = table
	for fd := uint32(3); fd < 7; fd++ {
		if e := vfs.FdPrestatGet(&g.Caller, fd, resultAt); e != 0 {
			t.Fatal(e)
		}
		p := wasip1.DecodePrestat(g.mem[resultAt:])
		expectErrno(t, "too short", vfs.FdPrestatDirName(&g.Caller, fd, bufAt, p.NameLen-1), wasip1.ENAMETOOLONG)
		expectErrno(t, "fd_prestat_dir_name", vfs.FdPrestatDirName(&g.Caller, fd, bufAt, p.NameLen+1), 0)
		if name := string(g.mem[bufAt : bufAt+p.NameLen]); name != want[fd] {
			t.Errorf("descriptor %d is called %q", fd, name)
		}
	}
	expectErrno(t, "fd_prestat_get of a stream", vfs.FdPrestatGet(&g.Caller, 7, resultAt), wasip1.EBADF)
	expectErrno(t, "fd_prestat_get of nothing", vfs.FdPrestatGet(&g.Caller, 8, resultAt), wasip1.EBADF)
}

func TestMountErrors(t *testing.T) {
	ns := vfs.NewNamespace()
	mustMount(t, ns, "/a", memfs.New())
	mustMount(t, ns, "rel", memfs.New())
	for path, want := range map[string]error{
		"": wasip1.EINVAL, "/a": wasip1.EBUSY, "/a/": wasip1.EBUSY, "rel": wasip1.EBUSY, "/a/../b": wasip1.EINVAL,
		"/a//b": wasip1.EINVAL, "/a/./b": wasip1.EINVAL, "/x\x00": wasip1.EINVAL,
	} {
		if err := ns.Mount(path, memfs.New()); !errors.Is(err, want) {
			t.Errorf("Mount(%q): %v, want %v", path, err, want)
		}
	}
	if err := ns.Mount("/", single(t, "")); !errors.Is(err, wasip1.ENOTDIR) {
		t.Errorf("a file at the root: %v", err)
	}
	if err := ns.Mount("/nil", nil); !errors.Is(err, wasip1.EINVAL) {
		t.Errorf("nothing: %v", err)
	}
	for _, path := range []string{"/b", "/a/b", "nope", "/"} {
		if err := ns.Unmount(path); !errors.Is(err, wasip1.EINVAL) {
			t.Errorf("Unmount(%q): %v", path, err)
		}
	}
}

// Mounting and unmounting is seen by a guest that runs, through descriptors that it has had all the
// time.
func TestMountWhileRunning(t *testing.T) {
	ns := vfs.NewNamespace()
	mustMount(t, ns, "/a", memfs.New())
	g := newGuest(t, ns)
	mustMount(t, ns, "/b/c", memfs.New())
	g.create("b/c/file", "kept")
	open := g.mustOpen("b/c/file", 0, ro)
	if err := ns.Unmount("/b/c"); err != nil {
		t.Fatal(err)
	}
	_, e := g.stat(root, "b", 0)
	expectErrno(t, "after Unmount", e, wasip1.ENOENT)
	if s, e := g.read(open, 10); s != "kept" || e != 0 {
		t.Errorf("what was open: %q, %v", s, e)
	}
	full := memfs.New()
	mustMount(t, ns, "/", full)
	expectErrno(t, "mkdir in the new root", g.mkdir("new"), 0)
	got := names(g.list(root, 4096))
	slices.Sort(got)
	if diff := cmp.Diff([]string{".", "..", "a", "new"}, got); diff != "" {
		t.Error(diff)
	}
	if err := ns.Unmount("/"); err != nil {
		t.Fatal(err)
	}
	expectErrno(t, "mkdir in no root", g.mkdir("new2"), wasip1.EROFS)
}

func TestClone(t *testing.T) {
	shared := memfs.New()
	ns := vfs.NewNamespace()
	mustMount(t, ns, "/shared", shared)
	mustMount(t, ns, "rel", shared, vfs.WithReadOnly())
	own := ns.Clone()
	mustMount(t, own, "/own", memfs.New())
	a, b := newGuest(t, ns), newGuest(t, own)
	a.create("shared/f", "from a")
	if s, _ := b.read(b.mustOpen("shared/f", 0, ro), 10); s != "from a" {
		t.Errorf("the other sees %q", s)
	}
	_, e := a.stat(root, "own", 0)
	expectErrno(t, "the other's own", e, wasip1.ENOENT)
	var paths []string
	for _, m := range own.Mounts() {
		paths = append(paths, m.Path)
	}
	if diff := cmp.Diff([]string{"/shared", "/own", "rel"}, paths); diff != "" {
		t.Error(diff)
	}
	if m := own.Mounts(); m[0].Dev != m[2].Dev || m[0].Dev == m[1].Dev || !m[2].ReadOnly {
		t.Errorf("%+v", m)
	}
}

func TestWatch(t *testing.T) {
	ns := newNS(t)
	g := newGuest(t, ns)
	g.mkdir("dir")
	var got []vfs.Event
	stop := ns.Watch(func(e vfs.Event) { got = append(got, e) })
	g.create("dir/a", "xyz")
	g.rename("dir/a", "dir/b")
	d := g.openDir("dir")
	p, n := g.path("b")
	expectErrno(t, "unlink", vfs.PathUnlinkFile(&g.Caller, d, p, n), 0)
	g.mkdir("dir") // fails, and is not told
	stop()
	g.mkdir("after")
	want := []vfs.Event{
		{Op: vfs.Created, Path: "/dir/a"}, {Op: vfs.Modified, Path: "/dir/a"}, {Op: vfs.Closed, Path: "/dir/a"},
		{Op: vfs.Renamed, Path: "/dir/a", NewPath: "/dir/b"}, {Op: vfs.Removed, Path: "/dir/b"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRoot(t *testing.T) {
	ns := newNS(t)
	mustMount(t, ns, "/m/n", memfs.New())
	r := ns.Root()
	if err := errors.Join(
		r.MkdirAll("/a/b/c", 0o755), r.WriteFile("a/b/f", []byte("hello"), 0o600), r.Symlink("/a/b", "l"),
		r.Link("l/f", "hard"), r.Rename("hard", "moved"), r.Chmod("moved", 0o640), r.WriteFile("m/n/x", nil, 0o644),
	); err != nil {
		t.Fatal(err)
	}
	if b, err := r.ReadFile("l/../../../a/b/f"); err != nil || string(b) != "hello" {
		t.Errorf("ReadFile: %q, %v", b, err)
	}
	if target, err := r.Readlink("l"); target != "/a/b" || err != nil {
		t.Errorf("Readlink: %q, %v", target, err)
	}
	a, err := r.Stat("moved")
	if err != nil || a.Nlink != 2 || a.Size != 5 || a.FileMode() != 0o640 {
		t.Errorf("Stat: %+v, %v", a, err)
	}
	if l, err := r.Lstat("l"); err != nil || l.FileMode().Type() != fs.ModeSymlink {
		t.Errorf("Lstat: %+v, %v", l, err)
	}
	var list []string
	entries, err := r.ReadDir("/")
	for _, e := range entries {
		list = append(list, e.Name)
	}
	if diff := cmp.Diff([]string{"a", "l", "m", "moved"}, list); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if err := r.Rename("moved", "m/n/moved"); !errors.Is(err, wasip1.EXDEV) {
		t.Errorf("Rename across mounts: %v", err)
	}
	if err := r.RemoveAll("a"); err != nil {
		t.Error(err)
	}
	if _, err := r.Stat("a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after RemoveAll: %v", err)
	}
	if err := r.Remove("m"); !errors.Is(err, wasip1.EBUSY) {
		t.Errorf("Remove above a mount: %v", err)
	}
	if _, err := r.Stat("x\x00"); !errors.Is(err, wasip1.EINVAL) {
		t.Errorf("NUL: %v", err)
	}
}
