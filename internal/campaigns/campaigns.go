// Package campaigns measures how many runs the search of a simulation needs to find a bug, for the
// tables that tests print.
package campaigns

import (
	"context"
	"fmt"
	"slices"

	"github.com/wasivirt/wasivirt/virt/simulate"
)

// Figures is how many runs each campaign needed that found the bug, ascending.
type Figures struct {
	Campaigns int
	Runs      []int
}

// String returns how many campaigns found the bug, and the median of all.
func (f Figures) String() string {
	median := "none"
	if i := f.Campaigns / 2; i < len(f.Runs) {
		median = fmt.Sprint(f.Runs[i])
	}
	return fmt.Sprintf("found by %d of %d, median %s: %v", len(f.Runs), f.Campaigns, median, f.Runs)
}

// Measure makes that many campaigns of most runs each, with seeds that differ.
func Measure(ctx context.Context, s simulate.Simulation, n int, most uint64) (f Figures, err error) {
	r, err := simulate.New(ctx, s)
	if err != nil {
		return f, err
	}
	defer r.Close(context.WithoutCancel(ctx))
	f.Campaigns = n
	for c := range uint64(n) {
		first := 1 + c*10*most
		failed, runs, err := r.Find(ctx, first, first+most-1, 0)
		if err != nil {
			return f, err
		}
		if failed == nil {
			continue
		}
		if !s.Guided { // how many were run depends on the machine
			runs = int(failed.Seed-first) + 1
		}
		f.Runs = append(f.Runs, runs)
	}
	slices.Sort(f.Runs)
	return f, nil
}
