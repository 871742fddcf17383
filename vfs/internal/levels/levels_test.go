package levels

import (
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A Map has what a map has to which the same was done, older ones stay what they were, and levels
// are few.
func TestMapAgainstMaps(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var m Map[int, int]
	want := map[int]int{}
	type version struct {
		m    Map[int, int]
		want map[int]int
	}
	var versions []version
	for range 300 {
		level := map[int]int{}
		for range rng.IntN(20) {
			key, v := rng.IntN(400), rng.IntN(3) // 0 takes it out
			level[key] = v
			if want[key] = v; v == 0 {
				delete(want, key)
			}
		}
		m = m.With(level)
		versions = append(versions, version{m, maps.Clone(want)})
	}
	for i, v := range versions {
		if d := cmp.Diff(v.want, maps.Collect(v.m.All())); d != "" {
			t.Fatalf("version %d (-want +got):\n%s", i, d)
		}
		for key := range 400 {
			if got, _ := v.m.Get(key); got != v.want[key] {
				t.Fatalf("version %d: %d has %d, want %d", i, key, got, v.want[key])
			}
		}
		if len(v.m) > 10 {
			t.Errorf("version %d has %d levels", i, len(v.m))
		}
	}
}

func TestAnEmptyLevelCostsNothing(t *testing.T) {
	m := Map[string, int]{}.With(map[string]int{"a": 1})
	if n := testing.AllocsPerRun(10, func() { m = m.With(nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
