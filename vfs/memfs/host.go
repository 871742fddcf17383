package memfs

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
)

// The methods in this file are short forms for host code that prepares a file system or looks at
// the outcome. [vfs.NewRoot] has all operations, and says what paths and errors are.

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

// ReadFile is [vfs.Root.ReadFile].
func (f *FS) ReadFile(name string) ([]byte, error) { return f.tree().ReadFile(name) }

// WriteFile is [vfs.Root.WriteFile] with mode 0666. It makes the directories above the file where
// there are none, with mode 0777.
func (f *FS) WriteFile(name string, data []byte) error {
	tree := f.tree()
	if dir := path.Dir(name); dir != "." && dir != "/" {
		if err := tree.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	return tree.WriteFile(name, data, 0o666)
}

// MkdirAll is [vfs.Root.MkdirAll] with mode 0777.
func (f *FS) MkdirAll(name string) error { return f.tree().MkdirAll(name, 0o777) }

// tree is the file system for host code.
func (f *FS) tree() *vfs.Root {
	tree, err := vfs.NewRoot(f)
	if err != nil {
		panic(err) // the root is a directory
	}
	return tree
}
