package vfs

import (
	"io/fs"

	"github.com/wasivirt/wasivirt/wasip1"
)

// opening is how a file is to be opened.
type opening struct {
	follow           bool
	oflags           wasip1.Oflags
	fdflags          wasip1.Fdflags
	base, inheriting wasip1.Rights
	perm             fs.FileMode
}

// mode returns what the file system is told.
func (o *opening) mode() OpenMode {
	var mode OpenMode
	if o.base&wasip1.RightFdRead != 0 || o.oflags&wasip1.ODirectory != 0 && o.base&wasip1.RightFdReaddir != 0 {
		mode |= OpenRead // a directory is read by listing it
	}
	if o.base&wasip1.RightFdWrite != 0 {
		mode |= OpenWrite
	}
	if o.oflags&wasip1.OTrunc != 0 {
		mode |= OpenTruncate
	}
	if o.fdflags&wasip1.FdSync != 0 {
		mode |= OpenSync
	}
	if o.fdflags&wasip1.FdDsync != 0 {
		mode |= OpenDsync
	}
	if o.fdflags&wasip1.FdAppend != 0 && mode&OpenWrite != 0 {
		mode |= openAppend
	}
	return mode
}

// open opens what path stands for. Errors: those of the walk; EEXIST and ENOENT as OCreat and OExcl
// have it; ELOOP for a symbolic link that is not followed, ENOTDIR with ODirectory; EISDIR for a
// directory that is to be written, cut or made; ENOTDIR for a file with a slash behind it; EROFS;
// ENXIO for what cannot be opened.
func (w *walker) open(base *OpenFile, path string, o *opening) (*OpenFile, error) {
	if o.oflags&(wasip1.OCreat|wasip1.ODirectory) == wasip1.OCreat|wasip1.ODirectory {
		return nil, wasip1.EINVAL
	}
	f, err := w.openPath(base, path, o)
	if f == nil && err == nil {
		f, err = w.openWalk(base, path, o)
	}
	if err != nil {
		err = w.permit(err)
		w.end()
		return nil, err
	}
	w.end()
	f.setPathBelow(base, path)
	if w.guard != nil && w.resolved != f.Path() {
		f.resolved = w.resolved
	}
	if f.wrote.Load() {
		f.m.happened(Modified, base, path) // it was cut
	}
	return f, nil
}

// openPath lets the file system resolve all of path at once if it can and nothing stands against
// it. It returns nothing where that is for the walker.
func (w *walker) openPath(base *OpenFile, path string, o *opening) (*OpenFile, error) {
	pos := base.dir.now()
	m := pos.m
	if !m.paths || w.guard != nil || pos.at != nil && pos.at.children.Load() != nil ||
		len(path) == 0 || len(path) > MaxPath || path[len(path)-1] == '/' || m.watched() ||
		m.readOnly && (o.mode()&(OpenWrite|OpenTruncate) != 0 || o.oflags&wasip1.OCreat != 0) {
		return nil, nil
	}
	dir, ok := pos.dir.(PathOpener)
	if !ok {
		return nil, nil
	}
	if !base.acquire() {
		return nil, wasip1.EBADF
	}
	defer base.release()
	node, file, err := dir.OpenPath(path, o.follow, o.oflags, o.mode(), o.perm)
	if err != nil {
		switch e := wasip1.FromError(err); e {
		case wasip1.ENOSYS, wasip1.ELOOP, wasip1.EXDEV, wasip1.EAGAIN:
			return nil, nil
		default:
			return nil, e
		}
	}
	fd, err := w.describe(found{node: node, m: m}, file, o)
	if err != nil {
		if file != nil {
			file.Close()
		}
		m.drop(node)
	}
	return fd, err
}

func (w *walker) openWalk(base *OpenFile, path string, o *opening) (*OpenFile, error) {
	if err := w.begin(base, path); err != nil {
		return nil, err
	}
	for {
		name, err := w.last()
		if err != nil {
			return nil, err
		}
		if name == "" {
			if err := w.permit(nil); err != nil {
				return nil, err
			}
			return w.openTop(o)
		}
		var f found
		var file File
		var made bool
		if w.guard == nil {
			f, file, made, err = w.lookupOrMake(name, o)
		} else {
			f, file, made, err = w.lookupPermitted(name, o)
		}
		if err != nil {
			return nil, err
		}
		if made {
			f.m.happened(Created, base, path)
			empty := *o
			empty.oflags &^= wasip1.OTrunc
			d, err := w.describe(f, file, &empty)
			if err == nil {
				d.made = true
				return d, nil
			}
			if file != nil {
				file.Close()
			}
			f.m.drop(f.node)
			return nil, err
		}
		if o.oflags&(wasip1.OCreat|wasip1.OExcl) == wasip1.OCreat|wasip1.OExcl {
			f.m.drop(f.node)
			return nil, wasip1.EEXIST
		}
		if f.node.Type() != wasip1.FiletypeSymbolicLink {
			if err := w.permit(nil); err != nil {
				f.m.drop(f.node)
				return nil, err
			}
			return w.openFound(f, o)
		}
		if !o.follow && !w.slash {
			f.m.drop(f.node)
			if o.oflags&wasip1.ODirectory != 0 {
				return nil, wasip1.ENOTDIR
			}
			return nil, wasip1.ELOOP
		}
		if err := w.link(f); err != nil {
			return nil, err
		}
	}
}

