package aferofs

import (
	"errors"
	"io"
	"os"
	"sync"

	"github.com/spf13/afero"
	"github.com/spf13/afero/mem"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// file is a regular file.
type file struct{ inode }

const (
	rdonly = os.O_RDONLY
	rdwr   = os.O_RDWR
)

// Open opens the store's file, or joins those who have it open: all share one handle, which is
// exchanged for one that writes when the first of them wants to.
func (f *file) Open(mode vfs.OpenMode) (vfs.File, error) {
	write := mode&(vfs.OpenWrite|vfs.OpenTruncate) != 0
	if write && f.fs.readOnly {
		return nil, wasip1.EROFS
	}
	f.fs.lock()
	defer f.fs.mu.Unlock()
	return f.open(mode, "", nil)
}

// open is Open of a file that may be written as mode says. If the caller has just found it, path is
// where the store has it, and h, if not nil, is a handle that reads. FS.mu is held.
func (f *file) open(mode vfs.OpenMode, path string, h *mem.File) (vfs.File, error) {
	write := mode&(vfs.OpenWrite|vfs.OpenTruncate) != 0
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case write || mode&vfs.OpenRead != 0:
		if err := f.acquire(write, path, h); err != nil {
			return nil, err
		}
	case f.nlink() == 0 && f.opens == 0:
		return nil, wasip1.ENOENT
	}
	f.opens++
	if mode&vfs.OpenTruncate != 0 {
		if err := f.resize(0); err != nil {
			f.release()
			return nil, err
		}
	}
	return &open{file: f, sync: mode&(vfs.OpenSync|vfs.OpenDsync) != 0}, nil
}

// acquire sees to it that there is a handle that reads or also writes. path and found are as for
// open. FS.mu and mu are held.
func (n *inode) acquire(write bool, path string, found *mem.File) error {
	if n.h != nil && (n.writable || !write) {
		return nil
	}
	if found != nil && !write {
		n.h, n.writable = found, false
		return nil
	}
	h, err := n.openStore(write, path)
	if err != nil {
		return err
	}
	if n.h != nil {
		n.h.Close()
	}
	n.h, n.writable = h, write
	return nil
}

