package hostfs

import (
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// file is an open regular file: one descriptor, used with offsets only, except that appending
// leaves the descriptor's own offset behind what was written.
type file struct {
	desc
	node   *fileNode
	next   *file // in node.open
	mode   vfs.OpenMode
	closed atomic.Bool

	mu sync.Mutex // one Append, and one NextData, at a time
	// otherFD is 0, or one more than the same file opened once more: without O_APPEND, to write at
	// an offset, if mode appends; else with O_APPEND, where the kernel has no RWF_APPEND.
	otherFD atomic.Int64
}

var (
	_ vfs.File       = (*file)(nil)
	_ vfs.VectorFile = (*file)(nil)
	_ vfs.Appender   = (*file)(nil)
	_ vfs.Allocator  = (*file)(nil)
	_ vfs.Advisor    = (*file)(nil)
	_ vfs.Sparse     = (*file)(nil)
)

// iovMax is how many buffers the kernel takes at once (IOV_MAX).
const iovMax = 1024

func (f *file) use() error {
	if f.closed.Load() || !f.acquire() {
		return wasip1.EBADF
	}
	return nil
}

func (f *file) release() {
	if f.unref() {
		f.closeOther()
		closeFD(f.fd)
	}
}

// closeOther closes what nobody uses any more.
func (f *file) closeOther() {
	if fd := f.otherFD.Load() - 1; fd >= 0 {
		closeFD(int(fd))
	}
}

// Close returns what the machine has to say about it, such as a write to a network that failed
// late.
func (f *file) Close() error {
	if f.closed.Swap(true) {
		return wasip1.EBADF
	}
	f.node.detach(f)
	if !f.unref() {
		return nil // a call in another thread is still using it, and closes it
	}
	f.closeOther()
	if err := unix.Close(f.fd); err != nil && err != unix.EINTR {
		return wasip1.FromError(err)
	}
	return nil
}

// result makes of a count and an error of the kernel those of an io.ReaderAt or io.WriterAt.
func result(n int, err error) (int, error) {
	if err != nil {
		return 0, wasip1.FromError(err)
	}
	return n, nil
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.use(); err != nil {
		return 0, err
	}
	defer f.release()
	for {
		n, err := unix.Pread(f.fd, p, off)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 && len(p) > 0 {
			return 0, io.EOF
		}
		return f.read(n, off, err)
	}
}

// read is the result of reading at off: the kernel calls an offset near 1<<63 invalid, although it
// is only beyond the end.
func (f *file) read(n int, off int64, err error) (int, error) {
	if err == unix.EINVAL && off > 0 {
		var st unix.Stat_t
		if fstat(f.fd, &st) == nil && off >= st.Size {
			return 0, io.EOF
		}
	}
	return result(n, err)
}

// tooLarge is EFBIG where n bytes at off would end beyond 1<<63-1, which the kernel calls EINVAL.
func tooLarge(off int64, n int) error {
	if off >= 0 && off > 1<<63-1-int64(n) {
		return wasip1.EFBIG
	}
	return nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := tooLarge(off, len(p)); err != nil {
		return 0, err
	}
	if err := f.use(); err != nil {
		return 0, err
	}
	defer f.release()
	done := 0
	for {
		n, err := f.pwrite(p[done:], off+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, wasip1.FromError(err)
		}
		if done += n; done == len(p) {
			return done, nil
		}
		if n == 0 {
			return done, wasip1.EIO
		}
	}
}

// ReadVector is one preadv: at most IOV_MAX buffers are filled. At the end it returns 0 and io.EOF.
func (f *file) ReadVector(bufs [][]byte, off int64) (int, error) {
	if err := f.use(); err != nil {
		return 0, err
	}
	defer f.release()
	bufs = bufs[:min(len(bufs), iovMax)]
	for {
		n, err := unix.Preadv(f.fd, bufs, off)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 && !empty(bufs) {
			return 0, io.EOF
		}
		return f.read(n, off, err)
	}
}

// WriteVector is one pwritev: it may write less than there is, and says so by the count alone.
func (f *file) WriteVector(bufs [][]byte, off int64) (int, error) {
	bufs = bufs[:min(len(bufs), iovMax)]
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	if err := tooLarge(off, total); err != nil {
		return 0, err
	}
	if err := f.use(); err != nil {
		return 0, err
	}
	defer f.release()
	for {
		n, err := f.pwritev(bufs, off)
		if err == unix.EINTR {
			continue
		}
		return result(n, err)
	}
}

func empty(bufs [][]byte) bool {
	for _, b := range bufs {
		if len(b) > 0 {
			return false
		}
	}
	return true
}

// Append writes at the end as O_APPEND does, indivisible also against other processes.
func (f *file) Append(bufs [][]byte) (n int, end int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n, err = f.AppendOnly(bufs); err == nil {
		end, err = f.Appended()
	}
	return n, end, err
}

// AppendOnly is Append without looking where the end is now.
func (f *file) AppendOnly(bufs [][]byte) (int, error) {
	if err := f.use(); err != nil {
		return 0, err
	}
	defer f.release()
	bufs = bufs[:min(len(bufs), iovMax)]
	for {
		n, err := f.appendOnce(bufs)
		if err != unix.EINTR {
			return result(n, err)
		}
	}
}

// appendOnce is one system call that writes at the end. It leaves the offset of the descriptor
// behind what was written: that is how its end is known whatever others append meanwhile.
func (f *file) appendOnce(bufs [][]byte) (int, error) {
	if f.mode.Appends() {
		if len(bufs) == 1 {
			return unix.Write(f.fd, bufs[0]) // a tenth less than with a vector of one
		}
		return unix.Writev(f.fd, bufs)
	}
	if fd := f.otherFD.Load() - 1; fd >= 0 {
		return unix.Writev(int(fd), bufs)
	}
	n, err := unix.Pwritev2(f.fd, bufs, -1, unix.RWF_APPEND) // -1 means the descriptor's own offset
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		fd, err := f.other()
		if err != nil {
			return 0, err
		}
		return unix.Writev(fd, bufs)
	}
	return n, err
}

