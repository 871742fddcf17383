package iofs

import (
	"archive/zip"
	"bytes"
	"embed"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

//go:embed *.go
var embedded embed.FS

// sequentialFS hides all methods of files but those that io/fs demands.
type sequentialFS struct{ fs.FS }

func (s sequentialFS) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if d, ok := f.(fs.ReadDirFile); ok {
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return d, nil
		}
	}
	return struct{ fs.File }{f}, nil
}

// seekFS hides ReadAt.
type seekFS struct{ fs.FS }

func (s seekFS) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if k, ok := f.(io.Seeker); ok {
		return struct {
			fs.File
			io.Seeker
		}{f, k}, nil
	}
	return f, nil
}

var content = func() []byte {
	b := make([]byte, 100_000)
	for i := range b {
		b[i] = byte(i * i >> 7)
	}
	return b
}()

var stamp = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

func tree() fstest.MapFS {
	return fstest.MapFS{
		"a":           {Data: []byte("file a"), Mode: 0o644, ModTime: stamp},
		"big":         {Data: content, Mode: 0o644, ModTime: stamp},
		"dir/b":       {Data: []byte("file b"), Mode: 0o600, ModTime: stamp},
		"dir/sub/c":   {Data: nil, Mode: 0o644, ModTime: stamp},
		"dir/sub/d e": {Data: []byte("x"), Mode: 0o644, ModTime: stamp},
	}
}

