package vfs

import (
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/wasivirt/wasivirt/wasip1"
)

// What host code does with an open file, in the manner of os.File. Streams do not wait: they answer
// EAGAIN.

// Read reads at the position and moves it. It returns io.EOF at the end. Errors: EBADF if f is not
// open for reading or closed; EISDIR; EAGAIN.
func (f *OpenFile) Read(p []byte) (int, error) {
	if err := f.usable(wasip1.RightFdRead); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if f.stream != nil {
		n, err := f.stream.Read(p)
		if miscounted(n, len(p)) {
			return 0, errMiscounted
		}
		return n, err
	}
	n, err := f.readFile([][]byte{p})
	for err == ErrUnfinished {
		n, err = f.readFile([][]byte{p})
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// usable says what stands against reading or writing.
func (f *OpenFile) usable(right wasip1.Rights) error {
	switch {
	case f.dir != nil:
		return wasip1.EISDIR
	case !f.can(right):
		return wasip1.EBADF
	}
	return nil
}

// ReadAt reads at off and does not move the position. Errors: as Read; ESPIPE for a stream; EINVAL
// for a negative offset.
func (f *OpenFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.usableAt(wasip1.RightFdRead, off); err != nil {
		return 0, err
	}
	return full(p, io.EOF, func(p []byte, done int) (int, error) {
		n, err := f.readFileAt([][]byte{p}, off+int64(done))
		for err == ErrUnfinished {
			n, err = f.readFileAt([][]byte{p}, off+int64(done))
		}
		return n, err
	})
}

// Write writes at the position, with FdAppend at the end. Errors: EBADF if f is not open for
// writing or closed; EISDIR; EFBIG, ENOSPC, EDQUOT; EPIPE, EAGAIN.
func (f *OpenFile) Write(p []byte) (int, error) {
	if err := f.usable(wasip1.RightFdWrite); err != nil {
		return 0, err
	}
	return full(p, io.ErrShortWrite, func(p []byte, _ int) (int, error) {
		if f.stream != nil {
			return f.stream.Write(p)
		}
		return f.writeFile([][]byte{p})
	})
}

// WriteAt writes at off and does not move the position. Errors: as Write; ESPIPE for a stream;
// EINVAL for a negative offset.
func (f *OpenFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.usableAt(wasip1.RightFdWrite, off); err != nil {
		return 0, err
	}
	return full(p, io.ErrShortWrite, func(p []byte, done int) (int, error) {
		return f.writeFileAt([][]byte{p}, off+int64(done))
	})
}

// usableAt says what stands against reading or writing at an offset.
func (f *OpenFile) usableAt(right wasip1.Rights, off int64) error {
	if err := f.usable(right); err != nil {
		return err
	}
	switch {
	case f.stream != nil:
		return wasip1.ESPIPE
	case off < 0:
		return wasip1.EINVAL
	}
	return nil
}

// full transfers all of p. Each transfer gets what is left, and how much is done; nothing is the
// error that ends it where one transfers nothing.
func full(p []byte, nothing error, transfer func(p []byte, done int) (int, error)) (int, error) {
	n := 0
	for n < len(p) {
		k, err := transfer(p[n:], n)
		if miscounted(k, len(p)-n) {
			return n, errMiscounted
		}
		n += k
		if err != nil {
			return n, err
		}
		if k == 0 {
			return n, nothing
		}
	}
	return n, nil
}

// Seek moves the position. Errors: EINVAL for an unknown whence and for a position before the
// start; ESPIPE; EISDIR.
func (f *OpenFile) Seek(offset int64, whence int) (int64, error) {
	switch {
	case f.stream != nil:
		return 0, wasip1.ESPIPE
	case f.dir != nil:
		return 0, wasip1.EISDIR
	case whence < 0 || whence > int(wasip1.WhenceEnd):
		return 0, wasip1.EINVAL
	}
	return f.seek(offset, wasip1.Whence(whence))
}

// Attr returns the attributes. A stream without a node has only a type and an inode number.
func (f *OpenFile) Attr() (a Attr, err error) {
	_, err = f.attr(&a)
	return a, err
}

// SetAttr changes attributes. Errors: EROFS; ENOTSUP for a stream without a node; EBADF for a size
// if f is not open for writing.
func (f *OpenFile) SetAttr(set SetAttr) error {
	switch {
	case f.node == nil:
		return wasip1.ENOTSUP
	case f.m.readOnly:
		return wasip1.EROFS
	case set.Mask&SetSize != 0:
		if err := f.usable(wasip1.RightFdWrite); err != nil {
			return err
		}
		if err := f.setSize(set.Size); err != nil {
			return err
		}
		if set.Mask &^= SetSize; set.Mask == 0 {
			return nil
		}
	}
	return f.node.SetAttr(set)
}

// Sync makes content and attributes of the file durable.
func (f *OpenFile) Sync() error {
	if f.stream != nil {
		return wasip1.EINVAL
	}
	return f.sync(false)
}

// Datasync makes the content of the file durable, and the attributes that are needed to read it.
func (f *OpenFile) Datasync() error {
	if f.stream != nil {
		return wasip1.EINVAL
	}
	return f.sync(true)
}

// ReadDir fills entries with the names that follow cookie, mount points included; see [Directory].
// Errors: ENOTDIR.
func (f *OpenFile) ReadDir(cookie uint64, entries []DirEntry) (int, error) {
	if f.dir == nil {
		return 0, wasip1.ENOTDIR
	}
	if !f.acquire() {
		return 0, wasip1.EBADF
	}
	defer f.release()
	n, err := f.readEntries(cookie+cookieParent, entries)
	for i := range entries[:n] {
		entries[i].Next -= cookieParent
	}
	return n, err
}

// Close drops the opener's reference to f. Call it if you opened f and did not give it to a
// [Table]. The file is closed with its last reference.
func (f *OpenFile) Close() error { return f.release() }

// FileMode returns the type and the permissions as an fs.FileMode.
func (a Attr) FileMode() fs.FileMode {
	mode := a.Mode.Perm() | a.Mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)
	switch a.Type {
	case wasip1.FiletypeDirectory:
		mode |= fs.ModeDir
	case wasip1.FiletypeRegularFile:
	case wasip1.FiletypeSymbolicLink:
		mode |= fs.ModeSymlink
	case wasip1.FiletypeCharacterDevice:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case wasip1.FiletypeBlockDevice:
		mode |= fs.ModeDevice
	case wasip1.FiletypeSocketDgram, wasip1.FiletypeSocketStream:
		mode |= fs.ModeSocket
	default:
		mode |= fs.ModeIrregular
	}
	return mode
}

// FileInfo returns a as an [fs.FileInfo] with the last component of name. Its Sys is the Attr.
func (a Attr) FileInfo(name string) fs.FileInfo { return fileInfo{path.Base(name), a} }

type fileInfo struct {
	name string
	attr Attr
}

func (i fileInfo) Name() string               { return i.name }
func (i fileInfo) Size() int64                { return int64(min(i.attr.Size, 1<<63-1)) }
func (i fileInfo) Mode() fs.FileMode          { return i.attr.FileMode() }
func (i fileInfo) ModTime() time.Time         { return time.Unix(0, i.attr.Mtim).UTC() }
func (i fileInfo) IsDir() bool                { return i.attr.Type == wasip1.FiletypeDirectory }
func (i fileInfo) Sys() any                   { return i.attr }
func (i fileInfo) Type() fs.FileMode          { return i.Mode().Type() }
func (i fileInfo) Info() (fs.FileInfo, error) { return i, nil }
func (i fileInfo) String() string             { return fs.FormatFileInfo(i) }
