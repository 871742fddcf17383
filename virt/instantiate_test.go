package virt_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/wasivirt/wasivirt/virt"
)

// onePage is the least command: a page of memory and a _start that returns.
func onePage() []byte {
	return handModule{memory: 1, funcs: []handFunc{{name: "_start"}}}.encode()
}

// BenchmarkInstantiate is a guest from its beginning to its end: what it costs to have a world of
// its own, run an empty _start and be closed, on one goroutine and on 64, beside what the same
// module costs in wazero alone.
func BenchmarkInstantiate(b *testing.B) {
	ctx := b.Context()
	b.Run("wazero", func(b *testing.B) {
		r := wazero.NewRuntime(ctx)
		defer r.Close(ctx)
		compiled, err := r.CompileModule(ctx, onePage())
		if err != nil {
			b.Fatal(err)
		}
		config := wazero.NewModuleConfig().WithName("")
		b.ReportAllocs()
		for b.Loop() {
			mod, err := r.InstantiateModule(ctx, compiled, config)
			if err != nil {
				b.Fatal(err)
			}
			if err := mod.Close(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, parallel := range []int{1, 64} {
		b.Run(fmt.Sprintf("guest/%d", parallel), func(b *testing.B) {
			host := newHost(b, virt.WithSeed(1))
			m := compiled(b, host, onePage())
			run := func() bool {
				r, err := host.RunModule(ctx, m)
				if err != nil || !r.Success() {
					b.Errorf("%v, %v", r, err)
					return false
				}
				return true
			}
			b.ReportAllocs()
			if parallel == 1 {
				for b.Loop() && run() {
				}
				return
			}
			b.SetParallelism(max(parallel/runtime.GOMAXPROCS(0), 1))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() && run() {
				}
			})
		})
	}
}
