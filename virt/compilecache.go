package virt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/tetratelabs/wazero"

	"github.com/wasivirt/wasivirt/internal/loaded"
	"github.com/wasivirt/wasivirt/virt/internal/cachedir"
	"github.com/wasivirt/wasivirt/virt/internal/link"
)

// compilationCache is a directory where compiled code is kept.
type compilationCache struct {
	dir   string
	bytes int64
	cache wazero.CompilationCache

	loaded *loaded.Cache // that the cache belongs to, nil where it is the Host's own
}

func init() {
	link.NamesRuntime = func(opts any) bool {
		var c config
		_ = apply(&c, opts.([]Option)) // Build tells of mistakes
		return c.runtime != nil
	}
	loaded.Option = func(of *loaded.Cache) any {
		return hostOption("WithCompilationCache", func(c *config) error {
			c.cache = &compilationCache{dir: of.Dir, bytes: cachedir.DefaultBytes, loaded: of}
			return nil
		})
	}
}

// WithCompilationCache keeps compiled code in a directory, which is made if it is missing, for
// later Hosts of this and of other processes. Code is found by the hash of the module as it was
// rewritten, so that another module, other options and another version never find it.
//
// When code has been added, the oldest is removed until the directory holds at most bytes; 0 means
// 1 GiB, a negative number sets no bound. Any number of processes may use the directory at once.
// Damaged entries are removed and compiled again. Whoever may write to the directory decides what
// machine code runs in this process: it must belong to the embedder alone. The interpreter keeps
// nothing.
//
// The option excludes [WithRuntime]: give the cache to the runtime there.
func WithCompilationCache(dir string, bytes int64) HostOption {
	return hostOption("WithCompilationCache", func(c *config) error {
		if dir == "" {
			return errors.New("the directory has no name")
		}
		if bytes == 0 {
			bytes = cachedir.DefaultBytes
		}
		c.cache = &compilationCache{dir: dir, bytes: bytes}
		return nil
	})
}

// openCache puts the cache into the configuration of the runtime. The Host closes it after the
// runtime, unless other Hosts use it too.
func (c *config) openCache() error {
	if c.interpreted {
		c.cache = nil
		return nil
	}
	opened := *c.cache
	err := os.MkdirAll(opened.dir, 0o700)
	switch {
	case err != nil:
	case opened.loaded != nil:
		opened.cache = opened.loaded.Engine
	default:
		opened.cache, err = wazero.NewCompilationCacheWithDir(opened.dir)
	}
	if err != nil {
		return fmt.Errorf("WithCompilationCache: %w", err)
	}
	rc := c.runtimeConfig
	if rc == nil {
		rc = wazero.NewRuntimeConfig()
	}
	c.runtimeConfig = rc.WithCompilationCache(opened.cache)
	c.cache = &opened
	return nil
}

// close closes what belongs to the Host.
func (c *compilationCache) close(ctx context.Context) error {
	if c == nil || c.loaded != nil {
		return nil
	}
	return c.cache.Close(ctx)
}

// compileCached has the engine compile a module, with the Host's cache where it has one.
func (h *Host) compileCached(ctx context.Context, wasm []byte) (wazero.CompiledModule, error) {
	c := h.first().cache
	compiled, err := engineCompile(ctx, h.runtime, wasm)
	if c == nil {
		return compiled, err
	}
	if err != nil && strings.Contains(err.Error(), "compilationcache:") {
		// wazero says so of an entry that is damaged, and does not tell which.
		if removed := cachedir.Trim(c.dir, 0); removed != nil {
			return nil, errors.Join(err, removed)
		}
		compiled, err = engineCompile(ctx, h.runtime, wasm)
	}
	if err == nil && c.bytes >= 0 {
		// That the cache is larger than it should be is no reason not to run the module.
		_ = cachedir.Trim(c.dir, c.bytes)
	}
	return compiled, err
}
