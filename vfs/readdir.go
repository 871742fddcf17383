package vfs

import (
	"github.com/wasivirt/wasivirt/wasip1"
)

// Cookies. A guest's are those of the file system and those of the mount points that a directory
// has, which are the ids of their places and rise; the first are even and the second odd, so that
// both stay small: of a cookie a C program keeps 31 bits (wasi-libc: telldir). "." and "..", which
// are not there, come before them.
const (
	cookieSelf   = 1
	cookieParent = 2
)

// cookieOfEntry returns the guest's cookie for the file system's cookie next.
func cookieOfEntry(next uint64) uint64 { return cookieParent + next<<1 }

// cookieOfMount returns the guest's cookie for the place with that id, which is never 0.
func cookieOfMount(id uint64) uint64 { return id<<1 | 1 }

// splitCookie returns the cookie or the id behind a guest's cookie that is past those of "." and
// "..".
func splitCookie(cookie uint64) (inner uint64, mount bool) {
	if cookie&1 != 0 {
		return cookie >> 1, true
	}
	return (cookie - cookieParent) >> 1, false
}

// numbered is implemented by a Directory, such as aferofs's, that knows its inode number at less
// cost than its attributes.
type numbered interface {
	// Number returns Attr's Ino. Errors: as Attr.
	Number() (uint64, error)
}

// inoOf returns the inode number of a node.
func inoOf(node Node) (uint64, error) {
	if d, ok := node.(numbered); ok {
		return d.Number()
	}
	a, err := node.Attr()
	return a.Ino, err
}

// readEntries fills entries with what follows cookie in the directory f, "." and ".." included.
func (f *OpenFile) readEntries(cookie uint64, entries []DirEntry) (int, error) {
	n, pos := 0, f.dir.now()
	if cookie < cookieSelf && n < len(entries) {
		ino, err := inoOf(pos.dir)
		if err != nil {
			return 0, err
		}
		entries[n] = DirEntry{Name: ".", Ino: ino, Type: wasip1.FiletypeDirectory, Next: cookieSelf}
		n, cookie = n+1, cookieSelf
	}
	if cookie < cookieParent && n < len(entries) {
		entries[n] = DirEntry{Name: "..", Ino: f.parentIno(), Type: wasip1.FiletypeDirectory, Next: cookieParent}
		n, cookie = n+1, cookieParent
	}
	if n == len(entries) {
		return n, nil
	}
	inner, mounts := splitCookie(cookie)
	for n < len(entries) && !mounts {
		k, err := pos.dir.ReadDir(inner, entries[n:])
		if miscounted(k, len(entries)-n) {
			k, err = 0, errMiscounted
		}
		if err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		if k == 0 {
			inner, mounts = 0, true
			break
		}
		inner = entries[n+k-1].Next
		if pos.at == nil {
			for i := range entries[n : n+k] {
				entries[n+i].Next = cookieOfEntry(entries[n+i].Next)
			}
			return n + k, nil
		}
		for _, e := range entries[n : n+k] {
			if !pos.covered(e.Name) {
				e.Next = cookieOfEntry(e.Next)
				entries[n] = e
				n++
			}
		}
	}
	if pos.at == nil || !mounts {
		return n, nil
	}
	return n + pos.readMounts(inner, entries[n:]), nil
}

// readMounts fills entries with the mount points in the directory that are younger than the place
// with the id after.
func (pos position) readMounts(after uint64, entries []DirEntry) int {
	n := 0
	mounts := pos.at.children.Load()
	if mounts == nil {
		return 0
	}
	for _, p := range mounts.byAge {
		if p.id <= after {
			continue
		}
		if n == len(entries) {
			break
		}
		seen := p.resolve(&pos)
		if a, err := seen.node.Attr(); err == nil {
			entries[n] = DirEntry{Name: p.name, Ino: a.Ino, Type: seen.node.Type(), Next: cookieOfMount(p.id)}
			n++
		}
		seen.m.drop(seen.node)
	}
	return n
}

// parentIno returns the inode number of "..", where it is not known that of the directory itself.
func (f *OpenFile) parentIno() uint64 {
	node := f.node
	if f.dir.parent != nil {
		node = f.dir.parent
	}
	if ino, err := inoOf(node); err == nil && ino != 0 {
		return ino
	}
	return 1
}

