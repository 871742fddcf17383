package wazerofs

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero/experimental/sys"
	wazerosys "github.com/tetratelabs/wazero/sys"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/poll"
	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/wasip1"
)

// file is an open file, directory or stream. It implements [sys.PollableFile].
type file struct {
	sys.UnimplementedFile
	f   *vfs.OpenFile
	dev uint64

	open context.Context // done when the file is closed
	end  context.CancelCauseFunc

	use    sync.RWMutex // held for reading while f is used
	closed bool

	mu     sync.Mutex
	cookie uint64 // of the entry that Readdir answers next
}

func newFile(f *vfs.OpenFile, dev uint64) *file {
	h := &file{f: f, dev: dev}
	h.open, h.end = context.WithCancelCause(context.Background())
	return h
}

// do carries out op unless the file is closed.
func (h *file) do(op func(f *vfs.OpenFile) error) sys.Errno {
	h.use.RLock()
	defer h.use.RUnlock()
	if h.closed {
		return sys.EBADF
	}
	return errno(op(h.f))
}

// transfer carries out op, again while it answers EAGAIN and the file is to wait.
func (h *file) transfer(dir poll.Events, op func(f *vfs.OpenFile) (int, error)) (n int, e sys.Errno) {
	e = h.do(func(f *vfs.OpenFile) error {
		for {
			k, err := op(f)
			n += k
			if n > 0 && errors.Is(err, wasip1.EAGAIN) {
				return nil
			}
			if !errors.Is(err, wasip1.EAGAIN) || f.Flags()&wasip1.FdNonblock != 0 {
				return err
			}
			if err := context.Cause(h.open); err != nil { // f may say for ever that it is ready
				return err
			}
			if _, err := poll.Block(poll.NewTask(h.open), f, dir, poll.Wait{Op: "wazerofs"}); err != nil {
				return err
			}
		}
	})
	return n, e
}

// Dev implements [sys.File].
func (h *file) Dev() (uint64, sys.Errno) { return h.dev, 0 }

// Ino implements [sys.File].
func (h *file) Ino() (wazerosys.Inode, sys.Errno) {
	st, e := h.Stat()
	return st.Ino, e
}

// IsDir implements [sys.File].
func (h *file) IsDir() (bool, sys.Errno) { return h.f.Type() == wasip1.FiletypeDirectory, 0 }

// IsAppend implements [sys.File].
func (h *file) IsAppend() bool { return h.f.Flags()&wasip1.FdAppend != 0 }

// SetAppend implements [sys.File].
func (h *file) SetAppend(enable bool) sys.Errno {
	return h.do(func(f *vfs.OpenFile) error {
		if f.Type() == wasip1.FiletypeDirectory {
			return wasip1.EISDIR
		}
		h.set(wasip1.FdAppend, enable)
		return nil
	})
}

// IsNonblock implements [sys.PollableFile].
func (h *file) IsNonblock() bool { return h.f.Flags()&wasip1.FdNonblock != 0 }

// SetNonblock implements [sys.PollableFile].
func (h *file) SetNonblock(enable bool) sys.Errno {
	return h.do(func(*vfs.OpenFile) error { h.set(wasip1.FdNonblock, enable); return nil })
}

func (h *file) set(flag wasip1.Fdflags, enable bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	flags := h.f.Flags() &^ flag
	if enable {
		flags |= flag
	}
	h.f.SetFlags(flags)
}

// Poll implements [sys.Pollable].
func (h *file) Poll(flag sys.Pflag, timeoutMillis int32) (ready bool, e sys.Errno) {
	var want poll.Events
	if flag&sys.POLLIN != 0 {
		want |= poll.Readable
	}
	if flag&sys.POLLOUT != 0 {
		want |= poll.Writable
	}
	if want == 0 || flag&^(sys.POLLIN|sys.POLLOUT) != 0 {
		return false, sys.ENOTSUP
	}
	w := poll.Wait{Op: "wazerofs", Deadline: poll.NoDeadline}
	if timeoutMillis >= 0 {
		w.Clock = clock.Real()
		w.Deadline = w.Clock.Monotonic() + int64(timeoutMillis)*int64(time.Millisecond)
	}
	e = h.do(func(f *vfs.OpenFile) error {
		st, err := poll.Block(poll.NewTask(h.open), f, want, w)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		ready = err == nil && st.Ready != 0
		return err
	})
	return ready, e
}

