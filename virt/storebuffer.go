package virt

import (
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/wasip1"
)

// storeBuffers are those of a guest's threads. Threads take turns, so that they need no lock.
//
// Instructions of the guest go to memory directly. So memory holds what the thread that has the
// turn sees: when the turn goes to another, what stands in the buffer of the first is taken out of
// memory, and put back when it gets the turn again.
type storeBuffers struct {
	seed    uint64
	rate    float64 // of draining a store, at each switch point
	stale   float64 // of not seeing a store of another thread at once
	relaxed bool
	threads []*storeBuffer
}

// storeBuffer holds what a thread sees otherwise than memory is.
type storeBuffer struct {
	stores  []pendingStore // that others do not see yet
	stale   []pendingStore // of others, that it does not see yet: value is what was there before
	applied bool           // memory shows them
	open    bool           // the last has not been made when this was looked at last
}

// pendingStore is a store of at most 16 bytes.
type pendingStore struct {
	addr, size uint64
	old, value [16]byte
}

func (s *pendingStore) overlaps(o *pendingStore) bool {
	return s.addr < o.addr+o.size && o.addr < s.addr+s.size
}

// apply puts the value into memory, and keeps what was there.
func (s *pendingStore) apply(mem []byte) {
	copy(s.old[:s.size], mem[s.addr:])
	copy(mem[s.addr:], s.value[:s.size])
}

// undo takes it back.
func (s *pendingStore) undo(mem []byte) { copy(mem[s.addr:], s.old[:s.size]) }

// maxPending is how many stores a buffer holds.
const maxPending = 64

// newStoreBuffers returns a guest's, nil where stores are seen at once.
func newStoreBuffers(c *config) *storeBuffers {
	d := c.deterministic
	if d == nil || d.MemoryModel == sched.SequentialConsistency {
		return nil
	}
	b := &storeBuffers{seed: d.Seed ^ 0x7507, relaxed: d.MemoryModel == sched.Relaxed}
	rng := rand.New(rand.NewPCG(d.Seed, 0x7507))
	b.rate = [...]float64{1.0 / 64, 1.0 / 16, 1.0 / 4, 1.0 / 2}[rng.IntN(4)]
	if b.relaxed {
		b.stale = [...]float64{0, 1.0 / 16, 1.0 / 4, 3.0 / 4}[rng.IntN(4)]
	}
	return b
}

// checkModel reports why a guest cannot run by the memory model that was asked for.
func (g *Guest) checkModel() error {
	switch {
	case g.stores == nil:
		return nil
	case !g.host.config.access:
		return errors.New("Determinism.MemoryModel: the Host sees no accesses: give WithAccessSwitches to the first Host too")
	case g.config.recording != nil || g.host.replay != nil:
		return errors.New("Determinism.MemoryModel: only SequentialConsistency can be recorded: leave out WithRecording")
	}
	return nil
}

// delay puts the store that the thread is about to make into its buffer.
func (t *thread) delay(addr, size uint64) {
	all := t.guest.stores
	if all == nil || addr+size > t.view.Len() || size > 16 {
		return // it traps, or is none of one instruction
	}
	mem, b := t.view.Bytes(), t.buffer()
	b.settle(mem)
	s := pendingStore{addr: addr, size: size}
	b.see(mem, func(old *pendingStore) bool { return old.overlaps(&s) })
	if len(b.stores) == maxPending {
		all.seen(b, b.stores[0], t) // it stays in memory
		b.stores = b.stores[1:]
	}
	copy(s.old[:size], mem[addr:])
	b.stores, b.open = append(b.stores, s), true
}

// buffer returns the thread's.
func (t *thread) buffer() *storeBuffer {
	if t.stores == nil {
		t.stores = &storeBuffer{applied: true}
		t.guest.stores.threads = append(t.guest.stores.threads, t.stores)
	}
	return t.stores
}

// settle reads what the last store has stored.
func (b *storeBuffer) settle(mem []byte) {
	if b.open {
		s := &b.stores[len(b.stores)-1]
		copy(s.value[:s.size], mem[s.addr:])
		b.open = false
	}
}

// drain makes all stores of the thread, which has the turn, seen by others, and it sees those of
// others.
func (t *thread) drain() {
	if t.stores != nil { // apart from the rest to be inlined
		t.drainStores()
	}
}