// lister is implemented by directories, such as hostfs's, whose names lie in a buffer of their own.
type lister interface {
	// List calls put for the entries that follow cookie, as ReadDir has them, until put returns
	// false or there are no more. An entry is good until put returns, which may change it. put does
	// not use the directory. Errors: those of ReadDir; ENOSYS where only ReadDir serves.
	List(cookie uint64, put func(*DirEntry) bool) error
}

// listing is where a lister's entries go.
type listing struct {
	b     []byte
	used  int
	count int
	put   func(*DirEntry) bool
}

// maxEntries is how many entries are asked for at once.
const maxEntries = 128

// FdReaddir stores the entries that follow cookie at buf, each as a dirent and its name. Cookie 0
// is the start. The last entry is truncated at the end of buf. The number of bytes is stored at
// bufused; fewer than bufLen means that there are no more entries.
//
// Errors: EBADF, also if fd is not a directory, as in wasmtime and wazero (TinyGo relies on it);
// EINVAL for an invalid cookie.
func FdReaddir(c *Caller, fd, buf, bufLen uint32, cookie uint64, bufused uint32) wasip1.Errno {
	f := c.Table.get(fd)
	switch {
	case f == nil || f.dir == nil:
		return wasip1.EBADF
	case !f.can(wasip1.RightFdReaddir):
		return wasip1.ENOTCAPABLE
	}
	b, e := c.View.Window(buf, bufLen)
	if e != wasip1.ESUCCESS {
		return e
	}
	if !c.View.Has(bufused, 4) {
		return wasip1.EFAULT
	}
	if !f.acquire() {
		return wasip1.EBADF
	}
	defer f.release()
	n, err := c.readdir(f, b, cookie)
	if err != nil {
		return errno(err)
	}
	c.View.Wrote(buf, uint32(n))
	return c.View.PutUint32(bufused, uint32(n))
}

// readdir fills b as FdReaddir has it and returns how much.
func (c *Caller) readdir(f *OpenFile, b []byte, cookie uint64) (int, error) {
	if c.entries == nil {
		c.entries = make([]DirEntry, maxEntries)
	}
	used := 0
	var l lister
	if pos := f.dir.now(); pos.at == nil {
		l, _ = pos.dir.(lister)
	}
	for used < len(b) {
		want := min((len(b)-used)/(wasip1.SizeDirent+1)+1, maxEntries)
		if l != nil && cookie&1 == 0 && cookie >= cookieParent {
			n, err := c.list(l, b, used, cookie)
			if err != wasip1.ENOSYS {
				return n, err
			}
			l = nil
		}
		if l != nil && cookie < cookieParent {
			want = min(want, int(cookieParent-cookie)) // "." and ".." alone
		}
		entries := c.entries[:want]
		n, err := f.readEntries(cookie, entries)
		if err != nil {
			if used > 0 {
				return used, nil
			}
			return 0, err
		}
		if n == 0 {
			break
		}
		for i := range entries[:n] {
			if used += putEntry(b[used:], &entries[i]); used == len(b) {
				return used, nil
			}
		}
		if cookie = entries[n-1].Next; c.ended() {
			break // a directory may have no end
		}
	}
	return used, nil
}

// list fills b from used on with what follows cookie in l, and returns how much of it is used.
func (c *Caller) list(l lister, b []byte, used int, cookie uint64) (int, error) {
	to := &c.listing
	if to.put == nil {
		to.put = c.putListed
	}
	to.b, to.used, to.count = b, used, 0
	inner, _ := splitCookie(cookie)
	err := l.List(inner, to.put)
	to.b = nil
	if to.used > 0 && err != wasip1.ENOSYS {
		err = nil // for the next call to meet
	}
	return to.used, err
}

func (c *Caller) putListed(e *DirEntry) bool {
	to := &c.listing
	e.Next = cookieOfEntry(e.Next)
	to.used += putEntry(to.b[to.used:], e)
	to.count++
	return to.used < len(to.b) && (to.count%maxEntries != 0 || !c.ended())
}

// putEntry stores as much of e as fits and returns how much that is.
func putEntry(b []byte, e *DirEntry) int {
	head := wasip1.Dirent{
		Next: wasip1.Dircookie(e.Next), Ino: e.Ino, Namlen: uint32(len(e.Name)), Type: e.Type,
	}
	if len(b) >= wasip1.SizeDirent {
		head.Encode(b)
		return wasip1.SizeDirent + copy(b[wasip1.SizeDirent:], e.Name)
	}
	var cut [wasip1.SizeDirent]byte
	head.Encode(cut[:])
	return copy(b, cut[:])
}