// Appended returns the descriptor's own offset, which nothing but appending moves.
func (f *file) Appended() (int64, error) {
	if err := f.use(); err != nil {
		return 0, err
	}
	defer f.release()
	fd := f.fd
	if own := f.otherFD.Load() - 1; own >= 0 && !f.mode.Appends() {
		fd = int(own)
	}
	end, err := unix.Seek(fd, 0, unix.SEEK_CUR)
	if err != nil {
		return 0, wasip1.FromError(err)
	}
	return end, nil
}

// pwrite is one system call that writes at an offset.
func (f *file) pwrite(p []byte, off int64) (int, error) {
	if !f.mode.Appends() {
		return unix.Pwrite(f.fd, p, off)
	}
	return f.pwritev([][]byte{p}, off)
}

// pwritev is pwrite from several buffers. With O_APPEND every write appends, so that one at an
// offset needs another descriptor: RWF_NOAPPEND does not reach whoever serves a FUSE mount, and
// serves where the file may not be opened once more.
func (f *file) pwritev(bufs [][]byte, off int64) (int, error) {
	if !f.mode.Appends() {
		return unix.Pwritev(f.fd, bufs, off)
	}
	fd, err := f.other()
	if err == nil {
		return unix.Pwritev(fd, bufs, off)
	}
	n, e := unix.Pwritev2(f.fd, bufs, off, unix.RWF_NOAPPEND)
	if e == unix.EOPNOTSUPP || e == unix.ENOSYS {
		return 0, err
	}
	return n, e
}

// other opens the file once more with O_APPEND, or without it if f.fd has it. Of several that do so
// at once one is kept, which nothing was written through yet.
func (f *file) other() (int, error) {
	if fd := f.otherFD.Load() - 1; fd >= 0 {
		return int(fd), nil
	}
	fd, err := reopen(f.fd, openFlags(f.mode&^vfs.OpenTruncate)^unix.O_APPEND)
	if err != nil {
		return -1, err
	}
	if !f.otherFD.CompareAndSwap(0, int64(fd)+1) {
		closeFD(fd)
	}
	return int(f.otherFD.Load() - 1), nil
}

// again opens the same file once more. The descriptor is duplicated if it is read only, because
// then the shared offset, flags and mode make no difference.
func (f *file) again(mode vfs.OpenMode) (int, error) {
	if mode == vfs.OpenRead && f.mode == vfs.OpenRead {
		fd, err := unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return -1, wasip1.FromError(err)
		}
		return fd, nil
	}
	return reopen(f.fd, openFlags(mode))
}

