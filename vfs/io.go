package vfs

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/wasivirt/wasivirt/wasip1"
)

// A file system is the embedder's code and may panic: locks and holds are given back by defer
// wherever one is called.

// miscounted reports whether n is no count of bytes of a buffer with so many: a file system or a
// stream is the embedder's code and may be wrong. What it says is [errMiscounted] then.
func miscounted(n, most int) bool { return uint(n) > uint(most) }

var errMiscounted = fmt.Errorf("the file system or stream counts less than nothing, or more than it was asked for: %w", wasip1.EIO)

// readFile reads at the position and moves it. f has a file.
func (f *OpenFile) readFile(bufs [][]byte) (int, error) {
	if f.lasting != nil {
		if !f.alive() {
			return 0, wasip1.EBADF
		}
		return f.lasting.ReadNext(bufs, &f.offset)
	}
	return f.readHere(bufs)
}

// readHere is readFile for a file whose positions f itself guards.
func (f *OpenFile) readHere(bufs [][]byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, wasip1.EBADF
	}
	if err := f.settle(); err != nil {
		return 0, err
	}
	n, err := f.readVector(bufs, f.offset)
	f.offset += int64(n)
	return n, err
}

// readFileAt reads at off.
func (f *OpenFile) readFileAt(bufs [][]byte, off int64) (int, error) {
	switch {
	case !f.stays:
		return f.readHeld(bufs, off)
	case !f.alive():
		return 0, wasip1.EBADF
	}
	return f.readVector(bufs, off)
}

// readHeld is readFileAt for a file that has to be kept open.
func (f *OpenFile) readHeld(bufs [][]byte, off int64) (int, error) {
	if !f.acquire() {
		return 0, wasip1.EBADF
	}
	defer f.release()
	return f.readVector(bufs, off)
}

// readVector fills bufs from the content at off. The end of the file is no error. f is kept open by
// the caller.
func (f *OpenFile) readVector(bufs [][]byte, off int64) (n int, err error) {
	switch {
	case len(bufs) == 1:
		if n, err = f.file.ReadAt(bufs[0], off); miscounted(n, len(bufs[0])) {
			return 0, errMiscounted
		}
	case f.vector != nil:
		if n, err = f.vector.ReadVector(bufs, off); miscounted(n, int(total(bufs))) {
			return 0, errMiscounted
		}
	default:
		for _, b := range bufs {
			if len(b) == 0 {
				continue
			}
			var k int
			if k, err = f.file.ReadAt(b, off+int64(n)); miscounted(k, len(b)) {
				return n, errMiscounted
			}
			n += k
			if err != nil || k < len(b) {
				break
			}
		}
	}
	if err != nil && (n > 0 || err == io.EOF || errors.Is(err, io.EOF)) {
		return n, nil
	}
	return n, err
}

// writeFile writes at the position, or with FdAppend at the end, and moves the position behind what
// was written. f has a file.
func (f *OpenFile) writeFile(bufs [][]byte) (n int, err error) {
	flags := f.Flags()
	switch {
	case f.lasting == nil:
		n, err = f.writeHere(bufs, flags)
	case !f.alive():
		return 0, wasip1.EBADF
	case flags&wasip1.FdAppend == 0:
		f.wroteTo()
		n, err = f.lasting.WriteNext(bufs, &f.offset)
	default:
		f.wroteTo()
		n, err = f.lasting.AppendNext(bufs, &f.offset)
	}
	if n == 0 && err != nil {
		return 0, err
	}
	if f.plain(flags) {
		return n, nil
	}
	return n, f.written(flags)
}

// writeHere writes at the position or the end, and moves the position, which f itself guards.
func (f *OpenFile) writeHere(bufs [][]byte, flags wasip1.Fdflags) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wroteTo()
	switch {
	case f.closed:
		err = wasip1.EBADF
	case flags&wasip1.FdAppend == 0:
		if err = f.settle(); err == nil {
			n, err = f.writeVector(bufs, f.offset)
			f.offset += int64(n)
		}
	case f.guarded != nil:
		if n, err = f.guarded.AppendOnly(bufs); miscounted(n, int(total(bufs))) {
			return 0, errMiscounted
		}
		f.behind = f.behind || n > 0
	case f.append != nil:
		var end int64
		n, end, err = f.append.Append(bufs)
		if miscounted(n, int(total(bufs))) || n > 0 && end < 0 {
			return 0, errMiscounted
		}
		if n > 0 {
			f.offset = end
		}
	default:
		n, err = f.writeEnd(bufs)
	}
	return n, err
}

// writeEnd appends for a file that cannot do so by itself. f.mu is held.
func (f *OpenFile) writeEnd(bufs [][]byte) (int, error) {
	f.m.appendMu.Lock()
	defer f.m.appendMu.Unlock()
	a, err := f.node.Attr()
	if err != nil {
		return 0, err
	}
	if a.Size > math.MaxInt64 {
		return 0, wasip1.EFBIG
	}
	n, err := f.writeVector(bufs, int64(a.Size))
	f.offset = int64(a.Size) + int64(n)
	return n, err
}

// writeFileAt writes at off, also with FdAppend (POSIX: pwrite).
func (f *OpenFile) writeFileAt(bufs [][]byte, off int64) (int, error) {
	switch {
	case !f.stays:
		return f.writeHeld(bufs, off)
	case !f.alive():
		return 0, wasip1.EBADF
	}
	return f.writeNow(bufs, off)
}

