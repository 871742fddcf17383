package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/archive"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

func Example() {
	before := memfs.New()
	archive.FromMap(before, map[string]string{"src/main.c": "int main;\n", "out/": ""})

	var buf bytes.Buffer
	if err := archive.ToTar(before, &buf); err != nil {
		fmt.Println(err)
	}
	after := memfs.New()
	if err := archive.FromTar(after, &buf); err != nil {
		fmt.Println(err)
	}
	data, err := after.ReadFile("src/main.c")
	fmt.Printf("%q %v\n", data, err)
	// Output: "int main;\n" <nil>
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sample returns a file system with something of everything.
func sample(t testing.TB) *memfs.FS {
	t.Helper()
	f := memfs.New()
	must(t, f.WriteFile("z/last", []byte("z")))
	must(t, f.WriteFile("a", []byte("content of a")))
	must(t, f.WriteFile("large", bytes.Repeat([]byte("0123456789"), 30_000)))
	must(t, f.WriteFile("holes", append(make([]byte, 200_000), "end"...)))
	must(t, f.WriteFile("all zeros", make([]byte, 70_000)))
	must(t, f.MkdirAll("d/empty"))
	must(t, f.WriteFile("d/"+strings.Repeat("long ", 50)+"/日本", []byte("names")))
	must(t, tree(t, f).Link("a", "d/same as a"))
	must(t, tree(t, f).Symlink("../a", "d/link"))
	must(t, tree(t, f).Symlink("nowhere", "dangling"))
	must(t, tree(t, f).Chmod("a", 0o751))
	must(t, tree(t, f).Chmod("d/empty", 0o500))
	for i, name := range []string{"a", "large", "d/empty", "d/link", "d", "z"} {
		must(t, tree(t, f).SetAttr(name, false, vfs.SetAttr{Mask: vfs.SetMtim, Mtim: 1_500_000_000_123_456_789 + int64(i)}))
	}
	return f
}

// entry is what a test compares of a file.
type entry struct {
	Type    wasip1.Filetype
	Mode    fs.FileMode
	Mtim    int64
	Nlink   uint64
	Content string
}

// snapshot returns all that f holds.
func snapshot(t testing.TB, f *memfs.FS) map[string]entry {
	t.Helper()
	all := map[string]entry{}
	var visit func(dir string)
	visit = func(dir string) {
		list, err := tree(t, f).ReadDir(dir)
		must(t, err)
		for _, e := range list {
			name := dir + e.Name
			a, err := tree(t, f).Lstat(name)
			must(t, err)
			got := entry{Type: a.Type, Mode: a.Mode, Mtim: a.Mtim, Nlink: a.Nlink}
			switch a.Type {
			case wasip1.FiletypeDirectory:
				visit(name + "/")
			case wasip1.FiletypeSymbolicLink:
				got.Content, err = tree(t, f).Readlink(name)
			default:
				var data []byte
				data, err = f.ReadFile(name)
				got.Content = string(data)
			}
			must(t, err)
			all[name] = got
		}
	}
	visit("")
	return all
}

func toTar(t testing.TB, f vfs.FS) []byte {
	t.Helper()
	var buf bytes.Buffer
	must(t, archive.ToTar(f, &buf))
	return buf.Bytes()
}

func TestTarThereAndBack(t *testing.T) {
	before := sample(t)
	first := toTar(t, before)
	after := memfs.New()
	must(t, archive.FromTar(after, bytes.NewReader(first)))
	if diff := cmp.Diff(snapshot(t, before), snapshot(t, after)); diff != "" {
		t.Error(diff)
	}
	a, _ := tree(t, after).Stat("a")
	b, _ := tree(t, after).Stat("d/same as a")
	if a.Ino != b.Ino {
		t.Error("a hard link has become two files")
	}
	if !bytes.Equal(first, toTar(t, after)) {
		t.Error("the same tree gives another tar")
	}
	if used := after.Usage().Bytes; used > 400_000 {
		t.Errorf("zeros have not become holes: %d bytes", used)
	}
}

func TestTarIndependentOfHistory(t *testing.T) {
	make := func(names ...string) *memfs.FS {
		f := memfs.New()
		for _, name := range names {
			must(t, f.WriteFile(name, []byte(name)))
		}
		return f
	}
	a := make("x", "d/y", "d/a")
	b := make("d/a", "gone", "d/y", "x")
	must(t, tree(t, b).Remove("gone"))
	if !bytes.Equal(toTar(t, a), toTar(t, b)) {
		t.Error("the order in which files were made shows")
	}
}

func TestDirThereAndBack(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes, links and some names of the sample are not to be had")
	}
	before := sample(t)
	dir := t.TempDir()
	must(t, archive.ToDir(before, filepath.Join(dir, "new")))
	after := memfs.New()
	must(t, archive.FromDir(after, filepath.Join(dir, "new")))
	want, got := snapshot(t, before), snapshot(t, after)
	for name, e := range want {
		if e.Type == wasip1.FiletypeSymbolicLink {
			e.Mtim = got[name].Mtim // of links it is not set on the host
			want[name] = e
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	err := archive.ToDir(before, filepath.Join(dir, "new"))
	if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("writing over files: %v", err)
	}
}

func TestToDirStaysInside(t *testing.T) {
	outside := t.TempDir()
	dir := filepath.Join(outside, "dir")
	must(t, os.MkdirAll(dir, 0o777))
	if err := os.Symlink("..", filepath.Join(dir, "d")); err != nil {
		t.Skip(err)
	}
	f, err := memfs.FromMap(map[string]string{"d/file": "x"})
	must(t, err)
	if err := archive.ToDir(f, dir); err == nil {
		t.Error("wrote through a link of the host")
	}
	if _, err := os.Stat(filepath.Join(outside, "file")); err == nil {
		t.Error("wrote outside")
	}
	f = memfs.New()
	must(t, tree(t, f).Symlink("/etc", "l"))
	if err := archive.ToDir(f, t.TempDir()); wasip1.FromError(err) != wasip1.EPERM {
		t.Errorf("a link that leads out: %v", err)
	}
	must(t, archive.ToDir(f, t.TempDir(), archive.WithLinksOut()))
}

func TestFromFS(t *testing.T) {
	f := memfs.New()
	must(t, archive.FromFS(f, fstest.MapFS{
		"a/b":   {Data: []byte("content"), Mode: 0o600, ModTime: time.Unix(5, 7)},
		"empty": {Mode: fs.ModeDir | 0o711},
	}))
	want := map[string]entry{
		"a":     {Type: wasip1.FiletypeDirectory, Mode: 0o555, Nlink: 2},
		"a/b":   {Type: wasip1.FiletypeRegularFile, Mode: 0o600, Nlink: 1, Mtim: 5_000_000_007, Content: "content"},
		"empty": {Type: wasip1.FiletypeDirectory, Mode: 0o711, Nlink: 2},
	}
	if diff := cmp.Diff(want, snapshot(t, f)); diff != "" {
		t.Error(diff)
	}
}

func TestFromZip(t *testing.T) {
	data := zipOf(t, map[string]string{"d/": "", "d/file": "content", "link": "->d/file"})
	f := memfs.New()
	must(t, archive.FromZip(f, bytes.NewReader(data), int64(len(data))))
	got, err := f.ReadFile("d/file")
	must(t, err)
	target, err := tree(t, f).Readlink("link")
	must(t, err)
	if string(got) != "content" || target != "d/file" {
		t.Errorf("content %q, target %q", got, target)
	}
	err = archive.FromZip(f, strings.NewReader("no zip"), 6)
	if !errors.Is(err, zip.ErrFormat) {
		t.Errorf("no zip: %v", err)
	}
}

// zipOf returns a zip; content that begins with "->" makes a link.
func zipOf(t testing.TB, files map[string]string) []byte {
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for name, content := range files {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o644)
		if target, ok := strings.CutPrefix(content, "->"); ok {
			h.SetMode(fs.ModeSymlink | 0o777)
			content = target
		}
		w, err := zw.CreateHeader(h)
		must(t, err)
		_, err = io.WriteString(w, content)
		must(t, err)
	}
	must(t, zw.Close())
	return buf.Bytes()
}

