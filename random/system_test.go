package random_test

import (
	"bytes"
	"testing"

	"github.com/wasivirt/wasivirt/random"
)

func TestSystemFillsWhatItIsGivenAndRepeatsNothing(t *testing.T) {
	src := random.System()
	for _, size := range []int{0, 1, 1 << 10, 1<<10 + 1, 64 << 10, 64<<10 + 7} {
		a, b := make([]byte, size), make([]byte, size)
		for _, p := range [][]byte{a, b} {
			if n, err := src.Read(p); n != size || err != nil {
				t.Fatalf("Read(%d bytes) = %d, %v", size, n, err)
			}
		}
		if size >= 32 && (bytes.Equal(a, b) || bytes.Equal(a[:16], a[16:32]) || bytes.Count(a[size-16:], []byte{0}) == 16) {
			t.Errorf("%d bytes: the same again", size)
		}
	}
}

func TestSystemAllocatesNothing(t *testing.T) {
	src, p := random.System(), make([]byte, 64<<10)
	if n := testing.AllocsPerRun(10, func() { src.Read(p) }); n > 0 {
		t.Errorf("%v allocations a read", n)
	}
}

func BenchmarkSystem(b *testing.B) {
	src, p := random.System(), make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		src.Read(p)
	}
}
