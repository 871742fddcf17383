package main

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/virt"
)

// loop is guest/loop.c, compiled.
//
//go:embed guest/loop.wasm
var loop []byte

func TestLayer(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	want := "WELCOME TO A FILE THAT IS NOWHERE\nPRINTED BY A GUEST IN GO\nit ended with exit 0\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkLayers is a write of 16 bytes through layers.
func BenchmarkLayers(b *testing.B) {
	for layers := range 4 {
		b.Run(fmt.Sprint(layers), func(b *testing.B) {
			ctx := b.Context()
			host, err := virt.NewBuilder().Build(ctx)
			if err != nil {
				b.Fatal(err)
			}
			defer host.Close(ctx)
			module, err := host.Compile(ctx, loop)
			if err != nil {
				b.Fatal(err)
			}
			plug, err := host.CompilePlug(ctx, layer)
			if err != nil {
				b.Fatal(err)
			}
			var opts []virt.GuestOption
			for range layers {
				opts = append(opts, virt.WithPlug(plug))
			}
			guest, err := host.Instantiate(ctx, module, opts...)
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			if r, err := guest.Call(ctx, "run", uint64(b.N)); err != nil || r[0] != 0 {
				b.Fatal(r, err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/call")
		})
	}
}
