package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/samyfodil/wazy"
	"github.com/samyfodil/wazy/imports/wasi_snapshot_preview1"

	"github.com/wasivirt/wasivirt/internal/guestloop"
)

// wazyRuntime is a runtime of wazy, the fork of wazero, with its WASI.
func wazyRuntime(b *testing.B) wazy.Runtime {
	r := wazy.NewRuntime(b.Context())
	b.Cleanup(func() { r.Close(context.Background()) })
	wasi_snapshot_preview1.MustInstantiate(b.Context(), r)
	return r
}

func wazyConfig(dir string, args ...string) wazy.ModuleConfig {
	return wazy.NewModuleConfig().WithName("").WithArgs(args...).WithSysNanotime().WithSysWalltime().
		WithFSConfig(wazy.NewFSConfig().WithDirMount(dir, "/"))
}

// wazys is wazy's WASI on a directory.
func wazys(b *testing.B, row *guestloop.Row) func(uint64) (uint64, error) {
	ctx := b.Context()
	r := wazyRuntime(b)
	compiled, err := r.CompileModule(ctx, row.Module())
	check(b, err)
	config := wazyConfig(directory(b, row.Files()), append([]string{"bench"}, guestloop.Args()...)...)
	for _, v := range guestloop.Env() {
		config = config.WithEnv(v[0], v[1])
	}
	mod, err := r.InstantiateModule(ctx, compiled, config)
	check(b, err)
	fn := mod.ExportedFunction("run")
	return func(n uint64) (uint64, error) {
		results, err := fn.Call(ctx, n)
		if err != nil {
			return 0, err
		}
		return results[0], nil
	}
}

func wazyProgram(b *testing.B, wasm []byte) func() (string, time.Duration) {
	ctx := b.Context()
	r := wazyRuntime(b)
	compiled, err := r.CompileModule(ctx, wasm)
	check(b, err)
	config := wazyConfig(b.TempDir(), programArgs...)
	return func() (string, time.Duration) {
		var out bytes.Buffer
		mod, err := r.InstantiateModule(ctx, compiled, config.WithStdout(&out))
		if mod != nil {
			check(b, mod.Close(ctx))
		}
		ended(b, err)
		return out.String(), 0
	}
}
