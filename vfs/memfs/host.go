package memfs

import (
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// The methods in this file are for host code that prepares a file system or looks at the outcome.
// Names are relative to the root, with slashes; slashes more than needed and "." do nothing, ".."
// is refused. Links are never followed: one in the midst of a name is ELOOP. Errors are
// *fs.PathError around a wasip1.Errno, so that errors.Is(err, fs.ErrNotExist) works.

// FromMap returns a new file system that holds files: contents by name. The directories that names
// mention are made; a name that ends in a slash is an empty directory. Names are taken in lexical
// order, so that inode numbers depend on nothing else.
func FromMap(files map[string]string, opts ...Option) (*FS, error) {
	f := New(opts...)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var err error
		if strings.HasSuffix(name, "/") && files[name] == "" {
			err = f.MkdirAll(name)
		} else {
			err = f.WriteFile(name, []byte(files[name]))
		}
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Lookup returns the node that name stands for.
func (f *FS) Lookup(name string) (vfs.Node, error) {
	n, err := f.walk(name)
	return n, pathError("lookup", name, err)
}

// Stat returns the attributes of what name stands for.
func (f *FS) Stat(name string) (vfs.Attr, error) {
	n, err := f.walk(name)
	if err != nil {
		return vfs.Attr{}, pathError("stat", name, err)
	}
	return n.Attr()
}

// ReadFile returns the content of a file. Errors: EFBIG for more than [vfs.MaxReadFile].
func (f *FS) ReadFile(name string) ([]byte, error) {
	data, err := f.readFile(name)
	return data, pathError("read", name, err)
}

func (f *FS) readFile(name string) ([]byte, error) {
	file, err := f.open(name, vfs.OpenRead)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	a, err := file.Attr()
	if err != nil {
		return nil, err
	}
	if a.Size > vfs.MaxReadFile {
		return nil, wasip1.EFBIG
	}
	data := make([]byte, a.Size)
	n, err := file.ReadAt(data, 0)
	if err == io.EOF {
		err = nil
	}
	return data[:n], err
}

// WriteFile gives a file the content data. It makes the file, with mode 0666, and
// the directories above it where there are none.
func (f *FS) WriteFile(name string, data []byte) error {
	return pathError("write", name, f.writeFile(name, data))
}

func (f *FS) writeFile(name string, data []byte) error {
	d, base, err := f.parent(name, true)
	if err != nil {
		return err
	}
	if _, err := d.Create(base, 0o666); err != nil && err != wasip1.EEXIST {
		return err
	}
	file, err := f.open(name, vfs.OpenWrite|vfs.OpenTruncate)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteAt(data, 0)
	return err
}

func (f *FS) open(name string, mode vfs.OpenMode) (*fileNode, error) {
	n, err := f.walk(name)
	if err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case *fileNode:
		_, err = n.Open(mode)
		return n, err
	case *dirNode:
		return nil, wasip1.EISDIR
	default:
		return nil, wasip1.ELOOP
	}
}

// Mkdir makes one directory with mode 0777.
func (f *FS) Mkdir(name string) error {
	d, base, err := f.parent(name, false)
	if err == nil {
		_, err = d.Mkdir(base, 0o777)
	}
	return pathError("mkdir", name, err)
}

// MkdirAll makes a directory and those above it, where there are none.
func (f *FS) MkdirAll(name string) error {
	_, err := f.mkdirAll(components(name))
	return pathError("mkdir", name, err)
}

// Symlink makes a symbolic link, and the directories above it where there are none.
func (f *FS) Symlink(target, name string) error {
	d, base, err := f.parent(name, true)
	if err == nil {
		_, err = d.Symlink(base, target)
	}
	return pathError("symlink", name, err)
}

// Readlink returns the target of a symbolic link.
func (f *FS) Readlink(name string) (string, error) {
	n, err := f.walk(name)
	if err != nil {
		return "", pathError("readlink", name, err)
	}
	l, ok := n.(*linkNode)
	if !ok {
		return "", pathError("readlink", name, wasip1.EINVAL)
	}
	return l.Readlink()
}

// Link gives the file oldName another name, and makes the directories above it where there are
// none.
func (f *FS) Link(oldName, newName string) error {
	n, err := f.walk(oldName)
	if err != nil {
		return pathError("link", oldName, err)
	}
	d, base, err := f.parent(newName, true)
	if err == nil {
		err = d.Link(base, n)
	}
	return pathError("link", newName, err)
}

// Rename moves oldName to newName as rename(2) does.
func (f *FS) Rename(oldName, newName string) error {
	d, base, err := f.parent(oldName, false)
	if err != nil {
		return pathError("rename", oldName, err)
	}
	to, newBase, err := f.parent(newName, false)
	if err != nil {
		return pathError("rename", newName, err)
	}
	return pathError("rename", oldName, d.Rename(base, to, newBase))
}

// Remove removes a file, a link or an empty directory.
func (f *FS) Remove(name string) error {
	d, base, err := f.parent(name, false)
	if err == nil {
		if err = d.Unlink(base); err == wasip1.EISDIR {
			err = d.Rmdir(base)
		}
	}
	return pathError("remove", name, err)
}

// RemoveAll removes what name stands for and all below it. That there is nothing is no error.
func (f *FS) RemoveAll(name string) error {
	d, base, err := f.parent(name, false)
	if err == nil {
		err = removeAll(d, base)
	}
	if err == wasip1.ENOENT {
		err = nil
	}
	return pathError("remove", name, err)
}

// removeAll goes through the tree with a stack of its own: a guest can make one that is deeper than
// Go's stack may become.
func removeAll(d *dirNode, name string) error {
	type entry struct {
		dir  *dirNode
		name string
	}
	rest := []entry{{d, name}}
	var entries [64]vfs.DirEntry
	for len(rest) > 0 {
		e := rest[len(rest)-1]
		err := e.dir.Unlink(e.name)
		if err == wasip1.EISDIR {
			err = e.dir.Rmdir(e.name)
		}
		if err == nil {
			rest = rest[:len(rest)-1]
			continue
		}
		if err != wasip1.ENOTEMPTY {
			return err
		}
		n, err := e.dir.Lookup(e.name)
		if err != nil {
			return err
		}
		child, ok := n.(*dirNode)
		if !ok {
			continue // something else has taken its place
		}
		k, err := child.ReadDir(0, entries[:])
		if err != nil {
			return err
		}
		for _, below := range entries[:k] {
			rest = append(rest, entry{child, below.Name})
		}
	}
	return nil
}

// ReadDir returns all entries of a directory, in the order in which they were made.
func (f *FS) ReadDir(name string) ([]vfs.DirEntry, error) {
	n, err := f.walk(name)
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	d, ok := n.(*dirNode)
	if !ok {
		return nil, pathError("readdir", name, wasip1.ENOTDIR)
	}
	var all []vfs.DirEntry
	var entries [64]vfs.DirEntry
	for cookie := uint64(0); ; {
		k, err := d.ReadDir(cookie, entries[:])
		if err != nil || k == 0 {
			return all, pathError("readdir", name, err)
		}
		all = append(all, entries[:k]...)
		cookie = entries[k-1].Next
	}
}

// SetAttr changes the attributes of what name stands for.
func (f *FS) SetAttr(name string, a vfs.SetAttr) error {
	n, err := f.walk(name)
	if err == nil {
		err = n.SetAttr(a)
	}
	return pathError("setattr", name, err)
}

// Chmod sets the mode bits of what name stands for. Guests do not see them; archives keep them.
func (f *FS) Chmod(name string, mode fs.FileMode) error {
	return f.SetAttr(name, vfs.SetAttr{Mask: vfs.SetMode, Mode: mode})
}

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// components splits name.
func components(name string) []string {
	parts := strings.Split(name, "/")
	return slices.DeleteFunc(parts, func(s string) bool { return s == "" || s == "." })
}

func (f *FS) walk(name string) (vfs.Node, error) {
	var n vfs.Node = f.root
	for _, part := range components(name) {
		d, err := directory(n)
		if err != nil {
			return nil, err
		}
		if part == ".." {
			return nil, wasip1.EPERM
		}
		if n, err = d.Lookup(part); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func directory(n vfs.Node) (*dirNode, error) {
	switch n := n.(type) {
	case *dirNode:
		return n, nil
	case *linkNode:
		return nil, wasip1.ELOOP
	default:
		return nil, wasip1.ENOTDIR
	}
}

// parent returns the directory that name is in, made if need be, and the last component.
func (f *FS) parent(name string, mkdir bool) (*dirNode, string, error) {
	parts := components(name)
	if len(parts) == 0 {
		return nil, "", wasip1.EINVAL
	}
	last := len(parts) - 1
	if parts[last] == ".." {
		return nil, "", wasip1.EPERM
	}
	if mkdir {
		d, err := f.mkdirAll(parts[:last])
		return d, parts[last], err
	}
	n, err := f.walk(strings.Join(parts[:last], "/"))
	if err != nil {
		return nil, "", err
	}
	d, err := directory(n)
	return d, parts[last], err
}

func (f *FS) mkdirAll(parts []string) (*dirNode, error) {
	d := f.root
	for _, part := range parts {
		if part == ".." {
			return nil, wasip1.EPERM
		}
		n, err := d.Lookup(part)
		if err == wasip1.ENOENT {
			if n, err = d.Mkdir(part, 0o777); err == wasip1.EEXIST {
				n, err = d.Lookup(part)
			}
		}
		if err != nil {
			return nil, err
		}
		if d, err = directory(n); err != nil {
			return nil, err
		}
	}
	return d, nil
}
