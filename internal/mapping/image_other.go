//go:build !unix

package mapping

import (
	"bytes"
	"slices"
)

// store is a copy, of the parts alone that were written.
type store struct{ parts *[]part }

type part struct {
	at   uint64
	data []byte
}

func (s *store) create(uint64) error {
	s.parts = new([]part)
	return nil
}

func (s *store) write(p []byte, at uint64) error {
	*s.parts = append(*s.parts, part{at, bytes.Clone(p)})
	return nil
}

func (s *store) seal() error { return nil }

func (s *store) close() error { return nil }

// read ends at the end of what was written; the image's size is the caller's to know.
func (s *store) read(p []byte, at int64) (int, error) {
	clear(p)
	end := uint64(at) + uint64(len(p))
	for _, each := range *s.parts {
		if from, to := max(each.at, uint64(at)), min(each.at+uint64(len(each.data)), end); from < to {
			copy(p[from-uint64(at):], each.data[from-each.at:to-each.at])
		}
	}
	return len(p), nil
}

// mapped is how many bytes of a range that shows the image are the image's: none, it is copied.
func (img *Image) mapped() uint64 { return 0 }

func uncover([]byte) error { return nil }

func (m *Mapping) show(img *Image) error {
	if err := m.Clear(); err != nil {
		return err
	}
	if err := m.Grow(img.size); err != nil {
		return err
	}
	for _, each := range slices.Clone(*img.store.parts) {
		copy(m.whole[each.at:], each.data)
	}
	m.image = img
	return nil
}