// tarOf returns a tar with these headers; each regular file holds its name.
func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		h.Mode = 0o644
		must(t, tw.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(tw, h.Name)
			must(t, err)
		}
	}
	must(t, tw.Close())
	return buf.Bytes()
}

func TestHostileNames(t *testing.T) {
	file := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name} }
	dir := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name} }
	symlink := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
	}
	link := func(name, to string) tar.Header { return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to} }
	for _, tt := range []struct {
		name    string
		headers []tar.Header
		want    wasip1.Errno
		files   string // what is there after success
	}{
		{"absolute", []tar.Header{file("/etc/passwd")}, 0, "etc etc/passwd"},
		{"dots and slashes", []tar.Header{file(".//a/./b")}, 0, "a a/b"},
		{"root", []tar.Header{dir("./"), file("a")}, 0, "a"},
		{"file as root", []tar.Header{file("./.")}, wasip1.EISDIR, ""},
		{"parent", []tar.Header{file("../a")}, wasip1.EPERM, ""},
		{"parent inside", []tar.Header{file("a/../b")}, wasip1.EPERM, ""},
		{"long name", []tar.Header{file(strings.Repeat("n", 256))}, wasip1.ENAMETOOLONG, ""},
		{"long path", []tar.Header{file(strings.Repeat("n/", 2500) + "n")}, wasip1.ENAMETOOLONG, ""},
		{"through a link", []tar.Header{dir("d"), symlink("l", "d"), file("l/a")}, wasip1.ELOOP, ""},
		{"through a file", []tar.Header{file("a"), file("a/b")}, wasip1.ENOTDIR, ""},
		{"a link replaced", []tar.Header{file("a"), symlink("l", "a"), file("l")}, 0, "a l"},
		{"a file over a directory", []tar.Header{dir("d"), file("d")}, wasip1.EEXIST, ""},
		{"a directory over a file", []tar.Header{file("d"), dir("d"), file("d/a")}, 0, "d d/a"},
		{"a directory twice", []tar.Header{dir("d"), file("d/a"), dir("d")}, 0, "d d/a"},
		{"link out", []tar.Header{symlink("l", "../x")}, wasip1.EPERM, ""},
		{"link out by a detour", []tar.Header{symlink("d/l", "a/../../../d")}, wasip1.EPERM, ""},
		{"link up but inside", []tar.Header{symlink("d/l", "../x")}, 0, "d d/l"},
		{"absolute link", []tar.Header{symlink("l", "/etc")}, wasip1.EPERM, ""},
		{"hard link", []tar.Header{file("a"), link("d/b", "/a")}, 0, "a d d/b"},
		{"hard link to nothing", []tar.Header{link("b", "a")}, wasip1.ENOENT, ""},
		{"hard link out", []tar.Header{link("b", "../a")}, wasip1.EPERM, ""},
		{"hard link to a directory", []tar.Header{dir("d"), link("b", "d")}, wasip1.EPERM, ""},
		{"device", []tar.Header{{Typeflag: tar.TypeChar, Name: "null"}}, wasip1.ENOTSUP, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := memfs.New()
			err := archive.FromTar(f, bytes.NewReader(tarOf(t, tt.headers...)))
			if got := wasip1.FromError(err); got != tt.want {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil {
				last := tt.headers[len(tt.headers)-1].Name
				if !strings.Contains(err.Error(), last[:min(len(last), 100)]) {
					t.Errorf("the error does not name the entry: %v", err)
				}
				return
			}
			var names []string
			for _, h := range list(t, toTar(t, f)) {
				names = append(names, strings.TrimSuffix(h, "/"))
			}
			if got := strings.Join(names, " "); got != tt.files {
				t.Errorf("there is %q, want %q", got, tt.files)
			}
		})
	}
}

