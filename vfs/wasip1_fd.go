package vfs

import (
	"math"

	"github.com/wasivirt/wasivirt/wasip1"
)

// The fd_* functions of WASI preview1 in the order of the specification, with its parameters. What
// all have in common is not repeated:
//
//   - EBADF: fd is not open;
//   - ENOTCAPABLE: fd lacks the right that is named after the function;
//   - EFAULT: a pointer does not lead to guest memory, for as many bytes as are read or written
//     there. Results are checked before anything is done;
//   - EISDIR: fd is a directory and the function needs a file; ESPIPE: fd is a stream and it needs
//     a position.
//
// More than 16 MiB in one call are moved in pieces of that size: another thread may come in
// between, and the end of the calling one does.
//
// What the file system says is passed on.

// file returns the regular file that fd stands for. stream is the error for a stream.
func (c *Caller) file(fd uint32, rights wasip1.Rights, stream wasip1.Errno) (*OpenFile, wasip1.Errno) {
	f := c.Table.get(fd)
	switch {
	case f == nil:
		return nil, wasip1.EBADF
	case f.file != nil && f.can(rights):
		return f, wasip1.ESUCCESS
	case f.file != nil:
		return nil, wasip1.ENOTCAPABLE
	case f.dir != nil:
		return nil, wasip1.EISDIR
	}
	return nil, stream
}

// any returns what fd stands for.
func (c *Caller) any(fd uint32, rights wasip1.Rights) (*OpenFile, wasip1.Errno) {
	f := c.Table.get(fd)
	switch {
	case f == nil:
		return nil, wasip1.EBADF
	case !f.can(rights):
		return nil, wasip1.ENOTCAPABLE
	}
	return f, wasip1.ESUCCESS
}

// FdAdvise announces how the guest will use a part of a file. A length of 0 means up to the end.
// Files that are no [Advisor] ignore it.
//
// Errors: EINVAL for an unknown advice and for a range beyond 1<<63-1; ESPIPE for a stream.
func FdAdvise(c *Caller, fd uint32, offset, length uint64, advice uint32) wasip1.Errno {
	f := c.Table.get(fd)
	switch {
	case f == nil:
		return wasip1.EBADF
	case f.stream != nil:
		return wasip1.ESPIPE
	case !f.can(wasip1.RightFdAdvise):
		return wasip1.ENOTCAPABLE
	case advice > math.MaxUint8 || !wasip1.Advice(advice).Valid():
		return wasip1.EINVAL
	case offset > math.MaxInt64 || length > math.MaxInt64-offset:
		return wasip1.EINVAL
	}
	a, ok := f.file.(Advisor)
	if !ok {
		return wasip1.ESUCCESS
	}
	if !f.acquire() {
		return wasip1.EBADF
	}
	err := a.Advise(int64(offset), int64(length), wasip1.Advice(advice))
	f.release()
	return errno(err)
}

// FdAllocate reserves space for a part of a file. The file becomes at least offset+length bytes
// long.
//
// Errors: EINVAL for a length of 0 (POSIX: posix_fallocate); EFBIG beyond 1<<63-1; ESPIPE, EISDIR,
// EROFS, ENOSPC.
func FdAllocate(c *Caller, fd uint32, offset, length uint64) wasip1.Errno {
	f, e := c.file(fd, wasip1.RightFdAllocate, wasip1.ESPIPE)
	switch {
	case e != wasip1.ESUCCESS:
		return e
	case length == 0:
		return wasip1.EINVAL
	case offset > math.MaxInt64 || length > math.MaxInt64-offset:
		return wasip1.EFBIG
	}
	if err := c.prepare(f, KeepAll); err != nil {
		return errno(err)
	}
	return errno(f.allocate(int64(offset), int64(length)))
}

// FdClose closes fd. The number is free afterwards even if FdClose returns an error. Errors: EBADF;
// the error of storing pending writes.
func FdClose(c *Caller, fd uint32) wasip1.Errno {
	f := c.Table.remove(fd)
	if f == nil {
		return wasip1.EBADF
	}
	if !f.again || c.Table.shared.Load() {
		return errno(f.release())
	}
	closed, err := f.releaseAlone()
	if closed {
		c.walk.spare = f
	}
	return errno(err)
}

// FdDatasync makes the content of a file durable. Errors: EINVAL for a stream (POSIX: fdatasync).
func FdDatasync(c *Caller, fd uint32) wasip1.Errno {
	return c.sync(fd, wasip1.RightFdDatasync, true)
}

func (c *Caller) sync(fd uint32, right wasip1.Rights, dataOnly bool) wasip1.Errno {
	f := c.Table.get(fd)
	switch {
	case f == nil:
		return wasip1.EBADF
	case f.stream != nil:
		return wasip1.EINVAL
	case !f.can(right):
		return wasip1.ENOTCAPABLE
	}
	return errno(f.sync(dataOnly))
}

