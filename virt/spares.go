package virt

import (
	"errors"
	"slices"
	"sync"

	"github.com/wasivirt/wasivirt/internal/mapping"
)

// spares are memories of closed guests, for others: mapping one anew costs several times what
// cleaning it does. Most hold zeros; those of forks go on showing their snapshot. They keep pages
// that were written to, cleaned: the next guest writes to them without a fault. What they keep is
// charged to the Host's budget of memory, and given back when a guest needs it. A guest that gets
// zeros may use less than there is: all such guests together get at most maxLent.
type spares struct {
	mu     sync.Mutex
	all    []spare
	lent   map[*mapping.Mapping]int64 // what memories that hold zeros kept when a guest got them
	total  int64                      // of lent
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
	// maxLent is how many bytes that were kept guests may have got, which they may not need.
	maxLent = 1 << 24
)

// get returns a memory with addresses for least bytes, and better for most: one that shows an image
// if there is one, else one that holds zeros.
func (s *spares) get(shows *mapping.Image, least, most uint64) (*mapping.Mapping, error) {
	want := max(least, min(most, mapping.AddressSpace()))
	if m, ready := s.take(shows, want); m != nil {
		if ready {
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

// take returns the spare that fits best, nil where none is large enough, and whether it can be used
// as it is.
func (s *spares) take(shows *mapping.Image, want uint64) (m *mapping.Mapping, ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	best := -1
	for i := len(s.all) - 1; i >= 0; i-- {
		switch m := s.all[i]; {
		case m.Cap() < want:
		case m.Image() == shows:
			return s.lend(shows, i)
		case best < 0 || m.Image() == nil && s.all[best].Image() != nil:
			best = i
		}
	}
	if best < 0 {
		return nil, false
	}
	return s.lend(shows, best)
}

// lend takes a spare out for a guest. The caller holds mu.
func (s *spares) lend(shows *mapping.Image, i int) (m *mapping.Mapping, ready bool) {
	kept := s.all[i].kept
	m = s.remove(i)
	switch {
	case m.Image() != nil:
		return m, m.Image() == shows
	case kept == 0:
		return m, true
	case s.total+kept > maxLent:
		return m, false
	}
	if s.lent == nil {
		s.lent = map[*mapping.Mapping]int64{}
	}
	s.lent[m] = kept
	s.total += kept
	return m, true
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
	if !s.room(m) || m.Cap() == 0 || m.Committed() > maxSpareCommitted {
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

// room reports whether there is room for a memory that comes back.
func (s *spares) room(m *mapping.Mapping) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total -= s.lent[m]
	delete(s.lent, m)
	return !s.closed && len(s.all) < maxSpares
}

// forget unmaps the memories that show an image which was closed, or for nil all that keep or show
// something, and reports whether there were some.
func (s *spares) forget(shown *mapping.Image) (some bool, err error) {
	s.mu.Lock()
	var gone []*mapping.Mapping
	for i := len(s.all) - 1; i >= 0; i-- {
		if img := s.all[i].Image(); img != nil && img == shown || shown == nil && (img != nil || s.all[i].kept > 0) {
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
