package main

import (
	"os"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/internal/campaigns"
	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/internal/testcache"
	"github.com/wasivirt/wasivirt/virt/simulate"
	"github.com/wasivirt/wasivirt/virt/virttest"
)

func full() bool { return os.Getenv("WASIVIRT_FULL") == "1" }

func node(t *testing.T) []byte {
	t.Helper()
	if testing.Short() && !full() {
		t.Skip("runs hundreds of worlds")
	}
	wasm, err := goguest.Build(t.Context(), "./node")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// Each planted bug is found within 1,000 seeds, needs few of its faults, and fails alike each time
// that it is run again. Unless WASIVIRT_FULL is set the search begins shortly before the first seed
// that failed when the test was written.
func TestBugs(t *testing.T) {
	wasm := node(t)
	for bug, near := range map[string]uint64{"ack-before-sync": 61, "local-reads": 301} {
		first, repeats := near, 5
		if full() {
			first, repeats = 1, 100
		}
		t.Run(bug, func(t *testing.T) {
			s := store(wasm, bug)
			s.Host = append(s.Host, testcache.Option())
			r, err := simulate.New(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close(t.Context())
			failed, runs, err := r.Find(t.Context(), first, 1000, 0)
			if err != nil {
				t.Fatal(err)
			}
			if failed == nil {
				t.Fatalf("not found in %d runs", runs)
			}
			shrunk, err := r.Shrink(t.Context(), failed)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("found at seed %d, with %d of %d faults\n%s", failed.Seed, len(shrunk.Plan), shrunk.Before, shrunk.Story(""))
			for i := range repeats {
				again, err := r.RunPlan(t.Context(), shrunk.Seed, shrunk.Plan)
				if err != nil {
					t.Fatal(err)
				}
				if again.Failure == nil || again.Hash != shrunk.Hash {
					t.Fatalf("run %d of the same seed and plan differs: %v", i+1, again.Failure)
				}
			}
			text, err := simulate.ParsePlan(shrunk.Plan.String())
			if err != nil {
				t.Fatal(err)
			}
			if again, err := r.RunPlan(t.Context(), shrunk.Seed, text); err != nil || again.Hash != shrunk.Hash {
				t.Errorf("the plan as a text leads to another run: %v", err)
			}
		})
	}
}

// TestGuidedTable prints how many runs it takes to find each bug, with seeds and guided, in
// eleven campaigns.
func TestGuidedTable(t *testing.T) {
	if !full() {
		t.Skip("runs for minutes: set WASIVIRT_FULL=1")
	}
	wasm := node(t)
	for _, bug := range []string{"ack-before-sync", "local-reads"} {
		for _, guided := range []bool{false, true} {
			s := store(wasm, bug)
			s.Guided = guided
			figures, err := campaigns.Measure(t.Context(), s, 11, 1000)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, guided %v: %v", bug, guided, figures)
		}
	}
}

// The corrected store is linearizable whatever happens.
func TestCorrected(t *testing.T) {
	n := uint64(30)
	if full() {
		n = 2000
	}
	virttest.Simulate(t, store(node(t), ""), n)
}

// The command tells of a search, and runs a seed with the faults that it is given.
func TestCommand(t *testing.T) {
	s := store(node(t), "")
	s.Guided = true
	r, err := simulate.New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(t.Context())
	for want, s := range map[string]search{
		"2 runs in":                             {first: 1, seeds: 2},
		"none of the runs from seed 3 on fails": {first: 3, plan: "n1 node:at=1s:crash:for=1s"},
	} {
		var out strings.Builder
		if err := s.tell(t.Context(), &out, r); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("output %q, want %q", out.String(), want)
		}
	}
	var out strings.Builder
	if err := (search{first: 1, plan: "n4 node:crash"}).tell(t.Context(), &out, r); err == nil {
		t.Error("there is no error of a node that does not exist")
	}
}
