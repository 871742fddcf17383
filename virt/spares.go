package virt

import (
	"errors"
	"slices"
	"sync"

	"github.com/wasivirt/wasivirt/internal/mapping"
)

// spares are memories of closed guests, for others: mapping one anew costs several times what
// cleaning it does. Most hold zeros, and of the machine's memory no more than 64 KiB each. Those of
// forks go on showing their snapshot, and keep the pages that the fork has written to, cleaned: the
// next fork writes to them without a fault. What they keep is charged to the Host's budget of
// memory, and given back when a guest needs it.
type spares struct {
	mu     sync.Mutex
	all    []spare
	closed bool
}

// spare is a memory that nobody uses.
type spare struct {
	*mapping.Mapping
	kept   int64 // bytes taken from budget
	budget *allowance
}

const (
	// maxSpares is how many memories are kept.
	maxSpares = 16
	// maxSpareCommitted is how much the system may have promised to one that is kept, in bytes.
	maxSpareCommitted = 1 << 28
)

// get returns a memory with addresses for least bytes, and better for most: one that shows an image
// if there is one, else one that holds zeros.
func (s *spares) get(shows *mapping.Image, least, most uint64) (*mapping.Mapping, error) {
	want := max(least, min(most, mapping.AddressSpace()))
	if m := s.take(shows, want); m != nil {
		if m.Image() == nil || m.Image() == shows {
			return m, nil
		}
		if err := m.Clear(); err == nil {
			return m, nil
		}
		_ = m.Unmap() // another takes its place
	}
	m, err := mapping.Reserve(want)
	if err == nil {
		return m, nil
	}
	if m, e := mapping.Reserve(least); e == nil {
		return m, nil
	}
	if least > maxHeapMemory {
		return nil, err
	}
	return mapping.Heap(least), nil
}

// take returns the spare that fits best, nil where none is large enough.
func (s *spares) take(shows *mapping.Image, want uint64) *mapping.Mapping {
	s.mu.Lock()
	defer s.mu.Unlock()
	best := -1
	for i := len(s.all) - 1; i >= 0; i-- {
		switch m := s.all[i]; {
		case m.Cap() < want:
		case m.Image() == shows:
			return s.remove(i)
		case best < 0 || m.Image() == nil && s.all[best].Image() != nil:
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	return s.remove(best)
}

// remove takes a spare out. The caller holds mu.
func (s *spares) remove(i int) *mapping.Mapping {
	m := s.all[i]
	s.all = slices.Delete(s.all, i, i+1)
	m.budget.giveBack(m.kept)
	return m.Mapping
}

// maxHeapMemory is how large a memory may be that comes from Go's heap because the system maps
// nothing more.
const maxHeapMemory = 1 << 24

// put takes a memory back. What it keeps is charged to budget.
func (s *spares) put(m *mapping.Mapping, budget *allowance) error {
	if m.Cap() == 0 || m.Committed() > maxSpareCommitted || !s.room() {
		return m.Unmap()
	}
	kept, err := m.Recycle()
	if err == nil && !budget.takeAll(int64(kept)) {
		kept, err = 0, m.Clear()
	}
	if err != nil {
		_ = m.Unmap() // the first error tells more
		return err
	}
	s.mu.Lock()
	keep := !s.closed && len(s.all) < maxSpares && !m.Image().Closed()
	if keep {
		s.all = append(s.all, spare{m, int64(kept), budget})
	}
	s.mu.Unlock()
	if !keep {
		budget.giveBack(int64(kept))
		return m.Unmap()
	}
	return nil
}

func (s *spares) room() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed && len(s.all) < maxSpares
}

// forget unmaps the memories that show an image which was closed, or any for nil, and reports
// whether there were some.
func (s *spares) forget(shown *mapping.Image) (some bool, err error) {
	s.mu.Lock()
	var gone []*mapping.Mapping
	for i := len(s.all) - 1; i >= 0; i-- {
		if img := s.all[i].Image(); img != nil && (img == shown || shown == nil) {
			gone = append(gone, s.remove(i))
		}
	}
	s.mu.Unlock()
	for _, m := range gone {
		err = errors.Join(err, m.Unmap())
	}
	return len(gone) > 0, err
}

// close unmaps all, and what comes later.
func (s *spares) close() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for len(s.all) > 0 {
		err = errors.Join(err, s.remove(len(s.all)-1).Unmap())
	}
	return err
}
