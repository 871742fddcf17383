package virt

import (
	"errors"
	"math/rand/v2"

	"github.com/wasivirt/wasivirt/wasip1"
)

// MemoryModel says when threads see what others have stored.
type MemoryModel uint8

const (
	// SequentialConsistency lets every thread see a store as soon as it has been made.
	SequentialConsistency MemoryModel = iota
	// TotalStoreOrder keeps stores that are not atomic in a buffer for each thread, as x86 processors do: the thread itself
	// sees them, others do when the buffer is drained, in order, at moments that the seed decides. Atomic instructions, fences,
	// waits, notifies, bulk operations and calls of the Host drain it first.
	TotalStoreOrder
)

// WithMemoryModel says which memory model threads run by. It needs [WithAccessSwitches]. Recordings are not made of
// guests that run by [TotalStoreOrder].
func WithMemoryModel(m MemoryModel) DeterministicOption {
	return func(d *deterministic) { d.model = m }
}

// storeBuffers are those of a guest's threads. Threads take turns, so that they need no lock.
//
// Instructions of the guest go to memory directly. So memory holds what the thread that has the turn sees: when the turn
// goes to another, what stands in the buffer of the first is taken out of memory, and put back when it gets the turn again.
type storeBuffers struct {
	seed    uint64
	rate    float64 // of draining a store, at each switch point
	threads []*storeBuffer
}

// storeBuffer holds the stores of a thread that others do not see yet.
type storeBuffer struct {
	stores  []pendingStore
	applied bool // memory shows them
	open    bool // the last has not been made when this was looked at last
}

// pendingStore is a store of at most 16 bytes.
type pendingStore struct {
	addr, size uint64
	old, value [16]byte
}

// maxPending is how many stores a buffer holds.
const maxPending = 64

// newStoreBuffers returns a guest's, nil where stores are seen at once.
func newStoreBuffers(c *config) *storeBuffers {
	d := c.deterministic
	if d == nil || d.model == SequentialConsistency {
		return nil
	}
	b := &storeBuffers{seed: d.seed ^ 0x7507}
	b.rate = [...]float64{1.0 / 64, 1.0 / 16, 1.0 / 4, 1.0 / 2}[rand.New(rand.NewPCG(d.seed, 0x7507)).IntN(4)]
	return b
}

// checkModel reports why a guest cannot run by the memory model that was asked for.
func (g *Guest) checkModel() error {
	switch {
	case g.stores == nil:
		return nil
	case !g.host.config.access:
		return errors.New("WithMemoryModel: the Host sees no accesses: give WithAccessSwitches to the first Host too")
	case g.config.recording != nil || g.host.replay != nil:
		return errors.New("WithMemoryModel: TotalStoreOrder cannot be recorded: leave out WithRecording")
	}
	return nil
}

// delay puts the store that the thread is about to make into its buffer.
func (t *thread) delay(addr, size uint64) {
	all := t.guest.stores
	if all == nil || addr+size > t.view.Len() || size > 16 {
		return // it traps, or is none of one instruction
	}
	if t.stores == nil {
		t.stores = &storeBuffer{applied: true}
		all.threads = append(all.threads, t.stores)
	}
	b := t.stores
	b.settle(t.view.Bytes())
	if len(b.stores) == maxPending {
		b.stores = b.stores[1:] // the oldest stays in memory
	}
	s := pendingStore{addr: addr, size: size}
	copy(s.old[:size], t.view.Bytes()[addr:])
	b.stores, b.open = append(b.stores, s), true
}

// settle reads what the last store has stored.
func (b *storeBuffer) settle(mem []byte) {
	if b.open {
		s := &b.stores[len(b.stores)-1]
		copy(s.value[:s.size], mem[s.addr:])
		b.open = false
	}
}

// drain makes all stores of the thread, which has the turn, seen by others.
func (t *thread) drain() {
	if b := t.stores; b != nil {
		b.stores, b.open = b.stores[:0], false
	}
}

// hide takes the stores that others do not see out of memory.
func (b *storeBuffer) hide(mem []byte) {
	b.settle(mem)
	for i := len(b.stores) - 1; i >= 0; i-- {
		s := &b.stores[i]
		copy(mem[s.addr:], s.old[:s.size])
	}
	b.applied = false
}

// show puts them back.
func (b *storeBuffer) show(mem []byte) {
	for i := range b.stores {
		s := &b.stores[i]
		copy(s.old[:s.size], mem[s.addr:])
		copy(mem[s.addr:], s.value[:s.size])
	}
	b.applied = true
}

// loseTurn is called when the thread may lose the turn. Some stores become seen.
func (t *thread) loseTurn() {
	all := t.guest.stores
	if all == nil {
		return
	}
	t.attach()
	mem := t.view.Bytes()
	if b := t.stores; b != nil {
		b.hide(mem)
	}
	for of, b := range all.threads {
		for n := uint64(0); len(b.stores) > 0 && chance(all.seed, uint64(t.id()), t.points, uint64(of), n) < all.rate; n++ {
			s := &b.stores[0]
			copy(mem[s.addr:], s.value[:s.size])
			b.stores = b.stores[1:]
		}
	}
}

// haveTurn is called when it has the turn again.
func (t *thread) haveTurn() {
	if t.guest.stores == nil {
		return
	}
	t.attach()
	if b := t.stores; b != nil && !b.applied {
		b.show(t.view.Bytes())
	}
}

// drained makes the thread's stores seen before a call.
func drained(_ *Guest, _ int, _ *function, next callFunc) callFunc {
	return func(t *thread, f *function, p []uint64) wasip1.Errno {
		t.drain()
		return next(t, f, p)
	}
}
