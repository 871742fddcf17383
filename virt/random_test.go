package virt

import (
	"bytes"
	"testing"

	"github.com/wasivirt/wasivirt/random"
	"github.com/wasivirt/wasivirt/wasip1"
)

// endingSource ends a guest when it is asked for the second time.
type endingSource struct {
	guest *Guest
	calls int
}

func (s *endingSource) Read(p []byte) (int, error) {
	if s.calls++; s.calls == 2 {
		s.guest.ended.Store(true)
	}
	return len(p), nil
}

// TestRandomOfGuestThatEnds draws nothing more for a guest that has ended.
func TestRandomOfGuestThatEnds(t *testing.T) {
	g := new(Guest)
	p := make([]byte, 10<<20)
	if n, err := (endlessRandom{&endingSource{guest: g}, g}).Read(p); n != 2*randomPiece || err != wasip1.ECANCELED {
		t.Errorf("%d bytes, %v; want %d and ECANCELED", n, err, 2*randomPiece)
	}
}

// TestRandomInPieces gives the bytes that the source has.
func TestRandomInPieces(t *testing.T) {
	for _, size := range []int{0, 1, randomPiece, randomPiece + 1, 3*randomPiece - 1} {
		got, want := make([]byte, size), make([]byte, size)
		if n, err := (endlessRandom{random.Seeded(7), new(Guest)}).Read(got); n != size || err != nil {
			t.Fatalf("%d bytes, %v; want %d", n, err, size)
		}
		random.Seeded(7).Read(want)
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes are not those of the source", size)
		}
	}
}
