package hostfs

import (
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// rootedEntry is what nodes have that are a name in a held directory.
type rootedEntry struct {
	fs       *rooted
	h        *rootedHandle // nil for a single file
	name     string        // in h, as long as nobody renames it
	made     string        // where place was then
	place    *rootedPlace
	released atomic.Bool
}

func (e *rootedEntry) init(h *rootedHandle, name string) {
	h.refs.Add(1) // above 0: the caller holds it
	e.fs, e.h, e.name = h.fs, h, strings.Clone(name)
	b := h.fs
	b.mu.Lock()
	defer b.mu.Unlock()
	e.made = path.Join(h.place.path, e.name)
	e.place = &rootedPlace{e.made}
	b.places[e.place] = struct{}{}
}

// Release implements [vfs.Releaser].
func (e *rootedEntry) Release() {
	if e.h != nil && !e.released.Swap(true) {
		e.fs.forget(e.place)
		e.h.release()
	}
}

// use returns a directory, good until its release, and the name in it: the node's own, or the root
// and a path if the node was moved.
func (e *rootedEntry) use() (*rootedHandle, string, error) {
	if e.h == nil || e.released.Load() {
		return nil, "", wasip1.EBADF
	}
	e.fs.mu.RLock()
	at := e.place.path
	e.fs.mu.RUnlock()
	h, name := e.h, e.name
	switch at {
	case e.made:
	case "":
		return nil, "", wasip1.ENOENT
	default:
		h, name = e.fs.dir.h, at
	}
	if !h.acquire() {
		return nil, "", wasip1.EBADF
	}
	return h, name, nil
}

// attr returns the attributes of what the name stands for, ENOENT if that is not of type want.
func (e *rootedEntry) attr(want wasip1.Filetype) (vfs.Attr, error) {
	h, name, err := e.use()
	if err != nil {
		return vfs.Attr{}, err
	}
	defer h.release()
	fi, err := h.root.Lstat(name)
	if err != nil {
		return vfs.Attr{}, wasip1.FromError(err)
	}
	if modeType(fi.Mode()) != want {
		return vfs.Attr{}, wasip1.ENOENT
	}
	return e.fs.attr(fi, identify(h.root, name, fi)), nil
}

// change changes mode and times of what the name stands for, ENOENT if that is not of type want.
func (e *rootedEntry) change(want wasip1.Filetype, s vfs.SetAttr) error {
	if _, err := e.attr(want); err != nil {
		return err
	}
	h, name, err := e.use()
	if err != nil {
		return err
	}
	defer h.release()
	return change(h.root, name, want, s)
}

// change changes mode and times of name, which is of type t. os.Root follows links when it changes
// the mode, so that links answer ENOTSUP.
func change(root *os.Root, name string, t wasip1.Filetype, s vfs.SetAttr) error {
	if s.Mask&vfs.SetMode != 0 {
		if t == wasip1.FiletypeSymbolicLink {
			return wasip1.ENOTSUP
		}
		if err := root.Chmod(name, s.Mode.Perm()); err != nil {
			return wasip1.FromError(err)
		}
	}
	if s.Mask&(vfs.SetAtim|vfs.SetMtim) == 0 {
		return nil
	}
	return setTimes(root, name, t, s)
}

// chtimes is setTimes by os.Root, which follows links.
func chtimes(root *os.Root, name string, t wasip1.Filetype, s vfs.SetAttr) error {
	if t == wasip1.FiletypeSymbolicLink {
		return wasip1.ENOTSUP
	}
	var atim, mtim time.Time // zero leaves it
	if s.Mask&vfs.SetAtim != 0 {
		atim = time.Unix(0, s.Atim)
	}
	if s.Mask&vfs.SetMtim != 0 {
		mtim = time.Unix(0, s.Mtim)
	}
	return failed(root.Chtimes(name, atim, mtim))
}

// rootedLink is a symbolic link; see linkNode.
type rootedLink struct {
	rootedEntry
	target string
}

var _ vfs.Symlink = (*rootedLink)(nil)

func (n *rootedLink) Type() wasip1.Filetype     { return wasip1.FiletypeSymbolicLink }
func (n *rootedLink) Attr() (vfs.Attr, error)   { return n.attr(wasip1.FiletypeSymbolicLink) }
func (n *rootedLink) Readlink() (string, error) { return n.target, nil }

func (n *rootedLink) SetAttr(s vfs.SetAttr) error {
	switch {
	case n.fs.readOnly:
		return wasip1.EROFS
	case s.Mask&vfs.SetSize != 0:
		return wasip1.EINVAL
	}
	return n.change(wasip1.FiletypeSymbolicLink, s)
}

// rootedSpecial is a FIFO, a socket or a device.
type rootedSpecial struct {
	rootedEntry
	typ wasip1.Filetype
}

var _ vfs.StreamNode = (*rootedSpecial)(nil)

func (n *rootedSpecial) Type() wasip1.Filetype                       { return n.typ }
func (n *rootedSpecial) Attr() (vfs.Attr, error)                     { return n.attr(n.typ) }
func (n *rootedSpecial) OpenStream(vfs.OpenMode) (vfs.Stream, error) { return nil, wasip1.ENXIO }

func (n *rootedSpecial) SetAttr(s vfs.SetAttr) error {
	switch {
	case n.fs.readOnly:
		return wasip1.EROFS
	case s.Mask&vfs.SetSize != 0:
		return wasip1.EINVAL
	}
	return n.change(n.typ, s)
}

// rootedFile is a regular file: a name, or the open files, which it rather means.
type rootedFile struct {
	rootedEntry

	mu   sync.Mutex
	open []*rootedOpen
}

var _ vfs.RegularFile = (*rootedFile)(nil)

// counted is an os.File that is closed by the last of those who have it open.
type counted struct {
	*os.File
	refs atomic.Int32
}

func newCounted(f *os.File) *counted {
	c := &counted{File: f}
	c.refs.Store(1)
	return c
}

func (c *counted) release() error {
	if c.refs.Add(-1) == 0 {
		return failed(c.Close())
	}
	return nil
}

func (n *rootedFile) attach(f *counted, mode vfs.OpenMode) *rootedOpen {
	n.mu.Lock()
	defer n.mu.Unlock()
	o := &rootedOpen{f: f, node: n, mode: mode}
	n.open = append(n.open, o)
	return o
}

// opened returns an open file that has all the bits of mode, or nil.
func (n *rootedFile) opened(mode vfs.OpenMode) *os.File {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range n.open {
		if o.mode&mode == mode {
			return o.f.File
		}
	}
	return nil
}

// named is ENOENT if the node is open and its name stands for another file by now.
func (n *rootedFile) named() error {
	f := n.opened(0)
	if f == nil {
		return nil
	}
	mine, err := f.Stat()
	if err != nil {
		return wasip1.FromError(err)
	}
	h, name, err := n.use()
	if err != nil {
		return err
	}
	defer h.release()
	if fi, err := h.root.Lstat(name); err != nil || !os.SameFile(mine, fi) {
		return wasip1.ENOENT
	}
	return nil
}

func (n *rootedFile) Type() wasip1.Filetype { return wasip1.FiletypeRegularFile }

func (n *rootedFile) Attr() (vfs.Attr, error) {
	f := n.opened(0)
	if f == nil {
		return n.attr(wasip1.FiletypeRegularFile)
	}
	fi, err := f.Stat()
	if err != nil {
		return vfs.Attr{}, wasip1.FromError(err)
	}
	return n.fs.attr(fi, identifyFile(f, fi)), nil
}

// SetAttr changes times by name, since os has no other way: ENOENT for an open file whose name has
// gone.
func (n *rootedFile) SetAttr(s vfs.SetAttr) error {
	if n.fs.readOnly {
		return wasip1.EROFS
	}
	if s.Mask&vfs.SetSize != 0 {
		if err := n.truncate(s.Size); err != nil {
			return err
		}
	}
	if s.Mask&^vfs.SetSize == 0 {
		return nil
	}
	if err := n.named(); err != nil {
		return err
	}
	return n.change(wasip1.FiletypeRegularFile, s)
}

func (n *rootedFile) truncate(size uint64) error {
	if size > 1<<63-1 {
		return wasip1.EFBIG
	}
	if f := n.opened(vfs.OpenWrite); f != nil {
		return failed(f.Truncate(int64(size)))
	}
	f, err := n.openFile(os.O_WRONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	return failed(f.Truncate(int64(size)))
}

func (n *rootedFile) Open(mode vfs.OpenMode) (vfs.File, error) {
	write := mode&(vfs.OpenWrite|vfs.OpenTruncate) != 0
	if write && n.fs.readOnly {
		return nil, wasip1.EROFS
	}
	if n.h == nil {
		return n.share(mode)
	}
	flags := os.O_RDONLY
	switch {
	case write && mode&vfs.OpenRead != 0:
		flags = os.O_RDWR
	case write:
		flags = os.O_WRONLY
	}
	if mode&(vfs.OpenSync|vfs.OpenDsync) != 0 {
		flags |= os.O_SYNC
	}
	f, err := n.openFile(flags)
	if err != nil {
		return nil, err
	}
	if mode&vfs.OpenTruncate != 0 { // not before it is known to be this file
		if err := f.Truncate(0); err != nil {
			f.Close()
			return nil, wasip1.FromError(err)
		}
	}
	return n.attach(newCounted(f), mode), nil
}

// share opens a single file, which has no name here, by using what is open.
func (n *rootedFile) share(mode vfs.OpenMode) (vfs.File, error) {
	n.mu.Lock()
	if len(n.open) == 0 {
		n.mu.Unlock()
		return nil, wasip1.EBADF
	}
	f := n.open[0].f
	f.refs.Add(1) // above 0: it is in n.open
	n.mu.Unlock()
	return n.attach(f, mode), nil
}

// openFile opens what the name stands for, made sure to be a regular file and no link to one.
func (n *rootedFile) openFile(flags int) (*os.File, error) {
	h, name, err := n.use()
	if err != nil {
		return nil, err
	}
	defer h.release()
	return openRegular(h.root, name, flags, nil)
}

// openRegular opens name. If want is not nil, it must be that file, else ENOENT.
func openRegular(root *os.Root, name string, flags int, want fs.FileInfo) (*os.File, error) {
	for range rootedTries {
		fi, err := root.Lstat(name)
		if err != nil {
			return nil, wasip1.FromError(err)
		}
		if t := modeType(fi.Mode()); t != wasip1.FiletypeRegularFile {
			return nil, entryError(t)
		}
		if want != nil && !os.SameFile(want, fi) {
			return nil, wasip1.ENOENT
		}
		f, err := root.OpenFile(name, flags|nonblock, 0)
		if err != nil {
			if again, statErr := root.Lstat(name); statErr == nil && os.SameFile(fi, again) {
				return nil, wasip1.FromError(err)
			}
			continue // it is something else by now
		}
		if now, err := f.Stat(); err == nil && os.SameFile(fi, now) {
			return f, nil
		}
		f.Close()
	}
	return nil, wasip1.ENOENT
}

// rootedOpen is an open file.
type rootedOpen struct {
	f      *counted
	node   *rootedFile
	mode   vfs.OpenMode
	closed atomic.Bool

	mu       sync.Mutex // one Append at a time
	appender *os.File   // opened with O_APPEND
}

var (
	_ vfs.File     = (*rootedOpen)(nil)
	_ vfs.Appender = (*rootedOpen)(nil)
)

// ReadAt reads until p is full or the file ends.
func (o *rootedOpen) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case o.closed.Load():
		return 0, wasip1.EBADF
	case off < 0:
		return 0, wasip1.EINVAL
	}
	n, err := o.f.ReadAt(p, off)
	if err == nil || err == io.EOF {
		return n, err
	}
	if fi, statErr := o.f.Stat(); statErr == nil && off >= fi.Size() {
		return n, io.EOF // an offset too large for the system is beyond the end
	}
	return n, wasip1.FromError(err)
}