// openStore opens the stored file and makes sure that it is the one meant. path is as for open.
// FS.mu and mu are held.
func (n *inode) openStore(write bool, path string) (afero.File, error) {
	found := path != ""
	switch {
	case found:
	case n.at.dir != nil:
		path = n.path()
	case n.hidden != "":
		path = n.hidden
	case n.h != nil:
		// Unlinked while it was open for reading, and the store has no way back to it.
		return nil, wasip1.EACCES
	default:
		return nil, wasip1.ENOENT
	}
	flag := rdonly
	if write {
		flag = rdwr
	}
	switch {
	case n.fs.memory && !write:
		fi, h, err := n.there(path)
		if h != nil {
			return h, nil
		}
		if fi == nil {
			if err == nil {
				err = wasip1.ENOENT
			}
			return nil, err
		}
	case !n.fs.memory && !found:
		// Opening a FIFO that has taken the place waits for its writer, and lets that in.
		switch fi, err := n.fs.lstat(path); {
		case err != nil:
			return nil, err
		case typeOf(fi) == typeDir || typeOf(fi) == typeLink:
			return nil, wasip1.ENOENT
		case typeOf(fi) != typeFile:
			return nil, wasip1.ENXIO
		}
	}
	h, err := n.fs.store.OpenFile(path, flag, 0)
	if err != nil {
		return nil, translate(err)
	}
	if m, ok := h.(*mem.File); ok && n.fs.memory && m.Data() == dataOf(n.info) {
		return h, nil
	}
	fi, err := h.Stat()
	switch {
	case err != nil:
		err = translate(err)
	case typeOf(fi) == typeDir, !same(n.info, fi):
		err = wasip1.ENOENT
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// release undoes one open. FS.mu and mu are held.
func (n *inode) release() error {
	if n.opens--; n.opens > 0 {
		return nil
	}
	var err error
	if n.h != nil {
		err = n.closeStore(n.h, n.writable)
		n.h, n.writable = nil, false
	}
	if n.at.dir == nil {
		n.unspare()
	}
	if n.hidden != "" {
		if e := n.fs.store.Remove(n.hidden); err == nil {
			err = translate(e)
		}
		n.hidden = ""
	}
	return err
}

// closeStore closes a handle and puts the times right after it, because closing a handle of
// MemMapFs that writes sets the time to the system's. FS.mu and mu are held.
func (n *inode) closeStore(h afero.File, wrote bool) error {
	if n.fs.memory && n.info != nil && n.at.dir != nil {
		// What it was is asked only if it changes now: it is still there to be asked.
		if wrote {
			n.look(n.info)
		}
		err := translate(h.Close())
		if wrote {
			n.settle()
		}
		n.dirty = false
		return err
	}
	if fi, err := h.Stat(); err == nil {
		n.look(fi)
	}
	err := translate(h.Close())
	if wrote && n.at.dir != nil {
		if fi, e := n.fs.lstat(n.path()); e == nil && nanos(fi.ModTime()) != n.mtim {
			n.settle()
		}
	}
	n.dirty = false
	return err
}

// resize sets the size, which the limit allows. FS.mu and mu are held.
func (n *inode) resize(size int64) error {
	if n.h != nil {
		// One that reads is exchanged: the file may be made anew.
		if err := n.acquire(true, "", nil); err != nil {
			return err
		}
	}
	h := n.h
	if h == nil {
		var err error
		if h, err = n.openStore(true, ""); err != nil {
			return err
		}
		defer func() { n.closeStore(h, true) }()
	}
	fresh, err := n.remake(h, size)
	switch {
	case err != nil:
		return err
	case fresh == nil:
		if err := translate(h.Truncate(size)); err != nil {
			return err
		}
	default:
		if h == n.h {
			n.h = fresh
		}
		h.Close()
		h = fresh
	}
	n.size = size
	n.wrote()
	return nil
}

const (
	// minRemade is the least size of a file that is made anew when it is cut.
	minRemade = 4096
	// maxSpare is how many bytes files that were cut may together keep beyond their sizes, for
	// those that are soon as large again.
	maxSpare = 4 << 20
)

// remake gives a file in memory that is to be cut to less than half of what it was a new place in
// the store, and returns a handle of that; nil where the file can be cut where it is. A MemMapFs
// keeps all the memory that a file ever had, so that a guest could make a store of any size out of
// files that were large once. FS.mu and mu are held.
func (n *inode) remake(h afero.File, size int64) (afero.File, error) {
	if !n.fs.memory {
		return nil, nil
	}
	fi, err := h.Stat()
	if err != nil {
		return nil, translate(err)
	}
	n.most = max(n.most, fi.Size())
	if n.most < minRemade || size > n.most/2 || size > fi.Size() {
		return nil, nil
	}
	n.unspare()
	if spare := n.most - size; spare <= maxSpare-n.fs.spare {
		n.spare, n.fs.spare = spare, n.fs.spare+spare
		return nil, nil
	}
	keep := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(h, 0, size), keep); err != nil {
		return nil, translate(err)
	}
	path := n.hidden
	if n.at.dir != nil {
		path = n.path()
	}
	var fresh afero.File
	if path == "" {
		fresh = mem.NewFileHandle(mem.CreateFile(h.Name())) // it has no name any more
	} else if fresh, err = n.fs.store.Create(path); err != nil {
		return nil, translate(err)
	} else if err = n.fs.store.Chmod(path, fi.Mode()); err != nil {
		fresh.Close()
		return nil, translate(err)
	}
	if _, err := fresh.WriteAt(keep, 0); err != nil {
		fresh.Close()
		return nil, translate(err)
	}
	if n.info, err = fresh.Stat(); err != nil {
		fresh.Close()
		return nil, translate(err)
	}
	n.most = size
	return fresh, nil
}

// unspare takes what the file keeps beyond its size from the account. FS.mu is held.
func (n *inode) unspare() {
	n.fs.spare -= n.spare
	n.spare = 0
}

// wrote notes a change of content. mu is held.
func (n *inode) wrote() {
	now := n.fs.now()
	if !n.timed {
		n.atim = now
	}
	n.mtim, n.ctim, n.timed, n.dirty = now, now, true, true
}

// open is one opening of a file.
type open struct {
	file *file
	sync bool // every write is stored before it returns
}

var (
	_ vfs.File       = (*open)(nil)
	_ vfs.Appender   = (*open)(nil)
	_ vfs.VectorFile = (*open)(nil)
)

// ReadAt reads at an offset.
func (o *open) ReadAt(p []byte, off int64) (int, error) {
	o.file.mu.Lock()
	defer o.file.mu.Unlock()
	return o.file.readAt(p, off)
}

func (n *inode) readAt(p []byte, off int64) (int, error) {
	switch {
	case n.h == nil:
		return 0, wasip1.EBADF
	case off < 0:
		return 0, wasip1.EINVAL
	case len(p) == 0:
		return 0, nil
	}
	c, err := n.h.ReadAt(p, off)
	switch {
	case c > 0 && (err == nil || err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)):
		return c, nil
	case err == nil, err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		return 0, io.EOF
	}
	return c, translate(err)
}