func list(t testing.TB, data []byte) []string {
	var names []string
	tr := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return names
		}
		must(t, err)
		names = append(names, h.Name)
	}
}

// TestLimitsOut writes a tree out of which a guest has made more than any disk has.
func TestLimitsOut(t *testing.T) {
	fsys := memfs.New()
	must(t, archive.FromMap(fsys, map[string]string{"a": "1234", "b": "5678", "huge": "x"}))
	root, err := vfs.NewRoot(fsys)
	must(t, err)
	must(t, root.Truncate("huge", 1<<62))
	for name, write := range map[string]func(opts ...archive.Option) error{
		"ToTar": func(opts ...archive.Option) error { return archive.ToTar(fsys, io.Discard, opts...) },
		"ToDir": func(opts ...archive.Option) error { return archive.ToDir(fsys, t.TempDir(), opts...) },
	} {
		if err := write(archive.WithMaxBytes(1 << 40)); wasip1.FromError(err) != wasip1.ENOSPC || !strings.Contains(err.Error(), `"huge"`) {
			t.Errorf("%s: %v, want ENOSPC for huge", name, err)
		}
		if err := write(archive.WithMaxEntries(2)); wasip1.FromError(err) != wasip1.ENOSPC {
			t.Errorf("%s of three entries of which two may be: %v, want ENOSPC", name, err)
		}
		must(t, root.Truncate("huge", 2))
		if err := write(archive.WithMaxBytes(10), archive.WithMaxEntries(3)); err != nil {
			t.Errorf("%s of as much as there may be: %v", name, err)
		}
		must(t, root.Truncate("huge", 1<<62))
	}
}

