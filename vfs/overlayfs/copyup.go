package overlayfs

import (
	"errors"
	"io"
	"math"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

const (
	// whole as a size says that all of the content is wanted.
	whole = int64(math.MaxInt64)
	// chunk is how much is copied at a time.
	chunk = 128 << 10
)

var errNoOperation = errors.New("overlayfs: the upper has no such operation")

// copyUp puts the content in the upper, of the size given if that is not whole, and opens it there for those who
// have the file open. It does no more than set the size where the upper has the file already.
func (f *file) copyUp(size int64) error {
	f.copying.Lock()
	defer f.copying.Unlock()
	f.fs.mu.Lock()
	done, lower := f.hasUpper, f.lower
	f.fs.mu.Unlock()
	if done {
		return f.resize(size)
	}
	l, ok := lower.(vfs.RegularFile)
	if !ok {
		return wasip1.ESTALE
	}
	f.fs.mu.Lock()
	name := f.fs.scratchName()
	f.fs.mu.Unlock()
	root := f.fs.root.upperDir()
	if root == nil {
		return wasip1.ENOTDIR
	}
	u, top, err := copyFile(l, root, name, size)
	if err != nil {
		return err
	}
	if err := f.adopt(root, name, u, top, size); err != nil {
		top.Close()
		wrapfs.Release(u)
		return errors.Join(err, ignoreMissing(root.Unlink(name)))
	}
	return nil
}

func ignoreMissing(err error) error {
	if wasip1.FromError(err) == wasip1.ENOENT {
		return nil
	}
	return err
}

// resize sees to a writable handle, and sets the size unless it is whole, of a file that the upper has.
func (f *file) resize(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.io.Lock()
	defer f.io.Unlock()
	if f.opens > 0 {
		if err := f.ready(true); err != nil {
			return err
		}
	}
	if size == whole {
		return nil
	}
	u, err := f.upperFile()
	if err != nil {
		return err
	}
	return u.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(size)})
}

// copyFile makes the file name in dir with the content of l up to size, and leaves it open.
func copyFile(l vfs.RegularFile, dir vfs.Directory, name string, size int64) (vfs.Node, vfs.File, error) {
	a, err := l.Attr()
	if err != nil {
		return nil, nil, err
	}
	n, err := dir.Create(name, a.Mode.Perm())
	if err != nil {
		return nil, nil, err
	}
	u, ok := n.(vfs.RegularFile)
	if !ok {
		return nil, nil, wasip1.EIO
	}
	fail := func(err error) (vfs.Node, vfs.File, error) {
		wrapfs.Release(n)
		return nil, nil, errors.Join(err, ignoreMissing(dir.Unlink(name)))
	}
	dst, err := u.Open(vfs.OpenRead | vfs.OpenWrite)
	if err != nil {
		return fail(err)
	}
	if size > 0 {
		src, err := l.Open(vfs.OpenRead)
		if err == nil {
			err = copyContent(dst, src, size)
			src.Close()
		}
		if err != nil {
			dst.Close()
			return fail(err)
		}
	}
	set := vfs.SetAttr{Mask: vfs.SetSize, Size: a.Size}
	if size != whole {
		set.Size = uint64(size)
	}
	if err := u.SetAttr(set); err != nil {
		dst.Close()
		return fail(err)
	}
	return n, dst, nil
}

// copyContent copies at most size bytes in chunks, leaving out those that are all zeros: they become holes.
func copyContent(dst, src vfs.File, size int64) error {
	buf := make([]byte, chunk)
	for off := int64(0); off < size; {
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

// adopt moves a copy to where guests see the file, and all who have it open over to it.
func (f *file) adopt(root vfs.Directory, name string, u vfs.Node, top vfs.File, size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.io.Lock()
	defer f.io.Unlock()
	a, err := f.attr()
	if err != nil {
		return err
	}
	set := vfs.SetAttr{Mask: vfs.SetMode | vfs.SetAtim | vfs.SetMtim, Mode: a.Mode.Perm(), Atim: a.Atim, Mtim: a.Mtim}
	if size != whole {
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
	case f.nlink > 0:
		f.stash = name
	default:
		if err := root.Unlink(name); err != nil {
			return err
		}
	}
	if f.lower != nil && f.fs.releases {
		wrapfs.Release(f.lower)
	}
	f.lower, f.upper, f.hasUpper, f.pinned = nil, u, true, true
	f.set = override{}
	if f.opens > 0 {
		f.useTop(top, true)
		return nil
	}
	return top.Close()
}
