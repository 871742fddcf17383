package view

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// tree is a vfs.Root, or the reason why there is none.
type tree struct {
	root *vfs.Root
	err  error
}

func newTree(fsys vfs.FS) tree {
	r, err := vfs.NewRoot(fsys)
	return tree{r, err}
}

func (t tree) ok(op, name string) error {
	if t.err != nil {
		return &fs.PathError{Op: op, Path: name, Err: t.err}
	}
	return nil
}

func (t tree) open(name string, flag int, perm fs.FileMode) (*file, error) {
	if err := t.ok("open", name); err != nil {
		return nil, err
	}
	f, err := t.root.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &file{OpenFile: f, tree: t, name: name}, nil
}

func (t tree) stat(name string) (fs.FileInfo, error) { return t.info("stat", name, (*vfs.Root).Stat) }
func (t tree) lstat(name string) (fs.FileInfo, error) {
	return t.info("lstat", name, (*vfs.Root).Lstat)
}

func (t tree) info(op, name string, get func(*vfs.Root, string) (vfs.Attr, error)) (fs.FileInfo, error) {
	if err := t.ok(op, name); err != nil {
		return nil, err
	}
	a, err := get(t.root, name)
	if err != nil {
		return nil, err
	}
	return a.FileInfo(name), nil
}

func (t tree) readlink(name string) (string, error) {
	if err := t.ok("readlink", name); err != nil {
		return "", err
	}
	return t.root.Readlink(name)
}

// readDir returns the entries of a directory, sorted by name.
func (t tree) readDir(name string) ([]fs.DirEntry, error) {
	if err := t.ok("readdir", name); err != nil {
		return nil, err
	}
	list, err := t.root.ReadDir(name)
	entries := make([]fs.DirEntry, len(list))
	for i, e := range list {
		entries[i] = t.entry(name, e)
	}
	return entries, err
}

// dirEntry is an entry whose attributes are asked for when they are wanted.
type dirEntry struct {
	tree tree
	dir  string
	name string
	typ  wasip1.Filetype
}

func (t tree) entry(dir string, e vfs.DirEntry) dirEntry {
	return dirEntry{t, dir, strings.Clone(e.Name), e.Type}
}

func (e dirEntry) Name() string      { return e.name }
func (e dirEntry) IsDir() bool       { return e.typ == wasip1.FiletypeDirectory }
func (e dirEntry) Type() fs.FileMode { return vfs.Attr{Type: e.typ}.FileMode().Type() }
func (e dirEntry) String() string    { return fs.FormatDirEntry(e) }
func (e dirEntry) Info() (fs.FileInfo, error) {
	return e.tree.lstat(strings.TrimRight(e.dir, "/") + "/" + e.name)
}

// file is an open file as an fs.File and an afero.File.
type file struct {
	*vfs.OpenFile
	tree   tree
	name   string
	closed atomic.Bool

	mu     sync.Mutex
	cookie uint64 // how far the directory was read
}

var (
	_ fs.ReadDirFile = (*file)(nil)
	_ io.ReaderAt    = (*file)(nil)
	_ io.Seeker      = (*file)(nil)
)

// fail gives an error the file's name.
func (f *file) fail(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return &fs.PathError{Op: op, Path: f.name, Err: err}
}

// usable says whether the file was not closed yet.
func (f *file) usable(op string) error {
	if f.closed.Load() {
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	}
	return nil
}

// Name returns the name with which the file was opened.
func (f *file) Name() string { return f.name }

// Close closes the file. A second call answers fs.ErrClosed.
func (f *file) Close() error {
	if f.closed.Swap(true) {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	return f.fail("close", f.OpenFile.Close())
}

func (f *file) Read(p []byte) (int, error) {
	if err := f.usable("read"); err != nil {
		return 0, err
	}
	n, err := f.OpenFile.Read(p)
	return n, f.fail("read", err)
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.usable("read"); err != nil {
		return 0, err
	}
	n, err := f.OpenFile.ReadAt(p, off)
	return n, f.fail("read", err)
}

func (f *file) Write(p []byte) (int, error) {
	if err := f.usable("write"); err != nil {
		return 0, err
	}
	n, err := f.OpenFile.Write(p)
	return n, f.fail("write", err)
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := f.usable("write"); err != nil {
		return 0, err
	}
	n, err := f.OpenFile.WriteAt(p, off)
	return n, f.fail("write", err)
}

func (f *file) WriteString(s string) (int, error) { return f.Write([]byte(s)) }

// Seek moves the position; of a directory only back to the start.
func (f *file) Seek(offset int64, whence int) (int64, error) {
	if err := f.usable("seek"); err != nil {
		return 0, err
	}
	if f.Type() == wasip1.FiletypeDirectory && offset == 0 && whence == io.SeekStart {
		f.mu.Lock()
		f.cookie = 0
		f.mu.Unlock()
		return 0, nil
	}
	n, err := f.OpenFile.Seek(offset, whence)
	return n, f.fail("seek", err)
}

func (f *file) Stat() (fs.FileInfo, error) {
	if err := f.usable("stat"); err != nil {
		return nil, err
	}
	a, err := f.OpenFile.Attr()
	if err != nil {
		return nil, f.fail("stat", err)
	}
	return a.FileInfo(f.name), nil
}

func (f *file) Sync() error {
	if err := f.usable("sync"); err != nil {
		return err
	}
	return f.fail("sync", f.OpenFile.Sync())
}

func (f *file) Truncate(size int64) error {
	if err := f.usable("truncate"); err != nil {
		return err
	}
	if size < 0 {
		return f.fail("truncate", wasip1.EINVAL)
	}
	return f.fail("truncate", f.OpenFile.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(size)}))
}

// ReadDir returns the next n entries in the directory's order, and io.EOF when there are no more;
// with n <= 0 all.
func (f *file) ReadDir(n int) ([]fs.DirEntry, error) {
	if err := f.usable("readdir"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []fs.DirEntry
	var buf [64]vfs.DirEntry
	for n <= 0 || len(list) < n {
		want := buf[:]
		if n > 0 {
			want = buf[:min(len(buf), n-len(list))]
		}
		got, err := f.OpenFile.ReadDir(f.cookie, want)
		if err != nil {
			return list, f.fail("readdir", err)
		}
		if got == 0 {
			break
		}
		f.cookie = buf[got-1].Next
		for _, e := range buf[:got] {
			list = append(list, f.tree.entry(f.name, e))
		}
	}
	if n > 0 && len(list) == 0 {
		return nil, io.EOF
	}
	return list, nil
}

// Readdir is ReadDir with the attributes. What is removed meanwhile is left out.
func (f *file) Readdir(count int) ([]fs.FileInfo, error) {
	entries, err := f.ReadDir(count)
	infos := make([]fs.FileInfo, 0, len(entries))
	for _, e := range entries {
		info, e := e.Info()
		if errors.Is(e, fs.ErrNotExist) {
			continue
		}
		if e != nil {
			return infos, e
		}
		infos = append(infos, info)
	}
	return infos, err
}

// Readdirnames is ReadDir with the names alone.
func (f *file) Readdirnames(n int) ([]string, error) {
	entries, err := f.ReadDir(n)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}
