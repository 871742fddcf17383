package iofs

import (
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// file is a regular file.
type file struct{ node }

var _ vfs.RegularFile = (*file)(nil)

func (f *file) Type() wasip1.Filetype   { return wasip1.FiletypeRegularFile }
func (f *file) Attr() (vfs.Attr, error) { return f.attr(wasip1.FiletypeRegularFile) }

// Open answers EROFS for writing, and ENXIO, EISDIR or ELOOP where another type of file has taken
// the path.
func (f *file) Open(mode vfs.OpenMode) (vfs.File, error) {
	if mode&(vfs.OpenWrite|vfs.OpenTruncate) != 0 {
		return nil, wasip1.EROFS
	}
	content, size, err := f.open()
	if err != nil {
		return nil, err
	}
	if r, ok := content.(io.ReaderAt); ok {
		return &direct{content: content, r: r}, nil
	}
	if s, ok := content.(io.Seeker); ok {
		return &seeking{content: content, s: s}, nil
	}
	return &sequential{file: f, content: content, size: size}, nil
}

// regular returns the error for opening what is no regular file.
func regular(info fs.FileInfo) error {
	switch filetype(info.Mode()) {
	case wasip1.FiletypeRegularFile:
		return nil
	case wasip1.FiletypeDirectory:
		return wasip1.EISDIR
	case wasip1.FiletypeSymbolicLink:
		return wasip1.ELOOP
	}
	return wasip1.ENXIO
}

// open opens the file anew, and returns its size too. It looks before it opens, because opening a
// FIFO waits for its writer.
func (f *file) open() (fs.File, int64, error) {
	before, err := f.fs.stat(f.path)
	if err != nil {
		return nil, 0, f.fs.error(err)
	}
	if err := regular(before); err != nil {
		return nil, 0, err
	}
	content, err := f.fs.fsys.Open(f.path)
	if err != nil {
		return nil, 0, f.fs.error(err)
	}
	info, err := content.Stat()
	if err != nil {
		content.Close()
		return nil, 0, f.fs.error(err)
	}
	if err := regular(info); err != nil {
		content.Close()
		return nil, 0, err
	}
	return content, info.Size(), nil
}

// readOnly is what the open files have in common.
type readOnly struct{}

// WriteAt answers EROFS.
func (readOnly) WriteAt([]byte, int64) (int, error) { return 0, wasip1.EROFS }

// Sync does nothing: nothing was changed.
func (readOnly) Sync(bool) error { return nil }

// readError lets io.EOF through, and maps the rest.
func readError(err error) error {
	if err == nil || err == vfs.ErrUnfinished || errors.Is(err, io.EOF) {
		return err
	}
	return wasip1.FromError(err)
}

// beyond makes io.EOF of the error that reading beyond the end gave: many readers say that the
// offset is invalid.
func beyond(f fs.File, off int64, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if info, statErr := f.Stat(); statErr == nil && off >= info.Size() {
		return io.EOF
	}
	return err
}

func closeError(err error) error {
	if err == nil {
		return nil
	}
	return wasip1.FromError(err)
}

// direct is a file with a ReadAt of its own.
type direct struct {
	readOnly
	content fs.File
	r       io.ReaderAt
}

func (d *direct) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, wasip1.EINVAL
	}
	n, err := d.r.ReadAt(p, off)
	return n, readError(beyond(d.content, off, err))
}

func (d *direct) Close() error { return closeError(d.content.Close()) }

// seeking is a file that can seek.
type seeking struct {
	readOnly
	mu      sync.Mutex
	content fs.File
	s       io.Seeker
	pos     int64
}

func (s *seeking) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, wasip1.EINVAL
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if off != s.pos {
		if _, err := s.s.Seek(off, io.SeekStart); err != nil {
			s.pos = -1
			return 0, readError(beyond(s.content, off, err))
		}
		s.pos = off
	}
	n, err := read(s.content, p)
	s.pos += int64(n)
	return n, readError(err)
}

