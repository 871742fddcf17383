package main

import (
	"context"
	"os"
	"testing"

	"github.com/stealthrocket/wasi-go/imports"
	"github.com/tetratelabs/wazero"
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
