package vfstest

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// run is one case at work. Its methods do what they say and end the case where that fails, so that
// a case reads as what is to be true. They are for the goroutine of the case only.
type run struct {
	cfg  config
	fs   vfs.FS
	root vfs.Directory

	undo []func()
}

// failure ends a case by a panic that runCase recovers.
type failure struct{ err error }

func runCase(c Case, fsys vfs.FS, cfg config) (err error) {
	r := &run{cfg: cfg, fs: fsys}
	defer func() {
		switch f := recover().(type) {
		case nil:
		case failure:
			err = f.err
		default:
			panic(f)
		}
		for _, undo := range slices.Backward(r.undo) {
			undo()
		}
	}()
	if e, ok := fsys.(vfs.EnvFS); ok {
		e.Attach(vfs.Env{Clock: new(ticking), Random: func(p []byte) error { clear(p); return nil }})
	}
	root, ok := fsys.Root().(vfs.Directory)
	r.check(ok, "the root is a %T and no directory", fsys.Root())
	r.root = root
	c.run(r)
	return nil
}

// ticking is a clock that goes on by a millisecond whenever it is read.
type ticking struct{ now atomic.Int64 }

const tickingStart = 1_600_000_000_000_000_000

func (c *ticking) Realtime() int64                          { return tickingStart + c.now.Add(1_000_000) }
func (c *ticking) Monotonic() int64                         { return 1 + c.now.Load() }
func (c *ticking) AfterFunc(at int64, f func()) clock.Timer { f(); return done{} }

type done struct{}

func (done) Stop() bool { return false }

func (r *run) has(c Capability) bool { return r.cfg.missing&c == 0 }

// fail ends the case. It is prefixed by the place in the case where it was noticed.
func (r *run) fail(format string, args ...any) {
	place := ""
	for skip := 1; ; skip++ {
		_, file, line, ok := runtime.Caller(skip)
		if !ok {
			break
		}
		base := file[lastSlash(file)+1:]
		if base != "run.go" {
			place = fmt.Sprintf("%s:%d: ", base, line)
			break
		}
	}
	panic(failure{fmt.Errorf("%s%w", place, fmt.Errorf(format, args...))})
}

func lastSlash(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '/' {
			return i
		}
	}
	return -1
}

func (r *run) check(ok bool, format string, args ...any) {
	if !ok {
		r.fail(format, args...)
	}
}

func (r *run) ok(err error, what string) {
	if err != nil {
		r.fail("%s: %w", what, err)
	}
}

// is demands that err is one of these errnos, as a guest would see it.
func (r *run) is(err error, what string, want ...wasip1.Errno) {
	if err := mustBe(err, what, want...); err != nil {
		r.fail("%w", err)
	}
}

func mustBe(err error, what string, want ...wasip1.Errno) error {
	got := wasip1.FromError(err)
	if slices.Contains(want, got) {
		return nil
	}
	return fmt.Errorf("%s: got %v (%v), want %v", what, got.Name(), err, want)
}

// keep lets go of n at the end of the case.
func keep[N vfs.Node](r *run, n N) N {
	if rel, ok := any(n).(vfs.Releaser); ok {
		r.undo = append(r.undo, rel.Release)
	}
	return n
}

func (r *run) create(d vfs.Directory, name string) vfs.RegularFile {
	n, err := d.Create(name, 0o666)
	r.ok(err, "create "+name)
	f, ok := n.(vfs.RegularFile)
	r.check(ok, "create made a %T and no regular file", n)
	return keep(r, f)
}

// write makes a file with content.
func (r *run) write(d vfs.Directory, name, content string) vfs.RegularFile {
	n := r.create(d, name)
	r.writeAt(r.open(n), content, 0)
	return n
}

func (r *run) mkdir(d vfs.Directory, name string) vfs.Directory {
	n, err := d.Mkdir(name, 0o777)
	r.ok(err, "mkdir "+name)
	dir, ok := n.(vfs.Directory)
	r.check(ok, "mkdir made a %T and no directory", n)
	return keep(r, dir)
}

func (r *run) symlink(d vfs.Directory, name, target string) vfs.Symlink {
	n, err := d.Symlink(name, target)
	r.ok(err, "symlink "+name)
	l, ok := n.(vfs.Symlink)
	r.check(ok, "symlink made a %T and no link", n)
	return keep(r, l)
}

