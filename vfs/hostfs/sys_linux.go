package hostfs

import (
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// The system calls that are on the way of every guest call are made here without an allocation; the
// rest is golang.org/x/sys/unix. All of them answer wasip1.Errnos and are repeated after EINTR.

// pathBuf is how long a path may be that is passed without an allocation.
const pathBuf = 256

// cstring returns s with a NUL behind it, in buf where it fits.
func cstring(buf *[pathBuf]byte, s string) (*byte, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, wasip1.EINVAL
	}
	if len(s) < pathBuf {
		copy(buf[:], s)
		buf[len(s)] = 0
		return &buf[0], nil
	}
	if len(s) >= unix.PathMax {
		return nil, wasip1.ENAMETOOLONG
	}
	p := make([]byte, len(s)+1)
	copy(p, s)
	return &p[0], nil
}

func errno(e unix.Errno) error {
	if e == 0 {
		return nil
	}
	return wasip1.FromError(e)
}

// again repeats call until a signal does not interrupt it.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			if err == nil {
				return nil
			}
			return wasip1.FromError(err)
		}
	}
}

func openat(dir int, name string, flags int, perm uint32) (int, error) {
	var buf [pathBuf]byte
	p, err := cstring(&buf, name)
	if err != nil {
		return -1, err
	}
	for {
		fd, _, e := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(flags), uintptr(perm), 0, 0)
		switch e {
		case 0:
			return int(fd), nil
		case unix.EINTR:
		default:
			return -1, errno(e)
		}
	}
}