func TestLimits(t *testing.T) {
	data := toTar(t, sample(t))
	for _, opt := range []archive.Option{archive.WithMaxBytes(100_000), archive.WithMaxEntries(5)} {
		err := archive.FromTar(memfs.New(), bytes.NewReader(data), opt)
		if wasip1.FromError(err) != wasip1.ENOSPC {
			t.Errorf("beyond a limit: %v", err)
		}
	}
	must(t, archive.FromTar(memfs.New(), bytes.NewReader(data), archive.WithMaxBytes(1e6), archive.WithMaxEntries(100)))
	must(t, archive.FromTar(memfs.New(memfs.WithMaxBytes(0), memfs.WithMaxInodes(0), memfs.WithMaxFileSize(0)), bytes.NewReader(data),
		archive.WithMaxBytes(0), archive.WithMaxEntries(0))) // 0 is no limit
	err := archive.FromTar(memfs.New(memfs.WithMaxBytes(50_000)), bytes.NewReader(data))
	if wasip1.FromError(err) != wasip1.ENOSPC || !strings.Contains(err.Error(), `"large"`) {
		t.Errorf("a full file system: %v", err)
	}
	err = archive.FromTar(memfs.New(), bytes.NewReader(data[:20_000]))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a tar cut short: %v", err)
	}
}

func FuzzFromTar(f *testing.F) {
	small, err := memfs.FromMap(map[string]string{"d/file": "content", "empty/": ""})
	must(f, err)
	must(f, tree(f, small).Symlink("d", "link"))
	must(f, tree(f, small).Link("d/file", "same"))
	f.Add(toTar(f, small))
	f.Add(tarOf(f, tar.Header{Typeflag: tar.TypeSymlink, Name: "a/../l", Linkname: "/x"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		fsys := memfs.New(memfs.WithMaxBytes(1<<20), memfs.WithMaxInodes(1000))
		opts := []archive.Option{archive.WithMaxBytes(1 << 22), archive.WithMaxEntries(1000)}
		if archive.FromTar(fsys, bytes.NewReader(data), opts...) != nil {
			return
		}
		// What could be read can be written, and read again.
		again := toTar(t, fsys)
		fsys2 := memfs.New()
		must(t, archive.FromTar(fsys2, bytes.NewReader(again)))
		if !bytes.Equal(again, toTar(t, fsys2)) {
			t.Error("the tar is another one")
		}
	})
}

func FuzzFromZip(f *testing.F) {
	f.Add(zipOf(f, map[string]string{"d/": "", "d/file": "content", "link": "->d/file"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		fsys := memfs.New(memfs.WithMaxBytes(1<<20), memfs.WithMaxInodes(1000))
		opts := []archive.Option{archive.WithMaxBytes(1 << 22), archive.WithMaxEntries(1000)}
		if archive.FromZip(fsys, bytes.NewReader(data), int64(len(data)), opts...) == nil {
			toTar(t, fsys)
		}
	})
}
