package wasmbin

import (
	"context"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
)

type benchForm struct {
	name   string
	config wazero.RuntimeConfig
	opts   *Options
}

func benchForms() []benchForm {
	forms := []benchForm{
		{name: "plain", config: compilerConfig()},
		{name: "close", config: compilerConfig().WithCloseOnContextDone(true)},
		{name: "stop", config: compilerConfig(), opts: &Options{Stop: true}},
		{name: "fuel", config: compilerConfig(), opts: &Options{Fuel: true}},
		{name: "depth", config: compilerConfig(), opts: &Options{CallDepth: 10_000}},
	}
	return forms
}

// BenchmarkOverhead runs each program in every form in turn and reports the
// shortest time of each relative to the plain module's, so that a busy machine
// disturbs the ratios little.
func BenchmarkOverhead(b *testing.B) {
	ctx := context.Background()
	kernels, work := kernels(), goGuest(b, "work")
	for _, k := range []struct {
		name string
		n    uint64
	}{{"empty", 300_000}, {"muladd", 300_000}, {"sieve", 100_000}, {"fib", 22}, {"go", 0}} {
		forms := benchForms()
		runs := make([]func(), len(forms))
		for i, form := range forms {
			if k.name == "go" {
				g := newGuest(b, form.config, work, form.opts)
				runs[i] = func() { g.start(b, "work", "1") }
				continue
			}
			mod, _ := newGuest(b, form.config, kernels, form.opts).start(b)
			f := mod.ExportedFunction(k.name)
			runs[i] = func() {
				if _, err := f.Call(ctx, k.n); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.Run(k.name, func(b *testing.B) {
			best := make([]time.Duration, len(runs))
			for b.Loop() {
				for i, run := range runs {
					start := time.Now()
					run()
					if d := time.Since(start); best[i] == 0 || d < best[i] {
						best[i] = d
					}
				}
			}
			for i, form := range forms {
				b.ReportMetric(float64(best[i])/float64(best[0]), form.name+"/plain")
			}
		})
	}
}
