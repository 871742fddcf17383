package virt

import (
	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/virt/inspect"
)

// untrustedModuleLimits are for modules that nobody vouches for: they keep compilation to a few
// seconds and 300 MB.
func untrustedModuleLimits() inspect.Limits {
	l := inspect.DefaultLimits()
	l.ModuleBytes, l.CustomBytes = 16<<20, 8<<20
	l.Types, l.TypeValues, l.Imports, l.Exports, l.Functions, l.Globals = 10_000, 100_000, 1_000, 20_000, 35_000, 20_000
	l.TableElements, l.Elements, l.Segments = 1_000_000, 200_000, 100_000
	l.NameBytes, l.CustomSections = 4<<10, 100
	l.BodyBytes, l.Locals, l.TotalLocals, l.Nesting, l.BranchTargets, l.Catches = 192<<10, 10_000, 500_000, 4_000, 16<<10, 2_000
	l.FunctionCost, l.TotalCost = 2_000_000, 3_000_000
	return l
}

// WithModuleLimits sets what modules of the Host may hold. It replaces all defaults: begin with
// [inspect.DefaultLimits] to change single ones. The zero Limits sets no limit.
func WithModuleLimits(l inspect.Limits) HostOption {
	return hostOption("WithModuleLimits", func(c *config) error {
		c.moduleLimits = &l
		return nil
	})
}

// limitsOf returns the limits that a Host's modules are checked against.
func (c *config) limitsOf() inspect.Limits {
	l := inspect.DefaultLimits()
	if c.moduleLimits != nil {
		l = *c.moduleLimits
	}
	if c.interpreted {
		l.FunctionCost, l.TotalCost = 0, 0
	}
	return l
}

// readModule checks a module against limits and reads its structure.
func readModule(wasm []byte, limits inspect.Limits) (*wasmbin.Module, error) {
	if err := limits.Check(wasm); err != nil {
		return nil, err
	}
	info, err := wasmbin.Inspect(wasm)
	return info, inspect.FromError(err)
}