// writeHeld is writeFileAt for a file that has to be kept open.
func (f *OpenFile) writeHeld(bufs [][]byte, off int64) (int, error) {
	if !f.acquire() {
		return 0, wasip1.EBADF
	}
	defer f.release()
	return f.writeNow(bufs, off)
}

// writeNow is writeFileAt where the file stays open.
func (f *OpenFile) writeNow(bufs [][]byte, off int64) (int, error) {
	n, err := f.writeVector(bufs, off)
	if n == 0 && err != nil {
		return 0, err
	}
	f.wroteTo()
	if flags := f.Flags(); !f.plain(flags) {
		return n, f.written(flags)
	}
	return n, nil
}

// writeVector writes bufs to the content at off. What was written before an error counts; the next
// write meets the error again. f is kept open by the caller.
func (f *OpenFile) writeVector(bufs [][]byte, off int64) (n int, err error) {
	switch {
	case len(bufs) == 1:
		if off > math.MaxInt64-int64(len(bufs[0])) {
			return 0, wasip1.EFBIG
		}
		if n, err = f.file.WriteAt(bufs[0], off); miscounted(n, len(bufs[0])) {
			return 0, errMiscounted
		}
	case off > math.MaxInt64-total(bufs):
		return 0, wasip1.EFBIG
	case f.vector != nil:
		if n, err = f.vector.WriteVector(bufs, off); miscounted(n, int(total(bufs))) {
			return 0, errMiscounted
		}
	default:
		for _, b := range bufs {
			if len(b) == 0 {
				continue
			}
			var k int
			if k, err = f.file.WriteAt(b, off+int64(n)); miscounted(k, len(b)) {
				return n, errMiscounted
			}
			n += k
			if err != nil || k < len(b) {
				break
			}
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, err
}

func total(bufs [][]byte) (n int64) {
	for _, b := range bufs {
		n += int64(len(b))
	}
	return n
}

// plain reports whether nothing follows a write.
func (f *OpenFile) plain(flags wasip1.Fdflags) bool { return flags&syncs == 0 && !f.m.watched() }

const syncs = wasip1.FdSync | wasip1.FdDsync

// written does what follows a write: it waits for the store where the flags that were set after
// opening demand it, and tells those who watch.
func (f *OpenFile) written(flags wasip1.Fdflags) error {
	if flags&syncs != 0 && f.mode&(OpenSync|OpenDsync) == 0 {
		if err := f.file.Sync(flags&wasip1.FdSync == 0); err != nil {
			return err
		}
	}
	if f.m.watched() {
		f.m.tell(Event{Op: Modified, Path: f.Path()})
	}
	return nil
}

// seek moves the position. Errors: EINVAL for a whence that there is not and for a position before
// the start, EOVERFLOW.
func (f *OpenFile) seek(delta int64, whence wasip1.Whence) (int64, error) {
	var end uint64
	if whence == wasip1.WhenceEnd {
		a, err := f.node.Attr()
		if err != nil {
			return 0, err
		}
		end = a.Size
	}
	f.lockPosition()
	defer f.unlockPosition()
	var from int64
	switch whence {
	case wasip1.WhenceSet:
	case wasip1.WhenceCur:
		if err := f.settle(); err != nil {
			return 0, err
		}
		from = f.offset
	case wasip1.WhenceEnd:
		if end > math.MaxInt64 {
			return 0, wasip1.EOVERFLOW
		}
		from = int64(end)
	default:
		return 0, wasip1.EINVAL
	}
	if delta > 0 && from > math.MaxInt64-delta {
		return 0, wasip1.EOVERFLOW
	}
	if from+delta < 0 {
		return 0, wasip1.EINVAL
	}
	f.offset, f.behind = from+delta, false
	return f.offset, nil
}

func (f *OpenFile) position() (int64, error) {
	f.lockPosition()
	defer f.unlockPosition()
	err := f.settle()
	return f.offset, err
}

// setSize cuts or lengthens the file.
func (f *OpenFile) setSize(size uint64) error {
	if size > math.MaxInt64 {
		return wasip1.EFBIG
	}
	if f.m.readOnly {
		return wasip1.EROFS
	}
	if err := f.node.SetAttr(SetAttr{Mask: SetSize, Size: size}); err != nil {
		return err
	}
	if f.m.watched() {
		f.m.tell(Event{Op: Modified, Path: f.Path()})
	}
	return nil
}

// allocate makes the file at least off+n bytes long.
func (f *OpenFile) allocate(off, n int64) error {
	if f.m.readOnly {
		return wasip1.EROFS
	}
	if !f.acquire() {
		return wasip1.EBADF
	}
	defer f.release()
	if a, ok := f.file.(Allocator); ok {
		return a.Allocate(off, n)
	}
	a, err := f.node.Attr()
	if err != nil || a.Size >= uint64(off+n) {
		return err
	}
	return f.setSize(uint64(off + n))
}

// sync puts the file on the store.
func (f *OpenFile) sync(dataOnly bool) error {
	if !f.acquire() {
		return wasip1.EBADF
	}
	defer f.release()
	if f.file != nil {
		return f.file.Sync(dataOnly)
	}
	if d, ok := f.node.(interface{ Sync(dataOnly bool) error }); ok {
		return d.Sync(dataOnly)
	}
	return nil
}