func (o *rootedOpen) WriteAt(p []byte, off int64) (int, error) {
	switch {
	case o.closed.Load() || o.mode&vfs.OpenWrite == 0:
		return 0, wasip1.EBADF
	case off < 0:
		return 0, wasip1.EINVAL
	case off > 1<<63-1-int64(len(p)):
		return 0, wasip1.EFBIG
	}
	n, err := o.f.WriteAt(p, off)
	return n, failed(err)
}

// Append writes at the end in one step of the system, unless the file's name has gone: then only
// Appends through this open file exclude each other.
func (o *rootedOpen) Append(bufs [][]byte) (int, int64, error) {
	if o.closed.Load() || o.mode&vfs.OpenWrite == 0 {
		return 0, 0, wasip1.EBADF
	}
	p := slices.Concat(bufs...)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.appender == nil {
		if err := o.openAppender(); err != nil {
			fi, err := o.f.Stat()
			if err != nil {
				return 0, 0, wasip1.FromError(err)
			}
			n, err := o.f.WriteAt(p, fi.Size())
			return n, fi.Size() + int64(n), failed(err)
		}
	}
	n, err := o.appender.Write(p)
	if err != nil {
		return n, 0, wasip1.FromError(err)
	}
	end, err := o.appender.Seek(0, io.SeekCurrent)
	return n, end, failed(err)
}

func (o *rootedOpen) openAppender() error {
	fi, err := o.f.Stat()
	if err != nil {
		return err
	}
	h, name, err := o.node.use()
	if err != nil {
		return err
	}
	defer h.release()
	o.appender, err = openRegular(h.root, name, os.O_WRONLY|os.O_APPEND, fi)
	return err
}

// Sync does more than dataOnly asks for.
func (o *rootedOpen) Sync(bool) error {
	if o.closed.Load() {
		return wasip1.EBADF
	}
	return failed(o.f.Sync())
}

func (o *rootedOpen) Close() error {
	if o.closed.Swap(true) {
		return wasip1.EBADF
	}
	n := o.node
	n.mu.Lock()
	n.open = slices.DeleteFunc(n.open, func(other *rootedOpen) bool { return other == o })
	n.mu.Unlock()
	o.mu.Lock()
	if o.appender != nil {
		o.appender.Close()
		o.appender = nil
	}
	o.mu.Unlock()
	return o.f.release()
}
