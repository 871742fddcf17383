package hostfs

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

func newFS(tb testing.TB, dir string, opts ...Option) *FS {
	tb.Helper()
	fsys, err := New(dir, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { fsys.Close() })
	return fsys
}

func pathOpener(fsys *FS) vfs.PathOpener { return fsys.Root().(vfs.PathOpener) }

func TestOpenPath(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(outside, "secret"), "secret")
	writeFile(t, filepath.Join(dir, "a/b/c/d/e/f/g/file"), "deep")
	os.Symlink("b/c", filepath.Join(dir, "a/link"))
	os.Symlink("../../../../..", filepath.Join(dir, "a/b/up"))
	os.Symlink(outside, filepath.Join(dir, "abs"))
	os.Symlink("a/new", filepath.Join(dir, "dangling"))
	os.Symlink("/proc/self/root", filepath.Join(dir, "magic"))
	os.Symlink("loop", filepath.Join(dir, "loop"))
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	p := pathOpener(newFS(t, dir))
	for _, tt := range []struct {
		path   string
		follow bool
		flags  wasip1.Oflags
		mode   vfs.OpenMode
		want   wasip1.Errno
		typ    wasip1.Filetype
	}{
		{"a/b/c/d/e/f/g/file", true, 0, vfs.OpenRead, 0, wasip1.FiletypeRegularFile},
		{"a/b/c/d/e/f/g/file", true, 0, 0, 0, wasip1.FiletypeRegularFile},
		{"a/link/d/e/f/g/file", false, 0, vfs.OpenRead | vfs.OpenWrite, 0, wasip1.FiletypeRegularFile},
		{"a/b/../b/c/d", true, wasip1.ODirectory, vfs.OpenRead | vfs.OpenWrite, 0, wasip1.FiletypeDirectory},
		{"a/link", true, 0, vfs.OpenRead, 0, wasip1.FiletypeDirectory},
		{"a/link", true, 0, 0, 0, wasip1.FiletypeDirectory},
		{"a/link", false, 0, vfs.OpenRead, wasip1.ELOOP, 0},
		{"a/link", false, 0, 0, wasip1.ELOOP, 0},
		{"a", true, 0, vfs.OpenWrite, wasip1.EISDIR, 0},
		{"a/b/c/d/e/f/g/file", true, wasip1.ODirectory, vfs.OpenRead, wasip1.ENOTDIR, 0},
		{"a/b/c/d/e/f/g/file/", true, 0, vfs.OpenRead, wasip1.ENOTDIR, 0},
		{"a/b/c/d/e/f/g/file/..", true, 0, vfs.OpenRead, wasip1.ENOTDIR, 0},
		{"nope/../a", true, 0, vfs.OpenRead, wasip1.ENOENT, 0},
		{"a/b/c/d/e/f/g/file", true, wasip1.OCreat | wasip1.OExcl, vfs.OpenRead, wasip1.EEXIST, 0},
		{"dangling", true, wasip1.OCreat | wasip1.OExcl, vfs.OpenWrite, wasip1.EEXIST, 0},
		{"dangling", true, wasip1.OCreat, 0, wasip1.ENOSYS, 0},
		{"..", true, 0, vfs.OpenRead, wasip1.EXDEV, 0},
		{"a/../../x", true, wasip1.OCreat, vfs.OpenWrite, wasip1.EXDEV, 0},
		{"/", true, 0, vfs.OpenRead, wasip1.EXDEV, 0},
		{filepath.Join(outside, "secret"), true, 0, vfs.OpenRead, wasip1.EXDEV, 0},
		{"abs/secret", true, 0, vfs.OpenRead, wasip1.EXDEV, 0},
		{"abs", true, 0, vfs.OpenRead, wasip1.EXDEV, 0},
		{"abs", false, 0, vfs.OpenRead, wasip1.ELOOP, 0},
		{"a/b/up/etc/passwd", true, 0, vfs.OpenRead, wasip1.EXDEV, 0},
		{"magic/etc/passwd", true, 0, vfs.OpenRead, wasip1.EXDEV, 0},
		{"loop", true, 0, vfs.OpenRead, wasip1.ELOOP, 0},
		{"fifo", true, 0, vfs.OpenRead, wasip1.ENXIO, 0},
		{"fifo", true, 0, vfs.OpenWrite, wasip1.ENXIO, 0},
		{"fifo", true, 0, 0, wasip1.ENXIO, 0},
		{"a\x00b", true, 0, vfs.OpenRead, wasip1.EINVAL, 0},
		{"", true, 0, vfs.OpenRead, wasip1.ENOENT, 0},
		{strings.Repeat("a/", 2100), true, 0, vfs.OpenRead, wasip1.ENAMETOOLONG, 0},
		{strings.Repeat("./", 1000) + "a", true, 0, vfs.OpenRead, 0, wasip1.FiletypeDirectory},
	} {
		n, f, err := p.OpenPath(tt.path, tt.follow, tt.flags, tt.mode, 0o666)
		if got := wasip1.FromError(err); got != tt.want {
			t.Errorf("%.40q follow %v %v mode %b: %v, want %v", tt.path, tt.follow, tt.flags, tt.mode, got, tt.want)
		}
		if err != nil {
			continue
		}
		if n.Type() != tt.typ || (f != nil) != (tt.typ == wasip1.FiletypeRegularFile) {
			t.Errorf("%.40q: %v, file %v", tt.path, n.Type(), f)
		}
		opened := must[vfs.Attr](t)(n.Attr())
		if tt.follow {
			if byPath := must[vfs.Attr](t)(p.AttrPath(tt.path, true)); byPath != opened {
				t.Errorf("%.40q: AttrPath %+v, Attr %+v", tt.path, byPath, opened)
			}
		}
		if f != nil {
			f.Close()
		}
		release(n)
	}
	if a := must[vfs.Attr](t)(p.AttrPath("a/link", false)); a.Type != wasip1.FiletypeSymbolicLink {
		t.Errorf("%+v", a)
	}
	if a := must[vfs.Attr](t)(p.AttrPath("abs", false)); a.Type != wasip1.FiletypeSymbolicLink {
		t.Errorf("%+v", a)
	}
	for path, want := range map[string]wasip1.Errno{"abs": wasip1.EXDEV, "..": wasip1.EXDEV, "abs/secret": wasip1.EXDEV, "loop": wasip1.ELOOP, "": wasip1.ENOENT, "a/../..": wasip1.EXDEV, "x\x00": wasip1.EINVAL} {
		_, err := p.AttrPath(path, true)
		wantErrno(t, path, err, want)
	}
}

