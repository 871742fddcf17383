package quotafs

import (
	"math"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// open is one opening of a file.
type open struct {
	*file
	f      vfs.File
	in     *inode
	number uint64
}

var (
	_ vfs.File       = (*open)(nil)
	_ vfs.VectorFile = (*open)(nil)
	_ vfs.Appender   = (*open)(nil)
	_ vfs.Allocator  = (*open)(nil)
	_ vfs.Advisor    = (*open)(nil)
)

// Open opens the file; emptying it gives back what it was charged.
func (f *file) Open(mode vfs.OpenMode) (vfs.File, error) {
	ino, err := f.ino()
	if err != nil {
		return nil, err
	}
	in := f.fs.inode(ino)
	o := &open{file: f, in: in, number: ino}
	if mode&vfs.OpenTruncate == 0 {
		o.f, err = f.n.(vfs.RegularFile).Open(mode)
	} else {
		err = o.truncate(mode)
	}
	if err != nil {
		f.fs.drop(ino, in)
		return nil, err
	}
	f.fs.mu.Lock()
	in.opens++
	f.fs.mu.Unlock()
	return o, nil
}

func (o *open) truncate(mode vfs.OpenMode) error {
	o.in.mu.Lock()
	defer o.in.mu.Unlock()
	a, err := o.n.Attr()
	if err != nil {
		return err
	}
	if o.f, err = o.n.(vfs.RegularFile).Open(mode); err != nil {
		return err
	}
	o.fs.charge(o.in, -int64(a.Size))
	return nil
}

// Close ends the opening; the last of a file without names gives back what the file was charged.
func (o *open) Close() error {
	err := o.f.Close()
	o.fs.mu.Lock()
	o.in.opens--
	last := o.in.opens == 0 && o.in.gone
	o.fs.mu.Unlock()
	if last {
		o.fs.refund(o.in)
	}
	o.fs.drop(o.number, o.in)
	return err
}

// ReadAt reads at an offset.
func (o *open) ReadAt(p []byte, off int64) (int, error) { return o.f.ReadAt(p, off) }

// ReadVector reads into several buffers.
func (o *open) ReadVector(bufs [][]byte, off int64) (int, error) {
	if v, ok := o.f.(vfs.VectorFile); ok {
		return v.ReadVector(bufs, off)
	}
	total := 0
	for _, b := range bufs {
		n, err := o.f.ReadAt(b, off+int64(total))
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

// WriteAt writes what fits.
func (o *open) WriteAt(p []byte, off int64) (int, error) {
	one := [1][]byte{p}
	return o.WriteVector(one[:], off)
}

// WriteVector writes what fits.
func (o *open) WriteVector(bufs [][]byte, off int64) (int, error) {
	if off < 0 {
		return 0, wasip1.EINVAL
	}
	o.in.mu.Lock()
	defer o.in.mu.Unlock()
	a, err := o.n.Attr()
	if err != nil {
		return 0, err
	}
	return o.write(bufs, int64(a.Size), off, func(bufs [][]byte) (int, error) { return o.writeBelow(bufs, off) })
}

// Append writes what fits at the end.
func (o *open) Append(bufs [][]byte) (n int, end int64, err error) {
	o.in.mu.Lock()
	defer o.in.mu.Unlock()
	a, err := o.n.Attr()
	if err != nil {
		return 0, 0, err
	}
	size := int64(a.Size)
	end = size
	n, err = o.write(bufs, size, size, func(bufs [][]byte) (int, error) {
		if ap, ok := o.f.(vfs.Appender); ok {
			var n int
			n, end, err = ap.Append(bufs)
			return n, err
		}
		n, err := o.writeBelow(bufs, size)
		end = size + int64(n)
		return n, err
	})
	return n, end, err
}

// write takes what a write at off to a file of size needs, cuts it to what there is, and calls do. in.mu is held.
func (o *open) write(bufs [][]byte, size, off int64, do func([][]byte) (int, error)) (int, error) {
	want := int64(0)
	for _, b := range bufs {
		want += int64(len(b))
	}
	if want == 0 {
		return 0, nil
	}
	var short error
	fits := want
	if room := o.fs.limits.FileSize - off; room <= 0 {
		return 0, wasip1.EFBIG
	} else if fits > room {
		fits, short = room, wasip1.EFBIG
	}
	if fits > math.MaxInt64-off {
		return 0, wasip1.EFBIG
	}
	got, err := o.fs.take(off + fits - size)
	if err != nil {
		// size+got is how far the file may grow.
		fits, short = size+got-off, err
		if fits <= 0 {
			o.fs.give(got)
			return 0, err
		}
	}
	if fits < want {
		bufs = cut(bufs, fits)
	}
	n, err := do(bufs)
	if int64(n) == fits && err == nil {
		o.fs.charge(o.in, got)
		return n, short
	}
	o.fs.settle(o.in, o.n, size, got)
	return n, err
}

// cut returns the first n bytes of bufs, which have more.
func cut(bufs [][]byte, n int64) [][]byte {
	short := make([][]byte, 0, len(bufs))
	for _, b := range bufs {
		b = b[:min(int64(len(b)), n)]
		short = append(short, b)
		if n -= int64(len(b)); n == 0 {
			break
		}
	}
	return short
}

func (o *open) writeBelow(bufs [][]byte, off int64) (int, error) {
	if len(bufs) == 1 {
		return o.f.WriteAt(bufs[0], off)
	}
	if v, ok := o.f.(vfs.VectorFile); ok {
		return v.WriteVector(bufs, off)
	}
	total := 0
	for _, b := range bufs {
		n, err := o.f.WriteAt(b, off+int64(total))
		total += n
		if err != nil || n < len(b) {
			return total, err
		}
	}
	return total, nil
}

// Allocate makes the file longer, all of it or nothing.
func (o *open) Allocate(off, n int64) error {
	if off < 0 || n <= 0 {
		return wasip1.EINVAL
	}
	if n > math.MaxInt64-off || off+n > o.fs.limits.FileSize {
		return wasip1.EFBIG
	}
	o.in.mu.Lock()
	defer o.in.mu.Unlock()
	a, err := o.n.Attr()
	if err != nil {
		return err
	}
	size := int64(a.Size)
	return o.fs.resize(o.in, o.n, size, max(size, off+n), func() error {
		if al, ok := o.f.(vfs.Allocator); ok {
			return al.Allocate(off, n)
		}
		if off+n <= size {
			return nil
		}
		return o.n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(off + n)})
	})
}

// Advise hands the advice on.
func (o *open) Advise(off, n int64, advice wasip1.Advice) error {
	if a, ok := o.f.(vfs.Advisor); ok {
		return a.Advise(off, n, advice)
	}
	return nil
}

// Sync puts content on the store.
func (o *open) Sync(dataOnly bool) error { return o.f.Sync(dataOnly) }
