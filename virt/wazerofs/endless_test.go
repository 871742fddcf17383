package wazerofs_test

import (
	"sync"
	"testing"

	"github.com/tetratelabs/wazero/experimental/sys"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt/wazerofs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// endless is a file system whose root has no last entry.
type endless struct {
	*memfs.FS
	read func()
}

func (e endless) Root() vfs.Node { return endlessDir{e.FS.Root().(vfs.Directory), e.read} }

type endlessDir struct {
	vfs.Directory
	read func()
}

func (d endlessDir) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	d.read()
	entries[0] = vfs.DirEntry{Name: "again", Ino: 2, Type: wasip1.FiletypeRegularFile, Next: cookie + 1}
	return 1, nil
}

// Closing a directory ends the reading of all its entries, of which there may be no last one.
func TestReadingAnEndlessDirectoryEnds(t *testing.T) {
	begun := make(chan struct{})
	f := wazerofs.New(endless{memfs.New(), sync.OnceFunc(func() { close(begun) })})
	h := open(t, f, ".", sys.O_RDONLY|sys.O_DIRECTORY)
	read := make(chan sys.Errno)
	go func() { _, e := h.Readdir(-1); read <- e }()
	<-begun
	want(t, "close", h.Close(), 0)
	want(t, "readdir", <-read, sys.EBADF)
}
