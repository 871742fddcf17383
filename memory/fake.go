package memory

import (
	"math"

	"github.com/tetratelabs/wazero/api"
)

// Fake is a memory without a guest, for tests of what works on an api.Memory. It moves
// at every growth, so that a slice kept over one is found out: the guest no longer
// sees it. It is not safe for concurrent use.
type Fake struct {
	api.Memory // nil: the interface is closed to other implementations
	b          []byte
	min, max   uint32
}

// NewFake returns a memory of the given number of pages of 64 KiB that may grow to
// max. Both are cut to 65,536, and max is at least pages.
func NewFake(pages, max uint32) *Fake {
	pages = min(pages, maxPages)
	max = min(max, maxPages)
	if max < pages {
		max = pages
	}
	return &Fake{b: make([]byte, uint64(pages)*PageSize), min: pages, max: max}
}

// Bytes returns the memory of the moment.
func (f *Fake) Bytes() []byte { return f.b }

// Definition returns the memory's limits. It has no name, module or export.
func (f *Fake) Definition() api.MemoryDefinition { return fakeDefinition{min: f.min, max: f.max} }

type fakeDefinition struct {
	api.MemoryDefinition
	min, max uint32
}

func (d fakeDefinition) ModuleName() string                     { return "" }
func (d fakeDefinition) Index() uint32                          { return 0 }
func (d fakeDefinition) Import() (module, name string, is bool) { return "", "", false }
func (d fakeDefinition) ExportNames() []string                  { return nil }
func (d fakeDefinition) Min() uint32                            { return d.min }
func (d fakeDefinition) Max() (uint32, bool)                    { return d.max, true }

// Size returns the size in bytes in 32 bits, and so 0 at 4 GiB as wazero's does.
func (f *Fake) Size() uint32 { return uint32(len(f.b)) }

// Grow moves the memory to a new place with delta more pages.
func (f *Fake) Grow(delta uint32) (previous uint32, ok bool) {
	now := uint32(uint64(len(f.b)) / PageSize)
	if delta == 0 {
		return now, true
	}
	if uint64(now)+uint64(delta) > uint64(f.max) {
		return 0, false
	}
	b := make([]byte, (uint64(now)+uint64(delta))*PageSize)
	copy(b, f.b)
	f.b = b
	return now, true
}

// Read returns the bytes of the memory themselves.
func (f *Fake) Read(offset, n uint32) ([]byte, bool) {
	b, errno := f.view().Window(offset, n)
	return b, errno == 0
}

// ReadByte implements api.Memory.
func (f *Fake) ReadByte(offset uint32) (byte, bool) {
	u, errno := f.view().Uint8(offset)
	return u, errno == 0
}

// ReadUint16Le implements api.Memory.
func (f *Fake) ReadUint16Le(offset uint32) (uint16, bool) {
	u, errno := f.view().Uint16(offset)
	return u, errno == 0
}

// ReadUint32Le implements api.Memory.
func (f *Fake) ReadUint32Le(offset uint32) (uint32, bool) {
	u, errno := f.view().Uint32(offset)
	return u, errno == 0
}

// ReadUint64Le implements api.Memory.
func (f *Fake) ReadUint64Le(offset uint32) (uint64, bool) {
	u, errno := f.view().Uint64(offset)
	return u, errno == 0
}

// ReadFloat32Le implements api.Memory.
func (f *Fake) ReadFloat32Le(offset uint32) (float32, bool) {
	u, ok := f.ReadUint32Le(offset)
	return math.Float32frombits(u), ok
}

// ReadFloat64Le implements api.Memory.
func (f *Fake) ReadFloat64Le(offset uint32) (float64, bool) {
	u, ok := f.ReadUint64Le(offset)
	return math.Float64frombits(u), ok
}

// WriteByte implements api.Memory.
func (f *Fake) WriteByte(offset uint32, x byte) bool { return f.view().PutUint8(offset, x) == 0 }

// WriteUint16Le implements api.Memory.
func (f *Fake) WriteUint16Le(offset uint32, x uint16) bool {
	return f.view().PutUint16(offset, x) == 0
}

// WriteUint32Le implements api.Memory.
func (f *Fake) WriteUint32Le(offset, x uint32) bool { return f.view().PutUint32(offset, x) == 0 }

// WriteUint64Le implements api.Memory.
func (f *Fake) WriteUint64Le(offset uint32, x uint64) bool {
	return f.view().PutUint64(offset, x) == 0
}

// WriteFloat32Le implements api.Memory.
func (f *Fake) WriteFloat32Le(offset uint32, x float32) bool {
	return f.WriteUint32Le(offset, math.Float32bits(x))
}

// WriteFloat64Le implements api.Memory.
func (f *Fake) WriteFloat64Le(offset uint32, x float64) bool {
	return f.WriteUint64Le(offset, math.Float64bits(x))
}

// Write implements api.Memory.
func (f *Fake) Write(offset uint32, b []byte) bool { return WriteAt(f, offset, b) == nil }

// WriteString implements api.Memory.
func (f *Fake) WriteString(offset uint32, s string) bool { return WriteAt(f, offset, []byte(s)) == nil }

func (f *Fake) view() *View { return NewView(f.b) }
