// Package wazerofs shows any [vfs.FS] to wazero as an experimental/sys.FS. It is for code whose
// only way to a guest's files is a wazero.FSConfig: modules that use wazero's own WASI, extism,
// go-pdfium.
//
//	config := wazero.NewFSConfig().(sysfs.FSConfig).WithSysFSMount(wazerofs.New(files), "/")
//	runtime.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithFSConfig(config))
//
// Code that can choose its WASI uses [github.com/wasivirt/wasivirt/virt/dropin.Instantiate]
// instead, because the functions of wazero's keep the limits of wazero's: no rights, no poll of
// descriptors other than standard input, directories named by joined paths.
//
// The walker of package vfs resolves every path. A symbolic link, a ".." and a rename lead no
// further than to the root of the file system; absolute targets of links start there. Making a link
// with an absolute target is EPERM, as in wazero.
//
// wazero knows 20 error numbers. The others become the nearest of these: ENOTCAPABLE, EBUSY, EMLINK
// and ETXTBSY become EPERM, EXDEV becomes ENOSYS, EFBIG, EILSEQ, EOVERFLOW and ESPIPE become
// EINVAL, ENXIO and ENODEV become ENOENT, and ENOSPC, EDQUOT and the rest become EIO.
//
// A file may be used by many goroutines at once. Its reads and writes of a device or pipe wait
// unless the file is nonblocking. Closing the file ends them with EBADF; the context of a guest's
// call does not, because wazero does not pass it on.
package wazerofs

