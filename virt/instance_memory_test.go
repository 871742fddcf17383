package virt_test

import (
	"math"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero/api"
)

// memoryAccesses are the ways to use a memory beside Close. Each reports whether what it did was in
// range.
var memoryAccesses = map[string]func(m api.Memory) bool{
	"Size":           func(m api.Memory) bool { return m.Size() > 0 },
	"Grow":           func(m api.Memory) bool { _, ok := m.Grow(0); return ok },
	"Read":           func(m api.Memory) bool { _, ok := m.Read(8, 8); return ok },
	"ReadUint16Le":   func(m api.Memory) bool { _, ok := m.ReadUint16Le(8); return ok },
	"ReadUint32Le":   func(m api.Memory) bool { _, ok := m.ReadUint32Le(8); return ok },
	"ReadUint64Le":   func(m api.Memory) bool { _, ok := m.ReadUint64Le(8); return ok },
	"ReadFloat32Le":  func(m api.Memory) bool { _, ok := m.ReadFloat32Le(8); return ok },
	"ReadFloat64Le":  func(m api.Memory) bool { _, ok := m.ReadFloat64Le(8); return ok },
	"Write":          func(m api.Memory) bool { return m.Write(8, []byte("8")) },
	"WriteString":    func(m api.Memory) bool { return m.WriteString(8, "8") },
	"WriteUint16Le":  func(m api.Memory) bool { return m.WriteUint16Le(8, 8) },
	"WriteUint32Le":  func(m api.Memory) bool { return m.WriteUint32Le(8, 8) },
	"WriteUint64Le":  func(m api.Memory) bool { return m.WriteUint64Le(8, 8) },
	"WriteFloat32Le": func(m api.Memory) bool { return m.WriteFloat32Le(8, 8) },
	"WriteFloat64Le": func(m api.Memory) bool { return m.WriteFloat64Le(8, math.Pi) },
}

// TestMemoryBesideClose uses memories while their guests are closed: there is no race, and
// afterwards everything is out of range.
func TestMemoryBesideClose(t *testing.T) {
	host := newHost(t)
	module := compiled(t, host, passing())
	for name, access := range memoryAccesses {
		t.Run(name, func(t *testing.T) {
			g, err := host.Instantiate(t.Context(), module)
			if err != nil {
				t.Fatal(err)
			}
			mem := g.Instance().Memory()
			for _, m := range []api.Memory{mem, g.Instance().ExportedMemory("memory")} {
				if !access(m) {
					t.Fatal("out of range before Close")
				}
			}
			var all sync.WaitGroup
			all.Go(func() {
				for access(mem) {
				}
			})
			if err := g.Close(t.Context()); err != nil {
				t.Error(err)
			}
			all.Wait()
			if access(mem) {
				t.Error("in range after Close")
			}
		})
	}
}

// TestMemoryNotExported is nil, as wazero's.
func TestMemoryNotExported(t *testing.T) {
	host := newHost(t)
	g := newGuest(t, host, compiled(t, host, passing()))
	if m := g.Instance().ExportedMemory("none"); m != nil {
		t.Errorf("a memory that is not exported is %v", m)
	}
}
