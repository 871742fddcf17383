package wasmbin

import (
	"context"
	"testing"

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

func BenchmarkOverhead(b *testing.B) {
	ctx := context.Background()
	kernels, work := kernels(), goGuest(b, "work")
	for _, k := range []struct {
		name string
		n    uint64
	}{{"empty", 1_000_000}, {"muladd", 1_000_000}, {"sieve", 100_000}, {"fib", 22}} {
		for _, form := range benchForms() {
			g := newGuest(b, form.config, kernels, form.opts)
			mod, _ := g.start(b)
			f := mod.ExportedFunction(k.name)
			b.Run(k.name+"/"+form.name, func(b *testing.B) {
				for b.Loop() {
					if _, err := f.Call(ctx, k.n); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	for _, form := range benchForms() {
		g := newGuest(b, form.config, work, form.opts)
		b.Run("go/"+form.name, func(b *testing.B) {
			for b.Loop() {
				g.start(b, "work", "1")
			}
		})
	}
}
