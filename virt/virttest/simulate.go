package virttest

import (
	"context"
	"os"
	"testing"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/simulate"
)

// PlanVariable is the environment variable with what goes wrong in [Simulate]'s runs of the seeds
// that [SeedVariable] names, in place of what is drawn for them: the text of a [simulate.Plan].
const PlanVariable = "WASIVIRT_PLAN"

// Simulate runs a simulation over n seeds, from 1 on, or only with those that the environment names
// (see [SeedVariable]), on all processors. It fails t with the story of the lowest seed whose run
// fails: what happened, the faults that it takes, and the command that repeats it. Compiled guests
// are kept as [Run] keeps them.
//
// If the simulation is Guided, n is how many runs there are, and the story is that of the first
// that fails. The command names the plan too if the run was varied.
func Simulate(t testing.TB, s simulate.Simulation, n uint64) {
	t.Helper()
	s.Host = append([]virt.Option{compilationCache(s.Host)}, s.Host...)
	r, err := simulate.New(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	fail := func(failed *simulate.Result) {
		if failed == nil {
			return
		}
		shrunk, err := r.Shrink(t.Context(), failed)
		if err != nil {
			t.Fatal(err)
		}
		command := Command(t.Name(), failed.Seed)
		if failed.Varied {
			command = PlanVariable + "=" + quoted(shrunk.Plan.String()) + " " + command
		}
		t.Fatalf("%s", shrunk.Story(command))
	}
	seeds := only(t)
	if seeds == nil {
		failed, _, err := r.Find(t.Context(), 1, n, 0)
		if err != nil {
			t.Fatal(err)
		}
		fail(failed)
	}
	for _, seed := range seeds {
		plan := planned(t, r, seed)
		result, err := r.RunPlan(t.Context(), seed, plan)
		if err != nil {
			t.Fatal(err)
		}
		if result.Failure != nil {
			fail(result)
		}
	}
}

// planned is what goes wrong with a seed that the environment names.
func planned(t testing.TB, r *simulate.Runner, seed uint64) simulate.Plan {
	t.Helper()
	text, ok := os.LookupEnv(PlanVariable)
	if !ok {
		return r.Plan(seed)
	}
	plan, err := simulate.ParsePlan(text)
	if err != nil {
		t.Fatalf("%s: %v", PlanVariable, err)
	}
	return plan
}
