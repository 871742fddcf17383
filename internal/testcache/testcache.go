// Package testcache keeps the compiled code of large guests for all tests, as compiling one takes
// seconds and loading one a quarter of a second.
package testcache

import (
	"sync"

	"github.com/wasivirt/wasivirt/internal/loaded"
	"github.com/wasivirt/wasivirt/internal/usercache"
	"github.com/wasivirt/wasivirt/virt"
)

// Option keeps compiled code in the directory of usercache.ForTests, or nowhere if there is none.
// The code of small guests is compiled sooner than it is kept. What was used last stays loaded in
// this process.
func Option() virt.HostOption {
	dir := usercache.ForTests()
	if dir == "" {
		return virt.Options()
	}
	entry, _ := caches.LoadOrStore(dir, sync.OnceValues(func() (*loaded.Cache, error) { return loaded.New(dir) }))
	cache, err := entry.(func() (*loaded.Cache, error))()
	if err != nil {
		return virt.WithCompilationCache(dir, 0) // which tells of the error
	}
	return loaded.Option(cache).(virt.HostOption)
}

var caches sync.Map // directory → func() (*loaded.Cache, error)
