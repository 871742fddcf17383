package virt

import "github.com/tetratelabs/wazero/api"

// instanceMemory is a guest's memory as host code gets it. Each access counts as a use of the
// guest: [Guest.Close] waits for it, because the memory has another owner afterwards. Once Close
// has begun, everything is out of range.
//
// ReadByte and WriteByte are wazero's own: their signatures are not those of package io, which go
// vet reports wherever methods of these names are declared.
type instanceMemory struct {
	api.Memory
	guest *Guest
}

// Memory implements [api.Module].
func (i *instance) Memory() api.Memory { return i.memory(i.Module.Memory()) }

// ExportedMemory implements [api.Module].
func (i *instance) ExportedMemory(name string) api.Memory {
	return i.memory(i.Module.ExportedMemory(name))
}

func (i *instance) memory(m api.Memory) api.Memory {
	if m == nil {
		return nil
	}
	return &instanceMemory{m, i.guest}
}

// Unwrap returns wazero's own memory.
func (m *instanceMemory) Unwrap() api.Memory { return m.Memory }

// get reads a value while the guest is not closed.
func get[V any](m *instanceMemory, read func(offset uint32) (V, bool), offset uint32) (v V, ok bool) {
	if !m.guest.uses.enter() {
		return v, false
	}
	defer m.guest.uses.leave()
	return read(offset)
}

// put writes a value while the guest is not closed.
func put[V any](m *instanceMemory, write func(offset uint32, v V) bool, offset uint32, v V) bool {
	if !m.guest.uses.enter() {
		return false
	}
	defer m.guest.uses.leave()
	return write(offset, v)
}

// Size implements [api.Memory].
func (m *instanceMemory) Size() uint32 {
	if !m.guest.uses.enter() {
		return 0
	}
	defer m.guest.uses.leave()
	return m.Memory.Size()
}

// Grow implements [api.Memory].
func (m *instanceMemory) Grow(pages uint32) (previous uint32, ok bool) {
	return get(m, m.Memory.Grow, pages)
}

// Read implements [api.Memory]. What it returns is the guest's memory itself, until the guest is
// closed.
func (m *instanceMemory) Read(offset, n uint32) ([]byte, bool) {
	return get(m, func(offset uint32) ([]byte, bool) { return m.Memory.Read(offset, n) }, offset)
}

// ReadUint16Le implements [api.Memory].
func (m *instanceMemory) ReadUint16Le(offset uint32) (uint16, bool) {
	return get(m, m.Memory.ReadUint16Le, offset)
}

// ReadUint32Le implements [api.Memory].
func (m *instanceMemory) ReadUint32Le(offset uint32) (uint32, bool) {
	return get(m, m.Memory.ReadUint32Le, offset)
}

// ReadUint64Le implements [api.Memory].
func (m *instanceMemory) ReadUint64Le(offset uint32) (uint64, bool) {
	return get(m, m.Memory.ReadUint64Le, offset)
}

// ReadFloat32Le implements [api.Memory].
func (m *instanceMemory) ReadFloat32Le(offset uint32) (float32, bool) {
	return get(m, m.Memory.ReadFloat32Le, offset)
}

// ReadFloat64Le implements [api.Memory].
func (m *instanceMemory) ReadFloat64Le(offset uint32) (float64, bool) {
	return get(m, m.Memory.ReadFloat64Le, offset)
}

// Write implements [api.Memory].
func (m *instanceMemory) Write(offset uint32, b []byte) bool {
	return put(m, m.Memory.Write, offset, b)
}

// WriteString implements [api.Memory].
func (m *instanceMemory) WriteString(offset uint32, s string) bool {
	return put(m, m.Memory.WriteString, offset, s)
}

// WriteUint16Le implements [api.Memory].
func (m *instanceMemory) WriteUint16Le(offset uint32, v uint16) bool {
	return put(m, m.Memory.WriteUint16Le, offset, v)
}

// WriteUint32Le implements [api.Memory].
func (m *instanceMemory) WriteUint32Le(offset, v uint32) bool {
	return put(m, m.Memory.WriteUint32Le, offset, v)
}

// WriteUint64Le implements [api.Memory].
func (m *instanceMemory) WriteUint64Le(offset uint32, v uint64) bool {
	return put(m, m.Memory.WriteUint64Le, offset, v)
}

// WriteFloat32Le implements [api.Memory].
func (m *instanceMemory) WriteFloat32Le(offset uint32, v float32) bool {
	return put(m, m.Memory.WriteFloat32Le, offset, v)
}

// WriteFloat64Le implements [api.Memory].
func (m *instanceMemory) WriteFloat64Le(offset uint32, v float64) bool {
	return put(m, m.Memory.WriteFloat64Le, offset, v)
}
