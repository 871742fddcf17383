package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/stealthrocket/wasi-go/imports"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/wasivirt/wasivirt/virt"
)

// onePage is a command with a page of memory and a _start that returns.
var onePage = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x04\x01\x60\x00\x00" + // type: no parameters, no results
	"\x03\x02\x01\x00" + // function
	"\x05\x03\x01\x00\x01" + // memory
	"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00" + // exports
	"\x0a\x04\x01\x02\x00\x0b") // code

// BenchmarkInstantiate is a guest from beginning to end: a world made for it, its _start run, all
// of it closed.
func BenchmarkInstantiate(b *testing.B) {
	b.Run("wasivirt", func(b *testing.B) {
		ctx := b.Context()
		h, err := virt.NewBuilder(virt.WithSeed(1)).Build(ctx)
		check(b, err)
		b.Cleanup(func() { h.Close(context.Background()) })
		m, err := h.Compile(ctx, onePage)
		check(b, err)
		timed(b, 1, func() {
			for range b.N {
				_, err := h.RunModule(ctx, m)
				check(b, err)
			}
		})
	})
	wazeros := func(config wazero.ModuleConfig) func(b *testing.B) {
		return func(b *testing.B) {
			ctx := b.Context()
			r := newRuntime(b)
			wasi_snapshot_preview1.MustInstantiate(ctx, r)
			compiled, err := r.CompileModule(ctx, onePage)
			check(b, err)
			timed(b, 1, func() {
				for range b.N {
					mod, err := r.InstantiateModule(ctx, compiled, config.WithName(""))
					check(b, err)
					check(b, mod.Close(ctx))
				}
			})
		}
	}
	b.Run("wazero", wazeros(wazero.NewModuleConfig()))
	b.Run("wazero-dir", wazeros(wazero.NewModuleConfig().WithFSConfig(wazero.NewFSConfig().WithDirMount(os.TempDir(), "/"))))
	if wasmtimeInstances != nil {
		b.Run("wasmtime", wasmtimeInstances)
	}
	b.Run("wasi-go", func(b *testing.B) {
		ctx := b.Context()
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		check(b, err)
		b.Cleanup(func() { null.Close() })
		r := newRuntime(b)
		compiled, err := r.CompileModule(ctx, onePage)
		check(b, err)
		fd := int(null.Fd())
		dir := b.TempDir()
		timed(b, 1, func() {
			for range b.N {
				// wasi-go's module belongs to one guest, and so each needs its own under the name
				// that guests import from.
				inner, system, err := imports.NewBuilder().WithName("guest").WithStdio(fd, fd, fd).WithDirs(dir).Instantiate(ctx, r)
				check(b, err)
				mod, err := r.InstantiateModule(inner, compiled, wazero.NewModuleConfig().WithName(""))
				check(b, err)
				check(b, mod.Close(ctx))
				check(b, system.Close(ctx))
				if wasi := r.Module("wasi_snapshot_preview1"); wasi != nil {
					check(b, wasi.Close(ctx))
				}
			}
		})
	})
}

// wasmtimeInstances is the row of another engine, where the tests are built with the tag wasmtime.
var wasmtimeInstances func(*testing.B)

// growing is a reactor whose export grow adds as many pages of 64 KiB to its memory as it is told,
// one by one, and answers how many the memory has then.
var growing = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x06\x01\x60\x01\x7f\x01\x7f" + // type: an i32, an i32
	"\x03\x02\x01\x00" + // function
	"\x05\x03\x01\x00\x01" + // memory
	"\x07\x11\x02\x06memory\x02\x00\x04grow\x00\x00" + // exports
	"\x0a\x17\x01\x15\x00\x03\x40\x41\x01\x40\x00\x1a" + // loop: memory.grow 1, drop
	"\x20\x00\x41\x01\x6b\x22\x00\x0d\x00\x0b\x3f\x00\x0b") // until the parameter is 0: memory.size

// BenchmarkGrow grows a memory a page at a time.
func BenchmarkGrow(b *testing.B) {
	type grow = func(context.Context, ...uint64) ([]uint64, error)
	grown := func(b *testing.B, mib int, instance func() (grow, api.Closer)) {
		pages := mib << 4
		for b.Loop() {
			f, end := instance()
			got, err := f(b.Context(), uint64(pages-1))
			check(b, err)
			if got[0] != uint64(pages) {
				b.Fatalf("%d pages, want %d", got[0], pages)
			}
			check(b, end.Close(b.Context()))
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*pages), "ns/page")
	}
	for _, mib := range []int{64, 256, 1024} {
		b.Run(fmt.Sprintf("%dMiB/wasivirt", mib), func(b *testing.B) {
			h, err := virt.NewBuilder().Build(b.Context())
			check(b, err)
			b.Cleanup(func() { h.Close(context.Background()) })
			m, err := h.Compile(b.Context(), growing)
			check(b, err)
			grown(b, mib, func() (grow, api.Closer) {
				g, err := h.Instantiate(b.Context(), m)
				check(b, err)
				return func(ctx context.Context, pages ...uint64) ([]uint64, error) { return g.Call(ctx, "grow", pages...) }, g
			})
		})
	}
	// wazero copies the memory each time: no more than 64 MiB.
	b.Run("64MiB/wazero", func(b *testing.B) {
		r := newRuntime(b)
		compiled, err := r.CompileModule(b.Context(), growing)
		check(b, err)
		grown(b, 64, func() (grow, api.Closer) {
			mod, err := r.InstantiateModule(b.Context(), compiled, wazero.NewModuleConfig().WithName(""))
			check(b, err)
			return mod.ExportedFunction("grow").Call, mod
		})
	})
}
