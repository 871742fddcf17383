package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/tetratelabs/wazero"

	"github.com/wasivirt/wasivirt/virt"
)

// cacheVariable names the environment variable that says where compiled modules are kept: a directory, or "off".
const cacheVariable = "WASIVIRT_CACHE"

// engine says how modules are run. Compiled code is kept in the user's cache directory, because compiling a large
// program takes seconds; where there is none, or it cannot be written to, every run compiles.
func (w *world) engine() virt.Option {
	if w.interpreter {
		return virt.WithInterpreter()
	}
	dir := os.Getenv(cacheVariable)
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return virt.Options()
		}
		dir = filepath.Join(user, "wasivirt")
	}
	if dir == "off" {
		return virt.Options()
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return virt.Options()
	}
	w.cache = dir
	w.closers = append(w.closers, func() error { return cache.Close(context.Background()) })
	return virt.WithRuntimeConfig(wazero.NewRuntimeConfig().WithCompilationCache(cache))
}

// compile compiles a module. What the cache holds is named by the hash of the module as it is after it was rewritten,
// so that another module, other options or another version of the rewriter never find it; an entry that is damaged is
// an error of wazero's, after which the cache is emptied and filled again.
func (w *world) compile(ctx context.Context, host *virt.Host, wasm []byte) (*virt.Module, error) {
	module, err := host.Compile(ctx, wasm)
	if err == nil || w.cache == "" || !strings.Contains(err.Error(), "compilationcache:") {
		return module, err
	}
	// wazero keeps its entries in a directory for its version and the machine.
	entries, globErr := filepath.Glob(filepath.Join(w.cache, "wazero-*", "*"))
	for _, entry := range entries {
		globErr = errors.Join(globErr, os.Remove(entry))
	}
	module, again := host.Compile(ctx, wasm)
	if again != nil {
		return nil, errors.Join(err, globErr)
	}
	return module, nil
}