func TestWithoutOpenat2TheWalkerIsAsked(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "d/f"), "")
	fsys := newFS(t, dir)
	fsys.backend.(*held).beneath = false
	p := pathOpener(fsys)
	_, _, err := p.OpenPath("d/f", true, 0, vfs.OpenRead, 0)
	wantErrno(t, "OpenPath", err, wasip1.ENOSYS)
	_, err = p.AttrPath("d/f", true)
	wantErrno(t, "AttrPath", err, wasip1.ENOSYS)
}

func TestSpecialFilesAreSeenAndNeverOpened(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(sock)
	want := map[string]wasip1.Filetype{"fifo": wasip1.FiletypeUnknown}
	if unix.Bind(sock, &unix.SockaddrUnix{Name: filepath.Join(dir, "sock")}) == nil {
		want["sock"] = wasip1.FiletypeSocketStream
	}
	if unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))) == nil {
		want["null"] = wasip1.FiletypeCharacterDevice
	}
	fsys := newFS(t, dir)
	root := rootDir(fsys)
	entries := make([]vfs.DirEntry, 10)
	n := must[int](t)(root.ReadDir(0, entries))
	got := map[string]wasip1.Filetype{}
	for _, e := range entries[:n] {
		got[e.Name] = e.Type
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name, typ := range want {
		node := must[vfs.Node](t)(root.Lookup(name))
		if a := must[vfs.Attr](t)(node.Attr()); a.Type != typ || node.Type() != typ {
			t.Errorf("%s: %v, %+v", name, node.Type(), a)
		}
		for _, mode := range []vfs.OpenMode{0, vfs.OpenRead, vfs.OpenWrite, vfs.OpenRead | vfs.OpenWrite} {
			_, err := node.(vfs.StreamNode).OpenStream(mode)
			wantErrno(t, "OpenStream", err, wasip1.ENXIO)
			_, _, err = pathOpener(fsys).OpenPath(name, true, 0, mode, 0)
			wantErrno(t, "OpenPath", err, wasip1.ENXIO)
		}
		if err := root.Link(name+"2", node); err != nil {
			t.Error(err)
		}
		if err := root.Unlink(name); err != nil {
			t.Error(err)
		}
		release(node)
	}
	// One that takes a file's place after the file was looked up does not block either.
	writeFile(t, filepath.Join(dir, "f"), "")
	node := must[vfs.Node](t)(root.Lookup("f"))
	defer release(node)
	os.Remove(filepath.Join(dir, "f"))
	if err := unix.Mkfifo(filepath.Join(dir, "f"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []vfs.OpenMode{0, vfs.OpenRead, vfs.OpenWrite, vfs.OpenRead | vfs.OpenWrite | vfs.OpenTruncate} {
		_, err := node.(vfs.RegularFile).Open(mode)
		wantErrno(t, "Open", err, wasip1.ENXIO)
	}
	if _, err := File(filepath.Join(dir, "f")); !errors.Is(err, wasip1.ENXIO) {
		t.Error(err)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(d)
}

// What changes modes before Linux 6.6 changes a file's, and nothing for a link.
func TestModesOfOldKernels(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "a"), nil, 0o600), os.Symlink("a", filepath.Join(dir, "l"))); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, c := range []struct {
		name string
		want error
	}{{"a", nil}, {"l", wasip1.ENOTSUP}, {"none", wasip1.ENOENT}} {
		if err := chmodHeld(fd, c.name, 0o640); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "a"))
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestDescriptorsAreGivenBack(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a/b/f"), "x")
	before := openDescriptors(t)
	fsys, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	root := rootDir(fsys)
	a := must[vfs.Node](t)(root.Lookup("a"))
	b := must[vfs.Node](t)(a.(vfs.Directory).Lookup("b"))
	names(t, root, 1)
	if _, err := a.(vfs.Directory).ReadDir(0, make([]vfs.DirEntry, 1)); err != nil {
		t.Fatal(err)
	}
	f := must[vfs.Node](t)(b.(vfs.Directory).Lookup("f"))
	file := must[vfs.File](t)(f.(vfs.RegularFile).Open(vfs.OpenRead))
	release(b, a) // the file's name stays usable
	second := must[vfs.File](t)(f.(vfs.RegularFile).Open(vfs.OpenRead | vfs.OpenWrite))
	file.Close()
	second.Close()
	again := must[vfs.File](t)(f.(vfs.RegularFile).Open(vfs.OpenRead))
	again.Close()
	release(f, f)
	for _, path := range []string{"a", "a/b/f"} {
		n, file, err := root.(vfs.PathOpener).OpenPath(path, true, 0, vfs.OpenRead, 0)
		if err != nil {
			t.Fatal(err)
		}
		if file != nil {
			file.Close()
		}
		release(n)
	}
	fsys.Close()
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestForgottenDirectoriesAreClosedByTheCollector(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "d"), 0o777)
	root := rootDir(newFS(t, dir))
	before := openDescriptors(t)
	for range 50 {
		must[vfs.Node](t)(root.Lookup("d"))
	}
	for range 1000 {
		runtime.GC()
		if openDescriptors(t) <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d descriptors before, %d after", before, openDescriptors(t))
}
