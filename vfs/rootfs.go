package vfs

import (
	"path"

	"github.com/wasivirt/wasivirt/wasip1"
)

// FS returns the tree below path, mounts included, as a read-only file system for archives and
// other code that takes an [FS]. Errors: ENOENT; ENOTDIR if path is no directory.
func (r *Root) FS(path string) (FS, error) {
	d, err := r.directory(path)
	if err != nil {
		return nil, err
	}
	return rootFS{d}, nil
}

type rootFS struct{ dir *rootDirectory }

func (f rootFS) Root() Node { return f.dir }

// UsesMachine implements [MachineUser].
func (f rootFS) UsesMachine() bool { return f.dir.root.UsesMachine() }

// rootDirectory is a directory as a Root sees it.
type rootDirectory struct {
	ReadOnlyNode
	readOnlyDirectory
	root *Root
	path string
}

func (r *Root) directory(path string) (*rootDirectory, error) {
	a, err := r.Stat(path)
	if err != nil {
		return nil, err
	}
	if a.Type != wasip1.FiletypeDirectory {
		return nil, wasip1.ENOTDIR
	}
	return &rootDirectory{root: r, path: path}, nil
}

func (d *rootDirectory) Type() wasip1.Filetype { return wasip1.FiletypeDirectory }

func (d *rootDirectory) SetAttr(SetAttr) error { return wasip1.EROFS }

func (d *rootDirectory) Attr() (Attr, error) { return d.root.Lstat(d.path) }

func (d *rootDirectory) Lookup(name string) (Node, error) {
	below := path.Join(d.path, name)
	var node Node
	err := d.root.do("lookup", below, func(w *walker, path string) error {
		f, err := w.find(d.root.base, path, false)
		if err != nil {
			w.end()
			return err
		}
		if f.node.Type() == wasip1.FiletypeDirectory {
			w.done(f)
			return nil
		}
		node = f.node // of which the caller has the hold that Lookup gives
		w.end()
		return nil
	})
	if err != nil || node != nil {
		return node, err
	}
	return d.root.directory(below)
}

// ReadDir reads the whole directory each time: a cookie is a place in its sorted list.
func (d *rootDirectory) ReadDir(cookie uint64, entries []DirEntry) (int, error) {
	all, err := d.root.ReadDir(d.path)
	if err != nil || cookie >= uint64(len(all)) {
		return 0, err
	}
	n := copy(entries, all[cookie:])
	for i := range entries[:n] {
		entries[i].Next = cookie + uint64(i) + 1
	}
	return n, nil
}
