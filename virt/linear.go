package virt

import "github.com/tetratelabs/wazero/experimental"

// linear is the memory of an instance that is used by one thread at a time, allocated on the Go heap. It lets the Host
// reach the bytes without asking wazero, and refuse growth beyond the budgets of the guest and the Host.
type linear struct {
	buf   []byte
	limit uint64
	guest *Guest
}

var _ experimental.LinearMemory = (*linear)(nil)

// Reallocate implements [experimental.LinearMemory]. It returns nil where size is over the limit.
func (m *linear) Reallocate(size uint64) []byte {
	if size > m.limit || !m.guest.charge(size) {
		return nil
	}
	m.guest.usage.memory.Store(size)
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
