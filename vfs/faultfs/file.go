package faultfs

import (
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// open is one opening of a file.
type open struct {
	*file
	f          vfs.File
	mode       vfs.OpenMode
	generation uint64
}

var (
	_ vfs.File       = (*open)(nil)
	_ vfs.VectorFile = (*open)(nil)
	_ vfs.Appender   = (*open)(nil)
	_ vfs.Allocator  = (*open)(nil)
	_ vfs.Advisor    = (*open)(nil)
)

// Open opens the file.
func (f *file) Open(mode vfs.OpenMode) (vfs.File, error) {
	ev := evOpen | evPathOpen
	if f.fresh.Swap(false) {
		ev = evOpen
	}
	if _, err := f.fs.fire(ev, f.path); err != nil {
		return nil, err
	}
	o := &open{file: f, mode: mode, generation: f.fs.generation.Load()}
	below := mode
	if f.fs.track != nil && mode&vfs.OpenWrite != 0 {
		below |= vfs.OpenRead // what a write replaces has to be read before
	}
	do := func() (err error) {
		o.f, err = f.n.(vfs.RegularFile).Open(below)
		return err
	}
	var err error
	if mode&vfs.OpenTruncate != 0 {
		err = f.fs.track.resize(&f.node, 0, do)
	} else {
		err = do()
	}
	if err != nil {
		return nil, err
	}
	return o, nil
}

// fire is FS.fire for an opening, which does not outlive the power.
func (o *open) fire(ev event) (outcome, error) {
	if o.generation != o.fs.generation.Load() {
		return outcome{}, wasip1.EIO
	}
	out, err := o.fs.fire(ev, o.path)
	if err == nil && o.generation != o.fs.generation.Load() {
		err = wasip1.EIO
	}
	return out, err
}

// begin is FS.begin for an opening, which does not outlive the power.
func (o *open) begin() error {
	if err := o.fs.begin(); err != nil {
		return err
	}
	if o.generation != o.fs.generation.Load() {
		o.fs.track.unlock()
		return wasip1.EIO
	}
	return nil
}

// Close closes the file, whatever the rules say of it.
func (o *open) Close() error {
	_, err := o.fire(evClose)
	if e := o.f.Close(); err == nil {
		err = e
	}
	return err
}

// cut returns at most n bytes of bufs; 0 is all.
func cut(bufs [][]byte, n int) [][]byte {
	if n == 0 {
		return bufs
	}
	short := make([][]byte, 0, len(bufs))
	for _, b := range bufs {
		b = b[:min(len(b), n)]
		short = append(short, b)
		if n -= len(b); n == 0 {
			break
		}
	}
	return short
}

// ReadAt reads at an offset.
func (o *open) ReadAt(p []byte, off int64) (int, error) {
	one := [1][]byte{p}
	return o.ReadVector(one[:], off)
}

// ReadVector reads into several buffers.
func (o *open) ReadVector(bufs [][]byte, off int64) (int, error) {
	out, err := o.fire(evRead)
	if err != nil {
		return 0, err
	}
	bufs = cut(bufs, out.short)
	n, err := readVector(o.f, bufs, off)
	if out.corrupt != nil {
		rest := n
		for _, b := range bufs {
			b = b[:min(len(b), rest)]
			rest -= len(b)
			o.fs.spoil(out.corrupt, b)
		}
	}
	return n, err
}

func readVector(f vfs.File, bufs [][]byte, off int64) (int, error) {
	if len(bufs) == 1 {
		return f.ReadAt(bufs[0], off)
	}
	if v, ok := f.(vfs.VectorFile); ok {
		return v.ReadVector(bufs, off)
	}
	total := 0
	for _, b := range bufs {
		n, err := f.ReadAt(b, off+int64(total))
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

// WriteAt writes at an offset. A short write has no error.
func (o *open) WriteAt(p []byte, off int64) (int, error) {
	one := [1][]byte{p}
	return o.WriteVector(one[:], off)
}

// WriteVector writes several buffers.
func (o *open) WriteVector(bufs [][]byte, off int64) (int, error) {
	out, err := o.fire(evWrite)
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, wasip1.EINVAL
	}
	bufs = cut(bufs, out.short)
	return o.write(off, bufs, func() (int, error) { return writeVector(o.f, bufs, off) })
}

// write does a write, and remembers what it replaces, until it is synced.
func (o *open) write(off int64, bufs [][]byte, do func() (int, error)) (int, error) {
	t := o.fs.track
	if err := o.begin(); err != nil {
		return 0, err
	}
	defer t.unlock()
	if err := t.writing(o, off, bufs); err != nil {
		return 0, err
	}
	n, err := do()
	if err == nil && o.mode&(vfs.OpenSync|vfs.OpenDsync) != 0 {
		t.synced(o.ino)
	}
	return n, err
}

func writeVector(f vfs.File, bufs [][]byte, off int64) (int, error) {
	if len(bufs) == 1 {
		return f.WriteAt(bufs[0], off)
	}
	if v, ok := f.(vfs.VectorFile); ok {
		return v.WriteVector(bufs, off)
	}
	total := 0
	for _, b := range bufs {
		n, err := f.WriteAt(b, off+int64(total))
		total += n
		if err != nil || n < len(b) {
			return total, err
		}
	}
	return total, nil
}

// Append writes at the end.
func (o *open) Append(bufs [][]byte) (n int, end int64, err error) {
	out, err := o.fire(evWrite)
	if err != nil {
		return 0, 0, err
	}
	bufs = cut(bufs, out.short)
	if a, ok := o.f.(vfs.Appender); ok {
		// A write beyond all that there is replaces nothing, wherever the end is then.
		n, err = o.write(endOfFile, bufs, func() (n int, err error) {
			n, end, err = a.Append(bufs)
			return n, err
		})
		return n, end, err
	}
	o.fs.appending.Lock()
	defer o.fs.appending.Unlock()
	a, err := o.n.Attr()
	if err != nil {
		return 0, 0, err
	}
	size := int64(a.Size)
	n, err = o.write(size, bufs, func() (int, error) { return writeVector(o.f, bufs, size) })
	return n, size + int64(n), err
}

// Allocate makes the file longer.
func (o *open) Allocate(off, n int64) error {
	if _, err := o.fire(evAllocate); err != nil {
		return err
	}
	return o.write0(func() error {
		if a, ok := o.f.(vfs.Allocator); ok {
			return a.Allocate(off, n)
		}
		a, err := o.n.Attr()
		if err != nil || int64(a.Size) >= off+n {
			return err
		}
		return o.n.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(off + n)})
	})
}

// write0 is write for what replaces nothing.
func (o *open) write0(do func() error) error {
	_, err := o.write(endOfFile, nil, func() (int, error) { return 0, do() })
	return err
}

// Advise hands the advice on.
func (o *open) Advise(off, n int64, advice wasip1.Advice) error {
	if a, ok := o.f.(vfs.Advisor); ok {
		return a.Advise(off, n, advice)
	}
	return nil
}

// Sync makes the content durable, and with it all changes of names.
func (o *open) Sync(dataOnly bool) error {
	if _, err := o.fire(evSync); err != nil {
		return err
	}
	t := o.fs.track
	if err := o.begin(); err != nil {
		return err
	}
	defer t.unlock()
	if err := o.f.Sync(dataOnly); err != nil {
		return err
	}
	t.synced(o.ino)
	return nil
}