func (f *file) setAttr(s vfs.SetAttr) error {
	if s.Mask&vfs.SetMode != 0 {
		err := again(func() error { return unix.Fchmod(f.fd, uint32(s.Mode.Perm())) })
		if err == wasip1.EBADF { // O_PATH
			err = again(func() error { return unix.Fchmodat(unix.AT_FDCWD, procPath(f.fd), uint32(s.Mode.Perm()), 0) })
		}
		if err != nil {
			return err
		}
	}
	ts, ok := times(s)
	if !ok {
		return nil
	}
	err := again(func() error { return unix.UtimesNanoAt(f.fd, "", ts[:], unix.AT_EMPTY_PATH) })
	if err == wasip1.EINVAL || err == wasip1.ENOENT { // before Linux 5.8
		err = again(func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, procPath(f.fd), ts[:], 0) })
	}
	return err
}

func (f *file) Sync(dataOnly bool) error {
	if err := f.use(); err != nil {
		return err
	}
	defer f.release()
	fd := f.fd
	if f.mode&^(vfs.OpenSync|vfs.OpenDsync) == 0 { // O_PATH
		var err error
		if fd, err = f.again(vfs.OpenRead); err != nil {
			return err
		}
		defer closeFD(fd)
	}
	if dataOnly {
		return again(func() error { return unix.Fdatasync(fd) })
	}
	return again(func() error { return unix.Fsync(fd) })
}

// Allocate answers ENOTSUP where the machine's file system cannot reserve space: imitating it by
// raising the size could cut a file that grows meanwhile.
func (f *file) Allocate(off, n int64) error {
	if off < 0 || n <= 0 {
		return wasip1.EINVAL
	}
	if off > 1<<63-1-n {
		return wasip1.EFBIG
	}
	if f.node.fs.readOnly {
		return wasip1.EROFS
	}
	if err := f.use(); err != nil {
		return err
	}
	defer f.release()
	fd := f.fd
	if f.mode&vfs.OpenWrite == 0 {
		// Whether the descriptor has the right is the guest's matter; the kernel wants one for
		// writing.
		var err error
		if fd, err = f.again(vfs.OpenWrite); err != nil {
			return err
		}
		defer closeFD(fd)
	}
	return again(func() error { return unix.Fallocate(fd, 0, off, n) })
}

// NextData implements [vfs.Sparse] by lseek, which moves the descriptor's own offset: that of a
// file that can be appended to stays.
func (f *file) NextData(off int64) (start, end int64, err error) {
	if err := f.use(); err != nil {
		return 0, 0, err
	}
	defer f.release()
	fd := f.fd
	if f.mode&vfs.OpenWrite != 0 {
		if fd, err = reopen(f.fd, openFlags(f.mode&^vfs.OpenTruncate)); err != nil {
			return 0, 0, err
		}
		defer closeFD(fd)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if start, err = unix.Seek(fd, off, unix.SEEK_DATA); err == nil {
		end, err = unix.Seek(fd, start, unix.SEEK_HOLE)
	}
	switch err {
	case nil:
		return start, end, nil
	case unix.ENXIO:
		return 0, 0, io.EOF
	case unix.EINVAL:
		return 0, 0, wasip1.ENOTSUP
	}
	return 0, 0, wasip1.FromError(err)
}

func (f *file) Advise(off, n int64, advice wasip1.Advice) error {
	if off < 0 || n < 0 || !advice.Valid() {
		return wasip1.EINVAL
	}
	if err := f.use(); err != nil {
		return err
	}
	defer f.release()
	kernel := [...]int{
		wasip1.AdviceNormal:     unix.FADV_NORMAL,
		wasip1.AdviceSequential: unix.FADV_SEQUENTIAL,
		wasip1.AdviceRandom:     unix.FADV_RANDOM,
		wasip1.AdviceWillneed:   unix.FADV_WILLNEED,
		wasip1.AdviceDontneed:   unix.FADV_DONTNEED,
		wasip1.AdviceNoreuse:    unix.FADV_NOREUSE,
	}[advice]
	err := again(func() error { return unix.Fadvise(f.fd, off, n, kernel) })
	if err == wasip1.EBADF {
		return nil // O_PATH: nothing will be read through it
	}
	return err
}
