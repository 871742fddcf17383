//go:build unix && !linux

package mapping

import "os"

// anonymous returns a temporary file that has no name any more.
func anonymous() (*os.File, error) {
	f, err := os.CreateTemp("", "wasivirt-image")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (s *store) seal() error { return nil }

// rewind makes the range hold its image again, and zeros behind it.
func (m *Mapping) rewind() error {
	conn, err := m.image.store.file.SyscallConn()
	if err != nil {
		return err
	}
	var mapErr error
	if err := conn.Control(func(fd uintptr) { mapErr = replace(m.whole[:m.image.size], int(fd)) }); err != nil {
		return err
	}
	if mapErr != nil {
		return mapErr
	}
	return replace(m.whole[m.image.size:m.committed], -1)
}
