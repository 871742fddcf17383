package explore_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/virt/explore"
)

// A search that is stopped, split, explored in parts that are stopped too, and joined finds what
// the whole one finds, and proves the same.
func TestSearchesAreSharedOut(t *testing.T) {
	for _, name := range []string{"depth_four", "depth_four_fixed", "lost_update", "signal_one"} {
		p := program{name: strings.TrimSuffix(name, "_fixed")}
		wasm := p.wasm(t, strings.TrimPrefix(name, p.name))
		search := func(state []byte, most int) *explore.Report {
			return run(t, explore.Config{Wasm: wasm, First: 1, Last: 1, Systematic: true, MaxSchedules: most, State: state, ShrinkRuns: -1})
		}
		ends := func(r *explore.Report) map[string]bool {
			all := map[string]bool{}
			for _, o := range r.Outcomes {
				all[o.What] = true
			}
			return all
		}
		whole := search(nil, 0)
		if !whole.Proof.Complete {
			t.Fatalf("%s: %v", name, whole.Proof)
		}
		parts, err := explore.SplitState(search(nil, 20).State, 3)
		if err != nil {
			t.Fatal(err)
		}
		for i := range parts {
			parts[i] = search(parts[i], 15).State
		}
		half, err := explore.JoinStates(parts...)
		if err != nil {
			t.Fatal(err)
		}
		if parts, err = explore.SplitState(half, 2); err != nil {
			t.Fatal(err)
		}
		for i := range parts {
			r := search(parts[i], 0)
			if !r.Proof.Complete {
				t.Errorf("%s: a part is not complete: %v", name, r.Proof)
			}
			parts[i] = r.State
		}
		joined, err := explore.JoinStates(parts...)
		if err != nil {
			t.Fatal(err)
		}
		r := search(joined, 0)
		if diff := cmp.Diff(ends(whole), ends(r)); diff != "" || !r.Proof.Complete || r.Runs != r.Proof.Schedules+r.Proof.Redundant {
			t.Errorf("%s: %v and %d runs: %s", name, r.Proof, r.Runs, diff)
		}
		t.Logf("%s: %d schedules, and %d in parts", name, whole.Proof.Schedules, r.Proof.Schedules)
	}
}

func TestSplitStateRefusesOthers(t *testing.T) {
	for state, want := range map[string]string{
		"": "damaged", "{}": "another version", `{"Version":1,"States":[{"Parent":2}]}`: "state 1 has parent 2", `{"Version":1,"Tasks":[{"State":1}]}`: "a task at state 1 of 0",
	} {
		if _, err := explore.SplitState([]byte(state), 2); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("split %q: %v", state, err)
		}
		if _, err := explore.JoinStates([]byte(state)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("join %q: %v", state, err)
		}
	}
	if _, err := explore.SplitState([]byte(`{"Version":1}`), 0); err == nil {
		t.Error("a search was split into 0 parts")
	}
	if _, err := explore.JoinStates([]byte(`{"Version":1}`), []byte(`{"Version":1,"Seed":2}`)); err == nil {
		t.Error("searches of different seeds were joined")
	}
}
