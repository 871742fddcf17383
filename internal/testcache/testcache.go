// Package testcache keeps the compiled code of large guests for all tests, as compiling one takes
// seconds.
package testcache

import (
	"github.com/wasivirt/wasivirt/internal/usercache"
	"github.com/wasivirt/wasivirt/virt"
)

// Option keeps compiled code in the directory of usercache.ForTests, or nowhere if there is none.
// The code of small guests is compiled sooner than it is kept.
func Option() virt.HostOption {
	dir := usercache.ForTests()
	if dir == "" {
		return virt.Options()
	}
	return virt.WithCompilationCache(dir, 0)
}