import (
	"io/fs"
	"path"

	"github.com/tetratelabs/wazero/experimental/sys"
	wazerosys "github.com/tetratelabs/wazero/sys"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// Option changes how [New] shows a file system.
type Option func(*fileSystem)

// WithDevice sets the device number that all files tell. Default: 1. A guest with several mounts
// needs a number for each if it compares files by device and inode.
func WithDevice(dev uint64) Option { return func(f *fileSystem) { f.dev = dev } }

// WithClock sets the clock that a [vfs.EnvFS] takes its times from, unless it has one. Default:
// [clock.Real].
func WithClock(c clock.Clock) Option { return func(f *fileSystem) { f.clock = c } }

// New returns fsys as a file system of wazero. It may be mounted in many modules. All operations
// answer ENOTDIR if fsys is a single file.
func New(fsys vfs.FS, opts ...Option) sys.FS {
	f := &fileSystem{dev: 1, clock: clock.Real()}
	for _, o := range opts {
		o(f)
	}
	if e, ok := fsys.(vfs.EnvFS); ok {
		e.Attach(vfs.Env{Clock: f.clock, Random: func(p []byte) error { _, err := random.System().Read(p); return err }})
	}
	f.root, f.err = vfs.NewRoot(fsys)
	return f
}

// fileSystem implements [sys.FS].
type fileSystem struct {
	sys.UnimplementedFS
	root *vfs.Root
	err  error // why there is no root

	dev   uint64
	clock clock.Clock
}

// do carries out op on the root.
func (f *fileSystem) do(op func(*vfs.Root) error) sys.Errno {
	if f.err != nil {
		return errno(f.err)
	}
	return errno(op(f.root))
}

// OpenFile implements [sys.FS].
func (f *fileSystem) OpenFile(path string, flag sys.Oflag, perm fs.FileMode) (opened sys.File, e sys.Errno) {
	e = f.do(func(r *vfs.Root) error {
		h, err := r.OpenWith(path, options(flag, perm))
		if err == nil {
			opened = newFile(h, f.dev)
		}
		return err
	})
	return opened, e
}

// options translates the flags of wazero.
func options(flag sys.Oflag, perm fs.FileMode) vfs.OpenOptions {
	o := vfs.OpenOptions{NoFollow: flag&sys.O_NOFOLLOW != 0, Perm: perm}
	switch flag & (sys.O_RDONLY | sys.O_RDWR | sys.O_WRONLY) {
	case sys.O_RDWR:
		o.Mode = vfs.OpenRead | vfs.OpenWrite
	case sys.O_WRONLY:
		o.Mode = vfs.OpenWrite
	default:
		o.Mode = vfs.OpenRead
	}
	for _, m := range []struct {
		flag sys.Oflag
		o    wasip1.Oflags
		fd   wasip1.Fdflags
	}{
		{sys.O_CREAT, wasip1.OCreat, 0}, {sys.O_EXCL, wasip1.OExcl, 0}, {sys.O_TRUNC, wasip1.OTrunc, 0},
		{sys.O_DIRECTORY, wasip1.ODirectory, 0},
		{sys.O_APPEND, 0, wasip1.FdAppend}, {sys.O_NONBLOCK, 0, wasip1.FdNonblock},
		{sys.O_DSYNC, 0, wasip1.FdDsync}, {sys.O_RSYNC, 0, wasip1.FdRsync}, {sys.O_SYNC, 0, wasip1.FdSync},
	} {
		if flag&m.flag != 0 {
			o.Oflags |= m.o
			o.Fdflags |= m.fd
		}
	}
	return o
}

// Lstat implements [sys.FS].
func (f *fileSystem) Lstat(path string) (wazerosys.Stat_t, sys.Errno) {
	return f.stat(path, (*vfs.Root).Lstat)
}

// Stat implements [sys.FS].
func (f *fileSystem) Stat(path string) (wazerosys.Stat_t, sys.Errno) {
	return f.stat(path, (*vfs.Root).Stat)
}

func (f *fileSystem) stat(path string, get func(*vfs.Root, string) (vfs.Attr, error)) (st wazerosys.Stat_t, e sys.Errno) {
	e = f.do(func(r *vfs.Root) error {
		a, err := get(r, path)
		if err == nil {
			st = status(a, f.dev)
		}
		return err
	})
	return st, e
}

// status returns attributes as wazero has them.
func status(a vfs.Attr, dev uint64) wazerosys.Stat_t {
	return wazerosys.Stat_t{
		Dev: dev, Ino: a.Ino, Mode: a.FileMode(), Nlink: a.Nlink, Size: int64(min(a.Size, 1<<63-1)),
		Atim: a.Atim, Mtim: a.Mtim, Ctim: a.Ctim,
	}
}

// Mkdir implements [sys.FS].
func (f *fileSystem) Mkdir(path string, perm fs.FileMode) sys.Errno {
	return f.do(func(r *vfs.Root) error { return r.Mkdir(path, perm) })
}

// Chmod implements [sys.FS].
func (f *fileSystem) Chmod(path string, perm fs.FileMode) sys.Errno {
	return f.do(func(r *vfs.Root) error { return r.Chmod(path, perm) })
}

// Rename implements [sys.FS].
func (f *fileSystem) Rename(from, to string) sys.Errno {
	return f.do(func(r *vfs.Root) error { return r.Rename(from, to) })
}

// Rmdir implements [sys.FS].
func (f *fileSystem) Rmdir(path string) sys.Errno {
	return f.do(func(r *vfs.Root) error { return r.Rmdir(path) })
}

// Unlink implements [sys.FS].
func (f *fileSystem) Unlink(path string) sys.Errno {
	return f.do(func(r *vfs.Root) error { return r.Unlink(path) })
}

// Link implements [sys.FS].
func (f *fileSystem) Link(oldPath, newPath string) sys.Errno {
	return f.do(func(r *vfs.Root) error { return r.Link(oldPath, newPath) })
}

// Symlink implements [sys.FS].
func (f *fileSystem) Symlink(target, name string) sys.Errno {
	return f.do(func(r *vfs.Root) error {
		if path.IsAbs(target) {
			return wasip1.EPERM
		}
		return r.Symlink(string([]byte(target)), name) // wazero's target lies in the guest's memory
	})
}

// Readlink implements [sys.FS].
func (f *fileSystem) Readlink(path string) (target string, e sys.Errno) {
	e = f.do(func(r *vfs.Root) (err error) {
		target, err = r.Readlink(path)
		return err
	})
	return target, e
}

// Utimens implements [sys.FS].
func (f *fileSystem) Utimens(path string, atim, mtim int64) sys.Errno {
	return f.do(func(r *vfs.Root) error { return r.SetAttr(path, true, times(atim, mtim)) })
}

// times is the change of times that wazero means.
func times(atim, mtim int64) (set vfs.SetAttr) {
	if atim != sys.UTIME_OMIT {
		set.Mask, set.Atim = vfs.SetAtim, atim
	}
	if mtim != sys.UTIME_OMIT {
		set.Mask, set.Mtim = set.Mask|vfs.SetMtim, mtim
	}
	return set
}
