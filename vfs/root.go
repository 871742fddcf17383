package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wasivirt/wasivirt/wasip1"
)

// Root is a tree of files for host code, in the manner of os.Root. It uses the walker and the
// mounts of guests. Two things differ: rights do not restrict it, and absolute targets of links
// start at its root.
//
// Paths are separated by slashes. A leading slash is ignored: "/", "." and "" are the root itself.
// ".." does not lead above the root. Errors are *fs.PathError around a wasip1.Errno. Many
// goroutines may call all methods, also while guests run.
type Root struct {
	base    *OpenFile
	machine func() bool
}

// UsesMachine implements [MachineUser]. It reports whether a file system in the tree uses the
// machine.
func (r *Root) UsesMachine() bool { return r.machine() }

// NewRoot returns the tree of fsys. Errors: ENOTDIR if fsys is a single file.
func NewRoot(fsys FS) (*Root, error) {
	f, err := NewDirectory(fsys)
	if err != nil {
		return nil, err
	}
	f.dir.host = true
	return &Root{f, func() bool { return UsesMachine(fsys) }}, nil
}

// Root returns the tree of the absolute mounts.
func (ns *Namespace) Root() *Root { return ns.rootAt(ns.root) }

// Preopen returns the tree below a relative name. Errors: ENOENT.
func (ns *Namespace) Preopen(name string) (*Root, error) {
	for _, p := range ns.preopens() {
		if p.name == name {
			return ns.rootAt(p), nil
		}
	}
	return nil, &fs.PathError{Op: "preopen", Path: name, Err: wasip1.ENOENT}
}

func (ns *Namespace) rootAt(p *mountPoint) *Root {
	f := newRootFile(p)
	f.dir.host = true
	return &Root{f, p.ns.usesMachine}
}

// OpenRoot returns the tree below a directory, in the manner of os.Root.OpenRoot. ".." does not
// lead above that directory. The Root follows the directory if it is renamed. Call [Root.Close]
// when you have finished with it. Errors: ENOTDIR.
func (r *Root) OpenRoot(path string) (*Root, error) {
	f, err := r.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	if f.dir == nil {
		f.Close()
		return nil, pathError("openroot", path, wasip1.ENOTDIR)
	}
	f.dir.host = true
	return &Root{f, r.machine}, nil
}

// Close releases the directory that a Root from [Root.OpenRoot] holds. For other Roots it does
// nothing.
func (r *Root) Close() error { return r.base.release() }

// rel returns path as the walker takes it.
func rel(path string) (string, error) {
	if strings.IndexByte(path, 0) >= 0 {
		return "", wasip1.EINVAL
	}
	if path = strings.TrimLeft(path, "/"); path == "" {
		return ".", nil
	}
	return path, nil
}

// do calls op with a walker and the path, and gives its error the name of what was being done.
func (r *Root) do(name, path string, op func(w *walker, path string) error) error {
	p, err := rel(path)
	if err == nil {
		w := &walker{}
		err = op(w, p)
	}
	return pathError(name, path, err)
}

func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// Lookup returns the node at path. If follow is true, it follows a symbolic link in the last
// component. The node is valid until release is called; call it once. release is nil if err is not.
func (r *Root) Lookup(path string, follow bool) (node Node, release func(), err error) {
	w := &walker{}
	err = r.do("lookup", path, func(_ *walker, path string) error {
		f, err := w.find(r.base, path, follow)
		if err != nil {
			w.end()
			return err
		}
		node, release = f.node, func() { w.done(f) }
		return nil
	})
	return node, release, err
}

// Stat returns the attributes of the file at path. It follows symbolic links.
func (r *Root) Stat(path string) (Attr, error) { return r.stat("stat", path, true) }

// Lstat returns the attributes of the file at path. It does not follow a symbolic link in the last
// component.
func (r *Root) Lstat(path string) (Attr, error) { return r.stat("lstat", path, false) }

func (r *Root) stat(op, path string, follow bool) (a Attr, err error) {
	err = r.do(op, path, func(w *walker, path string) error {
		_, err = w.attr(&a, r.base, path, follow)
		return err
	})
	return a, err
}

// Open opens a file for reading, or a directory.
func (r *Root) Open(path string) (*OpenFile, error) { return r.OpenFile(path, os.O_RDONLY, 0) }