func (s *seeking) Close() error { return closeError(s.content.Close()) }

// maxEmptyReads is how often a reader may answer neither bytes nor an error (bufio has the same).
const maxEmptyReads = 100

// read reads something, unless p is empty.
func read(r io.Reader, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for range maxEmptyReads {
		n, err := r.Read(p)
		if n > 0 {
			return n, nil // an error comes again
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// sequential is a file that can only be read from its start to its end: an entry of an archive.
type sequential struct {
	readOnly
	file *file
	size int64 // as the file system says, which may be wrong

	mu      sync.Mutex
	content fs.File // nil once all is kept, or where it could not be opened again
	pos     int64
	kept    []byte // the whole content
	cost    int64  // of kept, in fs.budget
	closed  bool
}

func (s *sequential) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, wasip1.EINVAL
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, wasip1.EBADF
	case len(p) == 0:
		return 0, nil
	case s.kept == nil && off >= s.size && off != s.pos:
		return 0, io.EOF // without reading all that lies before it
	}
	if s.kept == nil && (s.content == nil || off != s.pos) {
		if err := s.move(off); err != nil {
			return 0, readError(err)
		}
	}
	if s.kept != nil {
		if off >= int64(len(s.kept)) {
			return 0, io.EOF
		}
		return copy(p, s.kept[off:]), nil
	}
	n, err := read(s.content, p)
	s.pos += int64(n)
	s.size = max(s.size, s.pos)
	return n, readError(err)
}

// move makes off readable: by keeping the whole content, where there is room for it, else by
// reading up to off.
func (s *sequential) move(off int64) error {
	if s.content == nil || off < s.pos || s.pos > 0 && s.fits() {
		if err := s.rewind(); err != nil {
			return err
		}
	}
	if s.pos == 0 && s.keep() {
		return nil
	}
	if s.content == nil { // what was said to fit did not
		if err := s.rewind(); err != nil {
			return err
		}
	}
	n, err := io.CopyN(io.Discard, s.content, min(off-s.pos, maxSkip))
	s.pos += n
	if err == nil && s.pos < off {
		return vfs.ErrUnfinished
	}
	return err
}

// maxSkip is how many bytes before an offset are read in one call, some milliseconds' work.
const maxSkip = 8 << 20

func (s *sequential) rewind() error {
	if s.content != nil {
		s.content.Close()
		s.content = nil
	}
	content, size, err := s.file.open()
	if err != nil {
		return err
	}
	s.content, s.size, s.pos = content, size, 0
	return nil
}

func (s *sequential) fits() bool { return s.size >= 0 && s.size <= s.file.fs.budget.Load() }

// keep reads the whole content into memory, from the start where the reader stands, and reports
// whether it did. A file that turns out longer than it said is not kept.
func (s *sequential) keep() bool {
	budget := &s.file.fs.budget
	if s.size < 0 || budget.Add(-s.size) < 0 {
		budget.Add(max(s.size, 0))
		return false
	}
	kept := make([]byte, 0, s.size)
	for {
		if len(kept) == cap(kept) {
			// One byte more tells whether this is the end.
			var more [1]byte
			if n, err := read(s.content, more[:]); n == 0 && err == io.EOF {
				break
			}
			kept = nil
			break
		}
		n, err := read(s.content, kept[len(kept):cap(kept)])
		kept = kept[:len(kept)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			kept = nil
			break
		}
	}
	s.content.Close()
	s.content = nil
	if kept == nil {
		budget.Add(s.size)
		return false
	}
	s.kept, s.cost = kept, s.size
	return true
}

// Close gives back what was kept.
func (s *sequential) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return wasip1.EBADF
	}
	s.closed = true
	s.file.fs.budget.Add(s.cost)
	s.kept, s.cost = nil, 0
	if s.content == nil {
		return nil
	}
	return closeError(s.content.Close())
}
