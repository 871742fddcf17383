package overlayfs

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/wrapfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// file is a regular file. Those who have it open share the layers' files, so that all go over to
// the upper at once.
type file struct {
	inode

	copying   chan struct{} // see turn; guarded by FS.mu
	copied    int64         // what its copy took of FS.maxCopies; guarded by FS.mu
	aside     bool          // copied counts in FS.aside: there is no copy yet, or no name; guarded by FS.mu
	way       location      // by which it was opened, if it has no name yet; guarded by FS.mu
	settled   atomic.Bool   // the upper has the file, and nothing is left to be prepared
	appending sync.Mutex    // held by who appends where the upper cannot

	io       sync.RWMutex // guards what follows; held for reading while content is used
	opens    int
	low, top vfs.File // top is nil until the content is in the upper
	writable bool     // top can write
	first    open     // the first opening, in one allocation with the file
}

func (f *file) busy() bool {
	f.io.RLock()
	defer f.io.RUnlock()
	return f.opens > 0
}

// Open opens the file. Nothing is copied up yet unless it is emptied.
func (f *file) Open(mode vfs.OpenMode) (vfs.File, error) {
	if mode&vfs.OpenTruncate != 0 {
		if err := f.cut(0); err != nil {
			return nil, err
		}
	}
	f.fs.mu.Lock()
	defer f.fs.unlock()
	return f.openLocked(mode)
}

// openLocked is Open of what need not be emptied. FS.mu is held.
func (f *file) openLocked(mode vfs.OpenMode) (vfs.File, error) {
	f.io.Lock()
	defer f.io.Unlock()
	if err := f.ready(mode&(vfs.OpenWrite|vfs.OpenTruncate) != 0); err != nil {
		return nil, err
	}
	return f.opened(mode), nil
}

// opened returns a new opening, which has what it needs of the layers. io is held, or nobody else
// has the file.
func (f *file) opened(mode vfs.OpenMode) *open {
	o := &f.first
	if o.f != nil { // it is or was in use
		o = new(open)
	}
	o.f, o.mode = f, mode
	f.opens++
	return o
}

// cut makes the size, whatever is copied up for it.
func (f *file) cut(size int64) error {
	if !f.settled.Load() {
		if err := f.copyUp(context.Background(), size, nil, nil); err != nil {
			return err
		}
	}
	return f.resize(size)
}

// ready opens the layer that has the content, for writing only if that is the upper. FS.mu and io
// are held.
func (f *file) ready(write bool) error {
	if !f.hasUpper {
		if f.low != nil {
			return nil
		}
		n, err := f.down()
		if err != nil {
			return err
		}
		l, ok := n.(vfs.RegularFile)
		if !ok {
			return wasip1.ESTALE
		}
		low, err := l.Open(vfs.OpenRead)
		if err == nil {
			f.low = low
		}
		return err
	}
	if f.top != nil && (f.writable || !write) {
		return nil
	}
	u, err := f.upperFile()
	if err != nil {
		return err
	}
	mode := vfs.OpenRead
	if write {
		mode |= vfs.OpenWrite
	}
	top, err := u.Open(mode)
	if err != nil {
		return err
	}
	f.useTop(top, write)
	return nil
}

func (f *file) upperFile() (vfs.RegularFile, error) {
	u, err := f.up()
	if err != nil {
		return nil, err
	}
	r, ok := u.(vfs.RegularFile)
	if !ok {
		return nil, wasip1.ESTALE
	}
	return r, nil
}

// useTop makes top what all who have the file open use from now on. io is held.
func (f *file) useTop(top vfs.File, writable bool) {
	if f.low != nil {
		f.low.Close()
		f.low = nil
	}
	if f.top != nil {
		f.top.Close()
	}
	f.top, f.writable = top, writable
}

// unstash removes a file that has lost all names from the upper. FS.mu is held.
func (f *file) unstash() {
	if f.stash != "" {
		// What cannot be removed stays below a name that nobody sees.
		_ = f.fs.root.upperDir().Unlink(f.stash)
		f.stash = ""
		f.dirty()
	}
}

// open is one opening of a file.
type open struct {
	f    *file
	mode vfs.OpenMode
}

var (
	_ vfs.File       = (*open)(nil)
	_ vfs.VectorFile = (*open)(nil)
	_ vfs.Appender   = (*open)(nil)
	_ vfs.Allocator  = (*open)(nil)
	_ vfs.Advisor    = (*open)(nil)
)

// content returns what is read from; io is held for reading.
func (f *file) content() (vfs.File, error) {
	switch {
	case f.top != nil:
		return f.top, nil
	case f.low != nil:
		return f.low, nil
	}
	return nil, wasip1.EBADF
}

