package view

import (
	"io/fs"
	"os"

	"github.com/wasivirt/wasivirt/vfs"
)

// fsView is a tree as an fs.FS.
type fsView struct{ tree }

// FS returns fsys as an [fs.FS], which also is an [fs.ReadDirFS], [fs.StatFS], [fs.ReadFileFS] and
// [fs.ReadLinkFS]. Open files can also be read at an offset and sought in.
func FS(fsys vfs.FS) fs.FS { return fsView{newTree(fsys)} }

// FSRoot returns what r shows, a tree of mounts for one, as an [fs.FS].
func FSRoot(r *vfs.Root) fs.FS { return fsView{tree{root: r}} }

// UsesMachine implements [vfs.MachineUser].
func (t tree) UsesMachine() bool { return t.root != nil && t.root.UsesMachine() }

// valid refuses names that io/fs refuses.
func valid(op, name string) error {
	if !fs.ValidPath(name) {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return nil
}

func (v fsView) Open(name string) (fs.File, error) {
	if err := valid("open", name); err != nil {
		return nil, err
	}
	f, err := v.open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (v fsView) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := valid("readdir", name); err != nil {
		return nil, err
	}
	return v.readDir(name)
}

func (v fsView) Stat(name string) (fs.FileInfo, error) {
	if err := valid("stat", name); err != nil {
		return nil, err
	}
	return v.stat(name)
}

func (v fsView) Lstat(name string) (fs.FileInfo, error) {
	if err := valid("lstat", name); err != nil {
		return nil, err
	}
	return v.lstat(name)
}

func (v fsView) ReadLink(name string) (string, error) {
	if err := valid("readlink", name); err != nil {
		return "", err
	}
	return v.readlink(name)
}

func (v fsView) ReadFile(name string) ([]byte, error) {
	if err := valid("open", name); err != nil {
		return nil, err
	}
	if err := v.ok("open", name); err != nil {
		return nil, err
	}
	return v.root.ReadFile(name)
}
