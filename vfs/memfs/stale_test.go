package memfs_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/wasivirt/wasivirt/vfs"
	"github.com/wasivirt/wasivirt/vfs/memfs"
)

// TestHolesShowNothingOfFilesBefore makes and removes files, whose memory the next ones get: what
// was not written reads as zeros.
func TestHolesShowNothingOfFilesBefore(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	dir := memfs.New().Root().(vfs.Directory)
	for round := range 2000 {
		node, err := dir.Create("f", 0o644)
		if err != nil {
			t.Fatal(err)
		}
		file, err := node.(vfs.RegularFile).Open(vfs.OpenRead | vfs.OpenWrite)
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		grow := func(size int) { want = append(want, make([]byte, max(0, size-len(want)))...) }
		for range 1 + rng.IntN(6) {
			reach := []int{300, 40_000}[rng.IntN(2)]
			if rng.IntN(3) == 0 {
				size := rng.IntN(reach)
				if err := node.SetAttr(vfs.SetAttr{Mask: vfs.SetSize, Size: uint64(size)}); err != nil {
					t.Fatal(err)
				}
				want = want[:min(size, len(want))]
				grow(size)
				continue
			}
			at, p := rng.IntN(reach), bytes.Repeat([]byte{byte(1 + rng.IntN(255))}, 1+rng.IntN(400))
			if _, err := file.WriteAt(p, int64(at)); err != nil {
				t.Fatal(err)
			}
			grow(at + len(p))
			copy(want[at:], p)
		}
		got := make([]byte, len(want)+1)
		if n, err := file.ReadAt(got, 0); err != io.EOF || !bytes.Equal(got[:n], want) {
			t.Fatalf("round %d: %d bytes, %v, are not the %d that were written", round, n, err, len(want))
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		if err := dir.Unlink("f"); err != nil {
			t.Fatal(err)
		}
	}
}
