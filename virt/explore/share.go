package explore

import (
	"encoding/json"
	"errors"
	"fmt"
)

// SplitState shares a systematic search out. It returns n states, each with a part of what is left
// to be explored, for [Config.State] of explorations in other processes, or on other machines.
// These can be stopped, saved and split again, and [JoinStates] puts their states together. The
// search is a proof when the joined state has nothing left. Parts do not know what others have
// found: they may run some schedules that are equivalent to each other's.
//
// Errors: n is less than 1; the state is none.
func SplitState(state []byte, n int) ([][]byte, error) {
	if n < 1 {
		return nil, fmt.Errorf("explore: split a search into %d parts: want 1 at least", n)
	}
	whole, err := readSaved(state)
	if err != nil {
		return nil, err
	}
	parts := make([][]byte, n)
	for i := range parts {
		part := saved{Version: whole.Version, Seed: whole.Seed, Wasm: whole.Wasm}
		if i == 0 {
			part.Proof, part.Found = whole.Proof, whole.Found
		}
		part.Proof.Truncated = whole.Proof.Truncated
		var tasks []savedTask
		for k := i; k < len(whole.Tasks); k += n {
			tasks = append(tasks, whole.Tasks[k])
		}
		part.take(whole, tasks)
		if parts[i], err = json.Marshal(&part); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// JoinStates puts the states of parts of one search together: those that [SplitState] returned, as
// they are after their explorations. [Config.State] goes on with what all of them have left, and
// the report has what all have found.
//
// Errors: there is none; they are of different modules or seeds; one is none.
func JoinStates(states ...[]byte) ([]byte, error) {
	if len(states) == 0 {
		return nil, errors.New("explore: join searches: there is none")
	}
	var whole saved
	for i, state := range states {
		part, err := readSaved(state)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			whole = saved{Version: part.Version, Seed: part.Seed, Wasm: part.Wasm}
		}
		if part.Seed != whole.Seed || part.Wasm != whole.Wasm {
			return nil, errors.New("explore: join searches: they are of different modules or seeds")
		}
		p := &whole.Proof
		p.Schedules += part.Proof.Schedules
		p.Redundant += part.Proof.Redundant
		p.Truncated = p.Truncated || part.Proof.Truncated
		whole.Found = append(whole.Found, part.Found...)
		whole.take(part, part.Tasks)
	}
	return json.Marshal(&whole)
}

// readSaved reads a state, whose places it checks.
func readSaved(state []byte) (*saved, error) {
	var in saved
	if err := json.Unmarshal(state, &in); err != nil {
		return nil, fmt.Errorf("explore: the state of a search is damaged: begin without it: %w", err)
	}
	if in.Version != 1 {
		return nil, errors.New("explore: the state is of another version: begin without it")
	}
	for i, s := range in.States {
		if s.Parent < 0 || s.Parent > i {
			return nil, fmt.Errorf("explore: the state of a search: state %d has parent %d", i+1, s.Parent)
		}
	}
	for _, k := range in.Tasks {
		if k.State < 0 || k.State > len(in.States) {
			return nil, fmt.Errorf("explore: the state of a search: a task at state %d of %d", k.State, len(in.States))
		}
	}
	return &in, nil
}

// take adds tasks of another search, and the states that they need.
func (s *saved) take(from *saved, tasks []savedTask) {
	needed := make([]bool, len(from.States)+1)
	for _, k := range tasks {
		for at := k.State; at > 0 && !needed[at]; at = from.States[at-1].Parent {
			needed[at] = true
		}
	}
	places := make([]int, len(from.States)+1)
	for i, state := range from.States {
		if needed[i+1] {
			state.Parent = places[state.Parent]
			s.States = append(s.States, state)
			places[i+1] = len(s.States)
		}
	}
	for _, k := range tasks {
		k.State = places[k.State]
		s.Tasks = append(s.Tasks, k)
	}
}