// offset returns an offset that a guest gave as a filesize. Errors: EINVAL beyond 1<<63-1.
func offset(off uint64) (int64, wasip1.Errno) {
	if off > math.MaxInt64 {
		return 0, wasip1.EINVAL
	}
	return int64(off), wasip1.ESUCCESS
}

// FdPread reads at an offset and does not move the position. iovs is an array of iovsLen iovecs.
// The number of bytes is stored at nread; 0 means the end of the file.
//
// Errors: EINVAL for too many iovecs and for an offset beyond 1<<63-1; EISDIR; ESPIPE.
func FdPread(c *Caller, fd, iovs, iovsLen uint32, off uint64, nread uint32) wasip1.Errno {
	f, e := c.file(fd, wasip1.RightFdRead|wasip1.RightFdSeek, wasip1.ESPIPE)
	if e != wasip1.ESUCCESS {
		return e
	}
	at, e := offset(off)
	if e != wasip1.ESUCCESS {
		return e
	}
	list, e := c.View.Iovecs(iovs, iovsLen, &c.scratch, true)
	if e != wasip1.ESUCCESS {
		return e
	}
	if !c.View.Has(nread, 4) {
		return wasip1.EFAULT
	}
	n, err := c.readFileAt(f, list.Bufs, list.Total(), at)
	if err != nil {
		return errno(err)
	}
	list.Wrote(uint64(n))
	return c.View.PutUint32(nread, uint32(n))
}

// FdPrestatGet stores at result the type of a preopened directory and the length of its name.
// Errors: EBADF, also for a descriptor that is not preopened. Guests call it with increasing
// numbers until they get this error.
func FdPrestatGet(c *Caller, fd, result uint32) wasip1.Errno {
	f := c.Table.get(fd)
	if f == nil || !f.preopened {
		return wasip1.EBADF
	}
	b, e := c.View.Write(result, wasip1.SizePrestat)
	if e != wasip1.ESUCCESS {
		return e
	}
	s := wasip1.Prestat{Tag: wasip1.PreopentypeDir, NameLen: uint32(f.pathLen)}
	s.Encode(b)
	return wasip1.ESUCCESS
}

// FdPrestatDirName stores the name of a preopened directory at path, without a NUL. Errors:
// ENAMETOOLONG if it has more than pathLen bytes.
func FdPrestatDirName(c *Caller, fd, path, pathLen uint32) wasip1.Errno {
	f := c.Table.get(fd)
	if f == nil || !f.preopened {
		return wasip1.EBADF
	}
	if int64(pathLen) < int64(f.pathLen) {
		return wasip1.ENAMETOOLONG
	}
	b, e := c.View.Write(path, uint32(f.pathLen))
	if e != wasip1.ESUCCESS {
		return e
	}
	if f.pathLen > len(f.short) {
		copy(b, f.path)
	} else {
		copy(b, f.short[:])
	}
	return wasip1.ESUCCESS
}

// FdPwrite writes at an offset and does not move the position, even if FdAppend is set (POSIX:
// pwrite). See [FdPread].
func FdPwrite(c *Caller, fd, iovs, iovsLen uint32, off uint64, nwritten uint32) wasip1.Errno {
	f, e := c.file(fd, wasip1.RightFdWrite|wasip1.RightFdSeek, wasip1.ESPIPE)
	if e != wasip1.ESUCCESS {
		return e
	}
	at, e := offset(off)
	if e != wasip1.ESUCCESS {
		return e
	}
	list, e := c.View.Iovecs(iovs, iovsLen, &c.scratch, false)
	if e != wasip1.ESUCCESS {
		return e
	}
	if !c.View.Has(nwritten, 4) {
		return wasip1.EFAULT
	}
	n := 0
	var err error
	switch {
	case list.Total() > maxPiece || f.prepares:
		n, err = c.writeFileAt(f, list.Bufs, list.Total(), at)
	case list.Total() > 0:
		n, err = f.writeFileAt(list.Bufs, at)
	}
	if err != nil {
		return errno(err)
	}
	list.DidRead(uint64(n))
	return c.View.PutUint32(nwritten, uint32(n))
}

// FdRead reads at the position and moves it. From a stream it reads what is available, and waits
// for at least one byte unless FdNonblock is set. iovs is an array of iovsLen iovecs. The number of
// bytes is stored at nread; 0 means the end.
//
// Errors: EINVAL for too many iovecs; EISDIR; EAGAIN with FdNonblock; ECANCELED if the thread has
// to end.
func FdRead(c *Caller, fd, iovs, iovsLen, nread uint32) wasip1.Errno {
	f := c.Table.get(fd)
	if f == nil {
		return wasip1.EBADF
	}
	if !f.can(wasip1.RightFdRead) {
		if f.dir != nil {
			return wasip1.EISDIR
		}
		return wasip1.ENOTCAPABLE
	}
	list, e := c.View.Iovecs(iovs, iovsLen, &c.scratch, true)
	if e != wasip1.ESUCCESS {
		return e
	}
	if !c.View.Has(nread, 4) {
		return wasip1.EFAULT
	}
	var n int
	var err error
	switch {
	case f.file != nil:
		n, err = c.readFile(f, list.Bufs, list.Total())
	case f.stream != nil:
		n, err = c.readStream(f, list.Bufs, "fd_read", fd)
	default:
		return wasip1.EISDIR
	}
	if err != nil {
		return errno(err)
	}
	list.Wrote(uint64(n))
	return c.View.PutUint32(nread, uint32(n))
}

