package pool_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/pool"
)

// snapshot is one of a guest whose counter stands at 106.
func snapshot(t *testing.T) *virt.Snapshot {
	t.Helper()
	wasm, err := os.ReadFile("../testdata/warm.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return snapshotOf(t, wasm)
}

// snapshotOf is one of a guest that has just been made.
func snapshotOf(t *testing.T, wasm []byte, opts ...virt.Option) *virt.Snapshot {
	t.Helper()
	host, err := virt.NewBuilder(opts...).Build(t.Context())
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
	s, err := g.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), host.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestGivesOutGuestsThatHaveDoneNothing(t *testing.T) {
	for name, reset := range map[string]bool{"replaced": false, "reset": true} {
		t.Run(name, func(t *testing.T) {
			s := snapshot(t)
			p, err := pool.New(s, pool.Config{Ready: 2, Max: 4, Reset: reset})
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

func TestWaitsWithTheContext(t *testing.T) {
	s := snapshot(t)
	p, err := pool.New(s, pool.Config{Max: 1})
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
	if d := cmp.Diff(pool.Usage{Busy: 1, Made: 1}, p.Usage()); d != "" {
		t.Error(d)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Put(t.Context(), g); err != nil {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestPutReportsWhatResetSays and replaces the guest.
func TestPutReportsWhatResetSays(t *testing.T) {
	full := errors.New("no room")
	p, err := pool.New(snapshot(t), pool.Config{Max: 1, Reset: true}, virt.WithStdout(failing{full}))
	if err != nil {
		t.Fatal(err)
	}
	g, err := p.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Files().Get(1).Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	if err := p.Put(t.Context(), g); !errors.Is(err, full) {
		t.Errorf("Put: %v, want %v", err, full)
	}
	if err := p.Do(t.Context(), func(next *virt.Guest) error {
		if next == g {
			t.Error("the same guest is given out again")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A guest that was put back, or that the Pool has not given out, is given to nobody.
func TestPutTakesOnlyWhatGetReturned(t *testing.T) {
	s := snapshot(t)
	p, err := pool.New(s, pool.Config{Ready: 1, Max: 1, Reset: true})
	if err != nil {
		t.Fatal(err)
	}
	g, err := p.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		what  string
		guest *virt.Guest
		bad   bool
	}{{"another guest", other, true}, {"the guest", g, false}, {"the guest again", g, true}} {
		if err := p.Put(t.Context(), tc.guest); err != nil != tc.bad {
			t.Errorf("%s: %v", tc.what, err)
		}
	}
	if r := other.Result(); r.Outcome != virt.Running {
		t.Errorf("the other guest is %v", r)
	}
	if u := p.Usage(); u.Ready != 1 || u.Busy != 0 {
		t.Errorf("%+v", u)
	}
	if err := errors.Join(other.Close(t.Context()), p.Close(t.Context())); err != nil {
		t.Error(err)
	}
}

// TestMakingAGuestEndsWithTheContext: a guest whose start does not end keeps nobody who waits for
// it.
func TestMakingAGuestEndsWithTheContext(t *testing.T) {
	endless := []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x05\x03\x01\x00\x01" +
		"\x07\x1c\x02\x06memory\x02\x00\x0fwasivirt_reseed\x00\x00\x0a\x09\x01\x07\x00\x03\x40\x0c\x00\x0b\x0b")
	p, err := pool.New(snapshotOf(t, endless), pool.Config{Max: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the place is given back
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := p.Get(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the end of the context", err)
		}
		cancel()
	}
	if u := p.Usage(); u != (pool.Usage{}) {
		t.Errorf("%+v, want nothing", u)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPutEndsWithTheContext: a guest that does not end to be reset keeps nobody who puts it back.
func TestPutEndsWithTheContext(t *testing.T) {
	var endless atomic.Bool
	again := virt.HostFunction{Name: "again", Results: []api.ValueType{api.ValueTypeI32}, Call: func(_ *virt.HostCall, stack []uint64) {
		if stack[0] = 0; endless.Load() {
			stack[0] = 1
		}
	}}
	const reseed = "\x00asm\x01\x00\x00\x00\x01\x08\x02\x60\x00\x00\x60\x00\x01\x7f\x02\x0d\x01\x03env\x05again\x00\x01\x03\x02\x01\x00" +
		"\x05\x03\x01\x00\x01\x07\x1c\x02\x06memory\x02\x00\x0fwasivirt_reseed\x00\x01\x0a\x0b\x01\x09\x00\x03\x40\x10\x00\x0d\x00\x0b\x0b"
	s := snapshotOf(t, []byte(reseed), virt.WithFunctions("env", again))
	p, err := pool.New(s, pool.Config{Max: 1, Reset: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the place is given back
		g, err := p.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		endless.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if err := p.Put(ctx, g); err != nil {
			t.Error(err)
		}
		cancel()
		endless.Store(false)
	}
	if d := cmp.Diff(pool.Usage{Made: 2}, p.Usage()); d != "" {
		t.Error(d)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestReadyGuestsHaveTheirTime: the budget of wall time begins when a guest is given out.
func TestReadyGuestsHaveTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := snapshot(t)
		p, err := pool.New(s, pool.Config{Ready: 1, Max: 1, Reset: true}, virt.WithTimeout(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // the first time it has just been made, then it was put back
			synctest.Wait()
			time.Sleep(time.Hour)
			if err := p.Do(t.Context(), func(g *virt.Guest) error {
				if _, err := g.Call(t.Context(), "bump"); err != nil {
					return err
				}
				time.Sleep(59 * time.Second)
				_, err := g.Call(t.Context(), "bump")
				return err
			}); err != nil {
				t.Error(err)
			}
		}
		if made := p.Usage().Made; made != 1 {
			t.Errorf("%d guests were made, want 1", made)
		}
		g, err := p.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if r := g.Result(); r.Budget != virt.BudgetWallTime {
			t.Errorf("%v, want the end of its time", r)
		}
		if err := errors.Join(p.Put(t.Context(), g), p.Close(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// TestEndedGuestsAreNotGivenOut, also those that end while they are ready.
func TestEndedGuestsAreNotGivenOut(t *testing.T) {
	p, err := pool.New(snapshot(t), pool.Config{Ready: 1, Max: 1, Reset: true})
	if err != nil {
		t.Fatal(err)
	}
	var first *virt.Guest
	if err := p.Do(t.Context(), func(g *virt.Guest) error { first = g; return nil }); err != nil {
		t.Fatal(err)
	}
	first.Stop(nil)
	if err := p.Do(t.Context(), func(g *virt.Guest) error { _, err := g.Call(t.Context(), "bump"); return err }); err != nil {
		t.Error(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if u := p.Usage(); u.Made != 2 || u.Busy != 0 || u.Waiting != 0 {
		t.Errorf("%+v", u)
	}
}
