package mapping_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"syscall"
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

// TestBuilder writes pieces of all sizes, in order and not, beside and over each other.
func TestBuilder(t *testing.T) {
	const size = 1 << 18
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		b, err := mapping.NewBuilder(size)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, size)
		at := 0
		for range 300 {
			p := make([]byte, r.IntN(1<<r.IntN(16)))
			for i := range p {
				p[i] = byte(r.Uint32() | 1)
			}
			if at += r.IntN(1 << r.IntN(12)); r.IntN(20) == 0 || at+len(p) > size {
				at = r.IntN(size - len(p))
			}
			if err := b.Write(p, uint64(at)); err != nil {
				t.Fatal(err)
			}
			at += copy(want[at:], p)
		}
		img, err := b.Image()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, size)
		if _, err := img.ReadAt(got, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: the image is not what was written", seed)
		}
		if err := img.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoRoom asks for more addresses than a process has, which fails as too many mappings do.
func TestNoRoom(t *testing.T) {
	if runtime.GOOS != "linux" || strconv.IntSize < 64 {
		t.Skip("what the system answers is Linux's")
	}
	_, err := mapping.Reserve(1 << 60)
	if !errors.Is(err, syscall.ENOMEM) || !strings.Contains(err.Error(), "vm.max_map_count") {
		t.Errorf("reserving 1<<60 bytes: %v; want ENOMEM with what to do", err)
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

func TestClearedRangesHoldZeros(t *testing.T) {
	m := reserved(t, 1<<24)
	for _, size := range []uint64{1 << 16, 1 << 20, 1 << 23} {
		if err := m.Grow(size); err != nil {
			t.Fatal(err)
		}
		b := m.Bytes()
		if i := bytes.IndexFunc(b, func(r rune) bool { return r != 0 }); i >= 0 {
			t.Fatalf("a cleared range of %d bytes has %d at %d", size, b[i], i)
		}
		for i := range b {
			b[i] = 0xaa
		}
		if err := m.Clear(); err != nil {
			t.Fatal(err)
		}
		if n := len(m.Bytes()); n != 0 {
			t.Fatalf("a cleared range has %d usable bytes, want 0", n)
		}
	}
}

// TestRecycledRangesHoldZeros writes to pages here and there: whatever the range goes on holding,
// it reads as zeros.
func TestRecycledRangesHoldZeros(t *testing.T) {
	const size = 1 << 25
	m := reserved(t, size)
	zeros := make([]byte, size)
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0))
		if err := m.Grow(size); err != nil {
			t.Fatal(err)
		}
		b := m.Bytes()
		if !bytes.Equal(b[:1<<21], zeros[:1<<21]) || seed%8 == 0 && !bytes.Equal(b, zeros) { // all of it would touch all of it
			t.Fatalf("seed %d: a recycled range holds something", seed)
		}
		at := 0
		for range r.IntN(400) {
			at += r.IntN(1 << 18)
			for i := at; i < min(at+r.IntN(1<<14), size); i += 1 << 10 {
				b[i] = 0xaa
			}
		}
		if kept, err := m.Recycle(); err != nil || kept > mapping.Kept || len(m.Bytes()) != 0 {
			t.Fatalf("seed %d: %d bytes are kept, %v", seed, kept, err)
		}
	}
}

