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

// BenchmarkChunks tells what it costs to explore in parts of 250 seeds: each by itself, and all by
// one Campaign.
func BenchmarkChunks(b *testing.B) {
	const seeds = 250
	config := explore.Config{Wasm: bare(b, "race_counter"), First: 1, Last: seeds, ShrinkRuns: -1}
	b.Run("runs", func(b *testing.B) {
		for b.Loop() {
			if _, err := explore.Run(b.Context(), config); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("campaign", func(b *testing.B) {
		k, err := explore.NewCampaign(b.Context(), config)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := k.Run(b.Context(), 1, seeds); err != nil {
				b.Fatal(err)
			}
		}
		if err := k.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	})
}
