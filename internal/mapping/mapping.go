// Package mapping holds memory that the operating system maps and Go's heap knows nothing of: a
// range of addresses that is reserved whole, stays where it is while it grows, and costs what is touched.
package mapping

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Mapping is one range. Its base never moves; its length only grows.
type Mapping struct {
	whole  []byte
	length atomic.Uint64
}

// Reserve maps max bytes of addresses, none of them in use yet. max may be 0.
func Reserve(max uint64) (*Mapping, error) {
	if max == 0 {
		return &Mapping{}, nil
	}
	if max > uint64(^uint(0)>>1) {
		return nil, fmt.Errorf("map %d bytes: more than this machine can address", max)
	}
	whole, err := reserve(int(max))
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", max, err)
	}
	return &Mapping{whole: whole}, nil
}

// Grow makes the first size bytes usable; it never shrinks. Growth of several goroutines at once is
// serialised by the caller. It fails where size is more than was reserved, or the system has no memory left.
func (m *Mapping) Grow(size uint64) error {
	if size > uint64(len(m.whole)) {
		return fmt.Errorf("grow a mapping to %d bytes: %d are reserved", size, len(m.whole))
	}
	now := m.length.Load()
	if size <= now {
		return nil
	}
	if err := commit(m.whole[now:size]); err != nil {
		return fmt.Errorf("grow a mapping to %d bytes: %w", size, err)
	}
	m.length.Store(size)
	return nil
}

// Bytes returns what is usable now. It may be called while another goroutine grows the mapping.
func (m *Mapping) Bytes() []byte {
	n := m.length.Load()
	return m.whole[:n:n]
}

// Reserved returns the usable bytes with the whole range as capacity.
func (m *Mapping) Reserved() []byte { return m.whole[:m.length.Load()] }

// Base is the address of the first byte, nil for an empty mapping.
func (m *Mapping) Base() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(m.whole)) }

// Unmap gives the range back. Nothing may use it any more: it is not called while a thread can still
// reach the memory.
func (m *Mapping) Unmap() error {
	if len(m.whole) == 0 {
		return nil
	}
	whole := m.whole
	m.whole = nil
	m.length.Store(0)
	return release(whole)
}
