package hostfs

import (
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// OpenPath opens path, however deep it is, and opens nothing but regular files and directories:
// what is there is held first, and looked at, before it is opened. A file takes five system calls
// with the close, a directory and a new file two. What needs the walker's judgement is ENOSYS: all
// of it before Linux 5.6 and without procfs, and what would write to a read-only mount. ENXIO for
// special files.
func (n *dirNode) OpenPath(path string, follow bool, oflags wasip1.Oflags, mode vfs.OpenMode, perm fs.FileMode) (vfs.Node, vfs.File, error) {
	if !n.fs.beneath {
		return nil, nil, wasip1.ENOSYS
	}
	if oflags&wasip1.OTrunc != 0 {
		mode |= vfs.OpenTruncate
	}
	creat := oflags&wasip1.OCreat != 0
	if n.fs.readOnly && (creat || mode&(vfs.OpenWrite|vfs.OpenTruncate) != 0) || creat && oflags&wasip1.ODirectory != 0 {
		return nil, nil, wasip1.ENOSYS
	}
	nofollow := 0
	if !follow {
		nofollow = unix.O_NOFOLLOW
	}
	dir, err := n.use()
	if err != nil {
		return nil, nil, err
	}
	defer n.h.release()
	switch {
	case oflags&wasip1.ODirectory != 0:
		node, err := n.openDirectory(dir, path, nofollow, mode)
		return node, nil, err
	case creat:
		if mode == 0 {
			mode = vfs.OpenRead // O_PATH makes no files
		}
		// With O_EXCL the kernel opens nothing that was there before.
		flags := openFlags(mode) | unix.O_NOFOLLOW | unix.O_CREAT | unix.O_EXCL
		var fd int
		if single(path) {
			fd, err = openat(dir, path, flags, uint32(perm.Perm()))
		} else {
			fd, err = openat2(dir, path, flags, uint32(perm.Perm()), 0)
		}
		if err == nil {
			node, file := n.fs.opened(fd, mode)
			return node, file, nil
		}
		if err != wasip1.EEXIST || oflags&wasip1.OExcl != 0 {
			return nil, nil, err
		}
	}
	node, file, err := n.openExisting(dir, path, nofollow, mode)
	switch {
	case creat && err == wasip1.ENOENT:
		err = wasip1.ENOSYS // a link that leads to nothing, or a file that has just gone
	case err == nil && file == nil && (creat || mode&(vfs.OpenWrite|vfs.OpenTruncate) != 0):
		drop(node)
		return nil, nil, wasip1.EISDIR
	}
	return node, file, err
}

// openDirectory opens path as O_DIRECTORY has it: what is no directory is not opened. It can be
// listed without opening it again if mode says that it will be read.
func (n *dirNode) openDirectory(dir int, path string, nofollow int, mode vfs.OpenMode) (vfs.Node, error) {
	const pass = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	flags := pass | nofollow
	if mode&vfs.OpenRead != 0 {
		flags = openFlags(vfs.OpenRead) | unix.O_DIRECTORY | nofollow
	}
	fd, err := openat2(dir, path, flags, 0, 0)
	if err == wasip1.EACCES && flags&unix.O_PATH == 0 {
		// A directory that may be passed through but not listed.
		flags = pass | nofollow
		fd, err = openat2(dir, path, flags, 0, 0)
	}
	if err != nil {
		return nil, err
	}
	return &dirNode{fs: n.fs, h: newHandle(fd, flags&unix.O_PATH == 0)}, nil
}

// openExisting opens what path stands for. O_PATH opens nothing: no FIFO's writer goes on and no
// device is told, and what it holds stays the same file whatever becomes of the name.
func (n *dirNode) openExisting(dir int, path string, nofollow int, mode vfs.OpenMode) (vfs.Node, vfs.File, error) {
	var st unix.Stat_t
	return n.openHeld(dir, path, nofollow, mode, 0, &st)
}

func (n *dirNode) openHeld(dir int, path string, nofollow int, mode vfs.OpenMode, resolve uint64, st *unix.Stat_t) (vfs.Node, vfs.File, error) {
	fd, err := hold(dir, path, nofollow, resolve, st)
	if err != nil {
		return nil, nil, err
	}
	if filetype(st.Mode) == wasip1.FiletypeDirectory {
		return &dirNode{fs: n.fs, h: newHandle(fd, false)}, nil, nil
	}
	if fd, err = openHeldPath(fd, st, mode); err != nil {
		return nil, nil, err
	}
	node, file := n.fs.opened(fd, mode)
	return node, file, nil
}

// hold returns an O_PATH descriptor of what path stands for beneath dir, and what that is.
func hold(dir int, path string, nofollow int, resolve uint64, st *unix.Stat_t) (int, error) {
	const flags = unix.O_PATH | unix.O_CLOEXEC
	if single(path) {
		fd, err := openat(dir, path, flags|unix.O_NOFOLLOW, 0)
		if err == nil {
			err = heldStat(fd, st)
		}
		if err != nil || nofollow != 0 || filetype(st.Mode) != wasip1.FiletypeSymbolicLink {
			return fd, err
		}
		closeFD(fd)
	}
	fd, err := openat2(dir, path, flags|nofollow, 0, resolve)
	if err == nil {
		err = heldStat(fd, st)
	}
	return fd, err
}

// heldStat is fstat of a descriptor that is closed if that fails.
func heldStat(fd int, st *unix.Stat_t) error {
	err := fstat(fd, st)
	if err != nil {
		closeFD(fd)
	}
	return err
}

// single reports whether path is one component, which stays in its directory if it is no symbolic
// link, or is not followed: then openat does what openat2 does, and looks at less.
func single(path string) bool {
	return path != ".." && path != "" && strings.IndexByte(path, '/') < 0
}

// OpenPlain implements [vfs.PlainOpener] in as many system calls as OpenPath.
func (n *dirNode) OpenPlain(path string) (vfs.Node, vfs.File, vfs.Attr, error) {
	if !n.fs.beneath {
		return nil, nil, vfs.Attr{}, wasip1.ENOSYS
	}
	dir, err := n.use()
	if err != nil {
		return nil, nil, vfs.Attr{}, err
	}
	defer n.h.release()
	var st unix.Stat_t
	node, file, err := n.openHeld(dir, path, unix.O_NOFOLLOW, vfs.OpenRead, unix.RESOLVE_NO_SYMLINKS, &st)
	if err != nil {
		return nil, nil, vfs.Attr{}, err
	}
	return node, file, n.fs.attr(&st), nil
}

// AttrPlain implements [vfs.PlainOpener] in as many system calls as AttrPath.
func (n *dirNode) AttrPlain(path string) (vfs.Attr, error) {
	return n.attrPath(path, false, unix.RESOLVE_NO_SYMLINKS)
}

// AttrPath needs one system call for one component, else three.
func (n *dirNode) AttrPath(path string, follow bool) (vfs.Attr, error) {
	return n.attrPath(path, follow, 0)
}

func (n *dirNode) attrPath(path string, follow bool, resolve uint64) (vfs.Attr, error) {
	dir, err := n.use()
	if err != nil {
		return vfs.Attr{}, err
	}
	defer n.h.release()
	var st unix.Stat_t
	if single(path) {
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
	fd, err := openat2(dir, path, flags, 0, resolve)
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

func drop(n vfs.Node) {
	if r, ok := n.(vfs.Releaser); ok {
		r.Release()
	}
}
