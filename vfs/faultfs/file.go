package faultfs

import (
	"context"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// open is one opening of a file.
type open struct {
	wrapfs.File
	fs         *FS
	path       string
	known      *inode
	mode       vfs.OpenMode
	generation uint64
}

// Prepare prepares the file below.
func (f *file) Prepare(ctx context.Context, keep int64, charge func(ino uint64, inodes, bytes int64) error) error {
	return wrapfs.Prepare(ctx, f.Below, keep, charge)
}

// Open opens the file.
func (f *file) Open(mode vfs.OpenMode) (vfs.File, error) {
	ev := evOpen | evPathOpen
	if f.fresh.Swap(false) {
		ev = evOpen
	}
	if _, err := f.fs.fire(ev, f.path); err != nil {
		return nil, err
	}
	o := f.fs.opening(f.Below, f.path, mode)
	o.known = f.known
	below := mode
	if f.fs.track != nil && mode&vfs.OpenWrite != 0 {
		below |= vfs.OpenRead // what a write replaces has to be read before
	}
	do := func() (err error) {
		o.Below, err = f.Below.(vfs.RegularFile).Open(below)
		return err
	}
	var err error
	if mode&vfs.OpenTruncate != 0 {
		err = f.fs.resize(&f.node, 0, do)
	} else {
		err = do()
	}
	if err != nil {
		return nil, err
	}
	return o, nil
}

// opening returns what is needed to open a file, but the file.
func (f *FS) opening(n vfs.Node, path string, mode vfs.OpenMode) *open {
	return &open{
		File: wrapfs.File{Node: n, Turns: &f.appending}, fs: f, path: path, mode: mode, generation: f.generation.Load(),
	}
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
	if e := o.Below.Close(); err == nil {
		err = e
	}
	return err
}

// cut returns at most n bytes of bufs; 0 is all.
func cut(bufs [][]byte, n int) [][]byte {
	if n == 0 {
		return bufs
	}
	return wrapfs.Cut(bufs, int64(n))
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
	n, err := o.File.ReadVector(bufs, off)
	if out.corrupt != nil {
		for _, b := range wrapfs.Cut(bufs, int64(n)) {
			o.fs.spoil(out.corrupt, b)
		}
	}
	return n, err
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
	return o.write(off, bufs, func() (int, error) { return o.File.WriteVector(bufs, off) })
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
		err = t.synced(o)
	}
	return n, err
}

// Append writes at the end.
func (o *open) Append(bufs [][]byte) (n int, end int64, err error) {
	out, err := o.fire(evWrite)
	if err != nil {
		return 0, 0, err
	}
	bufs = cut(bufs, out.short)
	// A write beyond all that there is replaces nothing, wherever the end is then.
	n, err = o.write(endOfFile, bufs, func() (n int, err error) {
		n, end, err = o.File.Append(bufs)
		return n, err
	})
	return n, end, err
}

// Allocate makes the file longer.
func (o *open) Allocate(off, n int64) error {
	if _, err := o.fire(evAllocate); err != nil {
		return err
	}
	// It replaces nothing either.
	_, err := o.write(endOfFile, nil, func() (int, error) { return 0, o.File.Allocate(off, n) })
	return err
}

// Sync makes the content durable.
func (o *open) Sync(dataOnly bool) error {
	if _, err := o.fire(evSync); err != nil {
		return err
	}
	t := o.fs.track
	if err := o.begin(); err != nil {
		return err
	}
	defer t.unlock()
	if err := o.Below.Sync(dataOnly); err != nil {
		return err
	}
	return t.synced(o)
}
