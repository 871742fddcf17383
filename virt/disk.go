package virt

import (
	"math"

	"github.com/wasivirt/wasivirt/vfs/memfs"
)

// defaultDiskBytes is how many bytes of contents the file system in memory holds that a guest gets
// without a mount, unless [Limits].DiskBytes says how much it may hold. A write
// beyond it is ENOSPC. Names and inodes have a budget of as many bytes again; see
// [memfs.WithMaxBytes].
const defaultDiskBytes = 256 << 20

// defaultFiles makes what the default world begins with: an empty /tmp. It is a fork, which costs
// less than making it, of one of several, so that guests made at once do not wait for each other.
func (g *Guest) defaultFiles() (*memfs.FS, error) {
	h := g.host
	if g.config.limits.DiskBytes != 0 || h.config.shared.DiskBytes != 0 {
		return blank(math.MaxInt64) // there is another limit before it
	}
	files, ok := h.blanks.Get().(*memfs.FS)
	if !ok {
		var err error
		if files, err = blank(defaultDiskBytes); err != nil {
			return nil, err
		}
	}
	defer h.blanks.Put(files)
	return files.Fork(), nil
}

func blank(bytes int64) (*memfs.FS, error) {
	files := memfs.New(memfs.WithMaxBytes(bytes))
	return files, files.MkdirAll("tmp")
}
