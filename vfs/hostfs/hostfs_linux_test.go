package hostfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
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
		{"dangling", true, wasip1.OCreat, 0, 0, wasip1.FiletypeRegularFile},
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

func TestFileOperations(t *testing.T) {
	dir := t.TempDir()
	root := rootDir(newFS(t, dir))
	node := must[vfs.Node](t)(root.Create("f", 0o640))
	defer release(node)
	file := must[vfs.File](t)(node.(vfs.RegularFile).Open(vfs.OpenRead | vfs.OpenWrite))
	v := file.(vfs.VectorFile)
	if n := must[int](t)(v.WriteVector([][]byte{[]byte("ab"), nil, []byte("cde")}, 1)); n != 5 {
		t.Error(n)
	}
	bufs := [][]byte{make([]byte, 1), make([]byte, 2), nil, make([]byte, 10)}
	if n := must[int](t)(v.ReadVector(bufs, 0)); n != 6 || string(bytes.Join(bufs, nil)[:6]) != "\x00abcde" {
		t.Errorf("%d %q", n, bufs)
	}
	if n, err := v.ReadVector(bufs, 6); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
	if n, err := v.ReadVector([][]byte{nil}, 6); n != 0 || err != nil {
		t.Error(n, err)
	}
	many := make([][]byte, 3000)
	for i := range many {
		many[i] = []byte{byte(i)}
	}
	if n, end, err := file.(vfs.Appender).Append(many); n != iovMax || end != 6+iovMax || err != nil {
		t.Error(n, end, err)
	}
	if n, err := v.ReadVector(many, 6); n != iovMax || err != nil {
		t.Error(n, err)
	}
	if err := file.(vfs.Allocator).Allocate(0, 5000); err != nil && !errors.Is(err, wasip1.ENOTSUP) {
		t.Error(err)
	}
	if err := node.SetAttr(vfs.SetAttr{Mask: vfs.SetSize | vfs.SetMtim | vfs.SetMode, Size: 3, Mtim: 12345678901, Mode: 0o600}); err != nil {
		t.Error(err)
	}
	a := must[vfs.Attr](t)(node.Attr())
	if a.Size != 3 || a.Mtim != 12345678901 || a.Mode != 0o600 || a.Atim == 12345678901 || a.Nlink != 1 {
		t.Errorf("%+v", a)
	}
	for _, size := range []uint64{1 << 63, 1<<64 - 1} {
		wantErrno(t, "size", node.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: size}), wasip1.EFBIG)
	}
	wantErrno(t, "allocate", file.(vfs.Allocator).Allocate(-1, 1), wasip1.EINVAL)
	wantErrno(t, "allocate", file.(vfs.Allocator).Allocate(1, 0), wasip1.EINVAL)
	wantErrno(t, "allocate", file.(vfs.Allocator).Allocate(1<<62, 1<<62), wasip1.EFBIG)
	for advice := range wasip1.AdviceNoreuse + 1 {
		if err := file.(vfs.Advisor).Advise(0, 0, advice); err != nil {
			t.Error(advice, err)
		}
	}
	wantErrno(t, "advise", file.(vfs.Advisor).Advise(0, 0, 99), wasip1.EINVAL)
	_, err := file.ReadAt(make([]byte, 1), -1)
	wantErrno(t, "read", err, wasip1.EINVAL)
	for _, off := range []int64{1 << 40, 1<<63 - 1} {
		if n, err := file.ReadAt(make([]byte, 9), off); n != 0 || err != io.EOF {
			t.Error(n, err)
		}
		if n, err := v.ReadVector([][]byte{make([]byte, 9)}, off); n != 0 || err != io.EOF {
			t.Error(n, err)
		}
	}
	_, err = file.WriteAt(make([]byte, 9), 1<<63-5)
	wantErrno(t, "write", err, wasip1.EFBIG)
	_, err = v.WriteVector([][]byte{make([]byte, 9)}, 1<<63-5)
	wantErrno(t, "write", err, wasip1.EFBIG)
	for _, dataOnly := range []bool{true, false} {
		if err := file.Sync(dataOnly); err != nil {
			t.Error(err)
		}
	}
	// Without a name, and from an open file that can only read.
	if err := root.Link("g", node); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"f", "g"} {
		if err := root.Unlink(name); err != nil {
			t.Error(err)
		}
	}
	if a := must[vfs.Attr](t)(node.Attr()); a.Nlink != 0 || a.Size != 3 {
		t.Errorf("%+v", a)
	}
	wantErrno(t, "link", root.Link("h", node), wasip1.ENOENT)
	other := must[vfs.File](t)(node.(vfs.RegularFile).Open(vfs.OpenRead))
	if got := readAll(t, other); got != "\x00ab" {
		t.Errorf("%q", got)
	}
	file.Close()
	if err := node.SetAttr(vfs.SetAttr{Mask: vfs.SetSize | vfs.SetAtim, Size: 1, Atim: 5}); err != nil {
		t.Error(err)
	}
	if a := must[vfs.Attr](t)(node.Attr()); a.Size != 1 || a.Atim != 5 {
		t.Errorf("%+v", a)
	}
	other.Close()
	_, err = node.Attr()
	wantErrno(t, "gone", err, wasip1.ENOENT)
}

