package devfs

import (
	"bytes"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// File is a file that is an object of the embedder's. Its methods are called by many goroutines at
// once.
type File interface {
	// ReadAt and WriteAt are as in [vfs.File].
	io.ReaderAt
	io.WriterAt

	// Attr returns size, mode and times. Inode, type and number of links are set by the FS.
	Attr() (vfs.Attr, error)

	// SetAttr changes size, mode or times; EROFS where that cannot be. It is also called to cut the
	// file when it is opened.
	SetAttr(vfs.SetAttr) error
}

// hostFile is the node of a File, and its content at once.
type hostFile struct {
	header
	File
}

// Type implements [vfs.Node].
func (f *hostFile) Type() wasip1.Filetype { return wasip1.FiletypeRegularFile }

// Attr implements [vfs.Node].
func (f *hostFile) Attr() (vfs.Attr, error) {
	a, err := f.File.Attr()
	a.Ino, a.Type, a.Nlink = f.ino, wasip1.FiletypeRegularFile, 1
	return a, err
}

// Open implements [vfs.RegularFile].
func (f *hostFile) Open(mode vfs.OpenMode) (vfs.File, error) {
	if mode&vfs.OpenTruncate != 0 {
		if err := f.SetAttr(vfs.SetAttr{Mask: vfs.SetSize}); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Sync implements [vfs.File], by that of the object if it has one.
func (f *hostFile) Sync(dataOnly bool) error {
	if s, ok := f.File.(interface{ Sync(dataOnly bool) error }); ok {
		return s.Sync(dataOnly)
	}
	return nil
}

// Close implements [vfs.File]: the object stays.
func (f *hostFile) Close() error { return nil }

// funcFile is a file whose content a function returns.
type funcFile struct {
	vfs.ReadOnlyNode
	header
	content func() ([]byte, error)
	size    atomic.Uint64
}

// Type implements [vfs.Node].
func (f *funcFile) Type() wasip1.Filetype { return wasip1.FiletypeRegularFile }

// Attr implements [vfs.Node].
func (f *funcFile) Attr() (vfs.Attr, error) {
	a := f.attr(wasip1.FiletypeRegularFile, fs.FileMode(0o444))
	a.Size = f.size.Load()
	return a, nil
}

// Open implements [vfs.RegularFile]: it asks for the content.
func (f *funcFile) Open(mode vfs.OpenMode) (vfs.File, error) {
	if mode&(vfs.OpenWrite|vfs.OpenTruncate) != 0 {
		return nil, wasip1.EROFS
	}
	if mode&vfs.OpenRead == 0 {
		return snapshot{}, nil
	}
	b, err := f.content()
	if err != nil {
		return nil, err
	}
	f.size.Store(uint64(len(b)))
	return snapshot{bytes.NewReader(b)}, nil
}

// snapshot is content as it was when the file was opened.
type snapshot struct{ r *bytes.Reader }

// ReadAt implements [vfs.File].
func (s snapshot) ReadAt(p []byte, off int64) (int, error) {
	if s.r == nil {
		return 0, wasip1.EBADF
	}
	return s.r.ReadAt(p, off)
}

// WriteAt implements [vfs.File].
func (snapshot) WriteAt([]byte, int64) (int, error) { return 0, wasip1.EROFS }

// Sync implements [vfs.File].
func (snapshot) Sync(bool) error { return nil }

// Close implements [vfs.File].
func (snapshot) Close() error { return nil }
