package quotafs

import (
	"context"
	"math"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// open is one opening of a file.
type open struct {
	wrapfs.File
	fs *FS

	// Guarded by FS.mu: nil and 0 as long as it is not known which inode it is.
	in     *inode
	number uint64
}

// Open opens the file; emptying it gives back what it was charged.
func (f *file) Open(mode vfs.OpenMode) (vfs.File, error) {
	if mode&vfs.OpenTruncate != 0 {
		if err := f.fs.prepare(context.Background(), f.Below, 0, nil); err != nil {
			return nil, err
		}
	}
	ino, err := f.ino()
	if err != nil {
		return nil, err
	}
	in := f.fs.inode(ino)
	o := &open{File: wrapfs.File{Node: f.Below}, fs: f.fs, in: in, number: ino}
	if mode&vfs.OpenTruncate == 0 {
		o.Below, err = f.Below.(vfs.RegularFile).Open(mode)
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
	a, err := o.Node.Attr()
	if err != nil {
		return err
	}
	if o.Below, err = o.Node.(vfs.RegularFile).Open(mode); err != nil {
		return err
	}
	o.fs.charge(o.in, -int64(a.Size))
	return nil
}

// Close ends the opening; the last of a file without names gives back what the file was charged.
func (o *open) Close() error {
	if done, err := o.closeUnknown(); done {
		return err
	}
	defer o.closed() // also if the file system below panics
	return o.Below.Close()
}

func (o *open) closed() {
	o.fs.mu.Lock()
	o.in.opens--
	last := o.in.opens == 0 && o.in.gone
	o.fs.mu.Unlock()
	if last {
		o.fs.refund(o.in)
	}
	o.fs.drop(o.number, o.in)
}

// WriteAt writes what fits.
func (o *open) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, wasip1.EINVAL
	}
	in, err := o.grow()
	if err != nil {
		return 0, err
	}
	defer in.mu.Unlock()
	g, err := o.admit(off, int64(len(p)))
	if g.fits == 0 {
		return 0, err
	}
	defer o.abandon(&g)
	n, err := o.Below.WriteAt(p[:g.fits], off)
	return n, o.wrote(&g, n, err)
}

// WriteVector writes what fits.
func (o *open) WriteVector(bufs [][]byte, off int64) (int, error) {
	if off < 0 {
		return 0, wasip1.EINVAL
	}
	in, err := o.grow()
	if err != nil {
		return 0, err
	}
	defer in.mu.Unlock()
	g, err := o.admit(off, total(bufs))
	if g.fits == 0 {
		return 0, err
	}
	defer o.abandon(&g)
	n, err := o.File.WriteVector(wrapfs.Cut(bufs, g.fits), off)
	return n, o.wrote(&g, n, err)
}

// Append writes what fits at the end.
func (o *open) Append(bufs [][]byte) (n int, end int64, err error) {
	in, err := o.grow()
	if err != nil {
		return 0, 0, err
	}
	defer in.mu.Unlock()
	g, err := o.admit(atEnd, total(bufs))
	if g.fits == 0 {
		return 0, g.size, err
	}
	defer o.abandon(&g)
	n, end, err = o.File.Append(wrapfs.Cut(bufs, g.fits))
	return n, end, o.wrote(&g, n, err)
}

// grant is what a write may do.
type grant struct {
	fits  int64 // bytes
	size  int64 // of the file before
	taken int64 // from the quotas, and not settled yet
	short error // why not more fits
}

// atEnd as an offset stands for the end of the file.
const atEnd = -1

// admit takes what a write of want bytes at off needs, as far as there is. Where nothing fits, or
// nothing is wanted, nothing is taken and the error says why. in.mu is held.
func (o *open) admit(off, want int64) (grant, error) {
	a, err := o.Node.Attr()
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
func (o *open) wrote(g *grant, n int, err error) error {
	if int64(n) == g.fits && err == nil {
		o.fs.charge(o.in, g.taken)
		err = g.short
	} else {
		o.fs.settle(o.in, o.Node, g.size, g.taken)
	}
	g.taken = 0
	return err
}

// abandon charges what was taken for a write that panicked before it was settled: how much of it
// was written nobody knows, and the file gives it back when it goes. in.mu is held.
func (o *open) abandon(g *grant) { o.fs.charge(o.in, g.taken) }

func total(bufs [][]byte) (n int64) {
	for _, b := range bufs {
		n += int64(len(b))
	}
	return n
}

// Allocate makes the file longer, all of it or nothing.
func (o *open) Allocate(off, n int64) error {
	if off < 0 || n <= 0 {
		return wasip1.EINVAL
	}
	if n > math.MaxInt64-off || off+n > o.fs.limits.FileSize {
		return wasip1.EFBIG
	}
	in, err := o.grow()
	if err != nil {
		return err
	}
	defer in.mu.Unlock()
	a, err := o.Node.Attr()
	if err != nil {
		return err
	}
	size := int64(a.Size)
	return o.fs.resize(in, o.Node, size, max(size, off+n), func() error { return o.File.Allocate(off, n) })
}
