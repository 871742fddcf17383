package main

import (
	"os"
	"strings"
	"testing"

	"github.com/wasivirt/wasivirt/internal/goguest"
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
// that it is run again.
func TestBugs(t *testing.T) {
	wasm := node(t)
	repeats := 5
	if full() {
		repeats = 100
	}
	for _, bug := range []string{"ack-before-sync", "local-reads"} {
		t.Run(bug, func(t *testing.T) {
			r, err := simulate.New(t.Context(), store(wasm, bug))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close(t.Context())
			failed, runs, err := r.Find(t.Context(), 1, 1000, 0)
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

// The corrected store is linearizable whatever happens.
func TestCorrected(t *testing.T) {
	n := uint64(30)
	if full() {
		n = 2000
	}
	virttest.Simulate(t, store(node(t), ""), n)
}

// The command tells of a bug.
func TestCommand(t *testing.T) {
	node(t)
	var out strings.Builder
	if err := run(t.Context(), &out, "", 1, 2); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "no run of the seeds 1 to 2 fails") {
		t.Errorf("output %q", out.String())
	}
}
