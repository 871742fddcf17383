package virt

import (
	"context"
	"errors"
	"runtime"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasivirt/wasivirt/virt/internal/link"
)

func init() {
	link.Compile = compileInto
	link.CompileElsewhere = func(name string, compile link.Compiler) any {
		return hostOption(name, func(c *config) error {
			if compile == nil {
				return errors.New("the program's main has to call compile.Process first")
			}
			c.elsewhere = compile
			return nil
		})
	}
}

// compileInto compiles a module into the cache in dir, with all processors: the process is there
// for nothing else.
func compileInto(ctx context.Context, wasm []byte, dir string) error {
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return err
	}
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(features).WithCompilationCache(cache))
	_, err = engineCompile(experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0)), rt, wasm)
	return err
}

// compileElsewhere has a process of its own compile a module into the cache, if the Host asks for
// that.
func (h *Host) compileElsewhere(ctx context.Context, wasm []byte) error {
	compile, cache := h.first().config.elsewhere, h.first().cache
	if compile == nil || cache == nil {
		return nil
	}
	return compile(ctx, wasm, cache.dir)
}