// Stat implements [sys.File].
func (h *file) Stat() (st wazerosys.Stat_t, e sys.Errno) {
	e = h.do(func(f *vfs.OpenFile) error {
		a, err := f.Attr()
		if err == nil {
			st = status(a, h.dev)
		}
		return err
	})
	return st, e
}

// Read implements [sys.File].
func (h *file) Read(p []byte) (int, sys.Errno) {
	return h.transfer(poll.Readable, func(f *vfs.OpenFile) (int, error) { return f.Read(p) })
}

// Pread implements [sys.File].
func (h *file) Pread(p []byte, off int64) (int, sys.Errno) {
	return h.transfer(poll.Readable, func(f *vfs.OpenFile) (int, error) { return f.ReadAt(p, off) })
}

// Write implements [sys.File].
func (h *file) Write(p []byte) (int, sys.Errno) {
	return h.transfer(poll.Writable, func(f *vfs.OpenFile) (int, error) { return f.Write(p) })
}

// Pwrite implements [sys.File].
func (h *file) Pwrite(p []byte, off int64) (int, sys.Errno) {
	return h.transfer(poll.Writable, func(f *vfs.OpenFile) (int, error) { return f.WriteAt(p, off) })
}

// offset has another name than int64 because go vet expects a Seek of an int64 to be that of
// io.Seeker.
type offset = int64

// Seek implements [sys.File]. A directory can be sought to its start only, for Readdir.
func (h *file) Seek(by offset, whence int) (pos int64, e sys.Errno) {
	e = h.do(func(f *vfs.OpenFile) (err error) {
		if f.Type() != wasip1.FiletypeDirectory {
			pos, err = f.Seek(by, whence)
			return err
		}
		if by != 0 || whence != io.SeekStart {
			return wasip1.EINVAL
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.cookie = 0
		return nil
	})
	return pos, e
}

// Readdir implements [sys.File].
func (h *file) Readdir(n int) (all []sys.Dirent, e sys.Errno) {
	e = h.do(func(f *vfs.OpenFile) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		var buf [64]vfs.DirEntry
		for n <= 0 || len(all) < n {
			part := buf[:]
			if n > 0 {
				part = buf[:min(len(buf), n-len(all))]
			}
			k, err := f.ReadDir(h.cookie, part)
			if err != nil {
				return err
			}
			if k == 0 {
				return nil
			}
			if err := context.Cause(h.open); err != nil { // a directory may have no end
				return err
			}
			for _, d := range part[:k] {
				mode := vfs.Attr{Type: d.Type}.FileMode().Type()
				all = append(all, sys.Dirent{Ino: d.Ino, Name: strings.Clone(d.Name), Type: mode})
				h.cookie = d.Next
			}
		}
		return nil
	})
	return all, e
}

// Truncate implements [sys.File].
func (h *file) Truncate(size int64) sys.Errno {
	return h.do(func(f *vfs.OpenFile) error {
		if size < 0 {
			return wasip1.EINVAL
		}
		return f.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(size)})
	})
}

// Sync implements [sys.File].
func (h *file) Sync() sys.Errno { return h.do((*vfs.OpenFile).Sync) }

// Datasync implements [sys.File].
func (h *file) Datasync() sys.Errno { return h.do((*vfs.OpenFile).Datasync) }

// Utimens implements [sys.File].
func (h *file) Utimens(atim, mtim int64) sys.Errno {
	return h.do(func(f *vfs.OpenFile) error { return f.SetAttr(times(atim, mtim)) })
}

// Close implements [sys.File]. It ends the waits of others.
func (h *file) Close() sys.Errno {
	h.end(wasip1.EBADF)
	h.use.Lock()
	defer h.use.Unlock()
	if h.closed {
		return sys.EBADF
	}
	h.closed = true
	return errno(h.f.Close())
}
