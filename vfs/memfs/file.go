package memfs

import (
	"io"
	"math"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// A fileNode is also its own open file.
var _ interface {
	handle
	vfs.RegularFile
	vfs.File
	vfs.Appender
	vfs.VectorFile
	vfs.Allocator
} = (*fileNode)(nil)

// Type returns the type.
func (n *fileNode) Type() wasip1.Filetype { return wasip1.FiletypeRegularFile }

// Attr returns the attributes. Errors: ENOENT where the file has gone.
func (n *fileNode) Attr() (a vfs.Attr, err error) {
	err = n.base().fileAttr(&a)
	return a, err
}

// PutAttr stores the attributes in a. Errors: as Attr.
func (n *fileNode) PutAttr(a *vfs.Attr) error { return n.base().fileAttr(a) }

// LetGo is Close for the walker of package vfs, which had the file made, and was the last to have
// it.
func (n *fileNode) LetGo() error {
	if atomic.CompareAndSwapUint32(&n.life, opened, 0) {
		return nil
	}
	return n.Close()
}

// Open returns the node itself, which counts how often it is open. Errors: ENOENT
// for a file whose last name was removed when it was not open.
func (n *fileNode) Open(mode vfs.OpenMode) (vfs.File, error) {
	for {
		life := atomic.LoadUint32(&n.life)
		if life&over != 0 {
			return nil, wasip1.ENOENT
		}
		if atomic.CompareAndSwapUint32(&n.life, life, life+opened) {
			break
		}
	}
	if mode&vfs.OpenTruncate != 0 {
		f, l := n.fs, n.lockOwn()
		f.truncate(n.in, 0)
		n.in.changed(f.now())
		l.unlock(&f.park)
	}
	return n, nil
}

// lockOwn returns the lock of the file, held for writing, with an inode that the file system may
// change, unless the file has gone. Calls that may be about one byte have it written out: it is too
// large to be inlined, and calling it costs them 1.5 ns of 30.
func (n *fileNode) lockOwn() *rwlock {
	f := n.fs
	l := f.stripe(n.ino)
	l.lock(&f.park)
	if n.in.owner != f.owner {
		n.base().claim(l)
	}
	return l
}

// Close undoes one Open. What has no name goes with the last.
func (n *fileNode) Close() error {
	for {
		was := atomic.LoadUint32(&n.life)
		if was < opened {
			return wasip1.EBADF
		}
		is := was - opened | known
		if atomic.CompareAndSwapUint32(&n.life, was, is) {
			if is == known|unnamed {
				n.base().vanish()
			}
			return nil
		}
	}
}

// The walker of package vfs need not keep the file open for a call: what has gone has no content,
// and answers EBADF to writing. It leaves the positions to the file, whose lock guards them too.

func total(bufs [][]byte) (n int64) {
	for _, p := range bufs {
		n += int64(len(p))
	}
	return n
}

// LockPosition guards all positions in the file, until UnlockPosition is called.
func (n *fileNode) LockPosition() {
	f := n.fs
	f.stripe(n.ino).lock(&f.park)
}

// UnlockPosition undoes LockPosition.
func (n *fileNode) UnlockPosition() {
	f := n.fs
	f.stripe(n.ino).unlock(&f.park)
}

// maxAlone is how many bytes are copied by a reader that keeps other readers out, so that it takes
// its lock once.
const maxAlone = 4096

// ReadNext reads what there is from *pos on, and moves *pos behind it.
func (n *fileNode) ReadNext(bufs [][]byte, pos *int64) (int, error) {
	want := total(bufs)
	if want == 0 {
		return 0, nil
	}
	f := n.fs
	l := f.stripe(n.ino)
	l.lock(&f.park)
	if n.in.unread {
		if n.in.owner != f.owner {
			n.base().claim(l)
		}
		if in := n.in; in.unread {
			in.atim, in.unread = f.now(), false
		}
	}
	in, off := n.in, *pos
	k := min(want, max(in.size-off, 0))
	*pos = off + k
	if want <= maxAlone {
		if i, r := uint64(off)>>chunkBits, in.rest; i > 0 && r != nil && r.at != i && in.owner == f.owner {
			r.remember(i)
		}
		in.readAll(bufs, off)
		l.unlock(&f.park)
		return int(k), nil
	}
	l.downgrade(&f.park)
	in.readAll(bufs, off)
	l.runlock(&f.park)
	return int(k), nil
}

// WriteNext writes bufs from *pos on, and moves *pos behind what was written. Errors: EFBIG,
// ENOSPC, EBADF.
func (n *fileNode) WriteNext(bufs [][]byte, pos *int64) (int, error) {
	f := n.fs
	l := f.stripe(n.ino)
	l.lock(&f.park)
	if n.in.owner != f.owner {
		n.base().claim(l)
	}
	k, err, off := 0, error(wasip1.EFBIG), *pos
	if total(bufs) <= math.MaxInt64-off {
		k, err = n.writeAll(bufs, off)
		*pos = off + int64(k)
	}
	l.unlock(&f.park)
	return k, err
}

// AppendNext writes bufs at the end, and moves *pos behind what was written. Errors: EFBIG, ENOSPC,
// EBADF.
func (n *fileNode) AppendNext(bufs [][]byte, pos *int64) (int, error) {
	f := n.fs
	l := f.stripe(n.ino)
	l.lock(&f.park)
	if n.in.owner != f.owner {
		n.base().claim(l)
	}
	k, err := n.writeAll(bufs, n.in.size)
	if k > 0 {
		*pos = n.in.size
	}
	l.unlock(&f.park)
	return k, err
}

// Sync does nothing: memory is all the store there is.
func (n *fileNode) Sync(bool) error { return nil }

// ReadAt reads what there is.
func (n *fileNode) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, wasip1.EINVAL
	}
	f := n.fs
	l := f.stripe(n.ino)
	l.rlock(&f.park)
	k := n.in.read(p, off)
	unread := n.in.unread
	l.runlock(&f.park)
	if len(p) == 0 {
		return 0, nil
	}
	if unread {
		n.wasRead()
	}
	if k < len(p) {
		return k, io.EOF
	}
	return k, nil
}

