package wrapfs_test

import (
	"bytes"
	"fmt"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
)

// loud is a file system whose files read in capitals.
type loud struct{ fsys vfs.FS }

func (l *loud) Root() vfs.Node     { return wrapfs.Root(l.Wrap(l.fsys.Root()), l.fsys.Root()) }
func (l *loud) Attach(env vfs.Env) { wrapfs.Attach(l.fsys, env) }

func (l *loud) Wrap(n vfs.Node) vfs.Node {
	if _, ok := n.(vfs.RegularFile); ok {
		return &loudFile{wrapfs.RegularFile{Node: wrapfs.Node{Below: n, Of: l}}}
	}
	return wrapfs.Plain(n, l)
}

type loudFile struct{ wrapfs.RegularFile }

func (f *loudFile) Open(mode vfs.OpenMode) (vfs.File, error) {
	below, err := f.RegularFile.Open(mode)
	if err != nil {
		return nil, err
	}
	return &loudOpen{wrapfs.File{Below: below, Node: f.Below}}, nil
}

type loudOpen struct{ wrapfs.File }

func (o *loudOpen) ReadAt(p []byte, off int64) (int, error) {
	return o.ReadVector([][]byte{p}, off)
}

func (o *loudOpen) ReadVector(bufs [][]byte, off int64) (int, error) {
	n, err := o.File.ReadVector(bufs, off)
	for _, b := range wrapfs.Cut(bufs, int64(n)) {
		copy(b, bytes.ToUpper(b))
	}
	return n, err
}

// A wrapper says in what it differs, and nothing else.
func Example() {
	mem, _ := memfs.FromMap(map[string]string{"d/f": "hello"})
	root, _ := vfs.NewRoot(&loud{mem})
	b, err := root.ReadFile("d/f")
	fmt.Printf("%s %v\n", b, err)
	// Output: HELLO <nil>
}
