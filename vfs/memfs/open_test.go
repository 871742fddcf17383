package memfs

import (
	"strings"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// lookup returns the node of a name. It follows no links.
func (f *FS) lookup(name string) (n vfs.Node, err error) {
	n = f.root
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." {
			continue
		}
		d, ok := n.(*dirNode)
		if !ok {
			return nil, wasip1.ENOTDIR
		}
		if n, err = d.Lookup(part); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// open opens a file without a walker.
func (f *FS) open(name string, mode vfs.OpenMode) (*fileNode, error) {
	n, err := f.lookup(name)
	if err != nil {
		return nil, err
	}
	file, ok := n.(*fileNode)
	if !ok {
		return nil, wasip1.EISDIR
	}
	_, err = file.Open(mode)
	return file, err
}
