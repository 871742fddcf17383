//go:build wasmtime

package main

import (
	"testing"

	wt "github.com/bytecodealliance/wasmtime-go/v37"

	"github.com/wasivirt/wasivirt/internal/bench/pooling"
)

// wasmtimeEngine compiles a module for instances from a pool, with wasmtime's WASI.
func wasmtimeEngine(b *testing.B, wasm []byte) (*wt.Linker, *wt.Module) {
	config := wt.NewConfig()
	pooling.Enable(config)
	e := wt.NewEngineWithConfig(config)
	m, err := wt.NewModule(e, wasm)
	check(b, err)
	l := wt.NewLinker(e)
	check(b, l.DefineWasi())
	return l, m
}

func init() {
	wasmtime = func(b *testing.B, wasm []byte, plain bool) {
		if !plain {
			return // it imports what WASI does not have
		}
		b.Run("wasmtime", func(b *testing.B) {
			l, m := wasmtimeEngine(b, wasm)
			dir := filesDir(b)
			each(b, func() error {
				store := wt.NewStore(l.Engine)
				defer store.Close()
				wasi := wt.NewWasiConfig()
				if err := wasi.PreopenDir(dir, "/", wt.DIR_READ, wt.FILE_READ); err != nil {
					return err
				}
				store.SetWasi(wasi)
				instance, err := l.Instantiate(store, m)
				if err != nil {
					return err
				}
				for _, name := range []string{"_initialize", "request"} {
					if _, err := instance.GetFunc(store, name).Call(store); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	wasmtimeInstances = func(b *testing.B) {
		l, m := wasmtimeEngine(b, onePage)
		for b.Loop() {
			store := wt.NewStore(l.Engine)
			store.SetWasi(wt.NewWasiConfig())
			instance, err := l.Instantiate(store, m)
			check(b, err)
			_, err = instance.GetFunc(store, "_start").Call(store)
			check(b, err)
			store.Close()
		}
	}
}
