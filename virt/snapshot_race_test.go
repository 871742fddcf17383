package virt_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/virt"
)

// kept is what a guest sees of everything that it could share with another.
type kept struct {
	Counted, Peeked, Pages uint64
	File, Open             string
}

// change makes a guest other than all others, by n, everywhere that an instance can keep something,
// and returns what it sees then.
func change(t *testing.T, g *virt.Guest, fd uint32, n int) (k kept) {
	t.Helper()
	for range n {
		k.Counted = one(t, g, "bump")
	}
	one(t, g, "poke", 4, uint64(n))
	one(t, g, "grow", uint64(n))
	one(t, g, "poke", (2+uint64(n))<<16-4, uint64(n))
	root := g.Namespace().Root()
	if err := root.WriteFile("tmp/a", []byte(fmt.Sprint("guest ", n)), 0o666); err != nil {
		t.Error(err)
	}
	if _, err := g.Files().Get(fd).Write([]byte(fmt.Sprint(n))); err != nil {
		t.Error(err)
	}
	k.Peeked, k.Pages = one(t, g, "peek", 4), one(t, g, "size")
	b, err := root.ReadFile("tmp/a")
	if err != nil {
		t.Error(err)
	}
	open := make([]byte, 100)
	size, _ := g.Files().Get(fd).ReadAt(open, 0)
	k.File, k.Open = string(b), string(open[:size])
	return k
}

// Forks at work at the same time, and the guest that they were made of, see what they would see
// alone.
func TestForksAndTheirOriginalDoNotSeeEachOther(t *testing.T) {
	onBothEngines(t, func(t *testing.T, engine virt.Option) {
		host := newHost(t, engine, virt.WithFuel(1<<40))
		g := newGuest(t, host, compiled(t, host, warmWasm), virt.WithLimits(func(l *virt.Limits) { l.DiskBytes = 1000 }))
		f, err := g.Namespace().Root().OpenFile("tmp/open", os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("fd ")); err != nil {
			t.Fatal(err)
		}
		fd, err := g.Files().Insert(f)
		if err != nil {
			t.Fatal(err)
		}
		s := snapshotOf(t, g)
		want := func(n int) kept {
			return kept{103 + 4*uint64(n), uint64(n), 2 + uint64(n), fmt.Sprint("guest ", n), fmt.Sprint("fd ", n)}
		}
		check := func(g *virt.Guest, n int) {
			if d := cmp.Diff(want(n), change(t, g, fd, n)); d != "" {
				t.Errorf("guest %d (-alone +beside others):\n%s", n, d)
			}
		}
		var all sync.WaitGroup
		all.Go(func() { check(g, 9) })
		for i := range 4 {
			all.Go(func() {
				fork, err := s.Start(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				for round := range 5 {
					check(fork, 1+i+round)
					if err := fork.Reset(t.Context()); err != nil {
						t.Error(err)
					}
				}
				if err := fork.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		// Snapshots of a guest that goes on, while forks of the first one are made.
		all.Go(func() {
			for range 10 {
				one(t, g, "bump")
				again, err := g.Snapshot(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if err := again.Close(); err != nil {
					t.Error(err)
				}
			}
		})
		all.Go(func() {
			for n := range 10 {
				check(started(t, s), n+1)
			}
		})
		all.Wait()
	})
}