// OpenFile opens a file with the flags of os.OpenFile. A new file gets the permissions perm.
func (r *Root) OpenFile(path string, flag int, perm fs.FileMode) (*OpenFile, error) {
	o := OpenOptions{Mode: OpenRead | OpenWrite, Perm: perm}
	switch flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR) {
	case os.O_RDONLY:
		o.Mode = OpenRead
	case os.O_WRONLY:
		o.Mode = OpenWrite
	}
	for _, m := range []struct {
		flag int
		o    wasip1.Oflags
		fdfl wasip1.Fdflags
	}{
		{os.O_CREATE, wasip1.OCreat, 0}, {os.O_EXCL, wasip1.OExcl, 0}, {os.O_TRUNC, wasip1.OTrunc, 0},
		{os.O_APPEND, 0, wasip1.FdAppend}, {os.O_SYNC, 0, wasip1.FdSync},
	} {
		if m.flag != 0 && flag&m.flag == m.flag {
			o.Oflags |= m.o
			o.Fdflags |= m.fdfl
		}
	}
	return r.OpenWith(path, o)
}

// OpenOptions says how [Root.OpenWith] opens a file.
type OpenOptions struct {
	// Mode holds OpenRead, OpenWrite or both. The zero value allows attributes only. Other bits
	// follow from the flags below.
	Mode OpenMode
	// Oflags and Fdflags are those of path_open.
	Oflags  wasip1.Oflags
	Fdflags wasip1.Fdflags
	// NoFollow makes a symbolic link in the last component an error, ELOOP.
	NoFollow bool
	// Perm holds the permissions of a file that is made.
	Perm fs.FileMode
}

// OpenWith opens a file with the flags of preview1. Errors: those of path_open.
func (r *Root) OpenWith(path string, opts OpenOptions) (f *OpenFile, err error) {
	o := opening{
		follow: !opts.NoFollow, oflags: opts.Oflags, fdflags: opts.Fdflags, perm: opts.Perm,
		base: wasip1.RightsFile | wasip1.RightsDirectoryBase, inheriting: wasip1.RightsDirectoryInheriting,
	}
	if opts.Mode&OpenRead == 0 {
		o.base &^= wasip1.RightFdRead
	}
	if opts.Mode&OpenWrite == 0 {
		o.base &^= wasip1.RightFdWrite
	}
	err = r.do("open", path, func(w *walker, path string) (err error) {
		f, err = w.open(r.base, path, &o)
		return err
	})
	return f, err
}

// Mkdir makes a directory.
func (r *Root) Mkdir(path string, perm fs.FileMode) error {
	return r.do("mkdir", path, func(w *walker, path string) error { return w.mkdir(r.base, path, perm) })
}

