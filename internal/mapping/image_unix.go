//go:build unix

package mapping

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// store is a file that nobody else knows, whose pages mappings share until they write to them.
type store struct {
	file *os.File
	view *view
}

// view is the file's contents as addresses, mapped when they are wanted first.
type view struct {
	mu     sync.RWMutex
	bytes  []byte
	closed bool
}

func (s *store) create(size uint64) (err error) {
	if s.file, err = anonymous(); err != nil {
		return err
	}
	s.view = new(view)
	if err := s.file.Truncate(int64(size)); err != nil {
		_ = s.file.Close()
		return err
	}
	return nil
}

func (s *store) write(p []byte, at uint64) error {
	_, err := s.file.WriteAt(p, int64(at))
	return err
}

func (s *store) read(p []byte, at int64) (int, error) { return s.file.ReadAt(p, at) }

func (s *store) close() (err error) {
	s.view.mu.Lock()
	defer s.view.mu.Unlock()
	s.view.closed = true
	if s.view.bytes != nil {
		err = unix.Munmap(s.view.bytes)
		s.view.bytes = nil
	}
	return errors.Join(err, s.file.Close())
}

// look calls f with the contents, and reports whether it did: not after close. f does not keep
// them.
func (s *store) look(size uint64, f func([]byte)) bool {
	if !s.mapView(size) {
		return false
	}
	s.view.mu.RLock()
	defer s.view.mu.RUnlock()
	if s.view.closed {
		return false
	}
	f(s.view.bytes)
	return true
}

// mapView makes the view show size bytes of the file.
func (s *store) mapView(size uint64) bool {
	s.view.mu.RLock()
	done := s.view.bytes != nil
	s.view.mu.RUnlock()
	if done || size == 0 {
		return done
	}
	s.view.mu.Lock()
	defer s.view.mu.Unlock()
	if s.view.bytes != nil || s.view.closed {
		return !s.view.closed
	}
	conn, err := s.file.SyscallConn()
	if err != nil {
		return false
	}
	var mapErr error
	err = conn.Control(func(fd uintptr) {
		s.view.bytes, mapErr = unix.Mmap(int(fd), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	})
	return err == nil && mapErr == nil
}

// mapped is how many bytes of a range that shows the image are the image's.
func (img *Image) mapped() uint64 { return img.size }

func (m *Mapping) show(img *Image) error {
	if m.image == img {
		return m.rewind()
	}
	if m.image != nil || m.committed > 0 {
		if err := m.Clear(); err != nil {
			return err
		}
	}
	conn, err := img.store.file.SyscallConn()
	if err != nil {
		return err
	}
	var mapErr error
	if err := conn.Control(func(fd uintptr) { mapErr = replace(m.whole[:img.size], int(fd)) }); err != nil {
		return err
	}
	if mapErr != nil {
		return mapErr
	}
	m.image, m.committed = img, max(m.committed, img.size)
	return nil
}
