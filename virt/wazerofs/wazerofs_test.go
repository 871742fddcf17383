package wazerofs_test

import (
	"io"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/afero"
	"github.com/tetratelabs/wazero/experimental/sys"
	wazerosys "github.com/tetratelabs/wazero/sys"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/aferofs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/pipe"
	"github.com/wasivirt/wasivirt/virt/wazerofs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// each runs a test on views of several file systems.
func each(t *testing.T, test func(t *testing.T, f sys.FS)) {
	for name, fsys := range map[string]vfs.FS{"memfs": memfs.New(), "aferofs": aferofs.New(afero.NewMemMapFs())} {
		t.Run(name, func(t *testing.T) { test(t, wazerofs.New(fsys)) })
	}
}

// want compares an error number.
func want(t *testing.T, what string, got, want sys.Errno) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func open(t *testing.T, f sys.FS, path string, flag sys.Oflag) sys.File {
	t.Helper()
	h, e := f.OpenFile(path, flag, 0o600)
	if e != 0 {
		t.Fatalf("open %s: %v", path, e)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func write(t *testing.T, f sys.FS, path, text string) {
	t.Helper()
	h := open(t, f, path, sys.O_CREAT|sys.O_TRUNC|sys.O_WRONLY)
	if n, e := h.Write([]byte(text)); n != len(text) || e != 0 {
		t.Fatalf("write %s: %d, %v", path, n, e)
	}
	want(t, "close", h.Close(), 0)
}

func read(t *testing.T, f sys.FS, path string) string {
	t.Helper()
	h := open(t, f, path, sys.O_RDONLY)
	b := make([]byte, 100)
	n, e := h.Read(b)
	want(t, "read "+path, e, 0)
	return string(b[:n])
}

func TestFile(t *testing.T) {
	each(t, func(t *testing.T, f sys.FS) {
		h := open(t, f, "file", sys.O_CREAT|sys.O_RDWR)
		for _, step := range []struct {
			what string
			do   func() (int, sys.Errno)
			n    int
			e    sys.Errno
		}{
			{"write", func() (int, sys.Errno) { return h.Write([]byte("hello")) }, 5, 0},
			{"read at the end", func() (int, sys.Errno) { return h.Read(make([]byte, 3)) }, 0, 0},
			{"pwrite", func() (int, sys.Errno) { return h.Pwrite([]byte("J"), 0) }, 1, 0},
			{"pread", func() (int, sys.Errno) { return h.Pread(make([]byte, 10), 2) }, 3, 0},
			{"pread before the start", func() (int, sys.Errno) { return h.Pread(make([]byte, 10), -1) }, 0, sys.EINVAL},
			{"seek", func() (int, sys.Errno) { n, e := h.Seek(-2, io.SeekEnd); return int(n), e }, 3, 0},
			{"seek before the start", func() (int, sys.Errno) { n, e := h.Seek(-9, io.SeekEnd); return int(n), e }, 0, sys.EINVAL},
			{"append on", func() (int, sys.Errno) { return 0, h.SetAppend(true) }, 0, 0},
			{"write at the end", func() (int, sys.Errno) { return h.Write([]byte("!")) }, 1, 0},
			{"append off", func() (int, sys.Errno) { return 0, h.SetAppend(false) }, 0, 0},
			{"cut", func() (int, sys.Errno) { return 0, h.Truncate(7) }, 0, 0},
			{"cut below nothing", func() (int, sys.Errno) { return 0, h.Truncate(-1) }, 0, sys.EINVAL},
			{"sync", func() (int, sys.Errno) { return 0, h.Sync() }, 0, 0},
			{"datasync", func() (int, sys.Errno) { return 0, h.Datasync() }, 0, 0},
			{"set times", func() (int, sys.Errno) { return 0, h.Utimens(7, sys.UTIME_OMIT) }, 0, 0},
			{"nonblock", func() (int, sys.Errno) { return 0, h.(sys.PollableFile).SetNonblock(true) }, 0, 0},
		} {
			if n, e := step.do(); n != step.n || e != step.e {
				t.Errorf("%s: %d, %v; want %d, %v", step.what, n, e, step.n, step.e)
			}
		}
		if h.IsAppend() || !h.(sys.PollableFile).IsNonblock() {
			t.Error("the flags are not those that were set")
		}
		if got := read(t, f, "file"); got != "Jello!\x00" {
			t.Errorf("content %q", got)
		}
		st, e := h.Stat()
		want(t, "stat", e, 0)
		other, e := f.Stat("/file")
		want(t, "stat by path", e, 0)
		if d := cmp.Diff(st, other); d != "" || st.Size != 7 || st.Atim != 7 || st.Ino == 0 || st.Dev != 1 || !st.Mode.IsRegular() {
			t.Errorf("%+v (-open +path):\n%s", st, d)
		}
		want(t, "close", h.Close(), 0)
		want(t, "close again", h.Close(), sys.EBADF)
		_, e = h.Read(make([]byte, 1))
		want(t, "read after close", e, sys.EBADF)
		want(t, "append after close", h.SetAppend(true), sys.EBADF)
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, f sys.FS) {
		write(t, f, "a", "a")
		want(t, "mkdir", f.Mkdir("dir", 0o700), 0)
		want(t, "mkdir again", f.Mkdir("dir", 0o700), sys.EEXIST)
		want(t, "link", f.Link("a", "dir/b"), 0)
		want(t, "symlink", f.Symlink("dir/b", "c"), 0)
		want(t, "symlink to an absolute path", f.Symlink("/dir/b", "d"), sys.EPERM)
		target, e := f.Readlink("c")
		want(t, "readlink", e, 0)
		if target != "dir/b" || read(t, f, "c") != "a" {
			t.Errorf("link to %q", target)
		}
		l, _ := f.Lstat("c")
		s, _ := f.Stat("c")
		if l.Mode.Type() != fs.ModeSymlink || !s.Mode.IsRegular() || s.Nlink != 2 {
			t.Errorf("lstat %+v, stat %+v", l, s)
		}
		_, e = f.OpenFile("c", sys.O_NOFOLLOW, 0)
		want(t, "open a link itself", e, sys.ELOOP)
		_, e = f.OpenFile("a", sys.O_DIRECTORY, 0)
		want(t, "open a file as a directory", e, sys.ENOTDIR)
		_, e = f.OpenFile("dir", sys.O_RDWR, 0)
		want(t, "open a directory for writing", e, sys.EISDIR)
		_, e = f.OpenFile("a", sys.O_CREAT|sys.O_EXCL|sys.O_RDWR, 0)
		want(t, "make a file that is there", e, sys.EEXIST)
		want(t, "rename", f.Rename("a", "z"), 0)
		want(t, "chmod", f.Chmod("z", 0o640), 0)
		want(t, "set times", f.Utimens("z", sys.UTIME_OMIT, 9), 0)
		if s, _ = f.Stat("z"); s.Mode.Perm() != 0o640 || s.Mtim != 9 {
			t.Errorf("attributes %+v", s)
		}
		want(t, "rmdir of a full directory", f.Rmdir("dir"), sys.ENOTEMPTY)
		want(t, "rmdir of a file", f.Rmdir("z"), sys.ENOTDIR)
		want(t, "unlink of a directory", f.Unlink("dir"), sys.EISDIR)
		want(t, "unlink", f.Unlink("dir/b"), 0)
		want(t, "rmdir", f.Rmdir("dir"), 0)
		_, e = f.Stat("dir")
		want(t, "stat of what is gone", e, sys.ENOENT)
	})
}

func TestReaddir(t *testing.T) {
	each(t, func(t *testing.T, f sys.FS) {
		names := map[string]fs.FileMode{}
		for i := range 150 {
			name := string([]byte{'a' + byte(i/26), 'a' + byte(i%26)})
			write(t, f, name, "")
			names[name] = 0
		}
		want(t, "mkdir", f.Mkdir("dir", 0o700), 0)
		names["dir"] = fs.ModeDir
		h := open(t, f, ".", sys.O_RDONLY)
		for _, n := range []int{1, 7, 100, 1000, 0, -1} {
			got := map[string]fs.FileMode{}
			for {
				all, e := h.Readdir(n)
				want(t, "readdir", e, 0)
				for _, d := range all {
					if _, twice := got[d.Name]; twice || d.Ino == 0 {
						t.Errorf("%+v twice or without a number", d)
					}
					got[d.Name] = d.Type
				}
				if n <= 0 || len(all) < n {
					break
				}
			}
			if d := cmp.Diff(names, got); d != "" {
				t.Errorf("by %d (-want +got):\n%s", n, d)
			}
			_, e := h.Seek(0, io.SeekStart)
			want(t, "rewind", e, 0)
		}
		_, e := h.Read(make([]byte, 1))
		want(t, "read a directory", e, sys.EISDIR)
	})
}

// TestConfined: neither links that the file system had before nor paths lead out of the tree.
func TestConfined(t *testing.T) {
	whole := memfs.New()
	root, err := vfs.NewRoot(whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		root.WriteFile("etc", []byte("inside"), 0o600), root.Symlink("/etc", "absolute"), root.Symlink("../../etc", "up"), root.Symlink("loop", "loop"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f := wazerofs.New(whole)
	for _, path := range []string{"absolute", "up", "../etc", "/../../etc"} {
		if got := read(t, f, path); got != "inside" {
			t.Errorf("%s: %q", path, got)
		}
	}
	_, e := f.OpenFile("loop", sys.O_RDONLY, 0)
	want(t, "open a loop", e, sys.ELOOP)
	_, e = f.OpenFile("a\x00b", sys.O_RDONLY, 0)
	want(t, "open a name with NUL", e, sys.EINVAL)
}

// single is a file system that is one stream.
type single struct{ s vfs.Stream }

func (f single) Root() vfs.Node      { return f }
func (single) Type() wasip1.Filetype { return wasip1.FiletypeCharacterDevice }
func (single) Attr() (vfs.Attr, error) {
	return vfs.Attr{Ino: 1, Type: wasip1.FiletypeCharacterDevice}, nil
}
func (single) SetAttr(vfs.SetAttr) error                     { return nil }
func (f single) OpenStream(vfs.OpenMode) (vfs.Stream, error) { return f.s, nil }

// streams is a directory with one stream in it.
type streams struct {
	vfs.Directory
	s vfs.Stream
}

func (d streams) Root() vfs.Node                  { return d }
func (d streams) Lookup(string) (vfs.Node, error) { return single{d.s}, nil }

// TestStream: reading a pipe waits for what is written, unless it is nonblocking, and ends when the
// file is closed.
func TestStream(t *testing.T) {
	r, w := pipe.New(100)
	f := wazerofs.New(streams{memfs.New().Root().(vfs.Directory), r})
	h, e := f.OpenFile("pipe", sys.O_RDONLY|sys.O_NONBLOCK, 0)
	want(t, "open", e, 0)
	p := h.(sys.PollableFile)
	_, e = h.Read(make([]byte, 1))
	want(t, "read of an empty pipe", e, sys.EAGAIN)
	ready, e := p.Poll(sys.POLLIN, 0)
	if ready || e != 0 {
		t.Errorf("poll of an empty pipe: %v, %v", ready, e)
	}
	want(t, "wait from now on", p.SetNonblock(false), 0)

	got := make(chan string)
	go func() {
		for {
			b := make([]byte, 10)
			n, e := h.Read(b)
			if e != 0 {
				got <- e.Error()
				return
			}
			got <- string(b[:n])
		}
	}()
	if _, err := w.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != "late" {
		t.Errorf("read %q", s)
	}
	want(t, "close", h.Close(), 0)
	if s := <-got; s != sys.EBADF.Error() {
		t.Errorf("a read that waits when the file is closed: %q", s)
	}
}

// frozen tells one time.
type frozen struct{ clock.Clock }

func (frozen) Realtime() int64 { return 42 }

func TestOptions(t *testing.T) {
	f := wazerofs.New(memfs.New(), wazerofs.WithDevice(9), wazerofs.WithClock(frozen{clock.Real()}))
	write(t, f, "file", "x")
	st, e := f.Stat("file")
	want(t, "stat", e, 0)
	if st.Dev != 9 || st.Mtim != 42 {
		t.Errorf("%+v", st)
	}
	file := wazerofs.New(single{})
	_, e = file.OpenFile("x", sys.O_RDONLY, 0)
	want(t, "open below a single file", e, sys.ENOTDIR)
	if st, e := file.Stat("."); st != (wazerosys.Stat_t{}) || e != sys.ENOTDIR {
		t.Errorf("stat of a single file: %+v, %v", st, e)
	}
}
