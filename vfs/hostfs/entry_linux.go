package hostfs

import (
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/wasivirt/wasivirt/wasip1"
)

// place is one name in one directory.
type place struct {
	dev, ino uint64 // of the directory
	name     string
}

// dentry is a place that nodes refer to, shared by all of them: what is renamed through this file
// system takes its nodes along, and what is unlinked leaves them without a name. held.mu guards it.
type dentry struct {
	place
	moved *handle // the directory, if it is no longer the nodes' own
	nodes int
	gone  bool
}

// entry is what nodes have that are a name in a held directory.
type entry struct {
	fs       *held
	h        *handle // nil where only the open file is known
	d        *dentry
	released atomic.Bool
}

func (e *entry) init(b *held, h *handle, name string) {
	h.refs.Add(1) // not closed: the caller holds it
	e.fs, e.h = b, h
	at := h.at(name)
	b.entries.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.dentries[at]
	if d == nil {
		at.name = strings.Clone(name)
		d = &dentry{place: at}
		b.dentries[at] = d
	}
	d.nodes++
	e.d = d
}

// Release implements [vfs.Releaser].
func (e *entry) Release() {
	if e.h == nil || e.released.Swap(true) {
		return
	}
	b, d := e.fs, e.d
	b.mu.Lock()
	b.entries.Add(-1)
	d.nodes--
	if d.nodes == 0 {
		if !d.gone {
			delete(b.dentries, d.place)
		}
		if d.moved != nil {
			d.moved.release()
		}
	}
	b.mu.Unlock()
	e.h.release()
}

// use returns the directory, good until its release, and the name in it. ENOENT if there is none
// any more.
func (e *entry) use() (*handle, string, error) {
	if e.h == nil || e.released.Load() {
		return nil, "", wasip1.EBADF
	}
	e.fs.mu.Lock()
	defer e.fs.mu.Unlock()
	if e.d.gone {
		return nil, "", wasip1.ENOENT
	}
	h := e.h
	if e.d.moved != nil {
		h = e.d.moved
	}
	if !h.acquire() {
		return nil, "", wasip1.EBADF
	}
	return h, e.d.name, nil
}

// unlinked takes the name away from the nodes that had it.
func (b *held) unlinked(h *handle, name string) {
	if b.entries.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(h.at(name))
}

func (b *held) forget(at place) {
	if d := b.dentries[at]; d != nil {
		d.gone = true
		delete(b.dentries, at)
	}
}

// renamed moves the nodes that had the name along.
func (b *held) renamed(from *handle, name string, to *handle, newName string) {
	if b.entries.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	old, at := from.at(name), to.at(newName)
	d := b.dentries[old]
	if d == nil && b.dentries[at] == nil {
		return
	}
	var st unix.Stat_t
	if fstatat(from.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
		return // two names of one file, which stay both; or a new file already
	}
	b.forget(at)
	if d == nil {
		return
	}
	delete(b.dentries, old)
	if d.moved != nil {
		d.moved.release()
	}
	to.refs.Add(1) // not closed: the caller holds it
	at.name = strings.Clone(newName)
	d.place, d.moved = at, to
	b.dentries[at] = d
}