// A file that is opened neither for reading nor for writing needs no permission to do either.
func TestOpenForAttributes(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "f"), "content")
	os.Chmod(filepath.Join(dir, "f"), 0)
	p := pathOpener(newFS(t, dir))
	node, f, err := p.OpenPath("f", true, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer release(node)
	defer f.Close()
	_, err = f.ReadAt(make([]byte, 1), 0)
	wantErrno(t, "read", err, wasip1.EBADF)
	_, err = f.WriteAt(make([]byte, 1), 0)
	wantErrno(t, "write", err, wasip1.EBADF)
	set := vfs.SetAttr{Mask: vfs.SetMtim | vfs.SetMode, Mtim: 77, Mode: 0o644}
	if err := node.SetAttr(set); err != nil {
		t.Error(err)
	}
	if a := must[vfs.Attr](t)(node.Attr()); a.Mtim != 77 || a.Mode != 0o644 || a.Size != 7 {
		t.Errorf("%+v", a)
	}
	if err := f.Sync(true); err != nil {
		t.Error(err)
	}
	if err := f.(vfs.Advisor).Advise(0, 0, wasip1.AdviceWillneed); err != nil {
		t.Error(err)
	}
	if err := node.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: 3}); err != nil {
		t.Error(err)
	}
	if a := must[vfs.Attr](t)(node.Attr()); a.Size != 3 {
		t.Errorf("%+v", a)
	}
}

