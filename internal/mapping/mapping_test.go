package mapping_test

import (
	"testing"
	"unsafe"

	"github.com/wasivirt/wasivirt/internal/mapping"
)

func TestMapping(t *testing.T) {
	const max = 1 << 30
	m, err := mapping.Reserve(max)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(m.Bytes()); n != 0 {
		t.Errorf("a new mapping has %d usable bytes, want 0", n)
	}
	base := m.Base()
	for _, size := range []uint64{1 << 16, 1 << 20, 1 << 24} {
		if err := m.Grow(size); err != nil {
			t.Fatal(err)
		}
		b := m.Bytes()
		if uint64(len(b)) != size || unsafe.Pointer(&b[0]) != base {
			t.Fatalf("grown to %d: %d bytes, base moved: %t", size, len(b), unsafe.Pointer(&b[0]) != base)
		}
		b[size-1] = 1
	}
	if err := m.Grow(1 << 16); err != nil || len(m.Bytes()) != 1<<24 {
		t.Errorf("growing to less: %v, %d bytes; want no change", err, len(m.Bytes()))
	}
	if cap(m.Reserved()) != max {
		t.Errorf("capacity %d, want what was reserved", cap(m.Reserved()))
	}
	if m.Grow(max+1) == nil {
		t.Error("growing beyond what was reserved succeeded")
	}
	if err := m.Unmap(); err != nil {
		t.Fatal(err)
	}
}

func TestEmpty(t *testing.T) {
	m, err := mapping.Reserve(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Grow(1); err == nil {
		t.Error("an empty mapping grew")
	}
	if err := m.Unmap(); err != nil {
		t.Error(err)
	}
}