func (r *run) lookup(d vfs.Directory, name string) vfs.Node {
	n, err := d.Lookup(name)
	r.ok(err, "lookup "+name)
	return keep(r, n)
}

func (r *run) lookupDir(d vfs.Directory, name string) vfs.Directory {
	n, ok := r.lookup(d, name).(vfs.Directory)
	r.check(ok, "%s is no directory", name)
	return n
}

func (r *run) lookupFile(d vfs.Directory, name string) vfs.RegularFile {
	n, ok := r.lookup(d, name).(vfs.RegularFile)
	r.check(ok, "%s is no regular file", name)
	return n
}

// absent demands that there is no such name.
func (r *run) absent(d vfs.Directory, name string) {
	_, err := d.Lookup(name)
	r.is(err, "lookup "+name, wasip1.ENOENT)
}

func (r *run) attr(n vfs.Node) vfs.Attr {
	a, err := n.Attr()
	r.ok(err, "attr")
	return a
}

func (r *run) setAttr(n vfs.Node, a vfs.SetAttr) { r.ok(n.SetAttr(a), "setattr") }

func (r *run) ino(n vfs.Node) uint64 { return r.attr(n).Ino }

// open opens a file for reading and writing until the end of the case.
func (r *run) open(n vfs.RegularFile) vfs.File {
	f := r.openMode(n, vfs.OpenRead|vfs.OpenWrite)
	r.undo = append(r.undo, func() { f.Close() })
	return f
}

// openMode opens a file, which the case closes.
func (r *run) openMode(n vfs.RegularFile, mode vfs.OpenMode) vfs.File {
	f, err := n.Open(mode)
	r.ok(err, "open")
	return f
}

func (r *run) writeAt(f vfs.File, content string, off int64) {
	n, err := f.WriteAt([]byte(content), off)
	r.ok(err, "write")
	r.check(n == len(content), "wrote %d bytes, want %d", n, len(content))
}

// readAt reads n bytes, or to the end.
func (r *run) readAt(f vfs.File, off int64, n int) string {
	s, err := readAll(f, off, n)
	r.ok(err, "read")
	return s
}

func readAll(f vfs.File, off int64, n int) (string, error) {
	p := make([]byte, n)
	done := 0
	for done < n {
		k, err := f.ReadAt(p[done:], off+int64(done))
		done += k
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", err
		}
		if k == 0 {
			return "", errors.New("a read returned 0 bytes and no error")
		}
	}
	return string(p[:done]), nil
}

// content demands what a file holds.
func (r *run) content(d vfs.Directory, name, want string) {
	f := r.openMode(r.lookupFile(d, name), vfs.OpenRead)
	got := r.readAt(f, 0, len(want)+10)
	r.ok(f.Close(), "close")
	r.check(got == want, "%s holds %.40q (%d bytes), want %.40q (%d bytes)", name, got, len(got), want, len(want))
}

// list reads a directory from cookie on, size entries at a time.
func (r *run) list(d vfs.Directory, cookie uint64, size int) []vfs.DirEntry {
	all, err := readDir(d, cookie, size)
	r.ok(err, "readdir")
	return all
}

func readDir(d vfs.Directory, cookie uint64, size int) ([]vfs.DirEntry, error) {
	var all []vfs.DirEntry
	entries := make([]vfs.DirEntry, size)
	for {
		n, err := d.ReadDir(cookie, entries)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return all, nil
		}
		all = append(all, entries[:n]...)
		if cookie == entries[n-1].Next {
			return nil, fmt.Errorf("the cookie after %q leads back to it", entries[n-1].Name)
		}
		cookie = entries[n-1].Next
	}
}

// names demands the names in a directory, in any order.
func (r *run) names(d vfs.Directory, want ...string) {
	got := namesOf(r.list(d, 0, 10))
	slices.Sort(got)
	slices.Sort(want)
	r.check(slices.Equal(got, want), "the names are %q, want %q", got, want)
}

func namesOf(entries []vfs.DirEntry) []string {
	var s []string
	for _, e := range entries {
		s = append(s, e.Name)
	}
	return s
}

// parallel runs f in n goroutines and fails with their errors.
func (r *run) parallel(n int, f func(i int) error) {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		r.fail("%w", err)
	}
}
