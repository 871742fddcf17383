package hostfs

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// attr returns the attributes of what the name stands for, ENOENT if that is not of type want.
func (e *entry) attr(want wasip1.Filetype) (vfs.Attr, error) {
	h, name, err := e.use()
	if err != nil {
		return vfs.Attr{}, err
	}
	defer h.release()
	var st unix.Stat_t
	if err := fstatat(h.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return vfs.Attr{}, err
	}
	if filetype(st.Mode) != want {
		return vfs.Attr{}, wasip1.ENOENT
	}
	return e.fs.attr(&st), nil
}

// setAttr changes mode and times of what the name stands for, itself and not what it may point to.
func (e *entry) setAttr(s vfs.SetAttr) error {
	h, at, err := e.use()
	if err != nil {
		return err
	}
	defer h.release()
	if s.Mask&vfs.SetMode != 0 {
		// ENOTSUP for symbolic links, whose mode Linux does not keep, and before Linux 6.6.
		err := again(func() error {
			return unix.Fchmodat(h.fd, at, uint32(s.Mode.Perm()), unix.AT_SYMLINK_NOFOLLOW)
		})
		if err == wasip1.ENOTSUP {
			err = chmodHeld(h.fd, at, uint32(s.Mode.Perm()))
		}
		if err != nil {
			return err
		}
	}
	if ts, ok := times(s); ok {
		return again(func() error { return unix.UtimesNanoAt(h.fd, at, ts[:], unix.AT_SYMLINK_NOFOLLOW) })
	}
	return nil
}

// chmodHeld changes the mode of a file that is held meanwhile, through procfs. Errors: ENOTSUP for
// a symbolic link.
func chmodHeld(dir int, name string, mode uint32) error {
	fd, err := openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	var st unix.Stat_t
	if err := fstat(fd, &st); err != nil {
		return err
	}
	if filetype(st.Mode) == wasip1.FiletypeSymbolicLink {
		return wasip1.ENOTSUP
	}
	return again(func() error { return unix.Fchmodat(unix.AT_FDCWD, procPath(fd), mode, 0) })
}

func (e *entry) linkTo(dir int, name string) error {
	h, at, err := e.use()
	if err != nil {
		return err
	}
	defer h.release()
	return again(func() error { return unix.Linkat(h.fd, at, dir, name, 0) })
}

// linkNode is a symbolic link. Its target is read when it is looked up: whatever is put into its
// place while a path is being resolved, that path goes where the link led.
type linkNode struct {
	entry
	target string
}

var _ vfs.Symlink = (*linkNode)(nil)

func (n *linkNode) Type() wasip1.Filetype     { return wasip1.FiletypeSymbolicLink }
func (n *linkNode) Attr() (vfs.Attr, error)   { return n.attr(wasip1.FiletypeSymbolicLink) }
func (n *linkNode) Readlink() (string, error) { return n.target, nil }

func (n *linkNode) SetAttr(s vfs.SetAttr) error {
	switch {
	case n.fs.readOnly:
		return wasip1.EROFS
	case s.Mask&vfs.SetSize != 0:
		return wasip1.EINVAL
	}
	return n.setAttr(s)
}

// specialNode is a FIFO, a socket or a device: it can be seen, moved and removed, and never opened.
type specialNode struct {
	entry
	typ wasip1.Filetype
}

var _ vfs.StreamNode = (*specialNode)(nil)

func (n *specialNode) Type() wasip1.Filetype   { return n.typ }
func (n *specialNode) Attr() (vfs.Attr, error) { return n.attr(n.typ) }

func (n *specialNode) OpenStream(vfs.OpenMode) (vfs.Stream, error) { return nil, wasip1.ENXIO }

func (n *specialNode) SetAttr(s vfs.SetAttr) error {
	switch {
	case n.fs.readOnly:
		return wasip1.EROFS
	case s.Mask&vfs.SetSize != 0:
		return wasip1.EINVAL
	}
	return n.setAttr(s)
}

// fileNode is a regular file: a name in a held directory and, from the first Open on, the open
// files, which it rather means than the name.
type fileNode struct {
	entry

	open  atomic.Pointer[file] // list of open files, the youngest first; changed under mu
	mu    sync.Mutex           // guards the rest of the list, and what follows
	first file                 // the first of them, in one allocation with its node
	taken bool                 // first is or was in use
}

var _ vfs.RegularFile = (*fileNode)(nil)