func zipped(t testing.TB, method uint16) *zip.Reader {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for name, f := range tree() {
		h := &zip.FileHeader{Name: name, Method: method, Modified: stamp}
		h.SetMode(f.Mode)
		e, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Write(f.Data); err != nil {
			t.Fatal(err)
		}
	}
	h := &zip.FileHeader{Name: "link"}
	h.SetMode(fs.ModeSymlink | 0o777)
	e, err := w.CreateHeader(h)
	if err != nil {
		t.Fatal(err)
	}
	e.Write([]byte("dir/b"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func onDisk(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, tree()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("dir/b", filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	return dir
}

// each runs test on tree, made available in every way that files can be read.
func each(t *testing.T, test func(t *testing.T, f *FS)) {
	root, err := os.OpenRoot(onDisk(t))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, fsys := range map[string]fs.FS{
		"MapFS":       tree(),
		"sequential":  sequentialFS{tree()},
		"seeker":      seekFS{tree()},
		"zip stored":  zipped(t, zip.Store),
		"zip deflate": zipped(t, zip.Deflate),
		"os.DirFS":    os.DirFS(onDisk(t)),
		"os.Root":     root.FS(),
	} {
		t.Run(name, func(t *testing.T) { test(t, New(fsys)) })
	}
	t.Run("no buffer", func(t *testing.T) { test(t, New(zipped(t, zip.Deflate), WithBuffer(0))) })
}

func walk(t testing.TB, f *FS, path string) vfs.Node {
	t.Helper()
	n := f.Root()
	for name := range strings.SplitSeq(path, "/") {
		var err error
		if n, err = n.(vfs.Directory).Lookup(name); err != nil {
			t.Fatal(path, err)
		}
	}
	return n
}

func wantErrno(t *testing.T, what string, err error, want wasip1.Errno) {
	t.Helper()
	if got := wasip1.FromError(err); got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func list(t *testing.T, d vfs.Directory, at int) []vfs.DirEntry {
	t.Helper()
	var out []vfs.DirEntry
	buf := make([]vfs.DirEntry, at)
	for cookie := uint64(0); ; {
		n, err := d.ReadDir(cookie, buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return out
		}
		out = append(out, buf[:n]...)
		cookie = buf[n-1].Next
	}
}

func TestTree(t *testing.T) {
	each(t, func(t *testing.T, f *FS) {
		for path, want := range tree() {
			n := walk(t, f, path)
			a, err := n.Attr()
			if err != nil {
				t.Fatal(err)
			}
			if a.Type != wasip1.FiletypeRegularFile || a.Size != uint64(len(want.Data)) || a.Ino == 0 || a.Nlink != 1 {
				t.Errorf("%s: %+v", path, a)
			}
			open, err := n.(vfs.RegularFile).Open(vfs.OpenRead)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(io.NewSectionReader(open, 0, 1<<30))
			if err != nil || !bytes.Equal(got, want.Data) {
				t.Errorf("%s: %d bytes, %v", path, len(got), err)
			}
			if err := open.Sync(false); err != nil {
				t.Error(err)
			}
			if err := open.Close(); err != nil {
				t.Error(err)
			}
		}
		root := f.Root().(vfs.Directory)
		all := list(t, root, 100)
		var names []string
		inos := map[uint64]string{1: "."}
		for _, e := range all {
			names = append(names, e.Name)
			if other, ok := inos[e.Ino]; ok {
				t.Errorf("%s and %s have inode %d", other, e.Name, e.Ino)
			}
			inos[e.Ino] = e.Name
			if a, err := walk(t, f, e.Name).Attr(); err != nil || a.Ino != e.Ino || e.Type != a.Type && e.Type != wasip1.FiletypeUnknown {
				t.Errorf("%+v, %+v, %v", e, a, err)
			}
		}
		if n := len(names); n < 3 || names[0] != "a" || names[1] != "big" || names[2] != "dir" {
			t.Errorf("names %q", names)
		}
		if diff := cmp.Diff(all, list(t, root, 1)); diff != "" {
			t.Error("one at a time:", diff)
		}
		if a, err := root.Attr(); err != nil || a.Type != wasip1.FiletypeDirectory || a.Ino != 1 {
			t.Errorf("%+v %v", a, err)
		}
	})
}

func TestEveryWriteIsEROFS(t *testing.T) {
	each(t, func(t *testing.T, f *FS) {
		d := f.Root().(vfs.Directory)
		n := walk(t, f, "a")
		_, create := d.Create("new", 0o666)
		_, again := d.Create("a", 0o666)
		_, mkdir := d.Mkdir("dir", 0o777)
		_, symlink := d.Symlink("new", "a")
		_, write := n.(vfs.RegularFile).Open(vfs.OpenRead | vfs.OpenWrite)
		_, truncate := n.(vfs.RegularFile).Open(vfs.OpenTruncate)
		open, err := n.(vfs.RegularFile).Open(0)
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		_, writeAt := open.WriteAt([]byte("x"), 0)
		for what, err := range map[string]error{
			"create": create, "create again": again, "mkdir": mkdir, "symlink": symlink, "write": write, "truncate": truncate,
			"WriteAt": writeAt, "link": d.Link("new", n), "unlink": d.Unlink("a"), "unlink missing": d.Unlink("missing"), "rmdir": d.Rmdir("dir"),
			"rename": d.Rename("a", d, "b"), "size": n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize}), "times": d.SetAttr(vfs.SetAttr{Mask: vfs.SetMtim}),
		} {
			wantErrno(t, what, err, wasip1.EROFS)
		}
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, f *FS) {
		d := f.Root().(vfs.Directory)
		for name, want := range map[string]wasip1.Errno{
			"": wasip1.EINVAL, ".": wasip1.EINVAL, "..": wasip1.EINVAL, "dir/b": wasip1.EINVAL, "/": wasip1.EINVAL, "a\x00": wasip1.EINVAL,
			"missing": wasip1.ENOENT, "\xff": wasip1.ENOENT, "a\xc0\xaf": wasip1.ENOENT, strings.Repeat("x", 256): wasip1.ENAMETOOLONG,
		} {
			_, err := d.Lookup(name)
			wantErrno(t, name, err, want)
		}
		_, err := f.stat("a/b")
		if err == nil {
			t.Error("a name below a file")
		}
	})
}

func TestReadingInAnyOrder(t *testing.T) {
	each(t, func(t *testing.T, f *FS) {
		budget := f.budget.Load()
		rnd := rand.New(rand.NewPCG(1, 2))
		n := walk(t, f, "big").(vfs.RegularFile)
		for _, first := range []int64{0, 5000} {
			open, err := n.Open(vfs.OpenRead)
			if err != nil {
				t.Fatal(err)
			}
			off := first
			for range 60 {
				p := make([]byte, 1+rnd.IntN(3000))
				n, err := open.ReadAt(p, off)
				if err != nil && err != io.EOF {
					t.Fatal(err)
				}
				if n == 0 || !bytes.Equal(p[:n], content[off:off+int64(n)]) {
					t.Fatalf("%d bytes at %d are wrong", n, off)
				}
				if rnd.IntN(2) == 0 {
					off += int64(n)
				} else {
					off = rnd.Int64N(int64(len(content)))
				}
				off %= int64(len(content))
			}
			for _, off := range []int64{int64(len(content)), 1 << 40, 1<<63 - 1} {
				if n, err := open.ReadAt(make([]byte, 10), off); n != 0 || err != io.EOF {
					t.Errorf("at %d: %d, %v", off, n, err)
				}
			}
			_, err = open.ReadAt(make([]byte, 10), -1)
			wantErrno(t, "negative offset", err, wasip1.EINVAL)
			var wg sync.WaitGroup
			for off := range int64(4) {
				wg.Go(func() {
					p := make([]byte, 100)
					if n, err := open.ReadAt(p, off*1000); err != nil || !bytes.Equal(p[:n], content[off*1000:off*1000+int64(n)]) {
						t.Error(n, err)
					}
				})
			}
			wg.Wait()
			if err := open.Close(); err != nil {
				t.Error(err)
			}
		}
		if got := f.budget.Load(); got != budget {
			t.Errorf("%d bytes of the buffer were not given back", budget-got)
		}
	})
}

func TestBufferIsShared(t *testing.T) {
	f := New(zipped(t, zip.Deflate), WithBuffer(int64(len(content))+10))
	n := walk(t, f, "big").(vfs.RegularFile)
	var open []*sequential
	for range 3 {
		file, err := n.Open(vfs.OpenRead)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 10)
		if _, err := file.ReadAt(p, 500); err != nil || !bytes.Equal(p, content[500:510]) {
			t.Error(err, p)
		}
		open = append(open, file.(*sequential))
	}
	if open[0].kept == nil || open[1].kept != nil || open[2].kept != nil {
		t.Error("more is kept than the buffer allows")
	}
	for _, o := range open {
		o.Close()
		wantErrno(t, "closed twice", o.Close(), wasip1.EBADF)
		_, err := o.ReadAt(make([]byte, 1), 0)
		wantErrno(t, "closed", err, wasip1.EBADF)
	}
	if got := f.budget.Load(); got != int64(len(content))+10 {
		t.Error(got)
	}
}

func TestLinks(t *testing.T) {
	for name, fsys := range map[string]fs.FS{"zip": zipped(t, zip.Deflate), "os.DirFS": os.DirFS(onDisk(t))} {
		f := New(fsys)
		n := walk(t, f, "link")
		l, ok := n.(vfs.Symlink)
		if !ok {
			t.Fatalf("%s: %T", name, n)
		}
		if target, err := l.Readlink(); target != "dir/b" || err != nil {
			t.Errorf("%s: %q %v", name, target, err)
		}
		if a, err := l.Attr(); err != nil || a.Size != 5 || a.Type != wasip1.FiletypeSymbolicLink {
			t.Errorf("%s: %+v %v", name, a, err)
		}
	}
}

// A size that a file system only claims costs nothing and hides nothing.
func TestFalseSizes(t *testing.T) {
	for _, claimed := range []int64{0, 10, 1 << 40, -5} {
		f := New(falseFS{sequentialFS{tree()}, claimed})
		open, err := walk(t, f, "big").(vfs.RegularFile).Open(vfs.OpenRead)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for {
			p := make([]byte, 30_000)
			n, err := open.ReadAt(p, int64(len(got)))
			got = append(got, p[:n]...)
			if err != nil || n == 0 {
				break
			}
		}
		if !bytes.Equal(got, content) {
			t.Errorf("claimed %d: read %d bytes", claimed, len(got))
		}
		p := make([]byte, 5)
		if _, err := open.ReadAt(p, 3); err != nil || !bytes.Equal(p, content[3:8]) {
			t.Errorf("claimed %d, a step back: %v %v", claimed, p, err)
		}
		open.Close()
	}
}

type falseFS struct {
	fs.FS
	size int64
}

func (f falseFS) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil || name != "big" {
		return file, err
	}
	return falseFile{file, f.size}, nil
}

type falseFile struct {
	fs.File
	size int64
}

func (f falseFile) Stat() (fs.FileInfo, error) {
	info, err := f.File.Stat()
	return falseInfo{info, f.size}, err
}

type falseInfo struct {
	fs.FileInfo
	size int64
}

func (f falseInfo) Size() int64 { return f.size }

func TestCookiesStayWhenTheTreeChanges(t *testing.T) {
	files := tree()
	f := New(files)
	root := f.Root().(vfs.Directory)
	buf := make([]vfs.DirEntry, 1)
	if n, err := root.ReadDir(0, buf); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	after := buf[0].Next
	files["0"] = &fstest.MapFile{}
	delete(files, "a")
	if got := list(t, root, 10); got[len(got)-1].Name != "0" {
		t.Errorf("a new name moved the others: %+v", got)
	}
	if n, err := root.ReadDir(after, buf); n != 1 || err != nil || buf[0].Name != "big" {
		t.Error(n, err, buf)
	}
	if n, err := root.ReadDir(1<<61, buf); n != 0 || err != nil {
		t.Error(n, err)
	}
	_, err := root.Lookup("a")
	wantErrno(t, "removed", err, wasip1.ENOENT)
}

func TestErrorsOfTheFileSystem(t *testing.T) {
	f := New(failingFS{errors.New("no luck")})
	_, err := f.Root().(vfs.Directory).Lookup("x")
	wantErrno(t, "unknown error", err, wasip1.EIO)
	_, err = f.Root().(vfs.Directory).ReadDir(0, make([]vfs.DirEntry, 1))
	wantErrno(t, "unknown error", err, wasip1.EIO)
	f = New(failingFS{&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}})
	_, err = f.Root().(vfs.Directory).Lookup("x")
	wantErrno(t, "permission", err, wasip1.EACCES)
}

