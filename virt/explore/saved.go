package explore

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/wasivirt/wasivirt/sched"
)

// saved is a tree as it is written: the states that are needed, parents first.
type saved struct {
	Version int
	Seed    uint64
	Wasm    string // SHA-256
	Proof   Proof
	States  []savedState
	Tasks   []savedTask
	Found   []savedOutcome
}

type savedState struct {
	Parent  int // its place, from 1; 0 at the root
	Thread  uint32
	Stop    sched.Point
	Enabled []uint32
	Sleep   sleepers `json:",omitempty"`
	Done    []savedBranch
	Stops   int `json:",omitempty"`
}

type savedBranch struct {
	Thread uint32
	Print  *footprint `json:",omitempty"`
}

type savedTask struct {
	State  int // its place, from 1; 0 is the beginning
	Thread uint32
	Sleep  sleepers `json:",omitempty"`
}

type savedOutcome struct {
	Seeds int
	Order []uint32
}

// save writes the state of a search.
func (e *explorer) save() ([]byte, error) {
	t := e.tree
	out := saved{Version: 1, Wasm: e.sum(), Proof: t.proof}
	out.Seed, _ = e.seed(0)
	places := map[*state]int{}
	var place func(s *state) int
	place = func(s *state) int {
		if s == nil {
			return 0
		}
		if n := places[s]; n > 0 {
			return n
		}
		v := savedState{Enabled: s.enabled, Sleep: s.sleep, Stops: s.stops}
		if s.step != nil {
			v.Parent, v.Thread, v.Stop = place(s.parent), s.step.thread, s.step.stop
		}
		for _, b := range s.done {
			v.Done = append(v.Done, savedBranch{b.thread, b.print})
		}
		out.States = append(out.States, v)
		places[s] = len(out.States)
		return len(out.States)
	}
	for _, tasks := range t.levels {
		for _, k := range tasks {
			out.Tasks = append(out.Tasks, savedTask{place(k.at), k.thread, k.sleep})
		}
	}
	for _, o := range e.outcomes {
		out.Found = append(out.Found, savedOutcome{o.Seeds, o.Order})
	}
	slices.SortFunc(out.Found, func(a, b savedOutcome) int { return slices.Compare(a.Order, b.Order) })
	return json.Marshal(&out)
}

// restore goes on with a search that was saved.
func (e *explorer) restore(t *tree) error {
	in, err := readSaved(e.State)
	if err != nil {
		return err
	}
	seed, _ := e.seed(0)
	if in.Wasm != e.sum() || in.Seed != seed {
		return errors.New("explore: the state is of another module or of another seed: begin without it")
	}
	states := make([]*state, len(in.States)+1)
	for i, v := range in.States {
		s := &state{enabled: v.Enabled, sleep: v.Sleep, stops: v.Stops, parent: states[v.Parent]}
		for _, b := range v.Done {
			s.done = append(s.done, branch{b.Thread, b.Print})
		}
		if s.parent != nil {
			s.step = &move{v.Thread, v.Stop}
			s.depth = s.parent.depth + 1
			s.parent.live++
		} else {
			t.root = s
		}
		states[i+1] = s
	}
	t.states, t.levels, t.proof = len(in.States), nil, in.Proof
	for _, v := range in.Tasks {
		if s := states[v.State]; s != nil {
			s.live++
		}
		t.add(task{states[v.State], v.Thread, v.Sleep})
	}
	t.found = in.Found
	return nil
}
