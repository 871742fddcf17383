//go:build unix

package mapping

import "os"

// store is a file that nobody else knows, whose pages mappings share until they write to them.
type store struct{ file *os.File }

func (s *store) create(size uint64) (err error) {
	if s.file, err = anonymous(); err != nil {
		return err
	}
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

func (s *store) close() error { return s.file.Close() }

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
