package vfs

import (
	"math"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/wasip1"
)

// OpenFile is an open file description: a file with a position, flags and rights. Duplicated
// descriptors share one. It is closed when its last descriptor is closed and the last call that
// uses it has returned.
//
// Host code gets one from [Root.Open], [Table.Get] or the New functions. Its methods are those of
// os.File. Host code and guests may use it at the same time.
type OpenFile struct {
	// These are used atomically once others know the file; before, plainly, which costs a good deal
	// less. The 64-bit ones stand first because 32-bit machines align nothing else.
	base, inheriting uint64 // wasip1.Rights
	flags            uint32 // wasip1.Fdflags
	refs             int32  // descriptors, and calls that are using it

	kind      wasip1.Filetype
	mode      OpenMode
	preopened bool
	again     bool // it may be used again for another when it is closed; see Caller.alone
	prepares  bool // its node is a Preparer
	made      bool // its node is one that maker.Make has made for it

	wrote atomic.Bool

	mu     sync.Mutex // guards what follows, and is held while the position is being used
	closed bool       // not for a lastingFile
	behind bool       // offset is what guarded.Appended says
	offset int64      // of a lastingFile: guarded by that

	node    Node
	m       *mount
	file    File
	lasting lastingFile // file, if it is one
	guarded guardedFile // file, if it is one
	stays   bool        // file is one of these: it need not be kept open for a call at an offset
	self    bool        // lasting is node itself
	vector  VectorFile  // file, if it is one
	append  Appender    // file, if it is one
	stream  Stream
	late    atomic.Pointer[late] // of the stream; written under mu
	dir     *openDirectory

	ino      uint64 // of a stream without a node
	pathLen  int
	path     string // if it is longer than short
	resolved string // where path led; "" where that is not known or is path itself
	short    [48]byte
}

// openDirectory is what an OpenFile of a directory has besides.
type openDirectory struct {
	position
	// parent is where ".." leads, for its inode number; nil where it is not known.
	parent Directory
	// origin is the OpenFile whose node this one uses, and which is kept open for that.
	origin *OpenFile
	// host says that paths start at this root also where they are absolute.
	host bool
}

// now returns where the directory is. The root of a tree of mounts follows what is mounted there.
func (d *openDirectory) now() position {
	if d.at != nil && d.at.parent == nil && d.at.mount.Load() != d.m {
		return d.at.position()
	}
	return d.position
}

// directoryFile is an OpenFile with its openDirectory, to be allocated as one.
type directoryFile struct {
	OpenFile
	openDirectory
}

func newDirectoryFile(pos position, base, inheriting wasip1.Rights) *OpenFile {
	d := &directoryFile{openDirectory: openDirectory{position: pos}}
	f := &d.OpenFile
	f.dir = &d.openDirectory
	f.kind, f.node, f.m = wasip1.FiletypeDirectory, pos.dir, pos.m
	f.start(0, base&wasip1.RightsDirectoryBase, inheriting)
	return f
}

// newRootFile returns an open directory for the root of a tree of mounts.
func newRootFile(p *mountPoint) *OpenFile {
	f := newDirectoryFile(p.position(), wasip1.RightsDirectoryBase, wasip1.RightsDirectoryInheriting)
	f.setPath("", p.name)
	return f
}

// NewDirectory opens the root of fsys as a directory that host code can give to a guest as a
// descriptor. It shows no mounts. Errors: ENOTDIR.
func NewDirectory(fsys FS) (*OpenFile, error) {
	root := fsys.Root()
	dir, ok := root.(Directory)
	if !ok {
		return nil, wasip1.ENOTDIR
	}
	m := newMount(nil, fsys, root, syntheticDev+1)
	f := newDirectoryFile(position{dir: dir, m: m}, wasip1.RightsDirectoryBase, wasip1.RightsDirectoryInheriting)
	f.setPath("", "/")
	return f, nil
}

// Typed is implemented by a [Stream] that knows its file type. Other streams are
// FiletypeSocketDgram if they are [Datagrams], FiletypeSocketStream if they are another [Socket] or
// a [Listener], otherwise FiletypeUnknown. A guest takes a Typed stream of FiletypeCharacterDevice
// for a terminal.
type Typed interface {
	Type() wasip1.Filetype
}

// NewStream opens a stream that host code can give to a guest as a descriptor. mode is OpenRead,
// OpenWrite or both. Listings show name. Closing the OpenFile closes the stream.
func NewStream(name string, s Stream, mode OpenMode) *OpenFile {
	f := &OpenFile{stream: s, mode: mode, kind: wasip1.FiletypeUnknown}
	rights := wasip1.RightsStream
	switch s.(type) {
	case Datagrams:
		f.kind = wasip1.FiletypeSocketDgram
		rights = wasip1.RightsSocket
	case Socket, Listener:
		f.kind = wasip1.FiletypeSocketStream
		rights = wasip1.RightsSocket
	}
	if t, ok := s.(Typed); ok {
		f.kind = t.Type()
	}
	f.start(0, streamRights(rights, mode), 0)
	f.setPath("", name)
	return f
}

