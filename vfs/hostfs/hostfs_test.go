package hostfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// each runs test on every backend that this system has, on a new empty directory.
func each(t *testing.T, test func(t *testing.T, dir string, open func(...Option) *FS)) {
	t.Helper()
	for name, open := range backends {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			test(t, dir, func(opts ...Option) *FS {
				t.Helper()
				b, err := open(dir, collect(opts))
				if err != nil {
					t.Fatal(err)
				}
				fsys := &FS{b}
				t.Cleanup(func() { fsys.Close() })
				return fsys
			})
		})
	}
}

func rootDir(fsys *FS) vfs.Directory { return fsys.Root().(vfs.Directory) }

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func release(nodes ...vfs.Node) {
	for _, n := range nodes {
		if r, ok := n.(vfs.Releaser); ok {
			r.Release()
		}
	}
}

func wantErrno(t *testing.T, what string, err error, want ...wasip1.Errno) {
	t.Helper()
	if got := wasip1.FromError(err); !slices.Contains(want, got) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

func readAll(t *testing.T, f vfs.File) string {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// names reads a whole directory with entries n at a time.
func names(t *testing.T, d vfs.Directory, n int) []string {
	t.Helper()
	var out []string
	entries := make([]vfs.DirEntry, n)
	for cookie := uint64(0); ; {
		got, err := d.ReadDir(cookie, entries)
		if err != nil {
			t.Fatal(err)
		}
		if got == 0 {
			slices.Sort(out)
			return out
		}
		for _, e := range entries[:got] {
			if e.Ino == 0 || e.Next == 0 || e.Next >= 1<<62 {
				t.Fatalf("entry %+v", e)
			}
			out = append(out, e.Name)
			cookie = e.Next
		}
	}
}

func TestNamesThatAreNoComponent(t *testing.T) {
	each(t, func(t *testing.T, dir string, open func(...Option) *FS) {
		writeFile(t, filepath.Join(dir, "f"), "")
		root := rootDir(open())
		file := must[vfs.Node](t)(root.Lookup("f"))
		defer release(file)
		for _, name := range []string{"", ".", "..", "/", "a/b", "../x", "/etc", "a\x00b", "\x00", "f/", "./f"} {
			for op, call := range map[string]func() error{
				"Lookup":    func() error { _, err := root.Lookup(name); return err },
				"Create":    func() error { _, err := root.Create(name, 0o666); return err },
				"Mkdir":     func() error { _, err := root.Mkdir(name, 0o777); return err },
				"Symlink":   func() error { _, err := root.Symlink(name, "f"); return err },
				"Link":      func() error { return root.Link(name, file) },
				"Unlink":    func() error { return root.Unlink(name) },
				"Rmdir":     func() error { return root.Rmdir(name) },
				"Rename":    func() error { return root.Rename(name, root, "g") },
				"Rename to": func() error { return root.Rename("f", root, name) },
			} {
				wantErrno(t, fmt.Sprintf("%s(%q)", op, name), call(), wasip1.EINVAL)
			}
		}
		long := strings.Repeat("x", 256)
		_, err := root.Lookup(long)
		wantErrno(t, "256 bytes", err, wasip1.ENAMETOOLONG)
	})
}

func TestWindowsSpecialNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": false, "a.txt": false, "CONSOLE": false, "COM10": false, "nullx": false, "é": false, ".a": false, "a b": false,
		"CON": true, "con": true, "nul.txt": true, "NUL .x": true, "COM1": true, "lpt9.a.b": true, "COM¹": true, "CONIN$": true, "AUX": true,
		"a:b": true, "a\\b": true, "a.": true, "a ": true, "...": true, "a\tb": true, "a*": true, "a?": true, "<": true, "C:": true,
	} {
		if got := windowsSpecial(name); got != want {
			t.Errorf("windowsSpecial(%q) = %v", name, got)
		}
	}
}