// maker is implemented by directories, such as memfs's, that look a name up and, where nothing is
// there, make a file, in one step: an open that may make a file then asks once.
type maker interface {
	// Make returns what name stands for or, where that is nothing, a new, empty regular file, which
	// is open then, for reading and writing: file is nil where the name was there. Errors: those of
	// Create but EEXIST.
	Make(name string, perm fs.FileMode) (node Node, file File, err error)
}

// reuser is implemented by a regular file's node that is its own File, and may stand for another
// file once its own has gone, if nobody has the node then.
type reuser interface {
	// LetGo is Close for the walker, which got the node from Make as a new file, gave it to nobody
	// else, and will not use it any more.
	LetGo() error
}

// lookupOrMake finds what name stands for in the top directory and makes a file where nothing is
// there and o wants that. file is a file that was made, if it is open already.
func (w *walker) lookupOrMake(name string, o *opening) (f found, file File, made bool, err error) {
	top := w.top()
	if o.oflags&wasip1.OCreat != 0 && o.fdflags&syncs == 0 && !w.slash && !top.m.readOnly && len(name) <= MaxName && !top.covered(name) {
		if dir, ok := top.dir.(maker); ok {
			f.m = top.m
			f.node, file, err = dir.Make(name, o.perm)
			return f, file, file != nil, err
		}
	}
	if f, err = w.lookup(name); err == nil {
		return f, nil, false, nil
	}
	if err = w.missing(name, err, o); err != nil {
		return found{}, nil, false, err
	}
	node, err := top.dir.Create(name, o.perm)
	if err == nil {
		return found{node: node, m: top.m}, nil, true, nil
	}
	if wasip1.FromError(err) != wasip1.EEXIST || o.oflags&wasip1.OExcl != 0 {
		return found{}, nil, false, err
	}
	// Somebody else has just made it.
	f, err = w.lookup(name)
	return f, nil, false, err
}

// missing decides whether a file is to be made for name, for which the lookup said err: nil if so.
func (w *walker) missing(name string, err error, o *opening) error {
	switch {
	case o.oflags&wasip1.OCreat == 0 || wasip1.FromError(err) != wasip1.ENOENT:
		return err
	case w.slash:
		return wasip1.EISDIR
	case w.top().m.readOnly:
		return wasip1.EROFS
	}
	return nil
}

// openTop opens the directory in which the walk is.
func (w *walker) openTop(o *opening) (*OpenFile, error) {
	top := w.top()
	if o.oflags&(wasip1.OCreat|wasip1.OExcl) == wasip1.OCreat|wasip1.OExcl {
		return nil, wasip1.EEXIST
	}
	if err := openDir(o); err != nil {
		return nil, err
	}
	f := newDirectoryFile(*top, o.base, o.inheriting)
	f.flags = uint32(o.fdflags)
	n := len(w.stack) - 1
	if top.m.releases && top.dir != top.m.root {
		if n == 0 {
			// The node is that of another open file, which has to live as long as this one.
			if !w.start.acquire() {
				return nil, wasip1.EBADF
			}
			f.dir.origin = w.start
		} else {
			w.stack = w.stack[:n] // the open file has it now
		}
	}
	switch {
	case n > 0:
		f.dir.setParent(w.stack[n-1])
	case w.start.dir.parent != nil && w.start.dir.dir == top.dir:
		f.dir.parent = w.start.dir.parent
	}
	return f, nil
}

// setParent keeps the directory at pos as the parent, if that holds nothing of the machine.
func (d *openDirectory) setParent(pos position) {
	if !pos.m.releases || pos.dir == pos.m.root {
		d.parent = pos.dir
	}
}

// openDir says whether a directory can be opened like that.
func openDir(o *opening) error {
	if o.base&wasip1.RightFdWrite != 0 || o.oflags&(wasip1.OTrunc|wasip1.OCreat) != 0 {
		return wasip1.EISDIR
	}
	return nil
}

// openFound opens f, which is no symbolic link, and takes it over.
func (w *walker) openFound(f found, o *opening) (*OpenFile, error) {
	if f.node.Type() != wasip1.FiletypeDirectory && w.slash {
		f.m.drop(f.node)
		return nil, wasip1.ENOTDIR
	}
	file, err := w.describe(f, nil, o)
	if err != nil {
		f.m.drop(f.node)
		return nil, err
	}
	if file.dir != nil {
		file.dir.setParent(*w.top())
	}
	return file, nil
}

