package virt_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/virt"
)

func TestPoolGivesOutGuestsThatHaveDoneNothing(t *testing.T) {
	for name, reset := range map[string]bool{"replaced": false, "reset": true} {
		t.Run(name, func(t *testing.T) {
			host := newHost(t)
			s := snapshotOf(t, newGuest(t, host, compiled(t, host, warmWasm)))
			p, err := virt.NewPool(s, virt.PoolConfig{Ready: 2, Max: 4, Reset: reset})
			if err != nil {
				t.Fatal(err)
			}
			const workers, rounds = 8, 20
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					for i := range rounds {
						err := p.Do(t.Context(), func(g *virt.Guest) error {
							n, err := g.Call(t.Context(), "bump")
							if err == nil && n[0] != 107 {
								t.Errorf("a guest of the pool counts to %d, want 107", n[0])
							}
							if (w+i)%5 == 0 {
								_, _ = g.Call(t.Context(), "trap")
							}
							return err
						})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			u := p.Usage()
			if u.Busy != 0 || u.Waiting != 0 || u.Trapped != workers*rounds/5 || u.Ready > 4 {
				t.Errorf("%+v", u)
			}
			if !reset && u.Made < workers*rounds || reset && u.Reset != workers*rounds-u.Trapped {
				t.Errorf("%+v", u)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := p.Get(t.Context()); !errors.Is(err, virt.ErrClosed) {
				t.Errorf("a closed pool: %v", err)
			}
		})
	}
}

func TestPoolWaitsWithTheContext(t *testing.T) {
	host := newHost(t)
	s := snapshotOf(t, newGuest(t, host, compiled(t, host, warmWasm)))
	p, err := virt.NewPool(s, virt.PoolConfig{Max: 1})
	if err != nil {
		t.Fatal(err)
	}
	g, err := p.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("all guests are at work: %v", err)
	}
	if d := cmp.Diff(virt.PoolUsage{Busy: 1, Made: 1}, p.Usage()); d != "" {
		t.Error(d)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Put(g); err != nil {
		t.Error(err)
	}
}
