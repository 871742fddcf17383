package hostfs

import (
	"encoding/binary"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// listingBuf is how many bytes of entries are fetched at once.
const listingBuf = 16 << 10

// Offsets in the kernel's struct linux_dirent64, the same on every architecture.
const (
	recIno    = 0
	recOff    = 8
	recReclen = 16
	recType   = 18
	recName   = 19
)

// listing is a directory being read: the entries that the kernel gave last, and where they stand. A
// cookie is the kernel's own position behind an entry (d_off), as cookieTable represents it.
type listing struct {
	own   *handle // where the node's own descriptor is O_PATH
	fd    int
	buf   []byte // entries, as the kernel wrote them
	text  string // the same bytes; names are pieces of it
	pos   int    // the next entry in buf
	at    int64  // the position before that
	start int64  // and before buf's first entry
	fresh bool   // own was just opened, and stands at its start
	table cookieTable
}

func (l *listing) close() {
	if l.own != nil {
		l.own.release()
		l.own = nil
	}
	if l.buf != nil {
		listingBufs.Put((*[listingBuf]byte)(l.buf[:listingBuf]))
	}
	l.fd, l.buf, l.text, l.pos = -1, nil, "", 0
}

// listingBufs are buffers of listings that have ended.
var listingBufs = sync.Pool{New: func() any { return new([listingBuf]byte) }}

// openListing returns the listing, ready to be read. n.mu is held.
func (n *dirNode) openListing(dir int) (*listing, error) {
	l := n.list
	if l == nil {
		l = &listing{fd: -1}
		n.list = l
	}
	if l.fd >= 0 {
		return l, nil
	}
	l.fd = dir
	if !n.h.readable {
		fd, err := openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			l.fd = -1
			return nil, err
		}
		l.own = newHandle(fd, true)
		l.fd = fd
	}
	l.fresh = l.own != nil
	l.at = 0
	return l, nil
}

// ReadDir reads with getdents64, about 16 KiB at a time, and resumes anywhere with one lseek.
// EINVAL for a cookie that this node never gave.
func (n *dirNode) ReadDir(cookie uint64, entries []vfs.DirEntry) (int, error) {
	if len(entries) == 0 {
		return 0, nil
	}
	dir, err := n.use()
	if err != nil {
		return 0, err
	}
	defer n.h.release()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.released.Load() {
		return 0, wasip1.EBADF
	}
	l, err := n.openListing(dir)
	if err != nil {
		if err == wasip1.ENOENT {
			return 0, nil // removed meanwhile
		}
		return 0, err
	}
	off, ok := l.table.offset(cookie)
	if !ok {
		return 0, wasip1.EINVAL
	}
	if l.fresh && off == 0 {
		l.fresh = false
	} else if cookie == 0 || !l.within(off) {
		if _, err := unix.Seek(l.fd, off, unix.SEEK_SET); err != nil {
			return 0, wasip1.FromError(err)
		}
		l.buf, l.text, l.pos, l.start, l.at = l.buf[:0], "", 0, off, off
		l.fresh = false
	}
	dev, _ := n.h.ident()
	count := 0
	for count < len(entries) {
		if l.pos == len(l.buf) {
			if more, err := l.fill(); err != nil && count == 0 {
				return 0, err
			} else if !more {
				break
			}
		}
		if n.decode(l, dir, dev, &entries[count]) {
			count++
		}
	}
	if count == 0 {
		l.close() // the table stays: cookies that were given remain good
	}
	return count, nil
}

// within moves to the position off if it lies in what was fetched last.
func (l *listing) within(off int64) bool {
	switch {
	case len(l.buf) == 0:
		return off == l.at && !l.fresh && off != 0
	case off == l.at:
		return true
	case off == l.start:
		l.pos, l.at = 0, off
		return true
	}
	for pos := 0; pos < len(l.buf); {
		rec := l.buf[pos:]
		pos += int(binary.NativeEndian.Uint16(rec[recReclen:]))
		if int64(binary.NativeEndian.Uint64(rec[recOff:])) == off {
			l.pos, l.at = pos, off
			return true
		}
	}
	return false
}

// fill fetches the entries behind those that have all been taken. more is false at the end, which
// is also where a removed directory is.
func (l *listing) fill() (more bool, err error) {
	if l.buf == nil {
		l.buf = listingBufs.Get().(*[listingBuf]byte)[:0]
	}
	buf := l.buf[:listingBuf]
	var size int
	err = again(func() (err error) {
		size, err = unix.Getdents(l.fd, buf)
		return err
	})
	if err == wasip1.ENOENT {
		size, err = 0, nil
	}
	if err != nil || size <= 0 {
		l.start = l.at
		l.buf, l.text, l.pos = buf[:0], "", 0
		return false, err
	}
	l.start, l.buf, l.pos = l.at, buf[:size], 0
	l.text = string(l.buf)
	return true, nil
}

// decode takes the next entry. It is false for one that is not to be told: "." and "..", and what
// has gone before its type could be asked for.
func (n *dirNode) decode(l *listing, dir int, dev uint64, e *vfs.DirEntry) bool {
	rec := l.buf[l.pos:]
	_ = rec[recName]
	size := int(binary.NativeEndian.Uint16(rec[recReclen:]))
	name := l.text[l.pos+recName : l.pos+size]
	l.pos += size
	l.at = int64(binary.NativeEndian.Uint64(rec[recOff:]))
	if i := strings.IndexByte(name, 0); i >= 0 {
		name = name[:i]
	}
	if name == "." || name == ".." {
		return false
	}
	t, ok := direntType(rec[recType])
	if !ok {
		var st unix.Stat_t
		if fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			return false
		}
		t = filetype(st.Mode)
	}
	e.Name = name
	e.Type = t
	e.Ino = n.fs.ino(dev, binary.NativeEndian.Uint64(rec[recIno:]))
	e.Next = l.table.cookie(l.at)
	return true
}

var _ [recName]byte = [unsafe.Offsetof(unix.Dirent{}.Name)]byte{}
