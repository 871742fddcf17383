package virt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
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

// instantiated returns a module of testdata and a guest of it, on a Host with those options.
func instantiated(t *testing.T, name string, opts ...Option) (*Module, *Guest) {
	t.Helper()
	host, err := NewBuilder(opts...).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close(context.Background()) })
	wasm, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	m, err := host.Compile(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	g, err := host.Instantiate(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return m, g
}

// TestRandomOfChildThatEnds draws nothing more for a child that has ended, though its parent goes
// on, and no more for both together than the parent may have.
func TestRandomOfChildThatEnds(t *testing.T) {
	const limit = 8 << 20
	m, parent := instantiated(t, "bare/hang.wasm", WithLimits(func(l *Limits) { l.RandomBytes = limit }))
	c, err := parent.StartChild(m, ChildConfig{Args: []string{"child"}, MaxChildren: 1, MaxDepth: 1})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.guest.random.Read(make([]byte, 1<<20)); n != 1<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	c.Kill(wasip1.SIGKILL)
	if n, err := c.guest.random.Read(make([]byte, limit/2)); n != 0 || err != wasip1.ECANCELED {
		t.Errorf("a child that was killed: %d bytes, %v; want ECANCELED", n, err)
	}
	if _, err := parent.random.Read(make([]byte, limit)); !errors.Is(err, wasip1.EDQUOT) {
		t.Errorf("the parent reads what the child has taken: %v, want EDQUOT", err)
	}
	if n, err := parent.random.Read(make([]byte, limit-1<<20)); n != limit-1<<20 || err != nil {
		t.Errorf("the parent: %d bytes, %v", n, err)
	}
}
