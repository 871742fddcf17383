// Package memorytest provides a guest memory without a guest, for tests of code that uses an
// api.Memory.
package memorytest

import (
	"context"
	"encoding/binary"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasivirt/wasivirt/memory/wazeromem"
)

// poison is what a Memory leaves behind when it moves.
const poison = 0xdb

// maxPages is the most that a 32-bit memory has: 4 GiB.
const maxPages = 1 << 16

// Memory is wazero's memory without a guest, except that each growth moves it and fills the old
// place with the bytes 0xdb. Code that keeps a slice of the memory fails its tests. It is not safe
// for concurrent use.
type Memory struct {
	api.Memory
}

// New returns a memory of the given number of pages of 64 KiB that may grow to limit pages. Both
// are cut to 65,536, and limit is at least pages. Nothing has to be closed.
func New(pages, limit uint32) *Memory {
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
		panic("memorytest: the module: " + err.Error()) // it depends on nothing from outside
	}
	return &Memory{mod.Memory()}
}

// Bytes returns the memory as it is now.
func (m *Memory) Bytes() []byte { return wazeromem.FromModule(m.Memory) }

// restless is a memory that moves whenever it is asked for another size.
type restless struct{ b []byte }

func (m *restless) Reallocate(size uint64) []byte {
	b := make([]byte, size)
	copy(b, m.b)
	for i := range m.b {
		m.b[i] = poison
	}
	m.b = b
	return b
}

func (m *restless) Free() {}
