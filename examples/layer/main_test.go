package main

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/internal/testcache"
	"github.com/wasivirt/wasivirt/virt"
)

// loop is guest/loop.c, compiled; the others are guest/motd.rs, and the part of the layer that
// writes in capitals in other languages.
var (
	//go:embed guest/loop.wasm
	loop []byte
	//go:embed guest/motd-rust.wasm
	motdInRust []byte
	//go:embed guest/layer-rust.wasm
	layerInRust []byte
	//go:embed guest/layer-as.wasm
	layerInAssemblyScript []byte
)

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

// TestLanguages: layers in C, Rust, Go and AssemblyScript, under guests in Go and in Rust. The
// layer in C is innermost, because it alone serves the file, and each of the others stands on it
// twice.
func TestLanguages(t *testing.T) {
	ctx := t.Context()
	const path = "github.com/wasivirt/wasivirt/examples/layer/guest/"
	motdInGo, err := goguest.Build(ctx, path+"motd")
	if err != nil {
		t.Fatal(err)
	}
	layerInGo, err := goguest.Build(ctx, path+"golayer", "-buildmode=c-shared")
	if err != nil {
		t.Fatal(err)
	}
	host, err := virt.NewBuilder(testcache.Option()).Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	plug := func(wasm []byte) virt.GuestOption {
		m, err := host.CompilePlug(ctx, wasm)
		if err != nil {
			t.Fatal(err)
		}
		return virt.WithPlug(m)
	}
	inC := plug(layer)
	layers := map[string]virt.GuestOption{"C": inC, "Rust": plug(layerInRust), "Go": plug(layerInGo), "AssemblyScript": plug(layerInAssemblyScript)}
	for language, wasm := range map[string][]byte{"Go": motdInGo, "Rust": motdInRust} {
		module, err := host.Compile(ctx, wasm)
		if err != nil {
			t.Fatal(err)
		}
		for name, outer := range layers {
			t.Run(name+" under "+language, func(t *testing.T) {
				var out strings.Builder
				result, err := host.RunModule(ctx, module, inC, outer, outer, virt.WithStdout(&out))
				if err != nil || !result.Success() {
					t.Fatal(result, err)
				}
				want := "WELCOME TO A FILE THAT IS NOWHERE\nPRINTED BY A GUEST IN " + strings.ToUpper(language) + "\n"
				if diff := cmp.Diff(want, out.String()); diff != "" {
					t.Error(diff)
				}
			})
		}
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
