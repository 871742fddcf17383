package random

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

// SeededSource is a Source that gives the same bytes in every run: ChaCha8 under a key
// that follows from the seed. How the bytes are cut into requests makes no difference.
//
// A reader who knows the seed knows the bytes: it is for repeatable runs, not for
// secrets.
type SeededSource struct {
	key [32]byte

	mu  sync.Mutex
	rng rand.ChaCha8
}

// Seeded returns the source of a seed. Seeds that differ in one bit have nothing in
// common.
func Seeded(seed uint64) *SeededSource {
	var root [32]byte
	copy(root[:], "wasivirt/random: seed")
	return derive(root, seed)
}

// Stream returns the n-th stream of s: a source of its own at its beginning. It depends
// on the seed and on n alone, not on what was read or on which other streams there
// are. A stream has streams in turn.
func (s *SeededSource) Stream(n uint64) *SeededSource { return derive(s.key, n) }

// Clone returns a source that goes on as s would, for a guest that is forked.
func (s *SeededSource) Clone() *SeededSource {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &SeededSource{key: s.key, rng: s.rng}
}

// derive hashes parent and n into the key of a source. The hash is what keeps streams
// apart: sums such as seed+n would make guest 2 of seed 1 guest 1 of seed 2.
func derive(parent [32]byte, n uint64) *SeededSource {
	var in [40]byte
	copy(in[:], parent[:])
	binary.LittleEndian.PutUint64(in[32:], n)
	s := &SeededSource{key: sha256.Sum256(in[:])}
	s.rng.Seed(s.key)
	return s
}

// Read fills p. It never fails.
func (s *SeededSource) Read(p []byte) (int, error) {
	s.mu.Lock()
	n, err := s.rng.Read(p)
	s.mu.Unlock()
	return n, err
}