func TestNodesGoAlongWithRenames(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a"), "a")
	writeFile(t, filepath.Join(dir, "b"), "bb")
	writeFile(t, filepath.Join(dir, "sub/x"), "xxx")
	fsys := newFS(t, dir)
	root := rootDir(fsys)
	sub := must[vfs.Node](t)(root.Lookup("sub")).(vfs.Directory)
	a := must[vfs.Node](t)(root.Lookup("a"))
	again := must[vfs.Node](t)(root.Lookup("a"))
	b := must[vfs.Node](t)(root.Lookup("b"))
	size := func(n vfs.Node) int {
		a, err := n.Attr()
		if err != nil {
			return -1
		}
		return int(a.Size)
	}
	check := func(wantA, wantB int) {
		t.Helper()
		if size(a) != wantA || size(again) != wantA || size(b) != wantB {
			t.Errorf("sizes %d %d %d, want %d %[4]d %d", size(a), size(again), size(b), wantA, wantB)
		}
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	ok(root.Rename("a", sub, "a2"))
	check(1, 2)
	writeFile(t, filepath.Join(dir, "a"), "another")
	check(1, 2)
	ok(sub.Rename("a2", sub, "a3"))
	check(1, 2)
	ok(root.Link("l", a))
	ok(root.Rename("l", sub, "a3")) // two names of one file: nothing happens
	check(1, 2)
	ok(root.Rename("sub", root, "dir"))
	check(1, 2)
	ok(sub.Rename("a3", root, "b")) // replaces b
	check(1, -1)
	ok(root.Unlink("b"))
	check(-1, -1)
	ok(second(root.Create("b", 0o666)))
	check(-1, -1)
	release(a, again, b)
	if n := len(fsys.backend.(*held).dentries); n != 1 { // the one that Create returned
		t.Errorf("%d names are remembered", n)
	}
	release(sub)
}

func TestAppendIsIndivisible(t *testing.T) {
	for _, old := range []bool{false, true} {
		dir := t.TempDir()
		root := rootDir(newFS(t, dir))
		release(must[vfs.Node](t)(root.Create("f", 0o666)))
		var wg sync.WaitGroup
		const writers, each = 4, 200
		ends := make([][]int64, writers)
		for w := range writers {
			node := must[vfs.Node](t)(root.Lookup("f"))
			f := must[vfs.File](t)(node.(vfs.RegularFile).Open(vfs.OpenWrite)).(*file)
			if old { // as on a kernel without RWF_APPEND
				f.mu.Lock()
				must[int](t)(f.appender())
				f.mu.Unlock()
			}
			wg.Go(func() {
				defer release(node)
				defer f.Close()
				for i := range each {
					line := fmt.Appendf(nil, "%d %d\n", w, i)
					n, end, err := f.Append([][]byte{line[:1], line[1:]})
					if err != nil || n != len(line) {
						t.Error(n, err)
						return
					}
					ends[w] = append(ends[w], end)
				}
			})
		}
		wg.Wait()
		content, _ := os.ReadFile(filepath.Join(dir, "f"))
		lines := strings.SplitAfter(string(content), "\n")
		if len(lines) != writers*each+1 {
			t.Errorf("%d lines", len(lines))
		}
		at := map[int64]string{}
		pos := int64(0)
		for _, l := range lines {
			if pos += int64(len(l)); l != "" {
				at[pos] = l
			}
		}
		for w := range ends {
			for i, end := range ends[w] {
				if want := fmt.Sprintf("%d %d\n", w, i); at[end] != want {
					t.Fatalf("at the end %d is %q, want %q", end, at[end], want)
				}
			}
		}
	}
}

func TestCloseWhileOthersReadMeetsNoOtherFile(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 {
		writeFile(t, filepath.Join(dir, fmt.Sprint(i)), strings.Repeat(fmt.Sprint(i), 64))
	}
	root := rootDir(newFS(t, dir))
	node := must[vfs.Node](t)(root.Lookup("0"))
	noise := must[vfs.Node](t)(root.Lookup("1"))
	defer release(node, noise)
	for range 300 {
		f := must[vfs.File](t)(node.(vfs.RegularFile).Open(vfs.OpenRead))
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for {
					buf := make([]byte, 64)
					n, err := f.ReadAt(buf, 0)
					if err != nil {
						wantErrno(t, "closed", err, wasip1.EBADF)
						return
					}
					if strings.Trim(string(buf[:n]), "0") != "" {
						t.Errorf("read %q", buf)
						return
					}
				}
			})
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		g := must[vfs.File](t)(noise.(vfs.RegularFile).Open(vfs.OpenRead)) // gets the same number
		wg.Wait()
		g.Close()
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

func TestCookies(t *testing.T) {
	var table cookieTable
	offs := []int64{1, 5, 1<<61 - 1, 1 << 61, 1<<62 - 1, 1 << 62, 1<<63 - 1}
	stray := []int64{0, -1, -1 << 63, 1<<61 + 7, 1<<62 + 7}
	var cookies []uint64
	for _, off := range append(slices.Clone(offs), stray...) {
		c := table.cookie(off)
		if c == 0 || c >= 1<<62 {
			t.Errorf("position %#x: cookie %#x", off, c)
		}
		cookies = append(cookies, c)
	}
	for i, off := range append(slices.Clone(offs), stray...) {
		if c := table.cookie(off); c != cookies[i] {
			t.Errorf("position %#x: cookie %#x, then %#x", off, cookies[i], c)
		}
		if got, ok := table.offset(cookies[i]); got != off || !ok {
			t.Errorf("cookie %#x: position %#x %v, want %#x", cookies[i], got, ok, off)
		}
	}
	if off, ok := table.offset(0); off != 0 || !ok {
		t.Error("0 is not the start")
	}
	for _, c := range []uint64{cookieFar | 1000, cookieFar | 1<<cookieGen, cookieFar | 1<<60, 1 << 62, 1<<64 - 1} {
		if _, ok := table.offset(c); ok {
			t.Errorf("cookie %#x is taken", c)
		}
	}
	// A guest that makes ever new positions fills no more than two generations.
	first := cookies[4]
	for i := range int64(3*cookieStray + 10) {
		table.cookie(1<<62 - 2 - i)
		if len(table.cur)+len(table.old) > 3*cookieStray {
			t.Fatalf("%d + %d places", len(table.cur), len(table.old))
		}
	}
	if _, ok := table.offset(first); ok {
		t.Error("a cookie of a generation long gone is taken")
	}
}

func FuzzCookieOffset(f *testing.F) {
	f.Add(uint64(0), int64(1<<62))
	f.Add(uint64(cookieFar|3), int64(-5))
	f.Fuzz(func(t *testing.T, cookie uint64, off int64) {
		var table cookieTable
		for i := range int64(20) {
			c := table.cookie(off + i*1<<58)
			if got, ok := table.offset(c); got != off+i*1<<58 || !ok || c == 0 || c >= 1<<62 {
				t.Fatalf("cookie %#x position %#x", c, got)
			}
		}
		table.offset(cookie)
	})
}