// FdRenumber closes the descriptor to, and moves fd to that number. Both can be any open
// descriptors, standard streams and preopened directories included. Errors: EBADF if one of them is
// not open.
func FdRenumber(c *Caller, fd, to uint32) wasip1.Errno { return errno(c.Table.Renumber(fd, to)) }

// FdSeek moves the position to delta bytes from the place that whence names, and stores it at
// result. With delta 0 and WhenceCur, RightFdTell is sufficient.
//
// Errors: EINVAL for an unknown whence and for a position before the start; EOVERFLOW; ESPIPE;
// EISDIR.
func FdSeek(c *Caller, fd uint32, delta uint64, whence, result uint32) wasip1.Errno {
	right := wasip1.RightFdSeek
	if delta == 0 && whence == uint32(wasip1.WhenceCur) {
		right = wasip1.RightFdTell
		if f := c.Table.get(fd); f != nil && f.can(wasip1.RightFdSeek) {
			right = wasip1.RightFdSeek
		}
	}
	f, e := c.file(fd, right, wasip1.ESPIPE)
	if e == wasip1.ESPIPE {
		return c.device(fd, result)
	}
	if e != wasip1.ESUCCESS {
		return e
	}
	if whence > math.MaxUint8 || !wasip1.Whence(whence).Valid() {
		return wasip1.EINVAL
	}
	if !c.View.Has(result, 8) {
		return wasip1.EFAULT
	}
	at, err := f.seek(int64(delta), wasip1.Whence(whence))
	if err != nil {
		return errno(err)
	}
	return c.View.PutUint64(result, uint64(at))
}

// device answers fd_seek and fd_tell for a stream: ESPIPE, but a device that is no terminal stands
// at 0 (Linux: lseek).
func (c *Caller) device(fd, result uint32) wasip1.Errno {
	if f := c.Table.get(fd); f == nil || !f.can(wasip1.RightFdSeek) {
		return wasip1.ESPIPE
	}
	return c.View.PutUint64(result, 0)
}

// FdSync makes content and attributes of a file durable. Errors: EINVAL for a stream (POSIX:
// fsync).
func FdSync(c *Caller, fd uint32) wasip1.Errno { return c.sync(fd, wasip1.RightFdSync, false) }

// FdTell stores the position at result. Errors: ESPIPE, EISDIR.
func FdTell(c *Caller, fd, result uint32) wasip1.Errno {
	f, e := c.file(fd, 0, wasip1.ESPIPE)
	if e == wasip1.ESPIPE {
		return c.device(fd, result)
	}
	if e != wasip1.ESUCCESS {
		return e
	}
	if !f.can(wasip1.RightFdTell) && !f.can(wasip1.RightFdSeek) {
		return wasip1.ENOTCAPABLE
	}
	if !c.View.Has(result, 8) {
		return wasip1.EFAULT
	}
	at, err := f.position()
	if err != nil {
		return errno(err)
	}
	return c.View.PutUint64(result, uint64(at))
}

// FdWrite writes at the position and moves it; with FdAppend it writes at the end. To a stream it
// writes everything, and waits for room unless FdNonblock is set. iovs is an array of iovsLen
// ciovecs. The number of bytes is stored at nwritten.
//
// Errors: EINVAL for too many ciovecs; EISDIR; EFBIG, ENOSPC, EDQUOT; EPIPE; EAGAIN with
// FdNonblock; ECANCELED if the thread has to end.
func FdWrite(c *Caller, fd, iovs, iovsLen, nwritten uint32) wasip1.Errno {
	f := c.Table.get(fd)
	if f == nil {
		return wasip1.EBADF
	}
	if !f.can(wasip1.RightFdWrite) {
		if f.dir != nil {
			return wasip1.EISDIR
		}
		return wasip1.ENOTCAPABLE
	}
	list, e := c.View.Iovecs(iovs, iovsLen, &c.scratch, false)
	if e != wasip1.ESUCCESS {
		return e
	}
	if !c.View.Has(nwritten, 4) {
		return wasip1.EFAULT
	}
	var n int
	var err error
	switch {
	case f.stream != nil:
		n, err = c.writeStream(f, list.Bufs, "fd_write", fd)
	case f.file == nil:
		return wasip1.EISDIR
	case list.Total() > maxPiece || f.prepares:
		n, err = c.writeFile(f, list.Bufs, list.Total())
	case list.Total() > 0:
		n, err = f.writeFile(list.Bufs)
	}
	if err != nil {
		return errno(err)
	}
	list.DidRead(uint64(n))
	return c.View.PutUint32(nwritten, uint32(n))
}
