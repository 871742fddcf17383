package virt_test

import (
	"github.com/tetratelabs/wazero"

	"github.com/wasivirt/wasivirt/virt"
)

// shared is for Hosts that run large guests: what one has compiled the others need not compile
// again.
var shared = virt.WithRuntimeConfig(wazero.NewRuntimeConfig().WithCompilationCache(wazero.NewCompilationCache()))
