package iofs

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"time"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// node is what the nodes of all types have.
type node struct {
	vfs.ReadOnlyNode
	fs   *FS
	path string
	ino  uint64
}

// attr returns the attributes; ENOENT if something of another type has taken the path.
func (n *node) attr(want wasip1.Filetype) (vfs.Attr, error) {
	info, err := n.fs.stat(n.path)
	if err != nil {
		return vfs.Attr{}, n.fs.error(err)
	}
	t := filetype(info.Mode())
	if t != want {
		return vfs.Attr{}, wasip1.ENOENT
	}
	mtim := nanoseconds(info.ModTime())
	return vfs.Attr{
		Ino:   n.ino,
		Type:  t,
		Mode:  info.Mode().Perm(),
		Nlink: 1,
		Size:  uint64(max(info.Size(), 0)),
		Atim:  mtim,
		Mtim:  mtim,
		Ctim:  mtim,
	}, nil
}

// nanoseconds is 0 for what lies before 1970 or is not known.
func nanoseconds(t time.Time) int64 {
	switch year := t.Year(); {
	case year < 1970:
		return 0
	case year > 2261:
		return math.MaxInt64
	}
	return max(t.UnixNano(), 0)
}

// error maps what a foreign file system says. Most wrap the sentinels of io/fs; those that took a
// name for invalid have no such file.
func (f *FS) error(err error) error {
	if errors.Is(err, fs.ErrInvalid) {
		return wasip1.ENOENT
	}
	return wasip1.FromError(err)
}

// link is a symbolic link.
type link struct{ node }

var _ vfs.Symlink = (*link)(nil)

func (l *link) Type() wasip1.Filetype { return wasip1.FiletypeSymbolicLink }

// Attr gives the length of the target as the size, which some file systems leave at 0.
func (l *link) Attr() (vfs.Attr, error) {
	a, err := l.attr(wasip1.FiletypeSymbolicLink)
	if err != nil {
		return a, err
	}
	target, err := l.Readlink()
	if err != nil {
		return vfs.Attr{}, err
	}
	a.Size = uint64(len(target))
	return a, nil
}

// Readlink returns the target: EINVAL where it is longer than [vfs.MaxPath].
func (l *link) Readlink() (string, error) {
	if l.fs.links != nil {
		target, err := l.fs.links.ReadLink(l.path)
		if err != nil {
			return "", l.fs.error(err)
		}
		return target, nil
	}
	f, err := l.fs.fsys.Open(l.path)
	if err != nil {
		return "", l.fs.error(err)
	}
	defer f.Close()
	target, err := io.ReadAll(io.LimitReader(f, vfs.MaxPath+1))
	if err != nil {
		return "", l.fs.error(err)
	}
	if len(target) > vfs.MaxPath {
		return "", wasip1.EINVAL
	}
	return string(target), nil
}

// special is a FIFO, a socket or a device: it can be seen and not opened.
type special struct {
	node
	typ wasip1.Filetype
}

var _ vfs.StreamNode = (*special)(nil)

func (s *special) Type() wasip1.Filetype   { return s.typ }
func (s *special) Attr() (vfs.Attr, error) { return s.attr(s.typ) }

// OpenStream answers ENXIO.
func (s *special) OpenStream(vfs.OpenMode) (vfs.Stream, error) { return nil, wasip1.ENXIO }