func streamRights(rights wasip1.Rights, mode OpenMode) wasip1.Rights {
	if mode&OpenRead == 0 {
		rights &^= wasip1.RightFdRead
	}
	if mode&OpenWrite == 0 {
		rights &^= wasip1.RightFdWrite
	}
	return rights
}

// Type returns the type of the file.
func (f *OpenFile) Type() wasip1.Filetype { return f.kind }

// Flags returns the flags.
func (f *OpenFile) Flags() wasip1.Fdflags { return wasip1.Fdflags(atomic.LoadUint32(&f.flags)) }

// SetFlags sets the flags.
func (f *OpenFile) SetFlags(flags wasip1.Fdflags) { atomic.StoreUint32(&f.flags, uint32(flags)) }

// offered is a bit beside the wasip1.Fdflags: FdNonblock is set, and the guest does not know it
// yet.
const offered = 1 << 31

// OfferNonblock sets FdNonblock as soon as the guest asks for the flags with fd_fdstat_get. Until
// then, or until somebody sets the flags, f waits. A runtime that waits with poll_oneoff asks for
// the flags of the descriptors that it was given (Go's os.NewFile does; without FdNonblock all its
// goroutines would stop in one sock_accept). A program that does not ask expects a socket to wait,
// as POSIX says of new sockets.
func (f *OpenFile) OfferNonblock() {
	atomic.StoreUint32(&f.flags, uint32(f.Flags()|wasip1.FdNonblock)|offered)
}

// told returns the flags for a guest, which knows them from now on.
func (f *OpenFile) told() wasip1.Fdflags {
	if atomic.LoadUint32(&f.flags)&offered != 0 {
		atomic.AndUint32(&f.flags, ^uint32(offered))
	}
	return f.Flags()
}

// waits reports whether a call that finds f not ready is to wait.
func (f *OpenFile) waits() bool {
	flags := atomic.LoadUint32(&f.flags)
	return flags&offered != 0 || wasip1.Fdflags(flags)&wasip1.FdNonblock == 0
}

// Rights returns the rights of the description itself and those of what is opened through it.
func (f *OpenFile) Rights() (base, inheriting wasip1.Rights) {
	return wasip1.Rights(atomic.LoadUint64(&f.base)), wasip1.Rights(atomic.LoadUint64(&f.inheriting))
}

// start gives a file that nobody else knows yet its first hold, its flags and its rights.
func (f *OpenFile) start(flags wasip1.Fdflags, base, inheriting wasip1.Rights) {
	f.refs, f.flags, f.base, f.inheriting = 1, uint32(flags), uint64(base), uint64(inheriting)
}

// Restrict removes all rights except those given.
func (f *OpenFile) Restrict(base, inheriting wasip1.Rights) {
	atomic.AndUint64(&f.base, uint64(base))
	atomic.AndUint64(&f.inheriting, uint64(inheriting))
}

// can reports whether f has all rights of want.
func (f *OpenFile) can(want wasip1.Rights) bool {
	return wasip1.Rights(atomic.LoadUint64(&f.base))&want == want
}

// Node returns the node, nil for a stream without one.
func (f *OpenFile) Node() Node { return f.node }

// Stream returns the stream, nil for a file with positions and for a directory.
func (f *OpenFile) Stream() Stream { return f.stream }

// Preopened returns the name under which a guest finds f among its preopened directories.
func (f *OpenFile) Preopened() (name string, ok bool) {
	if !f.preopened {
		return "", false
	}
	return f.Path(), true
}

// Path returns the path with which f was opened, joined to the path of the directory that it was
// relative to. Renaming does not change it. Of a path of more than [MaxPath] bytes it is "..." with
// the last MaxPath bytes: a guest that opens each directory relative to the one before would have
// paths of any length.
func (f *OpenFile) Path() string {
	if f.pathLen > len(f.short) {
		return f.path
	}
	return string(f.short[:f.pathLen])
}

// cutPath begins a path whose beginning is left out.
const cutPath = "..."

// setPath keeps dir/name, without an allocation if it is short.
func (f *OpenFile) setPath(dir, name string) {
	sep := ""
	if dir != "" && dir[len(dir)-1] != '/' {
		sep = "/"
	}
	f.pathLen = len(dir) + len(sep) + len(name)
	if f.pathLen > MaxPath {
		end := dir + sep + name
		f.path = cutPath + end[len(end)-MaxPath:]
		f.pathLen = len(f.path)
		return
	}
	if f.pathLen > len(f.short) {
		f.path = strings.Join([]string{dir, name}, sep)
		if dir == "" {
			f.path = strings.Clone(name) // it may lie in a buffer that the next call overwrites
		}
		return
	}
	n := copy(f.short[:], dir)
	n += copy(f.short[n:], sep)
	copy(f.short[n:], name)
}

