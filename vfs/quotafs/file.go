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
	if off < 0 {
		return 0, wasip1.EINVAL
	}
	o.in.mu.Lock()
	defer o.in.mu.Unlock()
	g, err := o.admit(off, int64(len(p)))
	if g.fits == 0 {
		return 0, err
	}
	n, err := o.f.WriteAt(p[:g.fits], off)
	return n, o.wrote(g, n, err)
}

// WriteVector writes what fits.
func (o *open) WriteVector(bufs [][]byte, off int64) (int, error) {
	if off < 0 {
		return 0, wasip1.EINVAL
	}
	o.in.mu.Lock()
	defer o.in.mu.Unlock()
	want := total(bufs)
	g, err := o.admit(off, want)
	if g.fits == 0 {
		return 0, err
	}
	if g.fits < want {
		bufs = cut(bufs, g.fits)
	}
	n, err := writeBelow(o.f, bufs, off)
	return n, o.wrote(g, n, err)
}

// Append writes what fits at the end.
func (o *open) Append(bufs [][]byte) (n int, end int64, err error) {
	o.in.mu.Lock()
	defer o.in.mu.Unlock()
	want := total(bufs)
	g, err := o.admit(atEnd, want)
	if g.fits == 0 {
		return 0, g.size, err
	}
	if g.fits < want {
		bufs = cut(bufs, g.fits)
	}
	if a, ok := o.f.(vfs.Appender); ok {
		n, end, err = a.Append(bufs)
	} else {
		n, err = writeBelow(o.f, bufs, g.size)
		end = g.size + int64(n)
	}
	return n, end, o.wrote(g, n, err)
}

// grant is what a write may do.
type grant struct {
	fits  int64 // bytes
	size  int64 // of the file before
	taken int64 // from the quotas
	short error // why not more fits
}

// atEnd as an offset stands for the end of the file.
const atEnd = -1

// admit takes what a write of want bytes at off needs, as far as there is. Where nothing fits, or nothing is wanted,
// nothing is taken and the error says why. in.mu is held.
func (o *open) admit(off, want int64) (grant, error) {
	a, err := o.n.Attr()
	if err != nil {
		return grant{}, err
	}
	g := grant{fits: want, size: int64(a.Size)}
	if off == atEnd {
		off = g.size
	}
	if want == 0 {
		return g, nil
	}
	if room := o.fs.limits.FileSize - off; room < want {
		if g.fits, g.short = max(room, 0), wasip1.EFBIG; g.fits == 0 {
			return g, g.short
		}
	}
	if g.taken, err = o.fs.take(off + g.fits - g.size); err != nil {
		if g.fits, g.short = max(g.size+g.taken-off, 0), err; g.fits == 0 {
			o.fs.give(g.taken)
			return g, err
		}
	}
	return g, nil
}

// wrote settles what was taken for a write of which n bytes were written. in.mu is held.
func (o *open) wrote(g grant, n int, err error) error {
	if int64(n) == g.fits && err == nil {
		o.fs.charge(o.in, g.taken)
		return g.short
	}
	o.fs.settle(o.in, o.n, g.size, g.taken)
	return err
}

func total(bufs [][]byte) (n int64) {
	for _, b := range bufs {
		n += int64(len(b))
	}
	return n
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

func writeBelow(f vfs.File, bufs [][]byte, off int64) (int, error) {
	if len(bufs) == 1 {
		return f.WriteAt(bufs[0], off)
	}
	if v, ok := f.(vfs.VectorFile); ok {
		return v.WriteVector(bufs, off)
	}
	done := 0
	for _, b := range bufs {
		n, err := f.WriteAt(b, off+int64(done))
		done += n
		if err != nil || n < len(b) {
			return done, err
		}
	}
	return done, nil
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
