package virt_test

import (
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/wasivirt/wasivirt/virt"
)

// onePage is the least command: a page of memory and a _start that returns.
func onePage() []byte {
	return handModule{memory: 1, funcs: []handFunc{{name: "_start"}}}.encode()
}

// BenchmarkInstantiate is a guest from its beginning to its end: what it costs to have a world of its own, run an empty
// _start and be closed, beside what the same module costs in wazero alone.
func BenchmarkInstantiate(b *testing.B) {
	ctx := b.Context()
	b.Run("wazero", func(b *testing.B) {
		runtime := wazero.NewRuntime(ctx)
		defer runtime.Close(ctx)
		compiled, err := runtime.CompileModule(ctx, onePage())
		if err != nil {
			b.Fatal(err)
		}
		config := wazero.NewModuleConfig().WithName("")
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				mod, err := runtime.InstantiateModule(ctx, compiled, config)
				if err != nil {
					b.Fatal(err)
				}
				if err := mod.Close(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("guest", func(b *testing.B) {
		host := newHost(b, virt.WithSeed(1))
		m := compiled(b, host, onePage())
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if r, err := host.RunModule(ctx, m); err != nil || !r.Success() {
					b.Fatal(r, err)
				}
			}
		})
	})
}
