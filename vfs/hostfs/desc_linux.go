package hostfs

import (
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// desc is a descriptor of the machine that is closed when nobody uses it any more: one thread's
// close can never make another thread's call meet a number that the machine has given to a new
// file.
type desc struct {
	fd   int
	refs atomic.Int32 // holders and running calls besides the first holder; -1 is closed, for good
}

// acquire keeps the descriptor open until release. It fails once the descriptor is closed.
func (d *desc) acquire() bool {
	for {
		n := d.refs.Load()
		if n < 0 {
			return false
		}
		if d.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// unref reports whether the last reference has gone, so that the caller must close.
func (d *desc) unref() bool { return d.refs.Add(-1) < 0 }

// handle is a directory's descriptor, shared by its node and the nodes of names in it.
type handle struct {
	desc
	readable bool // not O_PATH: can be listed
	cleanup  runtime.Cleanup

	once     sync.Once // asks for what follows when it is wanted first
	dev, ino uint64
}

func newHandle(fd int, readable bool) *handle {
	h := &handle{desc: desc{fd: fd}, readable: readable}
	h.cleanup = runtime.AddCleanup(h, closeFD, fd) // the net for nodes that nobody released
	return h
}

// ident returns the numbers of the device and of the directory, which h holds.
func (h *handle) ident() (dev, ino uint64) {
	h.once.Do(func() {
		var st unix.Stat_t
		if fstat(h.fd, &st) == nil {
			h.dev, h.ino = uint64(st.Dev), st.Ino
		}
	})
	return h.dev, h.ino
}

// at returns the place that a name in the directory is.
func (h *handle) at(name string) place {
	dev, ino := h.ident()
	return place{dev, ino, name}
}

func (h *handle) release() {
	if h.unref() {
		h.cleanup.Stop()
		closeFD(h.fd)
		runtime.KeepAlive(h)
	}
}