func TestImagesAreShownByMany(t *testing.T) {
	const size = 3 << 16
	mem := make([]byte, size)
	mem[5], mem[1<<16], mem[size-1] = 5, 6, 7
	img, err := mapping.NewImage(mem)
	if err != nil {
		t.Fatal(err)
	}
	a, b := reserved(t, 1<<22), reserved(t, 1<<22)
	if err := a.Grow(1 << 20); err != nil {
		t.Fatal(err)
	}
	for i := range a.Bytes() {
		a.Bytes()[i] = 0xff
	}
	for round := range 3 {
		for name, m := range map[string]*mapping.Mapping{"a": a, "b": b} {
			if err := m.Show(img); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(m.Bytes(), mem) {
				t.Fatalf("round %d: range %s does not hold the image", round, name)
			}
		}
		a.Bytes()[5], b.Bytes()[1<<17] = 9, 9
		if b.Bytes()[5] != 5 || a.Bytes()[1<<17] != 0 {
			t.Fatal("a range sees what another wrote")
		}
		if err := a.Grow(1 << 20); err != nil {
			t.Fatal(err)
		}
		if grown := a.Bytes()[size:]; !bytes.Equal(grown, make([]byte, len(grown))) {
			t.Fatal("what a range grew by holds something else than zeros")
		}
		a.Bytes()[1<<19] = 9
	}
	if err := a.Clear(); err != nil {
		t.Fatal(err)
	}
	if err := a.Grow(1 << 20); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), make([]byte, 1<<20)) {
		t.Error("a cleared range holds something of its image")
	}
	got := make([]byte, size)
	if n, err := img.ReadAt(got, 0); n != size || err != nil || !bytes.Equal(got, mem) {
		t.Errorf("the image reads as something else: %d bytes, %v", n, err)
	}
	if err := img.Close(); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(b.Bytes()[:1<<16], mem[:1<<16]) {
		t.Error("closing the image changed what a range shows")
	}
}

// A range that shows an image again holds what it held at first, whatever was written to it, and is
// charged for what it keeps.
func TestRecycledRangesShowTheirImage(t *testing.T) {
	const size = 8 << 20
	mem := make([]byte, size)
	for at := 0; at < size; at += 3 << 12 {
		mem[at] = byte(at>>12) | 1
	}
	img, err := mapping.NewImage(mem)
	if err != nil {
		t.Fatal(err)
	}
	other, err := mapping.NewImage(make([]byte, 1<<16))
	if err != nil {
		t.Fatal(err)
	}
	m := reserved(t, 1<<24)
	rng := rand.New(rand.NewPCG(1, 0))
	for round, pages := range []int{0, 1, 100, 1000, 5000, 10, 3} {
		if err := m.Show(img); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.Bytes(), mem) {
			t.Fatalf("round %d: the range does not hold the image", round)
		}
		if err := m.Grow(12 << 20); err != nil {
			t.Fatal(err)
		}
		if grown := m.Bytes()[size:]; !bytes.Equal(grown, make([]byte, len(grown))) {
			t.Fatalf("round %d: what a range grew by holds something else than zeros", round)
		}
		for range pages {
			m.Bytes()[rng.IntN(12<<20)] ^= 0xff
		}
		kept, err := m.Recycle()
		if err != nil || kept > mapping.Kept {
			t.Fatalf("round %d: %d bytes are kept, %v", round, kept, err)
		}
		if len(m.Bytes()) != 0 {
			t.Fatalf("round %d: %d bytes can be used", round, len(m.Bytes()))
		}
		if round == 2 { // another image, and back
			if err := m.Show(other); err != nil || !bytes.Equal(m.Bytes(), make([]byte, 1<<16)) {
				t.Fatalf("another image: %v", err)
			}
		}
	}
	if err := m.Show(img); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(img.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
	if kept, err := m.Recycle(); err != nil || kept != 0 || m.Image() != nil {
		t.Errorf("a range goes on showing an image that was closed: %d, %v", kept, err)
	}
}

func TestBuilderRefusesWhatDoesNotFit(t *testing.T) {
	if _, err := mapping.NewBuilder(100); err == nil {
		t.Error("an image of 100 bytes")
	}
	b, err := mapping.NewBuilder(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Discard()
	for _, at := range []uint64{1<<16 - 3, 1 << 16, 1<<64 - 2} {
		if b.Write(make([]byte, 4), at) == nil {
			t.Errorf("4 bytes at %d were taken", at)
		}
	}
}

func reserved(t *testing.T, max uint64) *mapping.Mapping {
	t.Helper()
	m, err := mapping.Reserve(max)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmap(); err != nil {
			t.Error(err)
		}
	})
	return m
}
