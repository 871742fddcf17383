package virt_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/virt"
)

// sequence is a list of calls of step, drawn from a seed.
func sequence(seed uint64) (calls [][]uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 5 + rng.IntN(30) {
		calls = append(calls, []uint64{uint64(rng.IntN(7)), uint64(rng.Uint32()), uint64(rng.Uint32())})
	}
	return calls
}

// seen is what calls answered, what is in the guest's files then, and the hash of its memory and
// globals.
type seen struct {
	Answers []uint64
	Files   map[string]string
	Hash    [32]byte
}

func stepped(t *testing.T, g *virt.Guest, calls [][]uint64) (s seen) {
	t.Helper()
	for _, c := range calls {
		s.Answers = append(s.Answers, one(t, g, "step", c...))
	}
	s.Files = map[string]string{}
	root := g.Namespace().Root()
	entries, err := root.ReadDir("tmp")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := root.ReadFile("tmp/" + e.Name)
		if err != nil {
			t.Fatal(err)
		}
		s.Files[fmt.Sprintf("%s %d", e.Name, e.Ino)] = string(b)
	}
	snapshot, err := g.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Hash, err = snapshot.Hash(); err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// Generated sequences of calls, split in two at a snapshot, give the same in a fresh guest, in
// forks, in a fork of a fork, in a guest that was reset, and in a fork of a snapshot that went
// through a file; in both engines.
func TestForksResetsAndFreshGuestsAreTheSame(t *testing.T) {
	compareGuests(t, map[string][]byte{"C": bareGuest(t, "keep"), "Go": goGuest(t, "warm", "-buildmode=c-shared")})
}

// The same with a guest in Rust, which .ci/guests builds.
func TestToolchainForksResetsAndFreshGuestsAreTheSame(t *testing.T) {
	compareGuests(t, map[string][]byte{"Rust": toolchainGuest(t, "keep-rust")})
}

func compareGuests(t *testing.T, guests map[string][]byte) {
	n := uint64(4)
	if full {
		n = 500
	}
	onBothEngines(t, func(t *testing.T, engine virt.Option) {
		for name, wasm := range guests {
			t.Run(name, func(t *testing.T) {
				host := newHost(t, shared, engine, virt.WithClock(clock.Frozen(time.Unix(1_000_000_000, 0))))
				m := compiled(t, host, wasm)
				for seed := range n {
					compareWays(t, host, m, seed)
				}
			})
		}
	})
}

// zeros is randomness that is the same for all.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func compareWays(t *testing.T, host *virt.Host, m *virt.Module, seed uint64) {
	t.Helper()
	// Chance and time are the same for all, so that only the ways differ.
	opts := []virt.GuestOption{virt.WithRandom(zeros{})}
	calls := sequence(seed)
	cut := int(seed) % len(calls)
	close := func(g *virt.Guest) {
		if err := g.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	make := func() *virt.Guest {
		g, err := host.Instantiate(t.Context(), m, opts...)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	fresh := make()
	want := stepped(t, fresh, calls)
	close(fresh)

	original := make()
	before := stepped(t, original, calls[:cut])
	s, err := original.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	check := func(way string, g *virt.Guest) {
		got := stepped(t, g, calls[cut:])
		got.Answers = slices.Concat(before.Answers, got.Answers)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("sequence %d, cut at %d, %s (-fresh +%s):\n%s", seed, cut, way, way, d)
		}
	}
	fork := func(s *virt.Snapshot) *virt.Guest {
		g, err := s.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	f := fork(s)
	check("fork", f)
	if err := f.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("reset", f)
	close(f)
	check("original", original)
	close(original)
	f = fork(s)
	again, err := f.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	close(f)
	f = fork(again)
	check("fork of a fork", f)
	close(f)
	var file bytes.Buffer
	if _, err := s.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	stored, err := virt.ReadSnapshot(m, &file, opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()
	f = fork(stored)
	check("file", f)
	close(f)
}
