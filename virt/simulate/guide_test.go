package simulate_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wasivirt/wasivirt/internal/campaigns"
	"github.com/wasivirt/wasivirt/virt/simulate"
)

// runner returns a runner of a simulation.
func runner(t *testing.T, s simulate.Simulation) *simulate.Runner {
	t.Helper()
	r, err := simulate.New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func find(t *testing.T, r *simulate.Runner, first, last uint64, workers int) (*simulate.Result, int) {
	t.Helper()
	failed, runs, err := r.Find(t.Context(), first, last, workers)
	if err != nil {
		t.Fatal(err)
	}
	return failed, runs
}

// TestGuidedTable prints how many runs it takes to find each planted bug, with seeds and guided, in
// eleven campaigns of at most 2,000 runs.
func TestGuidedTable(t *testing.T) {
	if os.Getenv("WASIVIRT_FULL") != "1" {
		t.Skip("runs for minutes: set WASIVIRT_FULL=1")
	}
	for _, w := range worlds {
		for _, guided := range []bool{false, true} {
			s := w.simulation(t, false)
			s.Guided = guided
			figures, err := campaigns.Measure(t.Context(), s, 11, 2000)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, guided %v: %v", w.name, guided, figures)
		}
	}
}

// Each bug is there: the run of a seed fails with the faults that a guided search found, which are
// all needed, and the corrected twin's does not.
func TestWorlds(t *testing.T) {
	for name, found := range map[string]struct {
		seed uint64
		plan string
		want string
	}{
		"boots": {12, "a node:at=426ms:crash:for=113ms\na node:at=539.2ms:crash:for=101ms\na node:at=653.108399ms:powerloss:for=187ms\n" +
			"a node:at=846.944072ms:crash:for=97ms", "lost"},
		"journal": {20, "a node:at=497ms:crash:for=21ms\na node:at=518.385634ms:powerloss:for=42ms", "lost"},
		"copy":    {212, "a-b link:at=48.607364ms:cut:for=122ms\na node:at=272.1ms:powerloss:for=172ms", "lost"},
		"commit":  {8084346579008195451, "c node:at=518.429207ms:powerloss:for=174ms", "split"},
	} {
		w := worlds[slices.IndexFunc(worlds, func(w world) bool { return w.name == name })]
		plan, err := simulate.ParsePlan(found.plan)
		if err != nil {
			t.Fatal(err)
		}
		for _, corrected := range []bool{false, true} {
			r := runner(t, w.simulation(t, corrected))
			result, err := r.RunPlan(t.Context(), found.seed, plan)
			if err != nil {
				t.Fatal(err)
			}
			if corrected {
				if result.Failure != nil {
					t.Errorf("%s: the corrected twin fails: %v", name, result.Failure)
				}
				continue
			}
			if result.Failure == nil || !strings.Contains(result.Failure.Error(), found.want) {
				t.Errorf("%s: %v, want a failure with %q", name, result.Failure, found.want)
				continue
			}
			if shrunk, err := r.Shrink(t.Context(), result); err != nil || len(shrunk.Plan) != len(plan) {
				t.Errorf("%s: only some of the faults are needed: %v, %v", name, shrunk.Plan, err)
			}
		}
	}
}

// A guided search finds the same run, after as many others, with any number of workers. Seed and
// plan, which here is not the seed's own, repeat it and are shrunk, and no goroutine is left.
func TestGuided(t *testing.T) {
	s := worlds[slices.IndexFunc(worlds, func(w world) bool { return w.name == "copy" })].simulation(t, false)
	s.Guided = true
	r := runner(t, s)
	before := runtime.NumGoroutine()
	failed, runs := find(t, r, 201, 400, 1)
	if failed == nil || !failed.Varied {
		t.Fatalf("%d runs find %v, want a run that was varied", runs, failed)
	}
	if again, n := find(t, r, 201, 400, 2); again == nil || n != runs || again.Seed != failed.Seed || again.Hash != failed.Hash {
		t.Errorf("with another worker, %d runs find %v, want %d and %v", n, again, runs, failed)
	}
	plan, err := simulate.ParsePlan(failed.Plan.String())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.RunPlan(t.Context(), failed.Seed, plan); err != nil || again.Hash != failed.Hash || !again.Varied {
		t.Errorf("seed and plan lead to %v, %v, want the run that was found", again, err)
	}
	shrunk, err := r.Shrink(t.Context(), failed)
	if err != nil {
		t.Fatal(err)
	}
	if len(shrunk.Plan) >= len(failed.Plan) || shrunk.Failure == nil {
		t.Errorf("shrunk to\n%v\nfrom\n%v", shrunk.Plan, failed.Plan)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Find(ctx, 1, 1000, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("a search that was stopped: error %v", err)
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}

// The corrected twins fail in no run, whatever is varied.
func TestGuidedCorrected(t *testing.T) {
	n := uint64(40)
	if os.Getenv("WASIVIRT_FULL") == "1" {
		n = 2000
	}
	for _, w := range worlds {
		s := w.simulation(t, true)
		s.Guided = true
		if failed, _ := find(t, runner(t, s), 1, n, 0); failed != nil {
			t.Errorf("%s: seed %d fails with %v:\n%v", w.name, failed.Seed, failed.Failure, failed.Plan)
		}
	}
}
