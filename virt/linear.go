package virt

import (
	"sync"

	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasivirt/wasivirt/memory"
)

// linear is the memory of an instance that is used by one thread at a time, allocated on the Go heap. It lets the Host
// reach the bytes without asking wazero, and refuse growth beyond the budgets of the guest and the Host.
type linear struct {
	buf   []byte
	limit uint64
	guest *Guest
	view  *memory.View // of the thread, which always shows buf
	used  *[]byte      // what buf came in from the recycler
}

var _ experimental.LinearMemory = (*linear)(nil)

// Reallocate implements [experimental.LinearMemory]. It returns nil where size is over the limit.
func (m *linear) Reallocate(size uint64) []byte {
	granted := size <= m.limit && m.guest.charge(size)
	if b := m.guest.border; b != nil {
		granted = !b.refuses(size, granted)
	}
	if !granted {
		return nil
	}
	m.guest.usage.memory.Store(size)
	switch {
	case m.buf == nil:
		m.used = m.guest.module.memories.get(size)
		m.buf = (*m.used)[:size]
	case size <= uint64(cap(m.buf)):
		m.buf = m.buf[:size]
	default:
		// Growing by a quarter at least keeps a guest that grows page by page from copying its memory
		// at every page.
		grown := min(max(size, uint64(len(m.buf))+uint64(len(m.buf))/4), m.limit)
		buf := make([]byte, size, grown)
		copy(buf, m.buf)
		m.buf = buf
	}
	m.view.Reset(m.buf)
	return m.buf
}

// Free implements [experimental.LinearMemory]. It does nothing: wazero calls it when the instance is closed, which
// the embedder may do while the guest runs.
func (m *linear) Free() {}

// recycle gives the memory to the next guest. Nothing may run in the instance any more.
func (m *linear) recycle() {
	if m.used != nil {
		*m.used = m.buf
		m.guest.module.memories.put(m.used)
	}
	m.buf, m.used = nil, nil
	m.view.Reset(nil)
}

// recycler keeps memories of closed guests for others of the same module: the system's and the collector's work for
// a fresh one costs several times what clearing a used one does.
type recycler struct{ spare sync.Pool }

// get returns a memory with room for size bytes, all of them zeros.
func (r *recycler) get(size uint64) *[]byte {
	if b, ok := r.spare.Get().(*[]byte); ok && uint64(cap(*b)) >= size {
		return b
	}
	b := make([]byte, size)
	return &b
}

// put takes a memory back, of which nothing behind its length has been written.
func (r *recycler) put(b *[]byte) {
	clear(*b)
	r.spare.Put(b)
}
