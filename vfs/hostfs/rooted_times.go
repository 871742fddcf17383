//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly || solaris || aix

package hostfs

import (
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// setTimes changes the times of name itself, also of a symbolic link, which os.Root cannot: by the
// descriptor of the directory that os.Root opens, and one component that is not followed.
func setTimes(root *os.Root, name string, t wasip1.Filetype, s vfs.SetAttr) error {
	if s.Mask&(vfs.SetAtim|vfs.SetMtim) != vfs.SetAtim|vfs.SetMtim && t != wasip1.FiletypeSymbolicLink {
		return chtimes(root, name, t, s) // leaving one of them is not known everywhere
	}
	dir, err := root.Open(path.Dir(name))
	if err != nil {
		return wasip1.FromError(err)
	}
	defer dir.Close()
	fi, err := root.Lstat(name)
	if err != nil {
		return wasip1.FromError(err)
	}
	id := identifyFile(nil, fi)
	ts := []unix.Timespec{unix.NsecToTimespec(id.atim), unix.NsecToTimespec(fi.ModTime().UnixNano())}
	if s.Mask&vfs.SetAtim != 0 {
		ts[0] = unix.NsecToTimespec(s.Atim)
	}
	if s.Mask&vfs.SetMtim != 0 {
		ts[1] = unix.NsecToTimespec(s.Mtim)
	}
	return failed(unix.UtimesNanoAt(int(dir.Fd()), path.Base(name), ts, unix.AT_SYMLINK_NOFOLLOW))
}
