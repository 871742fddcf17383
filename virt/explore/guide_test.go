package explore_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/sched"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
)

// A campaign has one report, whatever the number of workers: of seeds, of seeds that are varied,
// and by each memory model.
func TestWorkersDoNotMatter(t *testing.T) {
	input := func(uint64) ([]virt.Option, error) {
		return []virt.Option{virt.WithStdin(strings.NewReader("0123456789"))}, nil
	}
	for name, c := range map[string]explore.Config{
		"seeds":   {Wasm: program{name: "total"}.wasm(t, "")},
		"texts":   {Wasm: bare(t, "relay"), CallsOnly: true, World: input, ShrinkRuns: 10},
		"guided":  {Wasm: program{name: "reader_writer"}.wasm(t, ""), Guided: true},
		"tso":     {Wasm: program{name: "peterson"}.wasm(t, ""), MemoryModel: sched.TotalStoreOrder},
		"relaxed": {Wasm: program{name: "plain_reader"}.wasm(t, ""), MemoryModel: sched.Relaxed, Guided: true},
	} {
		var reports [3]string
		for workers := 1; workers < len(reports); workers++ {
			c.First, c.Last, c.Fuel, c.Workers = 1, seeds(300, 2000), fuel, workers
			var text strings.Builder
			if err := run(t, c).Write(&text, func(uint64, *explore.Schedule) string { return "again" }); err != nil {
				t.Fatal(err)
			}
			reports[workers] = text.String()
		}
		if diff := cmp.Diff(reports[1], reports[2]); diff != "" {
			t.Errorf("%s: one worker, then two:\n%s", name, diff)
		}
	}
}

// A bug of depth four, which few seeds find, is found more often where runs that come nearer to it
// are varied, and what was found can be run again: its schedule is shrunk.
func TestGuided(t *testing.T) {
	config := explore.Config{Wasm: bare(t, "depth_four"), First: 1, Last: 1000, Fuel: fuel, ShrinkRuns: -1}
	_, seeds := failing(run(t, config))
	config.Guided, config.ShrinkRuns = true, 0
	report := run(t, config)
	if _, n := failing(report); n <= seeds {
		t.Errorf("%d of 1000 varied runs fail, and %d seeds", n, seeds)
	}
	for _, o := range report.Outcomes {
		if o.Schedule == nil || len(o.Schedule.Plan) > 5 {
			t.Errorf("%v: schedule %v, want a short one", o, o.Schedule)
		}
	}
	for _, c := range []explore.Config{{Systematic: true}, {CallsOnly: true}} {
		c.Wasm, c.Guided, c.Last = config.Wasm, true, 10
		if _, err := explore.Run(t.Context(), c); err == nil {
			t.Error("schedules that cannot be varied were")
		}
	}
}
