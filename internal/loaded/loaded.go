// Package loaded keeps compiled code in memory for all Hosts of a process. Tests build many Hosts
// for few guests, and loading the code of a large guest from a directory takes a quarter of a
// second.
package loaded

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/tetratelabs/wazero"
)

// A Cache loads compiled code from a directory for many Hosts. Code that the last of them has freed
// stays loaded while there is room, so that the next one finds it. It is never closed, and is safe
// for concurrent use.
type Cache struct {
	Dir    string
	Engine wazero.CompilationCache // of the runtimes of all Hosts

	mu    sync.Mutex
	kept  []module // the one that was freed last is the last
	bytes int
}

// module is code that no Host uses.
type module struct {
	sum      [32]byte
	bytes    int
	compiled wazero.CompiledModule
}

// The code of a module is about seven times as large as the module.
const (
	leastBytes = 256 << 10 // of a module: smaller ones are compiled as fast as they are found
	mostBytes  = 16 << 20  // of all modules
)

// New returns a Cache of the code in a directory, which is made if it is missing.
func New(dir string) (*Cache, error) {
	engine, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, err
	}
	return &Cache{Dir: dir, Engine: engine}, nil
}

// Free takes over what a Host has no more use for. sum is the SHA-256 of the module, and bytes is
// its size.
func (c *Cache) Free(ctx context.Context, sum [32]byte, bytes int, compiled wazero.CompiledModule) error {
	if bytes < leastBytes {
		return compiled.Close(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	if i := slices.IndexFunc(c.kept, func(m module) bool { return m.sum == sum }); i >= 0 {
		errs = append(errs, c.drop(ctx, i))
	}
	c.kept, c.bytes = append(c.kept, module{sum, bytes, compiled}), c.bytes+bytes
	for c.bytes > mostBytes {
		errs = append(errs, c.drop(ctx, 0))
	}
	return errors.Join(errs...)
}

// drop closes one of kept.
func (c *Cache) drop(ctx context.Context, i int) error {
	m := c.kept[i]
	c.kept, c.bytes = slices.Delete(c.kept, i, i+1), c.bytes-m.bytes
	return m.compiled.Close(ctx)
}

// Option returns a virt.HostOption that has a Host use a Cache, as virt.WithCompilationCache has it
// use a directory. Package virt sets it when it is initialized.
var Option func(c *Cache) any
