package view

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// aferoFs is a tree as an afero.Fs.
type aferoFs struct{ tree }

var (
	_ afero.Fs        = aferoFs{}
	_ afero.Symlinker = aferoFs{}
	_ afero.File      = (*file)(nil)
	_ fs.ReadDirFile  = (*file)(nil)
	_ fs.ReadDirFS    = fsView{}
	_ fs.StatFS       = fsView{}
	_ fs.ReadFileFS   = fsView{}
	_ fs.ReadLinkFS   = fsView{}
)

// Afero returns fsys as an afero.Fs with symbolic links: it is also an [afero.Symlinker]. Chown
// answers ENOTSUP, because files have no owners.
func Afero(fsys vfs.FS) afero.Fs { return aferoFs{newTree(fsys)} }

// AferoRoot returns what r shows, a tree of mounts for one, as an afero.Fs.
func AferoRoot(r *vfs.Root) afero.Fs { return aferoFs{tree{root: r}} }

func (aferoFs) Name() string { return "wasivirt" }

func (v aferoFs) Create(name string) (afero.File, error) {
	return v.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

func (v aferoFs) Open(name string) (afero.File, error) { return v.OpenFile(name, os.O_RDONLY, 0) }

func (v aferoFs) OpenFile(name string, flag int, perm os.FileMode) (afero.File, error) {
	f, err := v.open(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// do calls a method of the root on a name.
func (v aferoFs) do(op, name string, f func(*vfs.Root) error) error {
	if err := v.ok(op, name); err != nil {
		return err
	}
	return f(v.root)
}

func (v aferoFs) Mkdir(name string, perm os.FileMode) error {
	return v.do("mkdir", name, func(r *vfs.Root) error { return r.Mkdir(name, perm) })
}

func (v aferoFs) MkdirAll(name string, perm os.FileMode) error {
	return v.do("mkdir", name, func(r *vfs.Root) error { return r.MkdirAll(name, perm) })
}

func (v aferoFs) Remove(name string) error {
	return v.do("remove", name, func(r *vfs.Root) error { return r.Remove(name) })
}

func (v aferoFs) RemoveAll(name string) error {
	return v.do("removeall", name, func(r *vfs.Root) error { return r.RemoveAll(name) })
}

func (v aferoFs) Rename(from, to string) error {
	return linkError("rename", from, to, v.do("rename", from, func(r *vfs.Root) error { return r.Rename(from, to) }))
}

func (v aferoFs) Stat(name string) (os.FileInfo, error) { return v.stat(name) }

func (v aferoFs) Chmod(name string, mode os.FileMode) error {
	return v.do("chmod", name, func(r *vfs.Root) error { return r.Chmod(name, mode) })
}

func (v aferoFs) Chown(name string, _, _ int) error {
	return &fs.PathError{Op: "chown", Path: name, Err: wasip1.ENOTSUP}
}

func (v aferoFs) Chtimes(name string, atime, mtime time.Time) error {
	return v.do("chtimes", name, func(r *vfs.Root) error { return r.Chtimes(name, atime, mtime) })
}

// LstatIfPossible returns the attributes of a link itself.
func (v aferoFs) LstatIfPossible(name string) (os.FileInfo, bool, error) {
	info, err := v.lstat(name)
	return info, true, err
}

// SymlinkIfPossible makes a symbolic link.
func (v aferoFs) SymlinkIfPossible(target, name string) error {
	return linkError("symlink", target, name, v.do("symlink", name, func(r *vfs.Root) error { return r.Symlink(target, name) }))
}

// ReadlinkIfPossible returns the target of a symbolic link.
func (v aferoFs) ReadlinkIfPossible(name string) (string, error) { return v.readlink(name) }

// linkError makes an error one of the kind that package os has for two names.
func linkError(op, from, to string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return &os.LinkError{Op: op, Old: from, New: to, Err: e.Err}
	}
	return err
}
