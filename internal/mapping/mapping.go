// Package mapping holds memory that the operating system maps and Go's heap knows nothing of: a
// range of addresses that is reserved whole, stays where it is while it grows, and costs what is
// touched.
//
// An [Image] is what a range held at one moment. Any number of ranges show it at once: on Linux and
// other Unix systems they share its pages until they write to them, elsewhere each gets a copy.
package mapping

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Mapping is one range. Its base never moves; its length only grows until [Mapping.Clear] or
// [Mapping.Show].
type Mapping struct {
	whole     []byte
	length    atomic.Uint64
	committed uint64 // bytes from the base that can be used without asking the system
	heap      bool
	image     *Image // what the beginning of the range shows where it was not written; nil: zeros
	rewound   bool   // nothing was written since the image was shown
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
		return nil, fmt.Errorf("map %d bytes: %w", max, explained(err))
	}
	return &Mapping{whole: whole}, nil
}

// Heap returns a range of size bytes from Go's heap, for where the system maps nothing.
func Heap(size uint64) *Mapping {
	return &Mapping{whole: make([]byte, size), committed: size, heap: true}
}

// Steps in which ranges are committed, in bytes: a guest that grows page by page asks the system
// seldom.
const (
	minStep = 1 << 16
	maxStep = 1 << 22
)

// Grow makes the first size bytes usable; it never shrinks. Growth of several goroutines at once is
// serialised by the caller. It fails where size is more than was reserved, or the system has no
// memory left.
func (m *Mapping) Grow(size uint64) error {
	if size > uint64(len(m.whole)) {
		return fmt.Errorf("grow a mapping to %d bytes: %d are reserved", size, len(m.whole))
	}
	if size <= m.length.Load() {
		return nil
	}
	if size > m.committed {
		step := min(max(size/8, minStep), maxStep)
		end := min((size+step-1)/step*step, uint64(len(m.whole)))
		err := commit(m.whole[m.committed:end])
		if err != nil && end > size {
			end = size
			err = commit(m.whole[m.committed:end])
		}
		if err != nil {
			return fmt.Errorf("grow a mapping to %d bytes: %w", size, explained(err))
		}
		m.committed = end
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

// Cap is how many bytes are reserved.
func (m *Mapping) Cap() uint64 { return uint64(len(m.whole)) }

// Base is the address of the first byte, nil for an empty mapping.
func (m *Mapping) Base() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(m.whole)) }

// Committed is how many bytes the system has promised to the range.
func (m *Mapping) Committed() uint64 { return m.committed }

// Image is what the range was made to show, nil where it began with zeros.
func (m *Mapping) Image() *Image { return m.image }

// keep is how many bytes a cleared range may go on holding of the machine's memory. Below it,
// writing zeros costs less than giving pages back and being given others.
const keep = 1 << 16

// Kept is how many bytes of the machine's memory a range may hold, beside its image, that waits to
// show the image again.
const Kept = 1 << 22

// Recycle makes the range ready for others and returns how many bytes of the machine's memory it
// holds meanwhile. A range that shows an image goes on showing it if that takes no more than [Kept]
// bytes, and nothing writes to it before Show or Clear. Others hold zeros, and keep the pages that
// were written to if they are no more than Kept bytes.
func (m *Mapping) Recycle() (kept uint64, err error) {
	if m.heap || m.image == nil && m.committed <= keep {
		return 0, m.Clear()
	}
	m.length.Store(0)
	if m.image == nil {
		if kept, ok := m.wipe(); ok {
			return kept, nil
		}
		return 0, m.Clear()
	}
	if kept, m.rewound = m.copyBack(); m.rewound {
		return kept, nil
	}
	return 0, m.Clear()
}

// Clear makes the range what Reserve returned: length 0, zeros wherever it grows to. It holds no
// more than 64 KiB of the machine's memory then. Nothing may use the range meanwhile. After an
// error the range is good for nothing but Unmap.
func (m *Mapping) Clear() error {
	m.length.Store(0)
	if m.heap {
		clear(m.whole)
		m.image = nil
		return nil
	}
	if m.image != nil {
		if err := uncover(m.whole[:m.image.mapped()]); err != nil {
			return fmt.Errorf("clear a mapping: %w", err)
		}
		m.committed, m.image, m.rewound = max(m.committed, m.image.mapped()), nil, false
	}
	kept := min(m.committed, keep)
	clear(m.whole[:kept])
	if m.committed > kept {
		if err := discard(m.whole[kept:m.committed]); err != nil {
			return fmt.Errorf("clear a mapping: %w", err)
		}
	}
	return nil
}

// Show makes the range hold what img holds, and no more. What is written to it is the range's own.
// Nothing may use the range meanwhile. After an error the range is good for nothing but Unmap.
//
// Showing an image again costs what was touched since.
func (m *Mapping) Show(img *Image) error {
	if img.size > uint64(len(m.whole)) {
		return fmt.Errorf("show an image of %d bytes: %d are reserved", img.size, len(m.whole))
	}
	if m.heap {
		if _, err := img.ReadAt(m.whole[:img.size], 0); err != nil {
			return fmt.Errorf("show an image of %d bytes: %w", img.size, err)
		}
		clear(m.whole[img.size:])
		m.image = img
	} else if m.rewound && m.image == img {
		m.rewound = false
	} else if err := m.show(img); err != nil {
		return fmt.Errorf("show an image of %d bytes: %w", img.size, explained(err))
	}
	m.length.Store(img.size)
	return nil
}

// Unmap gives the range back. Nothing may use it any more: it is not called while a thread can
// still reach the memory.
func (m *Mapping) Unmap() error {
	if len(m.whole) == 0 {
		return nil
	}
	whole := m.whole
	m.whole, m.image, m.committed = nil, nil, 0
	m.length.Store(0)
	if m.heap {
		return nil
	}
	return release(whole)
}
