package aferofs

import (
	"io/fs"
	"math"
	"os"
	"sync"

	"github.com/spf13/afero"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// inode is what the adapter knows of a file of any type.
type inode struct {
	fs  *FS
	ino uint64
	typ filetype

	// Guarded by FS.mu.

	// at is where the store has the file; without a directory: nowhere (or, of the root, FS.base).
	at place
	// links are further names, kept in the adapter only.
	links []place
	// info is what the store said of the file when last asked; it tells a replaced file from the
	// old one.
	info os.FileInfo
	// hidden is the path below which an unlinked file stands until it is closed.
	hidden string
	// spare is what of FS.spare the file keeps.
	spare int64

	// mu guards what follows and the use of the handle. It is taken after FS.mu.
	mu               sync.Mutex
	h                afero.File // shared by all who have the file open; nil if nobody needs content
	writable         bool       // h can write
	opens            int
	atim, mtim, ctim int64
	timed            bool  // the times were set or seen
	seen             int64 // the store's modification time as the adapter last saw or set it
	dirty            bool  // mtim is newer than what the store was told
	perm             fs.FileMode
	size             int64
	most             int64 // the largest size since a file in memory was made, as far as known
}

// node is implemented by the four types of nodes.
type node interface {
	vfs.Node
	in() *inode
}

func (n *inode) in() *inode            { return n }
func (n *inode) Type() wasip1.Filetype { return n.typ }

// special is a file that is of no use to a guest: a device, a pipe, a socket.
type special struct{ inode }

// nlink counts the names. FS.mu is held.
func (n *inode) nlink() uint64 {
	c := uint64(len(n.links))
	if n.at.dir != nil {
		c++
	}
	return c
}

// look takes over what the store says. mu is held.
func (n *inode) look(fi os.FileInfo) {
	if fi == nil {
		return
	}
	n.perm = fi.Mode().Perm()
	n.size = max(fi.Size(), 0)
	if n.dirty {
		return
	}
	if t := nanos(fi.ModTime()); !n.timed || t != n.seen {
		if !n.timed {
			n.atim = t
		}
		n.seen, n.mtim, n.ctim, n.timed = t, t, t, true
	}
}

// stamp makes mtim and ctim now and tells the store, one that has times of its own only when
// somebody asks. FS.mu is held.
func (n *inode) stamp(now int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.timed {
		n.atim = now
	}
	n.mtim, n.ctim, n.timed, n.dirty = now, now, true, true
	if n.fs.memory {
		n.settle()
	}
}

// settle gives the store the times and notes what it made of them. FS.mu and mu are held.
func (n *inode) settle() {
	n.dirty = false
	if n.typ == typeLink || !n.stored() {
		return
	}
	if data := n.data(); data != nil && !n.fs.readOnly {
		setTime(data, n.mtim)
		n.seen = n.mtim
		return
	}
	path := n.path()
	n.fs.chtimes(path, n.atim, n.mtim)
	if n.fs.memory && !n.fs.readOnly {
		n.seen = n.mtim // which it keeps as it is
	} else if fi, err := n.fs.lstat(path); err == nil {
		n.seen = nanos(fi.ModTime())
	}
}

// stored reports whether the store has the inode at a path. FS.mu is held.
func (n *inode) stored() bool { return n.at.dir != nil || n == &n.fs.root.inode }

// path is where the store has the inode, which is a root or has a stored place. FS.mu is held.
func (n *inode) path() string {
	if n.at.dir == nil {
		return n.fs.base
	}
	return n.at.path()
}

// made sets all times of a file that was made now. FS.mu is held.
func (n *inode) made(now int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.atim, n.mtim, n.ctim = now, now, now
	n.settle()
}

// changed sets the change time alone. FS.mu is held, for now's order.
func (n *inode) changed(now int64) {
	n.mu.Lock()
	n.ctim, n.timed = now, true
	n.mu.Unlock()
}

// attr returns the attributes as they were last seen. mu is held.
func (n *inode) attr(nlink uint64) vfs.Attr {
	return vfs.Attr{
		Ino: n.ino, Type: n.typ, Mode: n.perm, Nlink: nlink, Size: uint64(n.size),
		Atim: n.atim, Mtim: n.mtim, Ctim: n.ctim,
	}
}

// Attr asks the store and returns the attributes.
func (n *inode) Attr() (vfs.Attr, error) {
	n.fs.lock()
	defer n.fs.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.refresh()
}

// refresh asks the store for the attributes. FS.mu and mu are held.
func (n *inode) refresh() (vfs.Attr, error) {
	if n.h != nil {
		fi, err := n.stat()
		if err != nil {
			return vfs.Attr{}, err
		}
		n.look(fi)
		return n.attr(n.nlink()), nil
	}
	if n.at.dir != nil {
		fi, _, err := n.there(n.path())
		switch {
		case fi != nil:
			n.look(fi)
		case err != nil && !gone(err):
			return vfs.Attr{}, err
		default:
			// Host code took the file away from under those who hold the node.
			return n.attr(0), nil
		}
	}
	return n.attr(n.nlink()), nil
}

// stat asks the handle. mu is held.
func (n *inode) stat() (os.FileInfo, error) {
	if n.fs.memory && n.info != nil {
		return n.info, nil // which is of the handle's file, and is changed with mu held only
	}
	fi, err := n.h.Stat()
	return fi, translate(err)
}

// SetAttr changes attributes of anything but directories' and links' sizes.
func (n *inode) SetAttr(s vfs.SetAttr) error {
	if n.fs.readOnly {
		return wasip1.EROFS
	}
	n.fs.lock()
	defer n.fs.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.Mask&vfs.SetSize != 0 {
		switch {
		case n.typ == typeDir:
			return wasip1.EISDIR
		case n.typ != typeFile:
			return wasip1.EINVAL
		case s.Size > math.MaxInt64 || int64(s.Size) > n.fs.max:
			return wasip1.EFBIG
		}
		if err := n.resize(int64(s.Size)); err != nil {
			return err
		}
	}
	now := n.fs.now()
	stored := n.typ != typeLink && n.stored()
	if s.Mask&vfs.SetMode != 0 {
		if stored {
			if err := translate(n.fs.store.Chmod(n.path(), s.Mode.Perm())); err != nil {
				return err
			}
		}
		n.perm = s.Mode.Perm()
	}
	if s.Mask&(vfs.SetAtim|vfs.SetMtim) != 0 {
		if _, err := n.refresh(); err != nil {
			return err
		}
		if s.Mask&vfs.SetAtim != 0 {
			n.atim = s.Atim
		}
		if s.Mask&vfs.SetMtim != 0 {
			n.mtim = s.Mtim
		}
		n.timed = true
		if stored {
			if err := n.setTimes(); err != nil {
				return err
			}
		}
	}
	n.ctim, n.timed = now, true
	return nil
}

// setTimes is settle for a guest that asked for it and wants to know. FS.mu and mu are held.
func (n *inode) setTimes() error {
	n.settle()
	if n.at.dir == nil {
		return nil
	}
	if _, err := n.fs.lstat(n.path()); err != nil {
		return err
	}
	return nil
}