// WriteAt writes at an offset; what the size limit allows is written, then EFBIG.
func (o *open) WriteAt(p []byte, off int64) (int, error) {
	o.file.mu.Lock()
	defer o.file.mu.Unlock()
	n, err := o.file.writeAt(p, off)
	return n, o.written(err)
}

func (n *inode) writeAt(p []byte, off int64) (int, error) {
	switch {
	case n.h == nil || !n.writable:
		return 0, wasip1.EBADF
	case off < 0:
		return 0, wasip1.EINVAL
	case len(p) == 0:
		return 0, nil
	case off >= n.fs.max:
		return 0, wasip1.EFBIG
	}
	var short error
	if room := n.fs.max - off; int64(len(p)) > room {
		p, short = p[:room], wasip1.EFBIG
	}
	c, err := n.h.WriteAt(p, off)
	if c > 0 {
		n.wrote()
	}
	if err != nil {
		return c, translate(err)
	}
	return c, short
}

// written ends a write: with the store's sync where the opening asked for it. mu is held.
func (o *open) written(err error) error {
	if o.sync && err == nil {
		return translate(o.file.h.Sync())
	}
	return err
}

// ReadVector reads into several buffers in one step.
func (o *open) ReadVector(bufs [][]byte, off int64) (int, error) {
	o.file.mu.Lock()
	defer o.file.mu.Unlock()
	total := 0
	for _, b := range bufs {
		n, err := o.file.readAt(b, off+int64(total))
		total += n
		if err != nil || n < len(b) {
			if total > 0 {
				err = nil
			}
			return total, err
		}
	}
	return total, nil
}

// WriteVector writes several buffers in one step.
func (o *open) WriteVector(bufs [][]byte, off int64) (int, error) {
	o.file.mu.Lock()
	defer o.file.mu.Unlock()
	n, err := o.file.writeVector(bufs, off)
	return n, o.written(err)
}

// joined is how many bytes of several buffers are copied together to be written at once: a MemMapFs
// copies the whole file at each write.
const joined = 64 << 10

var joins = sync.Pool{New: func() any { return new([joined]byte) }}

func (n *inode) writeVector(bufs [][]byte, off int64) (int, error) {
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	if len(bufs) > 1 && total <= joined {
		all := joins.Get().(*[joined]byte)
		defer joins.Put(all)
		p := all[:0]
		for _, b := range bufs {
			p = append(p, b...)
		}
		return n.writeAt(p, off)
	}
	total = 0
	for _, b := range bufs {
		c, err := n.writeAt(b, off+int64(total))
		total += c
		if err != nil || c < len(b) {
			return total, err
		}
	}
	return total, nil
}

// Append writes at the end in one step.
func (o *open) Append(bufs [][]byte) (int, int64, error) {
	o.file.mu.Lock()
	defer o.file.mu.Unlock()
	if o.file.h == nil {
		return 0, 0, wasip1.EBADF
	}
	fi, err := o.file.stat()
	if err != nil {
		return 0, 0, err
	}
	end := fi.Size()
	n, err := o.file.writeVector(bufs, end)
	return n, end + int64(n), o.written(err)
}

// Sync puts content, and with dataOnly false the times, on the store.
func (o *open) Sync(dataOnly bool) error {
	n := &o.file.inode
	if err := n.sync(); err != nil || dataOnly {
		return err
	}
	n.fs.lock()
	defer n.fs.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dirty {
		n.settle()
	}
	return nil
}

func (n *inode) sync() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.h == nil {
		return nil
	}
	return translate(n.h.Sync())
}

// Close ends the opening.
func (o *open) Close() error {
	o.file.fs.lock()
	defer o.file.fs.mu.Unlock()
	o.file.mu.Lock()
	defer o.file.mu.Unlock()
	return o.file.release()
}