// ReadAt reads at an offset.
func (o *open) ReadAt(p []byte, off int64) (int, error) {
	o.f.io.RLock()
	defer o.f.io.RUnlock()
	c, err := o.f.content()
	if err != nil {
		return 0, err
	}
	return c.ReadAt(p, off)
}

// ReadVector reads into several buffers.
func (o *open) ReadVector(bufs [][]byte, off int64) (int, error) {
	o.f.io.RLock()
	defer o.f.io.RUnlock()
	c, err := o.f.content()
	if err != nil {
		return 0, err
	}
	below := wrapfs.File{Below: c}
	return below.ReadVector(bufs, off)
}

// write calls do with the upper's file, copying the content up before if need be.
func (o *open) write(do func(vfs.File) error) error {
	for {
		if done, err := o.writeTop(do); done {
			return err
		}
		if o.mode&(vfs.OpenWrite|vfs.OpenTruncate) == 0 {
			return wasip1.EBADF
		}
		if err := o.f.copyUp(context.Background(), whole, nil, nil); err != nil {
			return err
		}
	}
}

// writeTop calls do with the upper's file if that is open for writing, and reports whether it was.
func (o *open) writeTop(do func(vfs.File) error) (done bool, err error) {
	f := o.f
	f.io.RLock()
	defer f.io.RUnlock()
	if f.top == nil || !f.writable {
		return false, nil
	}
	err = do(f.top)
	if err == nil && o.mode&(vfs.OpenSync|vfs.OpenDsync) != 0 {
		err = f.top.Sync(o.mode&vfs.OpenSync == 0)
	}
	return true, err
}

// WriteAt writes at an offset.
func (o *open) WriteAt(p []byte, off int64) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	err = o.write(func(c vfs.File) (err error) {
		n, err = c.WriteAt(p, off)
		return err
	})
	return n, err
}

// WriteVector writes several buffers.
func (o *open) WriteVector(bufs [][]byte, off int64) (total int, err error) {
	err = o.write(func(c vfs.File) (err error) {
		below := wrapfs.File{Below: c}
		total, err = below.WriteVector(bufs, off)
		return err
	})
	return total, err
}

// Append writes at the end, in one step if the upper can.
func (o *open) Append(bufs [][]byte) (n int, end int64, err error) {
	err = o.write(func(c vfs.File) error {
		if a, ok := c.(vfs.Appender); ok {
			n, end, err = a.Append(bufs)
			return err
		}
		return errNoOperation
	})
	if err != errNoOperation {
		return n, end, err
	}
	// The upper cannot: whoever appends through this overlay takes turns.
	o.f.appending.Lock()
	defer o.f.appending.Unlock()
	a, err := o.f.Attr()
	if err != nil {
		return 0, 0, err
	}
	n, err = o.WriteVector(bufs, int64(a.Size))
	return n, int64(a.Size) + int64(n), err
}

// Allocate reserves space in the upper.
func (o *open) Allocate(off, n int64) error {
	err := o.write(func(c vfs.File) error {
		if a, ok := c.(vfs.Allocator); ok {
			return a.Allocate(off, n)
		}
		return errNoOperation
	})
	if err != errNoOperation {
		return err
	}
	a, err := o.f.Attr()
	if err != nil || int64(a.Size) >= off+n {
		return err
	}
	return o.f.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(off + n)})
}

// Advise hands the advice on.
func (o *open) Advise(off, n int64, advice wasip1.Advice) error {
	o.f.io.RLock()
	defer o.f.io.RUnlock()
	c, err := o.f.content()
	if err != nil {
		return err
	}
	below := wrapfs.File{Below: c}
	return below.Advise(off, n, advice)
}

// Sync puts the upper's content on its store. What is in the lower is there already.
func (o *open) Sync(dataOnly bool) error {
	o.f.io.RLock()
	defer o.f.io.RUnlock()
	if o.f.top == nil {
		return nil
	}
	return o.f.top.Sync(dataOnly)
}

// Close ends the opening.
func (o *open) Close() error {
	f := o.f
	unchanged := false
	defer func() {
		// Who has the node of a file that was never in the upper gives back the rest.
		if !unchanged || f.refs.Load() == 0 {
			f.closed()
		}
	}()
	f.io.Lock()
	defer f.io.Unlock()
	unchanged = f.top == nil
	if f.opens--; f.opens > 0 {
		return nil
	}
	handles := [...]vfs.File{f.low, f.top}
	f.low, f.top, f.writable = nil, nil, false
	var err error
	for _, c := range handles {
		if c != nil {
			if e := c.Close(); err == nil {
				err = e
			}
		}
	}
	return err
}

// closed gives back what the file needs no more after one of its openings has ended.
func (f *file) closed() {
	f.fs.mu.Lock()
	defer f.fs.unlock()
	if f.nlink == 0 && !f.busy() {
		f.uncharge()
	}
	if f.fs.releases {
		f.idle()
	}
}
