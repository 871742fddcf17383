package hostfs

import (
	"encoding/binary"
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
	text  string // a copy, which names are pieces of; empty until ReadDir wants it
	pos   int    // the next entry in buf
	at    int64  // the position before that
	start int64  // and before buf's first entry
	fresh bool   // own was just opened, and stands at its start
	table cookieTable
	entry vfs.DirEntry // the one that List tells
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
	dir, l, err := n.resume(cookie)
	if l == nil {
		return 0, err
	}
	defer n.h.release()
	defer n.mu.Unlock()
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
		if l.text == "" {
			l.text = string(l.buf)
		}
		if n.decode(l, dir, dev, l.text, &entries[count]) {
			count++
		}
	}
	if count == 0 {
		l.close() // the table stays: cookies that were given remain good
	}
	return count, nil
}

// List is ReadDir for the walker of package vfs: it calls put for each entry until that returns
// false. Nothing is copied: a name lies in the listing's buffer, and is good until put returns. put
// is called under a lock of the node, which it must not use.
func (n *dirNode) List(cookie uint64, put func(*vfs.DirEntry) bool) error {
	dir, l, err := n.resume(cookie)
	if l == nil {
		return err
	}
	defer n.h.release()
	defer n.mu.Unlock()
	dev, _ := n.h.ident()
	e := &l.entry
	defer func() { e.Name = "" }()
	for {
		if l.pos == len(l.buf) {
			if more, err := l.fill(); !more {
				l.close()
				return err
			}
		}
		if text := unsafe.String(unsafe.SliceData(l.buf), len(l.buf)); n.decode(l, dir, dev, text, e) && !put(e) {
			return nil
		}
	}
}

// resume returns the listing, ready to read on behind cookie, and the directory's descriptor: n.mu
// is then held, and n.h until its release. The listing is nil where there is nothing to read.
func (n *dirNode) resume(cookie uint64) (dir int, l *listing, err error) {
	if dir, err = n.use(); err != nil {
		return -1, nil, err
	}
	n.mu.Lock()
	if l, err = n.seek(dir, cookie); l == nil {
		n.mu.Unlock()
		n.h.release()
	}
	return dir, l, err
}

func (n *dirNode) seek(dir int, cookie uint64) (*listing, error) {
	if n.released.Load() {
		return nil, wasip1.EBADF
	}
	l, err := n.openListing(dir)
	if err == wasip1.ENOENT {
		return nil, nil // removed meanwhile
	}
	if err != nil {
		return nil, err
	}
	off, ok := l.table.offset(cookie)
	if !ok {
		return nil, wasip1.EINVAL
	}
	if l.fresh && off == 0 {
		l.fresh = false
	} else if cookie == 0 || !l.within(off) {
		if _, err := unix.Seek(l.fd, off, unix.SEEK_SET); err != nil {
			return nil, wasip1.FromError(err)
		}
		l.buf, l.text, l.pos, l.start, l.at = l.buf[:0], "", 0, off, off
		l.fresh = false
	}
	return l, nil
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
	l.start, l.buf, l.text, l.pos = l.at, buf[:size], "", 0
	return true, nil
}

// decode takes the next entry; its name becomes a piece of text, which says what l.buf does. It is
// false for one that is not to be told: "." and "..", and what has gone before its type could be
// asked for.
func (n *dirNode) decode(l *listing, dir int, dev uint64, text string, e *vfs.DirEntry) bool {
	rec := l.buf[l.pos:]
	_ = rec[recName]
	size := int(binary.NativeEndian.Uint16(rec[recReclen:]))
	name := text[l.pos+recName : l.pos+size]
	l.pos += size
	l.at = int64(binary.NativeEndian.Uint64(rec[recOff:]))
	// Records are aligned to 8 bytes, so that the NUL is among the last 8.
	for i := max(len(name)-8, 0); i < len(name); i++ {
		if name[i] == 0 {
			name = name[:i]
			break
		}
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
