package main

import (
	"context"
	"os"
	"path/filepath"

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
	w.closers = append(w.closers, func() error { return cache.Close(context.Background()) })
	return virt.WithRuntimeConfig(wazero.NewRuntimeConfig().WithCompilationCache(cache))
}