// opened returns a node that is known by its open file alone, which is fd, opened with mode. Nobody
// else has it, so that it needs no lock.
func (b *held) opened(fd int, mode vfs.OpenMode) (*fileNode, *file) {
	n := &fileNode{entry: entry{fs: b}, taken: true}
	f := &n.first
	f.fd, f.mode, f.node = fd, mode, n
	n.open.Store(f)
	return n, f
}

// attach makes fd, which was opened with mode, one of the node's open files.
func (n *fileNode) attach(fd int, mode vfs.OpenMode) *file {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := &n.first
	if n.taken {
		f = new(file)
	}
	n.taken = true
	f.fd, f.mode, f.node = fd, mode, n
	f.next = n.open.Load()
	n.open.Store(f)
	return f
}

func (n *fileNode) detach(f *file) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open.Load() == f {
		n.open.Store(f.next)
		return
	}
	for g := n.open.Load(); g != nil; g = g.next {
		if g.next == f {
			g.next = f.next
			return
		}
	}
}

// useOpen returns an open file that has all the bits of mode, good until its release; or nil.
func (n *fileNode) useOpen(mode vfs.OpenMode) *file {
	f := n.open.Load()
	if f == nil || f.mode&mode == mode && f.acquire() {
		return f
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for f = n.open.Load(); f != nil; f = f.next {
		if f.mode&mode == mode && f.acquire() {
			return f
		}
	}
	return nil
}

func (n *fileNode) Type() wasip1.Filetype { return wasip1.FiletypeRegularFile }

func (n *fileNode) Attr() (vfs.Attr, error) {
	f := n.useOpen(0)
	if f == nil {
		return n.attr(wasip1.FiletypeRegularFile)
	}
	defer f.release()
	var st unix.Stat_t
	if err := fstat(f.fd, &st); err != nil {
		return vfs.Attr{}, err
	}
	return n.fs.attr(&st), nil
}

func (n *fileNode) SetAttr(s vfs.SetAttr) error {
	if n.fs.readOnly {
		return wasip1.EROFS
	}
	if s.Mask&vfs.SetSize != 0 {
		if err := n.truncate(s.Size); err != nil {
			return err
		}
	}
	if s.Mask&^vfs.SetSize == 0 {
		return nil
	}
	f := n.useOpen(0)
	if f == nil {
		return n.setAttr(s)
	}
	defer f.release()
	return f.setAttr(s)
}

func (n *fileNode) truncate(size uint64) error {
	if size > 1<<63-1 {
		return wasip1.EFBIG
	}
	f := n.useOpen(vfs.OpenWrite)
	if f != nil {
		defer f.release()
		return again(func() error { return unix.Ftruncate(f.fd, int64(size)) })
	}
	fd, err := n.openFD(vfs.OpenWrite)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	return again(func() error { return unix.Ftruncate(fd, int64(size)) })
}

// Open opens what the node means. EROFS for writing where the mount is read-only; ENXIO where a
// special file has taken the file's place, ELOOP where a symbolic link has, EISDIR where a
// directory has.
func (n *fileNode) Open(mode vfs.OpenMode) (vfs.File, error) {
	if n.fs.readOnly && mode&(vfs.OpenWrite|vfs.OpenTruncate) != 0 {
		return nil, wasip1.EROFS
	}
	fd, err := n.openFD(mode)
	if err != nil {
		return nil, err
	}
	return n.attach(fd, mode), nil
}

// openFD opens the file: again where it is open, else by name.
func (n *fileNode) openFD(mode vfs.OpenMode) (int, error) {
	fd, err := -1, error(wasip1.EBADF)
	if f := n.useOpen(0); f != nil {
		fd, err = f.again(mode)
		f.release()
	}
	if err == nil || n.h == nil {
		return fd, err
	}
	h, name, err := n.use()
	if err != nil {
		return -1, err
	}
	defer h.release()
	return openNamed(h.fd, name, mode, n.fs.proc)
}

func (n *fileNode) linkTo(dir int, name string) error {
	f := n.useOpen(0)
	if f == nil {
		return n.entry.linkTo(dir, name)
	}
	defer f.release()
	var open, named unix.Stat_t
	if err := fstat(f.fd, &open); err != nil {
		return err
	}
	if open.Nlink == 0 {
		return wasip1.ENOENT
	}
	if h, at, err := n.use(); err == nil {
		err = fstatat(h.fd, at, &named, unix.AT_SYMLINK_NOFOLLOW)
		h.release()
		if err == nil && named.Dev == open.Dev && named.Ino == open.Ino {
			return n.entry.linkTo(dir, name)
		}
	}
	return again(func() error { return unix.Linkat(unix.AT_FDCWD, procPath(f.fd), dir, name, unix.AT_SYMLINK_FOLLOW) })
}
