package aferofs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/spf13/afero"
	"github.com/spf13/afero/mem"

	"github.com/wasivirt/wasivirt/wasip1"
)

type filetype = wasip1.Filetype

const (
	typeDir  = wasip1.FiletypeDirectory
	typeFile = wasip1.FiletypeRegularFile
	typeLink = wasip1.FiletypeSymbolicLink
)

const sep = afero.FilePathSeparator

// maxName is the most bytes a name can have (vfs.Directory).
const maxName = 255

func cleanBase(base string) string {
	if base == "" {
		return sep
	}
	return filepath.Clean(base)
}

func join(dir, name string) string {
	if strings.HasSuffix(dir, sep) {
		return dir + name
	}
	return dir + sep + name
}

// checkName refuses what is not one name. Windows takes more characters for separators than guests
// do.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return wasip1.EINVAL
	case len(name) > maxName:
		return wasip1.ENAMETOOLONG
	case strings.IndexByte(name, '/') >= 0, strings.IndexByte(name, 0) >= 0, sep != "/" && strings.ContainsAny(name, `\:`):
		return wasip1.EINVAL
	}
	return nil
}

// place is a name in a directory, and so a path in the store.
type place struct {
	dir  *dir
	name string
	rel  bool // stored without the leading separator (FS.memory)
}

// path returns the path in one piece: a guest can make trees so deep that the paths of all
// directories on the way are much more.
func (p place) path() string {
	base, size := p.name, 0
	for at := p; !at.rel; at = at.dir.at {
		size += len(sep) + len(at.name)
		if at.dir.at.dir == nil {
			base = at.dir.fs.base
			break
		}
		base = at.dir.at.name
	}
	if size == 0 {
		return base
	}
	base = strings.TrimSuffix(base, sep)
	b := make([]byte, len(base)+size)
	end := len(b)
	for at := p; end > len(base); at = at.dir.at {
		end -= len(at.name)
		copy(b[end:], at.name)
		end -= len(sep)
		copy(b[end:], sep)
	}
	copy(b, base)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// path returns where the directory is in the store. FS.mu is held.
func (d *dir) path() string {
	if d.at.dir == nil {
		return d.fs.base
	}
	return d.at.path()
}

func (f *FS) lstat(path string) (os.FileInfo, error) {
	var fi os.FileInfo
	var err error
	if f.lstater != nil {
		fi, _, err = f.lstater.LstatIfPossible(path)
	} else {
		fi, err = f.store.Stat(path)
	}
	if err != nil {
		return fi, translate(err)
	}
	return fi, nil
}

// list returns what the store has in a directory.
func (f *FS) list(path string) ([]os.FileInfo, error) {
	h, err := f.store.Open(path)
	if err != nil {
		return nil, translate(err)
	}
	infos, err := h.Readdir(-1)
	h.Close()
	return infos, translate(err)
}

// occupied reports whether the store has any name in a directory.
func (f *FS) occupied(path string) (bool, error) {
	h, err := f.store.Open(path)
	if err != nil {
		return false, translate(err)
	}
	defer h.Close()
	names, err := h.Readdirnames(1)
	if len(names) > 0 {
		return true, nil
	}
	if err != nil && !isEOF(err) {
		return false, translate(err)
	}
	return false, nil
}

// chtimes sets the store's times as far as it has any; a store without them is none the worse.
func (f *FS) chtimes(path string, atim, mtim int64) {
	if !f.readOnly {
		_ = f.store.Chtimes(path, time.Unix(0, atim), time.Unix(0, mtim))
	}
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func typeOf(fi os.FileInfo) filetype {
	m := fi.Mode()
	switch {
	case fi.IsDir():
		return typeDir
	case m.IsRegular():
		return typeFile
	case m&fs.ModeSymlink != 0:
		return typeLink
	case m&fs.ModeCharDevice != 0:
		return wasip1.FiletypeCharacterDevice
	case m&fs.ModeDevice != 0:
		return wasip1.FiletypeBlockDevice
	case m&fs.ModeSocket != 0:
		return wasip1.FiletypeSocketStream
	}
	return wasip1.FiletypeUnknown
}

// same reports whether two infos of one type may be of one file: false only where the store can
// tell.
func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return true
	}
	if x, ok := a.(*mem.FileInfo); ok {
		y, ok := b.(*mem.FileInfo)
		return ok && x.FileData == y.FileData
	}
	if os.SameFile(a, b) {
		return true
	}
	// SameFile says false of infos that are not package os's own, even of one and itself.
	return !os.SameFile(a, a)
}

func isEOF(err error) bool { return err != nil && err.Error() == "EOF" }

// translate gives an afero error its Errno. nil stays nil.
func translate(err error) error {
	if p, ok := err.(*fs.PathError); ok && p.Err == fs.ErrNotExist {
		return wasip1.ENOENT // the usual one, without asking for all others
	}
	switch {
	case err == nil:
		return nil
	case err == syscall.EPERM:
		// This is how afero's read-only file systems refuse. The system's own EPERM comes in a
		// PathError.
		return wasip1.EROFS
	case errors.Is(err, afero.ErrFileClosed), errors.Is(err, mem.ErrFileClosed):
		return wasip1.EBADF
	case errors.Is(err, afero.ErrOutOfRange), errors.Is(err, mem.ErrOutOfRange):
		return wasip1.EINVAL
	case errors.Is(err, afero.ErrTooLarge), errors.Is(err, mem.ErrTooLarge):
		return wasip1.EFBIG
	case errors.Is(err, afero.ErrNoSymlink), errors.Is(err, afero.ErrNoReadlink):
		return wasip1.ENOTSUP
	}
	return wasip1.FromError(err)
}

// gone reports whether an error says that there is nothing at a path.
func gone(err error) bool { return err == wasip1.ENOENT || err == wasip1.ENOTDIR }
