package virttest_test

import (
	"os"
	"testing"

	"github.com/wasivirt/wasivirt/internal/testcache"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
	"github.com/wasivirt/wasivirt/virt/virttest"
)

// seedsOfGoroutines is how many seeds each bug gets: more where the long versions of tests run.
func seedsOfGoroutines() uint64 {
	if os.Getenv("WASIVIRT_FULL") == "1" {
		return 300
	}
	return 40
}

// exploreGoroutines runs one bug over n seeds and returns in how many it shows, the lowest of
// these, and in how many ways runs ended.
func exploreGoroutines(t *testing.T, wasm []byte, bug string, n uint64) (found int, lowest uint64, ways int) {
	t.Helper()
	report, err := explore.Run(t.Context(), explore.Config{Wasm: wasm, Host: []virt.Option{testcache.Option()}, First: 1, Last: n, ShrinkRuns: -1, PunctualTimers: true,
		World: func(uint64) ([]virt.Option, error) {
			return []virt.Option{virt.WithArgs(bug), virt.WithEnv("PWD", "/")}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range report.Outcomes {
		if o.Result.Success() {
			continue
		}
		if o.Result.Outcome != virt.Exited || o.Result.ExitCode > 2 {
			t.Errorf("%s: seed %d ended with %v: %s", bug, o.Seed, o.Result, o.Text)
		}
		found += o.Seeds
		if lowest == 0 || o.Seed < lowest {
			lowest = o.Seed
		}
	}
	return found, lowest, len(report.Outcomes)
}

// With the overlay, seeds find bugs of goroutines that no seed finds without it, and the corrected
// twins stay clean.
func TestGoOverlay(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles Go's library with another scheduler")
	}
	overlay := virttest.GoOverlay(t)
	plain, drawn := virttest.Build(t, "./testdata/goroutines"), virttest.Build(t, "./testdata/goroutines", "-overlay", overlay)
	n := seedsOfGoroutines()
	for _, bug := range []string{"counter", "yields", "wakeup", "select", "waitgroup", "order", "deadlock", "close", "check"} {
		before, _, _ := exploreGoroutines(t, plain, bug, n)
		after, lowest, _ := exploreGoroutines(t, drawn, bug, n)
		t.Logf("%-10s found in %d of %d seeds without the overlay, %d with it (lowest %d)", bug, before, n, after, lowest)
		if after == 0 {
			t.Errorf("%s: not found in %d seeds", bug, n)
		}
		if fixed, seed, _ := exploreGoroutines(t, drawn, bug+"-fixed", n); fixed > 0 {
			t.Errorf("%s-fixed fails in %d of %d seeds, the lowest %d", bug, fixed, n, seed)
		}
	}
	_, _, before := exploreGoroutines(t, plain, "none", n)
	failed, seed, after := exploreGoroutines(t, drawn, "none", n)
	t.Logf("none: %d orders in %d seeds without the overlay, %d with it", before, n, after)
	if failed > 0 || after < int(n)/2 || after <= before {
		t.Errorf("none: %d of %d seeds fail (the lowest %d), and %d orders, want at least half as many as seeds and more than %d", failed, n, seed, after, before)
	}
}

// The order is a function of the seed, in both engines.
func TestGoOverlayRepeats(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles Go's library with another scheduler")
	}
	wasm := virttest.Build(t, "./testdata/goroutines", "-overlay", virttest.GoOverlay(t))
	run := func(seed uint64, opts ...virt.Option) *virttest.Outcome {
		return virttest.Run(t, virttest.Guest{Wasm: wasm, Seed: seed, Args: []string{"none"}, Options: append(opts, virt.WithHash())}).Exit(0)
	}
	for _, seed := range []uint64{1, 2, 3} {
		first := run(seed)
		if again := run(seed).Output(first.Stdout); again.Result.Hash != first.Result.Hash {
			t.Errorf("seed %d: two runs have two hashes", seed)
		}
	}
	first := run(4)
	if interpreted := run(4, virt.WithInterpreter()).Output(first.Stdout); interpreted.Result.Hash != first.Result.Hash {
		t.Error("the interpreter has another hash than the compiler")
	}
}