// ReadVector is ReadAt for several buffers, read at one moment.
func (n *fileNode) ReadVector(bufs [][]byte, off int64) (int, error) {
	if off < 0 {
		return 0, wasip1.EINVAL
	}
	f := n.fs
	l := f.stripe(n.ino)
	l.rlock(&f.park)
	done, short := n.in.readAll(bufs, off)
	unread := n.in.unread
	l.runlock(&f.park)
	if unread && (done > 0 || short) {
		n.wasRead()
	}
	if short {
		return done, io.EOF
	}
	return done, nil
}

// wasRead sets the access time after the first read since a change.
func (n *fileNode) wasRead() {
	f, l := n.fs, n.lockOwn()
	if in := n.in; in.unread {
		in.atim, in.unread = f.now(), false
	}
	l.unlock(&f.park)
}

// WriteAt writes p, or what fits of it. Errors: EFBIG, ENOSPC.
func (n *fileNode) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, wasip1.EINVAL
	}
	if len(p) == 0 {
		return 0, nil
	}
	f := n.fs
	l := f.stripe(n.ino)
	l.lock(&f.park)
	if n.in.owner != f.owner {
		n.base().claim(l)
	}
	if n.gone {
		l.unlock(&f.park)
		return 0, wasip1.EBADF
	}
	in := n.in
	k, err := f.write(in, p, off)
	if k > 0 {
		in.changed(f.now())
	}
	l.unlock(&f.park)
	return k, err
}

// WriteVector is WriteAt for several buffers, written at one moment.
func (n *fileNode) WriteVector(bufs [][]byte, off int64) (int, error) {
	if off < 0 {
		return 0, wasip1.EINVAL
	}
	f := n.fs
	l := f.stripe(n.ino)
	l.lock(&f.park)
	if n.in.owner != f.owner {
		n.base().claim(l)
	}
	k, err := n.writeAll(bufs, off)
	l.unlock(&f.park)
	return k, err
}

// Append writes bufs at the end, at one moment.
func (n *fileNode) Append(bufs [][]byte) (int, int64, error) {
	f, l := n.fs, n.lockOwn()
	k, err := n.writeAll(bufs, n.in.size)
	end := n.in.size
	l.unlock(&f.park)
	return k, end, err
}

// writeAll writes bufs from off on. The file is locked by lockOwn.
func (n *fileNode) writeAll(bufs [][]byte, off int64) (int, error) {
	if n.gone {
		return 0, wasip1.EBADF
	}
	f, in := n.fs, n.in
	if len(bufs) == 1 && len(bufs[0]) > 0 {
		k, err := f.write(in, bufs[0], off)
		if k > 0 {
			in.changed(f.now())
		}
		return k, err
	}
	done := 0
	var err error
	for _, p := range bufs {
		if len(p) == 0 {
			continue
		}
		var k int
		k, err = f.write(in, p, off)
		done += k
		off += int64(k)
		if err != nil {
			break
		}
	}
	if done > 0 {
		in.changed(f.now())
	}
	return done, err
}

// Allocate makes the file at least off+size bytes long. The space stays a hole: memory is taken
// when it is written, and only a request beyond all that the file system may hold is ENOSPC.
func (n *fileNode) Allocate(off, size int64) error {
	if off < 0 || size <= 0 {
		return wasip1.EINVAL
	}
	f := n.fs
	if off > math.MaxInt64-size || off+size > f.maxFile {
		return wasip1.EFBIG
	}
	if size > f.maxBytes {
		return wasip1.ENOSPC
	}
	l := n.lockOwn()
	defer l.unlock(&f.park)
	if n.gone {
		return wasip1.EBADF
	}
	if in := n.in; off+size > in.size {
		in.size = off + size
		in.changed(f.now())
	}
	return nil
}

// SetAttr changes attributes. Errors: EFBIG for a size beyond the limit, ENOENT where the file has
// gone.
func (n *fileNode) SetAttr(a vfs.SetAttr) error {
	f := n.fs
	if a.Mask&vfs.SetSize != 0 && a.Size > uint64(f.maxFile) {
		return wasip1.EFBIG
	}
	l := n.lockOwn()
	defer l.unlock(&f.park)
	if n.gone {
		return wasip1.ENOENT
	}
	in, now := n.in, f.now()
	if a.Mask&vfs.SetSize != 0 {
		f.truncate(in, int64(a.Size))
		in.changed(now)
	}
	in.set(&a, now)
	return nil
}
