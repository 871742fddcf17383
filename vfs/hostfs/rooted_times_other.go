//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || solaris || aix)

package hostfs

import (
	"os"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// setTimes answers ENOTSUP for symbolic links.
func setTimes(root *os.Root, name string, t wasip1.Filetype, s vfs.SetAttr) error {
	return chtimes(root, name, t, s)
}
