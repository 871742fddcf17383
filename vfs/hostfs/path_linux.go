package hostfs

import (
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// OpenPath opens path in three system calls with the close, however deep it is. What
// needs the walker's judgement is ENOSYS: all of it before Linux 5.6, and what would write to a read-only
// mount. ENXIO for special files.
func (n *dirNode) OpenPath(path string, follow bool, oflags wasip1.Oflags, mode vfs.OpenMode, perm fs.FileMode) (vfs.Node, vfs.File, error) {
	if !n.fs.beneath {
		return nil, nil, wasip1.ENOSYS
	}
	if oflags&wasip1.OTrunc != 0 {
		mode |= vfs.OpenTruncate
	}
	if n.fs.readOnly && (oflags&wasip1.OCreat != 0 || mode&(vfs.OpenWrite|vfs.OpenTruncate) != 0) {
		return nil, nil, wasip1.ENOSYS
	}
	if oflags&wasip1.ODirectory != 0 {
		if oflags&wasip1.OCreat != 0 {
			return nil, nil, wasip1.ENOSYS
		}
		mode = vfs.OpenRead // a directory is opened for reading, whatever is meant to be done below it
	}
	var creat uint32
	if oflags&wasip1.OCreat != 0 {
		creat = uint32(perm.Perm())
		if mode == 0 {
			mode = vfs.OpenRead // O_PATH makes no files
		}
	}
	flags := openFlags(mode)
	for _, f := range [...]struct {
		on   bool
		flag int
	}{
		{!follow, unix.O_NOFOLLOW},
		{oflags&wasip1.ODirectory != 0, unix.O_DIRECTORY},
		{oflags&wasip1.OCreat != 0, unix.O_CREAT},
		{oflags&(wasip1.OCreat|wasip1.OExcl) == wasip1.OCreat|wasip1.OExcl, unix.O_EXCL}, // O_PATH takes it by itself amiss
	} {
		if f.on {
			flags |= f.flag
		}
	}
	dir, err := n.use()
	if err != nil {
		return nil, nil, err
	}
	defer n.h.release()
	fd, err := openat2(dir, path, flags, creat)
	if err == wasip1.EACCES && mode == vfs.OpenRead && creat == 0 {
		// A directory that may be passed through but not listed.
		flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC | flags&unix.O_NOFOLLOW
		fd, err = openat2(dir, path, flags, 0)
		if err == wasip1.ENOTDIR {
			err = wasip1.EACCES
		}
	}
	if err != nil {
		return nil, nil, err
	}
	var st unix.Stat_t
	if err := fstat(fd, &st); err != nil {
		closeFD(fd)
		return nil, nil, err
	}
	switch t := filetype(st.Mode); t {
	case wasip1.FiletypeRegularFile:
		node := &fileNode{entry: entry{fs: n.fs}}
		return node, node.attach(fd, mode), nil
	case wasip1.FiletypeDirectory:
		return &dirNode{fs: n.fs, h: newHandle(fd, &st, flags&unix.O_PATH == 0)}, nil, nil
	default:
		closeFD(fd)
		return nil, nil, entryError(t)
	}
}

// AttrPath needs one system call for one component, else three.
func (n *dirNode) AttrPath(path string, follow bool) (vfs.Attr, error) {
	dir, err := n.use()
	if err != nil {
		return vfs.Attr{}, err
	}
	defer n.h.release()
	var st unix.Stat_t
	if path != ".." && path != "" && strings.IndexByte(path, '/') < 0 {
		if err := fstatat(dir, path, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return vfs.Attr{}, err
		}
		if !follow || filetype(st.Mode) != wasip1.FiletypeSymbolicLink {
			return n.fs.attr(&st), nil
		}
	}
	if !n.fs.beneath {
		return vfs.Attr{}, wasip1.ENOSYS
	}
	flags := unix.O_PATH | unix.O_CLOEXEC
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := openat2(dir, path, flags, 0)
	if err != nil {
		return vfs.Attr{}, err
	}
	err = fstat(fd, &st)
	closeFD(fd)
	if err != nil {
		return vfs.Attr{}, err
	}
	return n.fs.attr(&st), nil
}
