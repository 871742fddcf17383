package explore_test

import (
	"testing"

	"github.com/wasivirt/wasivirt/virt/explore"
)

// BenchmarkCampaign tells what a run costs, of small guests by default.
func BenchmarkCampaign(b *testing.B) {
	for _, name := range []string{"race_counter", "depth_four", "deadlock_mutexes", "check_act_fixed"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			report, err := explore.Run(b.Context(), explore.Config{Wasm: bare(b, name), First: 1, Last: uint64(b.N), ShrinkRuns: -1})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(report.Runs)/b.Elapsed().Seconds(), "runs/s")
		})
	}
}
