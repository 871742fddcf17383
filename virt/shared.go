package virt

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"sync"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasivirt/wasivirt/internal/mapping"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/sched"
)

// shared is the memory that all threads of a guest import. It is mapped outside Go's heap, because
// wazero would allocate what the module declares as its maximum, and unmapped when the last thread
// has gone.
type shared struct {
	mapped *mapping.Mapping
	limit  uint64
	guest  *Guest
	futex  sched.Futex
	module api.Module // exports the memory under the name that the guest imports; nil where it defines it

	// mu orders growth and the ends of instances, of which wazero lets each take the allocator
	// away from all the others.
	mu sync.Mutex
}

var _ experimental.LinearMemory = (*shared)(nil)

// Reallocate implements [experimental.LinearMemory]: the base stays, the capacity is all that was
// reserved.
func (s *shared) Reallocate(size uint64) []byte {
	if size > s.limit || !s.guest.charge(size) || s.mapped.Grow(size) != nil {
		return nil
	}
	s.guest.usage.memory.Store(size)
	return s.mapped.Reserved()
}

// Free implements [experimental.LinearMemory]. It does nothing: wazero calls it when the first of
// the threads' instances closes, and then never calls Reallocate again. That is why the guest's
// memory.grow comes to the Host.
func (s *shared) Free() {}

// grow is memory.grow: it answers how many pages there were, or -1.
func (t *thread) grow(p []uint64) {
	s, pages := t.guest.shared, uint64(uint32(p[0]))
	p[0] = math.MaxUint32
	s.mu.Lock()
	defer s.mu.Unlock()
	size := uint64(len(s.mapped.Bytes())) + pages*pageSize
	if s.Reallocate(size) == nil {
		return
	}
	t.tellAll("memory.grow")
	if old, ok := t.mod.Memory().Grow(uint32(pages)); ok {
		p[0] = uint64(old)
	}
}

// close lets go of an instance that imports the memory.
func (s *shared) close(ctx context.Context, mod api.Module) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return mod.Close(ctx)
}

// sharedMemory returns the shared memory that the module uses, or nil.
func sharedMemory(m *wasmbin.Module) *wasmbin.Memory {
	for i := range m.Memories {
		if m.Memories[i].Shared {
			return &m.Memories[i]
		}
	}
	return nil
}

const (
	pageSize = 1 << 16

	memorySection, exportSection = 5, 7 // ids in the binary format
)

// share makes the memory that the guest's threads share.
func (g *Guest) share(ctx context.Context, m *wasmbin.Memory) error {
	mapped, err := mapping.Reserve(m.Max * pageSize)
	if err != nil {
		return fmt.Errorf("shared memory: %w", err)
	}
	g.shared = &shared{mapped: mapped, limit: g.limit(), guest: g}
	if g.module.memory == nil {
		return nil
	}
	g.shared.module, err = g.host.runtime.InstantiateModule(g.main.allocating(ctx), g.module.memory, g.host.plain)
	if err != nil {
		return fmt.Errorf("shared memory: %w", err)
	}
	return nil
}

// memoryModule is a module that defines and exports the memory that m imports.
func memoryModule(m *wasmbin.Memory) []byte {
	limits := binary.AppendUvarint([]byte{1, 3}, m.Min)
	limits = binary.AppendUvarint(limits, m.Max)
	export := binary.AppendUvarint([]byte{1}, uint64(len(m.Name)))
	export = append(append(export, m.Name...), 2, 0)
	wasm := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	wasm = append(binary.AppendUvarint(append(wasm, memorySection), uint64(len(limits))), limits...)
	return append(binary.AppendUvarint(append(wasm, exportSection), uint64(len(export))), export...)
}

// unshare gives the memory back, when no thread is left.
func (g *Guest) unshare(ctx context.Context) error {
	s := g.shared
	if s == nil {
		return nil
	}
	var err error
	if s.module != nil {
		err = s.module.Close(ctx)
	}
	if e := s.mapped.Unmap(); e != nil {
		err = e
	}
	return err
}
