package memory

import (
	"context"
	"encoding/binary"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Poison is what the bytes of a Fake become that it has moved away from.
const Poison = 0xdb

// Fake is a memory without a guest, for tests of what works on an api.Memory. It is
// wazero's own, as a module has it that exports a memory and nothing else, but it moves
// at every growth and leaves Poison behind, so that a slice kept over one is found
// out. It is not safe for concurrent use.
type Fake struct {
	api.Memory
}

// NewFake returns a memory of the given number of pages of 64 KiB that may grow to
// limit. Both are cut to 65,536, and limit is at least pages. Nothing has to be closed.
func NewFake(pages, limit uint32) *Fake {
	pages = min(pages, maxPages)
	limit = max(min(limit, maxPages), pages)

	// A module of two sections: the memory with its limits, and its export.
	section := func(wasm []byte, id byte, body []byte) []byte {
		return append(append(wasm, id, byte(len(body))), body...)
	}
	limits := binary.AppendUvarint([]byte{1, 1}, uint64(pages))
	limits = binary.AppendUvarint(limits, uint64(limit))
	wasm := section([]byte("\x00asm\x01\x00\x00\x00"), 5, limits)
	wasm = section(wasm, 7, []byte("\x01\x06memory\x02\x00"))

	ctx := experimental.WithMemoryAllocator(context.Background(), experimental.MemoryAllocatorFunc(
		func(_, _ uint64) experimental.LinearMemory { return new(restless) }))
	// The interpreter takes nothing from the system that would have to be given back.
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	mod, err := r.Instantiate(ctx, wasm)
	if err != nil {
		panic("memory: the module of a Fake: " + err.Error()) // it depends on nothing from outside
	}
	return &Fake{mod.Memory()}
}

// Bytes returns the memory of the moment.
func (f *Fake) Bytes() []byte { return FromModule(f.Memory) }

// restless is a memory that moves whenever it is asked for another size.
type restless struct{ b []byte }

func (m *restless) Reallocate(size uint64) []byte {
	b := make([]byte, size)
	copy(b, m.b)
	for i := range m.b {
		m.b[i] = Poison
	}
	m.b = b
	return b
}

func (m *restless) Free() {}