type failingFS struct{ err error }

func (f failingFS) Open(string) (fs.File, error) { return nil, f.err }

func TestRootThatIsAFile(t *testing.T) {
	sub := fileFS{tree()}
	n, ok := New(sub).Root().(vfs.RegularFile)
	if !ok {
		t.Fatal("not a file")
	}
	if a, err := n.Attr(); err != nil || a.Size != 6 {
		t.Error(a, err)
	}
}

type fileFS struct{ fs.FS }

func (f fileFS) Open(string) (fs.File, error) { return f.FS.Open("a") }

func TestEmbedded(t *testing.T) {
	f := New(embedded)
	a, err := walk(t, f, "file.go").Attr()
	if err != nil || a.Mtim != 0 || a.Size == 0 {
		t.Errorf("%+v %v", a, err)
	}
	if _, ok := walk(t, f, "file.go").(*file); !ok {
		t.Error("no file")
	}
}

func TestNanoseconds(t *testing.T) {
	for in, want := range map[time.Time]int64{
		{}:               0,
		time.Unix(0, 1):  1,
		time.Unix(-1, 0): 0,
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC): 1<<63 - 1,
		stamp: stamp.UnixNano(),
	} {
		if got := nanoseconds(in.UTC()); got != want {
			t.Errorf("%v: %d, want %d", in, got, want)
		}
	}
}
