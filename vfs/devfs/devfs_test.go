package devfs_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/devfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

func Example() {
	proc := devfs.Empty()
	visits := 0
	err := proc.AddFunc("self/visits", func() ([]byte, error) {
		visits++
		return fmt.Appendln(nil, visits), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	ns := vfs.NewNamespace()
	if err := ns.Mount("/proc", proc); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		b, err := ns.Root().ReadFile("/proc/self/visits")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(string(b))
	}
	// Output:
	// 1
	// 2
}

func newRoot(t *testing.T, fsys *devfs.FS) *vfs.Root {
	t.Helper()
	fsys.Attach(vfs.Env{Random: func(p []byte) error {
		for i := range p {
			p[i] = 'r'
		}
		return nil
	}})
	r, err := vfs.NewRoot(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDevices(t *testing.T) {
	r := newRoot(t, devfs.New())
	for _, tt := range []struct {
		name, read string
		readErr    error
		writeErr   error
	}{
		{"null", "", io.EOF, nil},
		{"zero", "\x00\x00\x00", nil, nil},
		{"full", "\x00\x00\x00", nil, wasip1.ENOSPC},
		{"random", "rrr", nil, nil},
		{"urandom", "rrr", nil, nil},
	} {
		f, err := r.OpenFile(tt.name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		b := []byte("xyz")
		n, err := f.Read(b)
		if string(b[:n]) != tt.read || !errors.Is(err, tt.readErr) {
			t.Errorf("%s reads %q, %v", tt.name, b[:n], err)
		}
		if _, err := f.Write(b); !errors.Is(err, tt.writeErr) {
			t.Errorf("writing to %s: %v", tt.name, err)
		}
		if f.Type() != wasip1.FiletypeCharacterDevice {
			t.Errorf("%s is a %v", tt.name, f.Type())
		}
		// A device is no terminal: it has the rights for positions.
		if base, _ := f.Rights(); !base.Has(wasip1.RightFdSeek | wasip1.RightFdTell) {
			t.Errorf("%s looks like a terminal", tt.name)
		}
		f.Close()
	}
	if _, err := r.OpenFile("new", os.O_RDWR|os.O_CREATE, 0); !errors.Is(err, wasip1.EROFS) {
		t.Errorf("creating: %v", err)
	}
	if err := r.Remove("null"); !errors.Is(err, wasip1.EROFS) {
		t.Errorf("removing: %v", err)
	}
	if err := r.Mkdir("null", 0); !errors.Is(err, wasip1.EEXIST) {
		t.Errorf("mkdir of what is there: %v", err)
	}
}

func TestRandomWithoutSource(t *testing.T) {
	r, err := vfs.NewRoot(devfs.New())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadFile("random"); !errors.Is(err, wasip1.EIO) {
		t.Errorf("reading random: %v", err)
	}
}

// tty is a stream that counts how often it is closed.
type tty struct {
	poll.Always
	closed int
	out    strings.Builder
}

func (t *tty) Type() wasip1.Filetype       { return wasip1.FiletypeCharacterDevice }
func (t *tty) Read([]byte) (int, error)    { return 0, wasip1.EAGAIN }
func (t *tty) Write(p []byte) (int, error) { return t.out.Write(p) }
func (t *tty) Close() error                { t.closed++; return nil }

func TestStreams(t *testing.T) {
	out := &tty{}
	r := newRoot(t, devfs.New(devfs.WithStreams(nil, out, nil)))
	f, err := r.OpenFile("stdout", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if base, _ := f.Rights(); f.Type() != wasip1.FiletypeCharacterDevice || base&(wasip1.RightFdSeek|wasip1.RightFdTell) != 0 {
		t.Error("stdout does not look like a terminal")
	}
	io.WriteString(f, "hi")
	f.Close()
	if out.closed != 0 || out.out.String() != "hi" {
		t.Errorf("closed %d times, wrote %q", out.closed, out.out.String())
	}
	if _, err := r.Stat("stdin"); !errors.Is(err, wasip1.ENOENT) {
		t.Errorf("a stream that is not there: %v", err)
	}
}

// level is a file with one digit.
type level struct {
	mu sync.Mutex
	n  byte
}

func (l *level) ReadAt(p []byte, off int64) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.NewReader(string('0'+rune(l.n))).ReadAt(p, off)
}

func (l *level) WriteAt(p []byte, _ int64) (int, error) {
	if len(p) != 1 || p[0] < '0' || p[0] > '9' {
		return 0, wasip1.EINVAL
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n = p[0] - '0'
	return 1, nil
}

func (l *level) Attr() (vfs.Attr, error)   { return vfs.Attr{Size: 1, Mode: 0o640, Mtim: 42}, nil }
func (l *level) SetAttr(vfs.SetAttr) error { return nil }

func TestHostFile(t *testing.T) {
	fsys, l := devfs.Empty(), &level{n: 3}
	if err := errors.Join(fsys.AddFile("sys/level", l), fsys.AddLink("l", "sys/level"), fsys.Mkdir("sys/empty")); err != nil {
		t.Fatal(err)
	}
	r := newRoot(t, fsys)
	if b, err := r.ReadFile("l"); string(b) != "3" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	if err := r.WriteFile("l", []byte("7"), 0); err != nil || l.n != 7 {
		t.Errorf("wrote %d, %v", l.n, err)
	}
	if err := r.WriteFile("l", []byte("x"), 0); !errors.Is(err, wasip1.EINVAL) {
		t.Errorf("the object's error became %v", err)
	}
	a, err := r.Stat("l")
	if err != nil || a.Size != 1 || a.FileMode() != 0o640 || a.Mtim != 42 || a.Ino == 0 {
		t.Errorf("%+v, %v", a, err)
	}
	var names []string
	entries, err := r.ReadDir("sys")
	for _, e := range entries {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"empty", "level"}, names); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for path, want := range map[string]error{
		"sys/level": wasip1.EEXIST, "sys/level/x": wasip1.ENOTDIR, "a/../b": wasip1.EINVAL, "": wasip1.EINVAL,
		strings.Repeat("x", 256): wasip1.ENAMETOOLONG,
	} {
		if err := fsys.AddFile(path, l); !errors.Is(err, want) {
			t.Errorf("AddFile(%q): %v, want %v", path, err, want)
		}
	}
	if err := fsys.Remove("sys"); err != nil {
		t.Error(err)
	}
	if err := fsys.Remove("sys"); !errors.Is(err, wasip1.ENOENT) {
		t.Errorf("removing twice: %v", err)
	}
	if _, err := r.ReadFile("l"); !errors.Is(err, wasip1.ENOENT) {
		t.Errorf("what was removed: %v", err)
	}
}

func TestFuncFileIsOneSnapshot(t *testing.T) {
	fsys, n := devfs.Empty(), 0
	if err := fsys.AddFunc("f", func() ([]byte, error) { n++; return []byte(strings.Repeat("x", n)), nil }); err != nil {
		t.Fatal(err)
	}
	r := newRoot(t, fsys)
	f, err := r.Open("f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		if b, _ := io.ReadAll(io.NewSectionReader(f, 0, 10)); string(b) != "x" {
			t.Errorf("read %q", b)
		}
	}
	if b, _ := r.ReadFile("f"); string(b) != "xx" {
		t.Errorf("opened again it reads %q", b)
	}
	if _, err := r.OpenFile("f", os.O_WRONLY, 0); !errors.Is(err, wasip1.EROFS) {
		t.Errorf("writing: %v", err)
	}
}