// describe returns the open file description of f. file is its content if it is open already.
func (w *walker) describe(f found, file File, o *opening) (*OpenFile, error) {
	kind := f.node.Type()
	mode := o.mode()
	switch kind {
	case wasip1.FiletypeDirectory:
		dir, ok := f.node.(Directory)
		if !ok {
			return nil, wasip1.EIO
		}
		if err := openDir(o); err != nil {
			return nil, err
		}
		d := newDirectoryFile(position{dir: dir, m: f.m, at: f.at}, o.base, o.inheriting)
		d.flags = uint32(o.fdflags)
		return d, nil
	case wasip1.FiletypeSymbolicLink:
		return nil, wasip1.ELOOP
	}
	switch {
	case o.oflags&wasip1.ODirectory != 0:
		return nil, wasip1.ENOTDIR
	case f.m.readOnly && mode&(OpenWrite|OpenTruncate) != 0 && kind == wasip1.FiletypeRegularFile:
		return nil, wasip1.EROFS
	}
	d := w.newFile()
	d.kind, d.node, d.m, d.mode = kind, f.node, f.m, mode
	rights := wasip1.RightsFile
	switch node := f.node.(type) {
	case RegularFile:
		if file == nil {
			var err error
			if file, err = node.Open(mode); err != nil {
				return nil, err
			}
		}
		_, d.prepares = node.(Preparer)
		d.use(file)
	case StreamNode:
		stream, err := node.OpenStream(mode)
		if err != nil {
			return nil, err
		}
		d.stream = stream
		rights = nodeStreamRights(kind, stream)
	default:
		return nil, wasip1.ENXIO
	}
	d.start(o.fdflags, o.base&rights, o.inheriting)
	if mode&OpenTruncate != 0 {
		d.wroteTo()
	}
	return d, nil
}

// lastingFile is implemented by a File, such as memfs's, whose methods may be called while Close
// runs and after it: they do what they would have done before, or answer EBADF. The lock that
// guards its content also guards the positions of its open file descriptions: a read or a write at
// a position takes one lock then, not two.
type lastingFile interface {
	VectorFile
	Appender
	// ReadNext fills bufs from *pos on and moves *pos, in one step. 0 is the end of the file.
	ReadNext(bufs [][]byte, pos *int64) (int, error)
	// WriteNext writes bufs from *pos on and moves *pos, in one step. If n > 0 there is no error.
	WriteNext(bufs [][]byte, pos *int64) (n int, err error)
	// AppendNext is WriteNext at the end of the file.
	AppendNext(bufs [][]byte, pos *int64) (n int, err error)
	// LockPosition keeps other calls from positions until UnlockPosition. No method of the file may
	// be called meanwhile.
	LockPosition()
	UnlockPosition()
	// PutAttr is Attr of a File that is its own node.
	PutAttr(a *Attr) error
}

// guardedFile is implemented by a File, such as hostfs's, whose methods may be called while Close
// runs and after it, when they answer EBADF: a call at an offset need not keep it open.
type guardedFile interface {
	VectorFile
	Appender
	// AppendOnly is Append, but does not tell the new end.
	AppendOnly(bufs [][]byte) (int, error)
	// Appended returns the end that the last Append or AppendOnly left behind. It costs a system
	// call, which most that append never need.
	Appended() (int64, error)
}

// use makes file the content of d.
func (d *OpenFile) use(file File) {
	d.file = file
	switch file := file.(type) {
	case lastingFile:
		d.lasting, d.vector, d.append, d.stays = file, file, file, true
		d.self = any(file) == any(d.node)
	case guardedFile:
		d.guarded, d.vector, d.append, d.stays = file, file, file, true
	default:
		d.vector, _ = file.(VectorFile)
		d.append, _ = file.(Appender)
	}
}

// newFile returns an OpenFile, one that was closed where there is one to use again.
func (w *walker) newFile() *OpenFile {
	d := w.spare
	if d == nil {
		return new(OpenFile)
	}
	w.spare = nil
	*d = OpenFile{}
	return d
}

// nodeStreamRights are the rights of a stream that was opened by a path. A device that is no
// terminal has those for positions, by which C programs tell the two apart, and answers that it
// stands at 0.
func nodeStreamRights(kind wasip1.Filetype, s Stream) wasip1.Rights {
	rights := wasip1.RightsStream | wasip1.RightFdFilestatSetTimes
	switch kind {
	case wasip1.FiletypeSocketStream, wasip1.FiletypeSocketDgram:
		rights |= wasip1.RightsSocket
	case wasip1.FiletypeCharacterDevice, wasip1.FiletypeBlockDevice:
		if _, ok := s.(Typed); !ok {
			rights |= wasip1.RightFdSeek | wasip1.RightFdTell
		}
	}
	return rights
}