func (t *thread) drainStores() {
	b := t.stores
	if len(b.stale) > 0 {
		b.settle(t.view.Bytes())
		b.see(t.view.Bytes(), func(*pendingStore) bool { return true })
	}
	for _, s := range b.stores {
		t.guest.stores.seen(b, s, t)
	}
	b.stores, b.open = b.stores[:0], false
}

// see lets the thread, whose view memory shows, see the stores of others that are meant. None of
// its own is at the same place.
func (b *storeBuffer) see(mem []byte, meant func(s *pendingStore) bool) {
	b.stale = slices.DeleteFunc(b.stale, func(s pendingStore) bool {
		if !meant(&s) {
			return false
		}
		s.undo(mem)
		return true
	})
}

// hide shows memory without what the thread sees otherwise.
func (b *storeBuffer) hide(mem []byte) {
	b.settle(mem)
	for i := len(b.stores) - 1; i >= 0; i-- {
		b.stores[i].undo(mem)
	}
	for i := range b.stale {
		b.stale[i].undo(mem)
	}
	b.applied = false
}

// show shows memory as the thread sees it.
func (b *storeBuffer) show(mem []byte) {
	for i := range b.stale {
		b.stale[i].apply(mem)
	}
	for i := range b.stores {
		b.stores[i].apply(mem)
	}
	b.applied = true
}

// seen is called when a store has come into memory, whose old is what was there. by has the turn.
// Threads that are stopped between two instructions may see it later; those that wait are woken by
// what makes them see all.
func (all *storeBuffers) seen(of *storeBuffer, s pendingStore, by *thread) {
	for i, b := range all.threads {
		if all.stale == 0 || b == of || b.applied {
			continue
		}
		same := slices.IndexFunc(b.stale, func(old pendingStore) bool { return old.overlaps(&s) })
		switch {
		case same >= 0 && b.stale[same].addr == s.addr && b.stale[same].size == s.size:
			// It still sees what was there before both.
		case same >= 0:
			b.stale = slices.DeleteFunc(b.stale, func(old pendingStore) bool { return old.overlaps(&s) })
		case len(b.stale) < maxPending && !slices.ContainsFunc(b.stores, func(own pendingStore) bool { return own.overlaps(&s) }) &&
			chance(all.seed, uint64(by.id()), by.points, uint64(i), s.addr) < all.stale:
			b.stale = append(b.stale, pendingStore{addr: s.addr, size: s.size, value: s.old})
		}
	}
}

// loseTurn is called when the thread may lose the turn. Some stores become seen.
func (t *thread) loseTurn() {
	all := t.guest.stores
	if all == nil {
		return
	}
	t.attach()
	mem := t.view.Bytes()
	if all.relaxed {
		t.buffer()
	}
	if b := t.stores; b != nil {
		b.hide(mem)
	}
	for of, b := range all.threads {
		for n, i := uint64(0), 0; i < len(b.stores); n++ {
			drains := chance(all.seed, uint64(t.id()), t.points, uint64(of), n) < all.rate
			if drains && !slices.ContainsFunc(b.stores[:i], func(earlier pendingStore) bool { return earlier.overlaps(&b.stores[i]) }) {
				s := b.stores[i]
				s.apply(mem)
				all.seen(b, s, t)
				b.stores = slices.Delete(b.stores, i, i+1)
			} else if i++; !all.relaxed {
				break
			}
		}
	}
}

// haveTurn is called when it has the turn again. It sees some of what others have stored.
func (t *thread) haveTurn() {
	all := t.guest.stores
	if all == nil {
		return
	}
	t.attach()
	b := t.stores
	if b == nil || b.applied {
		return
	}
	b.stale = slices.DeleteFunc(b.stale, func(s pendingStore) bool {
		return chance(all.seed, uint64(t.id()), t.points, s.addr) < all.rate
	})
	b.show(t.view.Bytes())
}

// drained makes the thread's stores seen before a call, and those of others before and after it.
func drained(_ *Guest, _ int, _ *function, next callFunc) callFunc {
	return func(t *thread, f *function, p []uint64) wasip1.Errno {
		t.drain()
		errno := next(t, f, p)
		t.drain()
		return errno
	}
}