// setPathBelow keeps the path of d with name below it.
func (f *OpenFile) setPathBelow(d *OpenFile, name string) {
	if d.pathLen > len(d.short) {
		f.setPath(d.path, name)
		return
	}
	if n := d.pathLen + 1 + len(name); n <= len(f.short) {
		k := copy(f.short[:], d.short[:d.pathLen])
		if k > 0 && f.short[k-1] != '/' {
			f.short[k] = '/'
			k++
		}
		f.pathLen = k + copy(f.short[k:], name)
		return
	}
	f.setPath(string(d.short[:d.pathLen]), name)
}

// acquire keeps f open until release. It is false if f has been closed already.
func (f *OpenFile) acquire() bool {
	for {
		n := atomic.LoadInt32(&f.refs)
		if n <= 0 {
			return false
		}
		if atomic.CompareAndSwapInt32(&f.refs, n, n+1) {
			return true
		}
	}
}

// alive reports whether f has not been closed.
func (f *OpenFile) alive() bool { return atomic.LoadInt32(&f.refs) > 0 }

// lockPosition guards the position until unlockPosition is called.
func (f *OpenFile) lockPosition() {
	if f.lasting != nil {
		f.lasting.LockPosition()
	} else {
		f.mu.Lock()
	}
}

func (f *OpenFile) unlockPosition() {
	if f.lasting != nil {
		f.lasting.UnlockPosition()
	} else {
		f.mu.Unlock()
	}
}

// current returns the position, or false while a call is using it that may take long.
func (f *OpenFile) current() (off int64, ok bool) {
	if f.lasting == nil {
		if !f.mu.TryLock() {
			return 0, false
		}
	} else {
		f.lasting.LockPosition()
	}
	defer f.unlockPosition()
	err := f.settle()
	return f.offset, err == nil
}

// settle makes offset the position. The position is locked.
func (f *OpenFile) settle() error {
	if !f.behind {
		return nil
	}
	return f.settleEnd()
}

func (f *OpenFile) settleEnd() error {
	end, err := f.guarded.Appended()
	if err != nil {
		return err
	}
	f.offset, f.behind = end, false
	return nil
}

// wroteTo notes that the content may have changed.
func (f *OpenFile) wroteTo() {
	if !f.wrote.Load() {
		f.wrote.Store(true)
	}
}

// release undoes one acquire, or lets go of one descriptor, and closes f if that was the last.
func (f *OpenFile) release() error {
	if atomic.AddInt32(&f.refs, -1) != 0 {
		return nil
	}
	if f.lasting == nil {
		f.mu.Lock()
		f.closed = true
		f.mu.Unlock()
	}
	return f.finish(nil)
}

// releaseAlone is release for one who knows that nobody else has f, and reports whether that closed
// it.
func (f *OpenFile) releaseAlone() (closed bool, err error) {
	if f.refs != 1 {
		return false, f.release()
	}
	f.refs, f.closed = 0, true
	var made reuser
	if f.made && f.self {
		made, _ = f.node.(reuser)
	}
	return true, f.finish(made)
}

// finish is what follows the last release. made is the file if nobody else has it, else nil.
func (f *OpenFile) finish(made reuser) error {
	var err error
	if f.dir != nil && f.dir.origin != nil {
		defer f.dir.origin.release()
	} else if f.m != nil && f.m.releases {
		defer f.m.drop(f.node)
	}
	switch {
	case made != nil:
		err = made.LetGo()
	case f.file != nil:
		err = f.file.Close()
	case f.stream != nil:
		err = f.stream.Close()
	}
	if f.m != nil && f.m.watched() && f.wrote.Load() {
		f.m.tell(Event{Op: Closed, Path: f.Path()})
	}
	return err
}

// attr stores the attributes in a, as walker.attr does, and returns the device number.
func (f *OpenFile) attr(a *Attr) (dev uint64, err error) {
	if f.node == nil {
		*a = Attr{Ino: f.ino, Type: f.kind, Nlink: 1}
		return 0, nil
	}
	if f.dir != nil {
		pos := f.dir.now()
		*a, err = pos.dir.Attr()
		return pos.m.dev, err
	}
	*a, err = f.node.Attr()
	return f.m.dev, err
}

// Poll implements [poll.Pollable]. Files and directories are always ready. The number of bytes of a
// file is what lies between the position and the end.
func (f *OpenFile) Poll(want poll.Events) poll.State {
	if f.stream != nil {
		return f.pollStream(want)
	}
	s := poll.State{Ready: want}
	if want&poll.Readable != 0 && f.file != nil {
		if a, err := f.node.Attr(); err == nil {
			if off, err := f.position(); err == nil && a.Size <= math.MaxInt64 && int64(a.Size) > off {
				s.Bytes = a.Size - uint64(off)
			}
		}
	}
	return s
}

// Subscribe implements [poll.Pollable].
func (f *OpenFile) Subscribe(w *poll.Waiter) {
	if f.stream != nil {
		f.stream.Subscribe(w)
	}
}

// Unsubscribe implements [poll.Pollable].
func (f *OpenFile) Unsubscribe(w *poll.Waiter) {
	if f.stream != nil {
		f.stream.Unsubscribe(w)
	}
}
