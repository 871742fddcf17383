package virttest

import (
	"context"
	"testing"

	"github.com/wasivirt/wasivirt/virt/simulate"
)

// Simulate runs a simulation over n seeds, from 1 on, or only with those that the environment names
// (see [SeedVariable]), on all processors. It fails t with the story of the lowest seed whose run
// fails: what happened, the faults that it takes, and the command that repeats it.
func Simulate(t testing.TB, s simulate.Simulation, n uint64) {
	t.Helper()
	r, err := simulate.New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	spans := [][2]uint64{{1, n}}
	if seeds := only(t); seeds != nil {
		spans = nil
		for _, seed := range seeds {
			spans = append(spans, [2]uint64{seed, seed})
		}
	}
	for _, span := range spans {
		failed, _, err := r.Find(t.Context(), span[0], span[1], 0)
		if err != nil {
			t.Fatal(err)
		}
		if failed == nil {
			continue
		}
		shrunk, err := r.Shrink(t.Context(), failed)
		if err != nil {
			t.Fatal(err)
		}
		t.Fatalf("%s", shrunk.Story(Command(t.Name(), failed.Seed)))
	}
}
