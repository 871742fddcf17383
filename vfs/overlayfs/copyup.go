package overlayfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

const (
	whole = int64(vfs.KeepAll)
	// chunk is how much is copied at a time.
	chunk = 128 << 10
)

var errNoOperation = errors.New("overlayfs: the upper has no such operation")

// Prepare implements [vfs.Preparer]: it copies the content up, as far as it is kept, and cuts the
// file to that.
func (f *file) Prepare(ctx context.Context, keep int64, charge vfsCharge) error {
	return f.prepare(ctx, keep, charge, nil)
}

// prepare is Prepare that charges what is kept of directories to kept.
func (f *file) prepare(ctx context.Context, keep int64, charge vfsCharge, kept vfs.KeepCharge) error {
	if f.settled.Load() {
		return nil
	}
	return f.copyUp(ctx, keep, charge, kept)
}

// vfsCharge is the charge of [vfs.Preparer].
type vfsCharge = func(ino uint64, inodes, bytes int64) error

// copyUp puts the first keep bytes of the content in the upper, and opens it there for those who
// have the file open. It sees to a writable handle where the upper has the file already, and
// prepares it there. What it takes is charged before, to the overlay's own limit, to charge and to
// kept.
func (f *file) copyUp(ctx context.Context, keep int64, charge vfsCharge, kept vfs.KeepCharge) error {
	f.hold()
	defer f.Release()
	turn := f.turn()
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return wasip1.ECANCELED
	}
	done, lower, err := f.layers()
	switch {
	case err != nil:
		return err
	case done != nil:
		if err := wrapfs.Prepare(ctx, done, keep, charge); err != nil {
			return err
		}
		return f.writableTop()
	}
	l, ok := lower.(vfs.RegularFile)
	if !ok {
		return wasip1.ESTALE
	}
	a, err := l.Attr()
	if err != nil {
		return err
	}
	size := int64(min(a.Size, math.MaxInt64, uint64(keep)))
	root := f.fs.root.upperDir()
	if root == nil {
		return wasip1.ENOTDIR
	}
	refund, err := f.charge(size, charge)
	if err != nil {
		return err
	}
	adopted := false
	defer func() {
		if !adopted { // also if a layer panics
			refund()
		}
	}()
	name := f.fs.freshName()
	u, top, err := copyFile(ctx, l, root, name, size)
	if err != nil {
		return err
	}
	if err := f.adopt(root, name, u, top, keep != whole, kept); err != nil {
		top.Close()
		wrapfs.Release(u)
		return errors.Join(err, ignoreMissing(root.Unlink(name)))
	}
	adopted = true
	return nil
}

// turn returns what is sent to by whoever copies the content up, one at a time, and received from
// afterwards.
func (f *file) turn() chan struct{} {
	f.fs.mu.Lock()
	defer f.fs.unlock()
	if f.copying == nil {
		f.copying = make(chan struct{}, 1)
	}
	return f.copying
}

// layers returns the upper's node if the upper has the file, else the lower's.
func (f *file) layers() (upper, lower vfs.Node, err error) {
	f.fs.mu.Lock()
	defer f.fs.unlock()
	f.meet()
	if f.hasUpper {
		upper, err = f.up()
	}
	if err == nil {
		lower, err = f.down()
	}
	return upper, lower, err
}

// charge takes the space for a copy of size bytes, and returns what gives it back.
func (f *file) charge(size int64, charge vfsCharge) (refund func(), err error) {
	if err := f.reserve(size); err != nil {
		return nil, err
	}
	give := func() {
		f.fs.mu.Lock()
		defer f.fs.unlock()
		f.uncharge()
	}
	if charge == nil {
		return give, nil
	}
	if err := charge(f.ino, 1, size); err != nil {
		give()
		return nil, err
	}
	return func() {
		give()
		_ = charge(f.ino, -1, -size)
	}, nil
}

// reserve takes size bytes of the overlay's own limit.
func (f *file) reserve(size int64) error {
	fs := f.fs
	fs.mu.Lock()
	defer fs.unlock()
	if left := fs.maxCopies - fs.copies; size > left {
		return fmt.Errorf("overlayfs: copying up %d bytes; WithMaxCopyUp leaves %d: %w", size, left, wasip1.ENOSPC)
	}
	f.putBack()
	fs.copies += size
	f.copied = size
	f.setAside()
	return nil
}

// setAside makes what the file's copy took of the overlay's limit count for those forks only that
// have a descriptor of the file. FS.mu is held.
func (f *file) setAside() {
	if !f.aside {
		f.aside = true
		f.fs.aside += f.copied
	}
}

// putBack undoes setAside. FS.mu is held.
func (f *file) putBack() {
	if f.aside {
		f.aside = false
		f.fs.aside -= f.copied
	}
}

// nameless does what the loss of the last name does to what the file's copy took. FS.mu is held.
func (f *file) nameless() {
	if f.setAside(); !f.busy() {
		f.uncharge()
	}
}

// uncharge gives back what the file's copy took of the overlay's limit. FS.mu is held.
func (f *file) uncharge() {
	f.putBack()
	f.fs.copies -= f.copied
	f.copied = 0
	f.dirty()
}

