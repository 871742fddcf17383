package wrapfs

import (
	"math"
	"sync"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// File is an open file of the file system below.
type File struct {
	Below vfs.File
	// Node is the node below. It is asked for the size, and given one, where Below is no
	// [vfs.Appender] or [vfs.Allocator].
	Node vfs.Node
	// Turns, if not nil, is held during an append where Below is no [vfs.Appender].
	Turns sync.Locker
}

var (
	_ vfs.File       = (*File)(nil)
	_ vfs.VectorFile = (*File)(nil)
	_ vfs.Appender   = (*File)(nil)
	_ vfs.Allocator  = (*File)(nil)
	_ vfs.Advisor    = (*File)(nil)
	_ vfs.Sparse     = (*File)(nil)
)

// ReadAt reads at an offset.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.Below.ReadAt(p, off) }

// WriteAt writes at an offset.
func (f *File) WriteAt(p []byte, off int64) (int, error) { return f.Below.WriteAt(p, off) }

// ReadVector reads into several buffers, one after the other if the file below cannot do it in one
// step. An error after something was read is left for the next read.
func (f *File) ReadVector(bufs [][]byte, off int64) (int, error) {
	if len(bufs) == 1 {
		return f.Below.ReadAt(bufs[0], off)
	}
	if v, ok := f.Below.(vfs.VectorFile); ok {
		return v.ReadVector(bufs, off)
	}
	total := 0
	for _, b := range bufs {
		n, err := f.Below.ReadAt(b, off+int64(total))
		total += n
		if err != nil && total > 0 {
			err = nil
		}
		if err != nil || n < len(b) {
			return total, err
		}
	}
	return total, nil
}

// WriteVector writes several buffers, one after the other if the file below cannot do it in one
// step.
func (f *File) WriteVector(bufs [][]byte, off int64) (int, error) {
	if len(bufs) == 1 {
		return f.Below.WriteAt(bufs[0], off)
	}
	if v, ok := f.Below.(vfs.VectorFile); ok {
		return v.WriteVector(bufs, off)
	}
	total := 0
	for _, b := range bufs {
		n, err := f.Below.WriteAt(b, off+int64(total))
		total += n
		if err != nil || n < len(b) {
			return total, err
		}
	}
	return total, nil
}

// Append writes at the end, where the file below cannot by finding the end first. Errors: EFBIG.
func (f *File) Append(bufs [][]byte) (n int, end int64, err error) {
	if a, ok := f.Below.(vfs.Appender); ok {
		return a.Append(bufs)
	}
	if f.Turns != nil {
		f.Turns.Lock()
		defer f.Turns.Unlock()
	}
	a, err := f.Node.Attr()
	if err != nil {
		return 0, 0, err
	}
	if a.Size > math.MaxInt64 {
		return 0, 0, wasip1.EFBIG
	}
	size := int64(a.Size)
	n, err = f.WriteVector(bufs, size)
	return n, size + int64(n), err
}

// Allocate reserves space, or where the file below cannot raises the size.
func (f *File) Allocate(off, n int64) error {
	if a, ok := f.Below.(vfs.Allocator); ok {
		return a.Allocate(off, n)
	}
	a, err := f.Node.Attr()
	if err != nil || a.Size >= uint64(off+n) {
		return err
	}
	return f.Node.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(off + n)})
}

// Advise hands the advice on to a file that can make use of it.
func (f *File) Advise(off, n int64, advice wasip1.Advice) error {
	if a, ok := f.Below.(vfs.Advisor); ok {
		return a.Advise(off, n, advice)
	}
	return nil
}

// NextData finds data for a file that knows its holes.
func (f *File) NextData(off int64) (start, end int64, err error) {
	if s, ok := f.Below.(vfs.Sparse); ok {
		return s.NextData(off)
	}
	return 0, 0, wasip1.ENOTSUP
}

// Sync puts content on the store.
func (f *File) Sync(dataOnly bool) error { return f.Below.Sync(dataOnly) }

// Close closes the file.
func (f *File) Close() error { return f.Below.Close() }

// Cut returns the first n bytes of bufs, or all of them if there are no more.
func Cut(bufs [][]byte, n int64) [][]byte {
	for i, b := range bufs {
		if n < int64(len(b)) {
			short := append(make([][]byte, 0, i+1), bufs[:i]...)
			return append(short, b[:n])
		}
		n -= int64(len(b))
	}
	return bufs
}