func TestLinksAreNodesAndNotFollowed(t *testing.T) {
	each(t, func(t *testing.T, dir string, open func(...Option) *FS) {
		outside := t.TempDir()
		writeFile(t, filepath.Join(outside, "secret"), "secret")
		for name, target := range map[string]string{"abs": outside, "up": "../..", "loop": "loop", "dangling": "nowhere"} {
			if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
				t.Skip(err)
			}
		}
		root := rootDir(open())
		for name, target := range map[string]string{"abs": outside, "up": "../..", "loop": "loop", "dangling": "nowhere"} {
			n := must[vfs.Node](t)(root.Lookup(name))
			link, ok := n.(vfs.Symlink)
			if !ok || n.Type() != wasip1.FiletypeSymbolicLink {
				t.Fatalf("%s is %v, %T", name, n.Type(), n)
			}
			if got := must[string](t)(link.Readlink()); got != target {
				t.Errorf("%s leads to %q, want %q", name, got, target)
			}
			if a := must[vfs.Attr](t)(n.Attr()); a.Type != wasip1.FiletypeSymbolicLink || a.Size != uint64(len(target)) {
				t.Errorf("%s: %+v", name, a)
			}
			wantErrno(t, "size of a link", n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize}), wasip1.EINVAL)
			release(n)
			_, err := root.Create(name, 0o666)
			wantErrno(t, "create on a link", err, wasip1.EEXIST)
			_, err = root.Mkdir(name, 0o777)
			wantErrno(t, "mkdir on a link", err, wasip1.EEXIST)
			wantErrno(t, "rmdir of a link", root.Rmdir(name), wasip1.ENOTDIR)
		}
	})
}

func TestFileSwappedForLinkIsELOOP(t *testing.T) {
	each(t, func(t *testing.T, dir string, open func(...Option) *FS) {
		writeFile(t, filepath.Join(dir, "f"), "mine")
		writeFile(t, filepath.Join(dir, "other"), "other")
		root := rootDir(open())
		n := must[vfs.Node](t)(root.Lookup("f"))
		defer release(n)
		for mode, target := range map[vfs.OpenMode]string{vfs.OpenRead: "other", vfs.OpenWrite | vfs.OpenTruncate: "other", vfs.OpenRead | vfs.OpenWrite: "/etc/passwd"} {
			os.Remove(filepath.Join(dir, "f"))
			if err := os.Symlink(target, filepath.Join(dir, "f")); err != nil {
				t.Skip(err)
			}
			_, err := n.(vfs.RegularFile).Open(mode)
			wantErrno(t, "open", err, wasip1.ELOOP)
		}
		wantErrno(t, "size", n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize}), wasip1.ELOOP)
		if b, _ := os.ReadFile(filepath.Join(dir, "other")); string(b) != "other" {
			t.Errorf("other is %q", b)
		}
		os.Remove(filepath.Join(dir, "f"))
		_, err := n.(vfs.RegularFile).Open(vfs.OpenRead)
		wantErrno(t, "gone", err, wasip1.ENOENT)
	})
}

func TestReadOnlyChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, dir string, open func(...Option) *FS) {
		writeFile(t, filepath.Join(dir, "f"), "content")
		writeFile(t, filepath.Join(dir, "d", "g"), "")
		root := rootDir(open(WithReadOnly()))
		n := must[vfs.Node](t)(root.Lookup("f"))
		defer release(n)
		file := n.(vfs.RegularFile)
		for what, err := range map[string]error{
			"create":   second(root.Create("new", 0o666)),
			"mkdir":    second(root.Mkdir("new", 0o777)),
			"symlink":  second(root.Symlink("new", "f")),
			"link":     root.Link("new", n),
			"unlink":   root.Unlink("f"),
			"rmdir":    root.Rmdir("d"),
			"rename":   root.Rename("f", root, "new"),
			"size":     n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize}),
			"times":    n.SetAttr(vfs.SetAttr{Mask: vfs.SetMtim}),
			"root":     root.SetAttr(vfs.SetAttr{Mask: vfs.SetMtim}),
			"write":    second(file.Open(vfs.OpenWrite)),
			"truncate": second(file.Open(vfs.OpenRead | vfs.OpenTruncate)),
		} {
			wantErrno(t, what, err, wasip1.EROFS)
		}
		f := must[vfs.File](t)(file.Open(vfs.OpenRead))
		defer f.Close()
		if got := readAll(t, f); got != "content" {
			t.Errorf("content %q", got)
		}
		_, err := f.WriteAt([]byte("x"), 0)
		wantErrno(t, "write", err, wasip1.EBADF, wasip1.EROFS)
		if p, ok := root.(vfs.PathOpener); ok {
			_, _, err := p.OpenPath("new", true, wasip1.OCreat, vfs.OpenWrite, 0o666)
			wantErrno(t, "OpenPath", err, wasip1.ENOSYS, wasip1.EROFS)
		}
		if diff := cmp.Diff([]string{"d", "f"}, names(t, root, 10)); diff != "" {
			t.Error(diff)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestSingleFile(t *testing.T) {
	for name, open := range fileBackends {
		t.Run(name, func(t *testing.T) { testSingleFile(t, open) })
	}
}

func testSingleFile(t *testing.T, open func(string) (backend, error)) {
	path := filepath.Join(t.TempDir(), "hosts")
	writeFile(t, path, "127.0.0.1 localhost\n")
	b, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	fsys := &FS{b}
	n := fsys.Root().(vfs.RegularFile)
	if a := must[vfs.Attr](t)(n.Attr()); a.Size != 20 || a.Ino == 0 || a.Type != wasip1.FiletypeRegularFile {
		t.Errorf("%+v", a)
	}
	if runtime.GOOS != "windows" {
		writeFile(t, path+"2", "evil")
		if err := os.Rename(path+"2", path); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		f := must[vfs.File](t)(n.Open(vfs.OpenRead))
		if got := readAll(t, f); got != "127.0.0.1 localhost\n" {
			t.Errorf("%q", got)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err = n.Open(vfs.OpenWrite)
	wantErrno(t, "write", err, wasip1.EROFS)
	wantErrno(t, "size", n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize}), wasip1.EROFS)
	fsys.Close()
	fsys.Close()
	_, err = n.Attr()
	wantErrno(t, "after Close", err, wasip1.EBADF)

	_, err = open(t.TempDir())
	wantErrno(t, "a directory", err, wasip1.EISDIR)
	_, err = File(filepath.Join(t.TempDir(), "nowhere"))
	wantErrno(t, "nothing", err, wasip1.ENOENT)
	if _, err := New(path); !errors.Is(err, wasip1.ENOTDIR) && err == nil {
		t.Error("New of a file: no error")
	}
	_, err = New(path + "/nowhere")
	wantErrno(t, "New below a file", err, wasip1.ENOTDIR, wasip1.ENOENT)
}

func TestCloseOfTheMount(t *testing.T) {
	each(t, func(t *testing.T, dir string, open func(...Option) *FS) {
		writeFile(t, filepath.Join(dir, "d", "f"), "content")
		fsys := open()
		root := rootDir(fsys)
		d := must[vfs.Node](t)(root.Lookup("d"))
		n := must[vfs.Node](t)(d.(vfs.Directory).Lookup("f"))
		f := must[vfs.File](t)(n.(vfs.RegularFile).Open(vfs.OpenRead))
		if err := fsys.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := root.Lookup("d")
		wantErrno(t, "root after Close", err, wasip1.EBADF)
		_, err = root.ReadDir(0, make([]vfs.DirEntry, 1))
		wantErrno(t, "root after Close", err, wasip1.EBADF)
		if got := names(t, d.(vfs.Directory), 1); len(got) != 1 {
			t.Errorf("names %q", got)
		}
		release(d, d)
		_, err = d.Attr()
		wantErrno(t, "released", err, wasip1.EBADF)
		if got := readAll(t, f); got != "content" {
			t.Errorf("content %q", got)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		_, err = f.ReadAt(make([]byte, 1), 0)
		wantErrno(t, "closed file", err, wasip1.EBADF)
		wantErrno(t, "closed twice", f.Close(), wasip1.EBADF)
		release(n)
	})
}

func TestListingResumesAnywhere(t *testing.T) {
	each(t, func(t *testing.T, dir string, open func(...Option) *FS) {
		const files = 3000
		var want []string
		for i := range files {
			name := fmt.Sprintf("file-%04d", i)
			writeFile(t, filepath.Join(dir, name), "")
			want = append(want, name)
		}
		root := rootDir(open())
		for _, n := range []int{1, 7, 100, 10000} {
			if diff := cmp.Diff(want, names(t, root, n)); diff != "" {
				t.Fatalf("%d at a time: %s", n, diff)
			}
		}
		all := make([]vfs.DirEntry, files+1)
		if n, err := root.ReadDir(0, all); n != files || err != nil {
			t.Fatal(n, err)
		}
		one := make([]vfs.DirEntry, 1)
		for i := 0; i < files; i += 37 {
			j := (i*7919 + 1) % files // in no order
			n, err := root.ReadDir(all[j].Next, one)
			switch {
			case err != nil:
				t.Fatal(err)
			case j == files-1 && n != 0, j < files-1 && (n != 1 || one[0] != all[j+1]):
				t.Fatalf("after entry %d: %d, %+v, want %+v", j, n, one[0], all[min(j+1, files-1)])
			}
		}
		// Removed while it is read: each name that stays is met once, those already read not again.
		seen := map[string]int{}
		some := make([]vfs.DirEntry, 50)
		for cookie := uint64(0); ; {
			n, err := root.ReadDir(cookie, some)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			for _, e := range some[:n] {
				seen[e.Name]++
				if err := root.Unlink(e.Name); err != nil {
					t.Fatal(err)
				}
			}
			cookie = some[n-1].Next
		}
		if len(seen) != files {
			t.Errorf("met %d of %d names", len(seen), files)
		}
		if left := names(t, root, 10); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	})
}