func ignoreMissing(err error) error {
	if wasip1.FromError(err) == wasip1.ENOENT {
		return nil
	}
	return err
}

// writableTop sees to a writable handle of a file that the upper has.
func (f *file) writableTop() error {
	f.fs.mu.Lock()
	defer f.fs.unlock()
	f.io.Lock()
	defer f.io.Unlock()
	if f.opens == 0 {
		return nil
	}
	return f.ready(true)
}

// resize sets the size of a file that the upper has.
func (f *file) resize(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.unlock()
	u, err := f.upperFile()
	if err != nil {
		return err
	}
	return u.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(size)})
}

// copyFile makes the file name in dir with the first size bytes of l, and leaves it open.
func copyFile(ctx context.Context, l vfs.RegularFile, dir vfs.Directory, name string, size int64) (_ vfs.Node, _ vfs.File, err error) {
	a, err := l.Attr()
	if err != nil {
		return nil, nil, err
	}
	size = int64(min(uint64(size), a.Size))
	n, err := dir.Create(name, a.Mode.Perm())
	if err != nil {
		return nil, nil, err
	}
	var dst vfs.File
	done := false
	defer func() {
		if !done { // also if a layer panics
			if dst != nil {
				dst.Close()
			}
			wrapfs.Release(n)
			err = errors.Join(err, ignoreMissing(dir.Unlink(name)))
		}
	}()
	u, ok := n.(vfs.RegularFile)
	if !ok {
		return nil, nil, wasip1.EIO
	}
	if dst, err = u.Open(vfs.OpenRead | vfs.OpenWrite); err != nil {
		return nil, nil, err
	}
	if size > 0 {
		if err := copyOpened(ctx, dst, l, size); err != nil {
			return nil, nil, err
		}
		// The last of it may be a hole.
		if err := u.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(size)}); err != nil {
			return nil, nil, err
		}
	}
	done = true
	return n, dst, nil
}

func copyOpened(ctx context.Context, dst vfs.File, l vfs.RegularFile, size int64) error {
	src, err := l.Open(vfs.OpenRead)
	if err != nil {
		return err
	}
	defer src.Close()
	return copyContent(ctx, dst, src, size)
}

// copyContent copies at most size bytes in chunks, between which it looks at ctx. Holes stay holes:
// those that the file knows cost nothing, and chunks that are all zeros are not written.
func copyContent(ctx context.Context, dst, src vfs.File, size int64) error {
	sparse, _ := src.(vfs.Sparse)
	buf := make([]byte, min(chunk, size))
	data := int64(0) // up to where the file has no hole that it knows
	for off := int64(0); off < size; {
		if ctx.Err() != nil {
			return wasip1.ECANCELED
		}
		if sparse != nil && off >= data {
			start, end, err := sparse.NextData(off)
			switch {
			case err == io.EOF:
				return nil
			case err != nil:
				sparse = nil // it cannot say
				continue
			}
			if off, data = max(start, off), end; off >= size {
				return nil
			}
		}
		n, err := src.ReadAt(buf[:min(chunk, size-off)], off)
		if n > 0 && !zero(buf[:n]) {
			if err := writeFull(dst, buf[:n], off); err != nil {
				return err
			}
		}
		off += int64(n)
		switch {
		case err == io.EOF, err == nil && n == 0:
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

func writeFull(dst vfs.File, p []byte, off int64) error {
	for len(p) > 0 {
		n, err := dst.WriteAt(p, off)
		if err != nil {
			return err
		}
		if n == 0 {
			return wasip1.EIO
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func zero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// adopt moves a copy to where guests see the file, and all who have it open over to it. The copy of
// a file that was cut is modified now.
func (f *file) adopt(root vfs.Directory, name string, u vfs.Node, top vfs.File, cut bool, kept vfs.KeepCharge) error {
	f.fs.lock(kept)
	defer f.fs.unlock()
	f.io.Lock()
	defer f.io.Unlock()
	a, err := f.attr()
	if err != nil {
		return err
	}
	set := vfs.SetAttr{Mask: vfs.SetMode | vfs.SetAtim | vfs.SetMtim, Mode: a.Mode.Perm(), Atim: a.Atim, Mtim: a.Mtim}
	if cut {
		set.Mtim = f.fs.now()
	}
	if err := u.SetAttr(set); err != nil {
		return err
	}
	switch {
	case len(f.names) > 0:
		p := f.names[0]
		if err := p.dir.raise(); err != nil {
			return err
		}
		if err := root.Rename(name, p.dir.upperDir(), p.name); err != nil {
			return err
		}
		p.dir.names[p.name].inUpper = true
		p.dir.note(p.name)
	case f.nlink > 0:
		f.stash = name
	default:
		if err := root.Unlink(name); err != nil {
			return err
		}
	}
	if f.lower != nil {
		wrapfs.Release(f.lower)
	}
	f.lower, f.hasLower = nil, false
	f.upper, f.hasUpper, f.pinned = u, true, true
	if f.nlink > 0 {
		f.putBack()
	}
	f.want()
	f.dirty()
	f.fs.changes.Add(1)
	f.set = override{}
	_, again := u.(vfs.Preparer)
	f.settled.Store(!again)
	if f.opens > 0 {
		f.useTop(top, true)
		return nil
	}
	return top.Close()
}