// MkdirAll makes a directory and its missing parents.
func (r *Root) MkdirAll(path string, perm fs.FileMode) error {
	for i := 0; i <= len(path); i++ {
		if i < len(path) && (path[i] != '/' || i == 0) {
			continue
		}
		err := r.Mkdir(path[:i], perm)
		if errors.Is(err, wasip1.EEXIST) || errors.Is(err, wasip1.EROFS) {
			a, err := r.Stat(path[:i])
			if err == nil && a.Type == wasip1.FiletypeDirectory {
				continue
			}
			if err == nil {
				err = wasip1.ENOTDIR
			}
			return pathError("mkdir", path[:i], err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Remove removes a file or an empty directory.
func (r *Root) Remove(path string) error {
	return r.do("remove", path, func(w *walker, path string) error {
		err := w.unlink(r.base, path)
		if wasip1.FromError(err) == wasip1.EISDIR {
			return w.rmdir(r.base, path)
		}
		return err
	})
}

// Unlink removes a name of anything but a directory. Errors: EISDIR for a directory.
func (r *Root) Unlink(path string) error {
	return r.do("unlink", path, func(w *walker, path string) error { return w.unlink(r.base, path) })
}

// Rmdir removes an empty directory. Errors: ENOTDIR for anything else; ENOTEMPTY.
func (r *Root) Rmdir(path string) error {
	return r.do("rmdir", path, func(w *walker, path string) error { return w.rmdir(r.base, path) })
}

// RemoveAll removes path and everything below it, however deep that is. It returns nil if path does
// not exist. Errors: EBUSY for mount points, which stay; ENOTEMPTY if names are made meanwhile.
func (r *Root) RemoveAll(path string) error {
	// A guest can make a tree that is deeper than Go's stack or a path may be. What lies deep is
	// therefore removed by a path from a directory below, which is held.
	const far = 256
	type entry struct {
		root   *Root
		path   string
		listed bool
		held   *Root // the directory itself, if what is in it is removed from there
	}
	rest := []entry{{root: r, path: path}}
	defer func() {
		for _, e := range rest {
			if e.held != nil {
				_ = e.held.Close() // only after another error, which is told
			}
		}
	}()
	for len(rest) > 0 {
		i := len(rest) - 1
		e := rest[i]
		if e.held != nil {
			rest[i].held = nil
			if err := e.held.Close(); err != nil {
				return err
			}
		}
		err := e.root.Remove(e.path)
		if err == nil || errors.Is(err, wasip1.ENOENT) {
			rest = rest[:i]
			continue
		}
		if e.listed || !errors.Is(err, wasip1.ENOTEMPTY) {
			return err
		}
		rest[i].listed = true
		entries, err := e.root.ReadDir(e.path)
		if err != nil {
			return err
		}
		from, prefix := e.root, strings.TrimRight(e.path, "/")+"/"
		if len(prefix) > far {
			if from, err = e.root.OpenRoot(e.path); err != nil {
				return err
			}
			rest[i].held, prefix = from, ""
		}
		for _, below := range entries {
			rest = append(rest, entry{root: from, path: prefix + below.Name})
		}
	}
	return nil
}

// Rename renames a file or a directory. Errors: EXDEV across mounts.
func (r *Root) Rename(oldPath, newPath string) error {
	return r.do("rename", oldPath, func(w *walker, path string) error {
		to, err := rel(newPath)
		if err != nil {
			return err
		}
		return w.renameTo(r.base, path, &walker{}, r.base, to)
	})
}

// Link gives a file another name. Errors: EXDEV across mounts.
func (r *Root) Link(oldPath, newPath string) error {
	return r.do("link", oldPath, func(w *walker, path string) error {
		to, err := rel(newPath)
		if err != nil {
			return err
		}
		return w.linkTo(r.base, path, false, &walker{}, r.base, to)
	})
}

// Symlink makes a symbolic link.
func (r *Root) Symlink(target, path string) error {
	return r.do("symlink", path, func(w *walker, path string) error { return w.symlink(target, r.base, path) })
}

// Readlink returns the target of a symbolic link.
func (r *Root) Readlink(path string) (target string, err error) {
	err = r.do("readlink", path, func(w *walker, path string) error {
		target, err = w.readlink(r.base, path)
		return err
	})
	return target, err
}

// SetAttr changes the attributes of the file at path. If follow is true, it follows a symbolic link
// in the last component.
func (r *Root) SetAttr(path string, follow bool, set SetAttr) error {
	return r.do("setattr", path, func(w *walker, path string) error { return w.setAttr(r.base, path, follow, set) })
}

// Chtimes sets the access time and the modification time. A zero time.Time leaves that time
// unchanged.
func (r *Root) Chtimes(path string, atime, mtime time.Time) error {
	var set SetAttr
	if !atime.IsZero() {
		set.Mask, set.Atim = SetAtim, atime.UnixNano()
	}
	if !mtime.IsZero() {
		set.Mask, set.Mtim = set.Mask|SetMtim, mtime.UnixNano()
	}
	return r.SetAttr(path, true, set)
}

// Chmod sets the permissions.
func (r *Root) Chmod(path string, mode fs.FileMode) error {
	return r.SetAttr(path, true, SetAttr{Mask: SetMode, Mode: mode})
}

// Truncate changes the size of a file. Extending adds zeros.
func (r *Root) Truncate(path string, size int64) error {
	if size < 0 {
		return pathError("truncate", path, wasip1.EINVAL)
	}
	return r.SetAttr(path, true, SetAttr{Mask: SetSize, Size: uint64(size)})
}

// ReadDir returns the entries of a directory, mount points included, sorted by name. Their Next has
// no meaning.
func (r *Root) ReadDir(path string) ([]DirEntry, error) {
	f, err := r.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []DirEntry
	var buf [64]DirEntry
	for cookie := uint64(0); ; {
		n, err := f.ReadDir(cookie, buf[:])
		if err != nil {
			return nil, pathError("readdir", path, err)
		}
		if n == 0 {
			break
		}
		cookie = buf[n-1].Next
		for _, e := range buf[:n] {
			e.Name = strings.Clone(e.Name)
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b DirEntry) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// ReadFile returns the content of a file. Errors: EFBIG for more than [MaxReadFile].
func (r *Root) ReadFile(path string) ([]byte, error) {
	f, err := r.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if a, err := f.Attr(); err == nil && f.file != nil && a.Size > MaxReadFile {
		return nil, pathError("read", path, wasip1.EFBIG)
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxReadFile+1))
	if err == nil && len(b) > MaxReadFile {
		b, err = nil, wasip1.EFBIG
	}
	return b, pathError("read", path, err)
}

// WriteFile replaces the content of a file with b. It makes the file, with the permissions perm, if
// it does not exist.
func (r *Root) WriteFile(path string, b []byte, perm fs.FileMode) error {
	f, err := r.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return pathError("write", path, err)
}