// openat2 resolves path beneath dir, as resolve says besides: what leads out, or an absolute link,
// is EXDEV; a link of procfs that is no path is ELOOP; EAGAIN says that a rename made ".."
// uncertain.
func openat2(dir int, path string, flags int, perm uint32, resolve uint64) (int, error) {
	var buf [pathBuf]byte
	p, err := cstring(&buf, path)
	if err != nil {
		return -1, err
	}
	how := unix.OpenHow{
		Flags:   uint64(flags),
		Mode:    uint64(perm),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | resolve,
	}
	for tries := 0; ; {
		fd, _, e := unix.Syscall6(unix.SYS_OPENAT2, uintptr(dir), uintptr(unsafe.Pointer(p)),
			uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
		switch e {
		case 0:
			return int(fd), nil
		case unix.EINTR:
		case unix.EAGAIN:
			if tries++; tries == 4 {
				return -1, wasip1.EAGAIN
			}
		default:
			return -1, errno(e)
		}
	}
}

func mkdirat(dir int, name string, perm uint32) error {
	var buf [pathBuf]byte
	p, err := cstring(&buf, name)
	if err != nil {
		return err
	}
	for {
		_, _, e := unix.Syscall(unix.SYS_MKDIRAT, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(perm))
		if e != unix.EINTR {
			return errno(e)
		}
	}
}

func unlinkat(dir int, name string, flags int) error {
	var buf [pathBuf]byte
	p, err := cstring(&buf, name)
	if err != nil {
		return err
	}
	for {
		_, _, e := unix.Syscall(unix.SYS_UNLINKAT, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(flags))
		if e != unix.EINTR {
			return errno(e)
		}
	}
}

// renameat is renameat2 without flags, which all architectures have.
func renameat(dir int, name string, newDir int, newName string) error {
	var buf, newBuf [pathBuf]byte
	p, err := cstring(&buf, name)
	if err != nil {
		return err
	}
	q, err := cstring(&newBuf, newName)
	if err != nil {
		return err
	}
	for {
		_, _, e := unix.Syscall6(unix.SYS_RENAMEAT2, uintptr(dir), uintptr(unsafe.Pointer(p)), uintptr(newDir), uintptr(unsafe.Pointer(q)), 0, 0)
		if e != unix.EINTR {
			return errno(e)
		}
	}
}

func fstat(fd int, st *unix.Stat_t) error {
	return again(func() error { return unix.Fstat(fd, st) })
}

// closeFD never repeats: on Linux the descriptor has gone even after EINTR.
func closeFD(fd int) { _ = unix.Close(fd) }

// readlinkat returns the target of a symbolic link; EINVAL where name is not one.
func readlinkat(dir int, name string) (string, error) {
	var buf [unix.PathMax]byte
	var n int
	err := again(func() (err error) {
		n, err = unix.Readlinkat(dir, name, buf[:])
		return err
	})
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// openHeldPath opens the file that the O_PATH descriptor fd holds, if it is a regular one, and
// gives fd back. Errors: EISDIR, ELOOP, ENXIO for what is none.
func openHeldPath(fd int, st *unix.Stat_t, mode vfs.OpenMode) (int, error) {
	if t := filetype(st.Mode); t != wasip1.FiletypeRegularFile {
		closeFD(fd)
		return -1, entryError(t)
	}
	if mode&^(vfs.OpenSync|vfs.OpenDsync) == 0 {
		return fd, nil
	}
	opened, err := reopen(fd, openFlags(mode))
	closeFD(fd)
	return opened, err
}

// openNamed opens the regular file name in dir, and nothing else: it holds and looks at what is
// there before it opens it. Without procfs the name is opened after the look, which lets another
// process put a FIFO there between the two; that is then closed, and refused. Errors: EISDIR,
// ELOOP, ENXIO.
func openNamed(dir int, name string, mode vfs.OpenMode, proc bool) (int, error) {
	fd, err := openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	var st, now unix.Stat_t
	if err := fstat(fd, &st); err != nil {
		closeFD(fd)
		return -1, err
	}
	if proc || filetype(st.Mode) != wasip1.FiletypeRegularFile {
		return openHeldPath(fd, &st, mode)
	}
	// What an O_PATH descriptor holds keeps its number, which no other file gets meanwhile.
	defer closeFD(fd)
	opened, err := openat(dir, name, unix.O_NOFOLLOW|openFlags(mode), 0)
	if err != nil {
		return -1, err
	}
	if err := fstat(opened, &now); err != nil || now.Dev != st.Dev || now.Ino != st.Ino {
		closeFD(opened)
		return -1, wasip1.ENXIO
	}
	return opened, nil
}

// procFDs is the directory of this process's descriptors, -1 where there is no procfs. It is held
// from its first use on, for as long as the process lives: a name in it is found in two thirds of
// the time that the whole path takes.
var procFDs = sync.OnceValue(func() int {
	fd, err := openat(unix.AT_FDCWD, "/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
})

// reopen opens once more what fd holds. Errors: EBADF without procfs.
func reopen(fd, flags int) (int, error) {
	var buf [20]byte
	return openat(procFDs(), string(strconv.AppendInt(buf[:0], int64(fd), 10)), flags, 0)
}

// procPath is a name for an open file that does not depend on any of its own names.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// openFlags says how open(2) opens for mode. Neither reading nor writing is O_PATH, which cannot
// block and needs no permission; it goes with no other flag than those given here.
func openFlags(mode vfs.OpenMode) int {
	const always = unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC | unix.O_LARGEFILE
	var flags int
	switch {
	case mode&vfs.OpenRead != 0 && mode&vfs.OpenWrite != 0:
		flags = unix.O_RDWR | always
	case mode&vfs.OpenRead != 0: // with O_TRUNC too, which Linux checks by itself
		flags = unix.O_RDONLY | always
	case mode&(vfs.OpenWrite|vfs.OpenTruncate) != 0:
		flags = unix.O_WRONLY | always
	default:
		return unix.O_PATH | unix.O_CLOEXEC
	}
	if mode&vfs.OpenTruncate != 0 {
		flags |= unix.O_TRUNC
	}
	if mode&vfs.OpenSync != 0 {
		flags |= unix.O_SYNC
	}
	if mode&vfs.OpenDsync != 0 {
		flags |= unix.O_DSYNC
	}
	if mode.Appends() {
		flags |= unix.O_APPEND
	}
	return flags
}

func filetype(mode uint32) wasip1.Filetype {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return wasip1.FiletypeRegularFile
	case unix.S_IFDIR:
		return wasip1.FiletypeDirectory
	case unix.S_IFLNK:
		return wasip1.FiletypeSymbolicLink
	case unix.S_IFCHR:
		return wasip1.FiletypeCharacterDevice
	case unix.S_IFBLK:
		return wasip1.FiletypeBlockDevice
	case unix.S_IFSOCK:
		return wasip1.FiletypeSocketStream
	}
	return wasip1.FiletypeUnknown
}

// direntType maps d_type. ok is false for DT_UNKNOWN, which some file systems always say.
func direntType(t byte) (_ wasip1.Filetype, ok bool) {
	if t == unix.DT_UNKNOWN {
		return 0, false
	}
	return filetype(uint32(t) << 12), true // DT_x is S_IFx >> 12
}
