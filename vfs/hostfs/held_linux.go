package hostfs

import (
	"io/fs"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
)

// held is the backend of descriptors: a directory that is held open, and openat.
type held struct {
	dir      *dirNode  // the root, unless
	single   *fileNode // it is a file
	file     *file     // that is open here
	readOnly bool
	proc     bool // what is held can be opened once more, by procfs
	beneath  bool // and the kernel has openat2
	dev      uint64

	mu       sync.Mutex // guards dentries and what they say; after it come no locks
	dentries map[place]*dentry
	entries  atomic.Int64 // how many nodes refer to them
}

func openHeld(dir string, o options) (backend, error) {
	fd, err := openat(unix.AT_FDCWD, dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := fstat(fd, &st); err != nil {
		closeFD(fd)
		return nil, err
	}
	b := &held{readOnly: o.readOnly, dev: uint64(st.Dev), dentries: map[place]*dentry{}}
	// Asked once, because old kernels say ENOSYS, some sandboxes EPERM, and some have no /proc.
	if probe, err := reopen(fd, unix.O_PATH|unix.O_CLOEXEC); err == nil {
		closeFD(probe)
		b.proc = true
	}
	if probe, err := openat2(fd, ".", unix.O_PATH|unix.O_CLOEXEC, 0, 0); err == nil {
		closeFD(probe)
		b.beneath = b.proc
	}
	b.dir = &dirNode{fs: b, h: newHandle(fd, false), permanent: true}
	b.dir.h.ident()
	return b, nil
}

func openHeldFile(path string) (backend, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := fstat(fd, &st); err != nil {
		closeFD(fd)
		return nil, err
	}
	if fd, err = openHeldPath(fd, &st, vfs.OpenRead); err != nil {
		return nil, err
	}
	b := &held{readOnly: true, dev: uint64(st.Dev)}
	b.single, b.file = b.opened(fd, vfs.OpenRead)
	return b, nil
}

func (b *held) root() vfs.Node {
	if b.single != nil {
		return b.single
	}
	return b.dir
}

func (b *held) close() error {
	if b.single != nil {
		_ = b.file.Close() // EBADF the second time
		return nil
	}
	b.dir.drop()
	return nil
}

// ino tells files of different devices apart: what lies on the root's device keeps the machine's
// number, others get one mixed from both with the top bit set.
func (b *held) ino(dev, ino uint64) uint64 {
	if dev == b.dev && ino != 0 {
		return ino
	}
	return mix(ino^mix(dev)) | 1<<63
}

func (b *held) attr(st *unix.Stat_t) vfs.Attr {
	return vfs.Attr{
		Ino:   b.ino(uint64(st.Dev), st.Ino),
		Type:  filetype(st.Mode),
		Mode:  fs.FileMode(st.Mode & 0o777),
		Nlink: uint64(st.Nlink),
		Size:  uint64(max(st.Size, 0)),
		Atim:  unix.TimespecToNsec(st.Atim),
		Mtim:  unix.TimespecToNsec(st.Mtim),
		Ctim:  unix.TimespecToNsec(st.Ctim),
	}
}

// times returns what utimensat wants for the change s; ok is false if it changes no time.
func times(s vfs.SetAttr) (ts [2]unix.Timespec, ok bool) {
	ts[0].Nsec, ts[1].Nsec = unix.UTIME_OMIT, unix.UTIME_OMIT
	if s.Mask&vfs.SetAtim != 0 {
		ts[0] = unix.NsecToTimespec(s.Atim)
	}
	if s.Mask&vfs.SetMtim != 0 {
		ts[1] = unix.NsecToTimespec(s.Mtim)
	}
	return ts, s.Mask&(vfs.SetAtim|vfs.SetMtim) != 0
}
