package virt_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
)

// TestResetReportsLostOutput that host code wrote for the guest, and resets the guest all the same.
func TestResetReportsLostOutput(t *testing.T) {
	full := errors.New("no room")
	host := newHost(t)
	g := newGuest(t, host, compiled(t, host, passing()), virt.WithStdout(failing{full}))
	g.Instance().Memory().WriteUint32Le(0x700, 7)
	if _, err := g.Files().Get(1).Write([]byte("lost")); err != nil {
		t.Fatal(err)
	}
	err := g.Reset(t.Context())
	if _, ok := errors.AsType[*virt.OutputError](err); !ok || !errors.Is(err, full) {
		t.Errorf("Reset: %v, want an OutputError because of %v", err, full)
	}
	if n, _ := g.Instance().Memory().ReadUint32Le(0x700); n != 0 || g.Result().Outcome != virt.Running {
		t.Errorf("the guest is %v and its memory has %d", g.Result(), n)
	}
}

// A fork that is reset to another snapshot has that one's files, not those of the snapshot that it
// began with.
func TestResetToAnotherSnapshotTakesItsFiles(t *testing.T) {
	host := newHost(t)
	files, err := memfs.FromMap(map[string]string{"a": "first"})
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, host, compiled(t, host, warmWasm), virt.WithMount("/", files))
	first := snapshotOf(t, g)
	if err := g.Namespace().Root().WriteFile("a", []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := snapshotOf(t, g)
	read := func(g *virt.Guest) string {
		b, err := g.Namespace().Root().ReadFile("a")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	fork, kept := started(t, first), started(t, first, virt.WithMount("/", memfs.New()))
	if err := kept.Namespace().Root().WriteFile("a", []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range []*virt.Snapshot{second, first, second} {
		for _, guest := range []*virt.Guest{fork, kept, g} {
			if err := guest.ResetTo(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			got = append(got, read(guest))
			if err := guest.Namespace().Root().WriteFile("a", []byte(got[len(got)-1]+", kept"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d := cmp.Diff([]string{"second", "kept", "second", "first", "kept, kept", "first", "second", "kept, kept, kept", "second"}, got); d != "" {
		t.Error(d)
	}
}

// Budgets that were given to a fork are its own again after a reset.
func TestResetGivesBudgetsAgain(t *testing.T) {
	host := newHost(t, virt.WithFuel(1000))
	g := newGuest(t, host, compiled(t, host, warmWasm))
	one(t, g, "bump")
	s := snapshotOf(t, g)
	fork := started(t, s, virt.WithFuel(100_000))
	for range 3 {
		for range 500 {
			one(t, fork, "bump")
		}
		if err := fork.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestResetGivesEachBudgetAgain however often, to guests that began by themselves and as forks.
func TestResetGivesEachBudgetAgain(t *testing.T) {
	for _, tc := range []struct {
		budget virt.Budget
		set    func(*virt.Limits)
		use    []call // all that the budget allows
	}{
		{virt.BudgetHostCalls, func(l *virt.Limits) { l.HostCalls = 2 }, []call{{"sched_yield", nil}, {"sched_yield", nil}}},
		{"random bytes", func(l *virt.Limits) { l.RandomBytes = 8 }, []call{{"random_get", []any{0x700, 8}}}},
		{virt.BudgetOutput, func(l *virt.Limits) { l.OutputBytes = 4 }, []call{{"fd_write", []any{1, 0x800, 1, 0x900}}}},
	} {
		host := newHost(t, virt.WithLimits(tc.set))
		first := newGuest(t, host, compiled(t, host, passing()))
		for name, g := range map[string]*virt.Guest{"guest": first, "fork": started(t, snapshotOf(t, first))} {
			for round := range 3 {
				for _, c := range tc.use {
					g.Instance().Memory().WriteUint32Le(0x804, 4) // the length of a vector
					var params []uint64
					for _, p := range c.args {
						params = append(params, uint64(p.(int)))
					}
					if r, err := g.Call(t.Context(), c.name, params...); err != nil || r[0] != 0 {
						t.Fatalf("%s of a %s after %d resets: %s: %v, %v", tc.budget, name, round, c.name, r, err)
					}
				}
				if err := g.Reset(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
