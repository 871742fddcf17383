package virt

import "github.com/tetratelabs/wazero/experimental"

// linear is the memory of an instance that is used by one thread at a time, allocated on the Go heap. It lets the Host
// reach the bytes without asking wazero, and refuse growth beyond a guest's budget.
type linear struct {
	buf   []byte
	limit uint64
}

var _ experimental.LinearMemory = (*linear)(nil)

// Reallocate implements [experimental.LinearMemory]. It returns nil where size is over the limit.
func (m *linear) Reallocate(size uint64) []byte {
	if size > m.limit {
		return nil
	}
	if size <= uint64(cap(m.buf)) {
		m.buf = m.buf[:size]
		return m.buf
	}
	// Growing by a quarter at least keeps a guest that grows page by page from copying its memory
	// at every page.
	grown := min(max(size, uint64(len(m.buf))+uint64(len(m.buf))/4), m.limit)
	buf := make([]byte, size, grown)
	copy(buf, m.buf)
	m.buf = buf
	return buf
}

// Free implements [experimental.LinearMemory].
func (m *linear) Free() { m.buf = nil }
