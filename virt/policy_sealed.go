package virt

import (
	"fmt"
	gopath "path"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/inspect"
)

// WithAllowedImports restricts what modules may import. [Host.Compile] refuses a module that
// imports anything else; the error names the import. A grant is a function, a pattern or a
// subsystem, as in [WithMiddleware]. For imports from other modules it is "module.name"; both parts
// may be patterns as in path.Match.
func WithAllowedImports(grants ...string) HostOption {
	return hostOption("WithAllowedImports", func(c *config) error {
		for _, grant := range grants {
			if strings.Contains(grant, ".") {
				if _, err := gopath.Match(grant, ""); err != nil {
					return fmt.Errorf("%q: %w", grant, err)
				}
			} else if _, err := selects(grant); err != nil {
				return err
			}
		}
		c.control.sealed = true
		c.control.grants = append(slices.Clone(c.control.grants), grants...)
		return nil
	})
}

// granted reports whether a guest may import the function.
func (c *control) granted(module, name string) bool {
	if !c.sealed {
		return true
	}
	return slices.ContainsFunc(c.grants, func(grant string) bool {
		if strings.Contains(grant, ".") {
			ok, _ := gopath.Match(grant, module+"."+name)
			return ok
		}
		if abi.SubsystemOf(module, name) == "" {
			return false
		}
		s, _ := selects(grant)
		for i := range s.rows {
			if s.rows[i] && row(i).Name == name {
				return true
			}
		}
		return false
	})
}

// Audit lists what a module needs, before it is compiled. Denied lists the imports that this Host
// would not answer: those that nobody provides, that [WithAllowedImports] does not grant, or whose
// every call the policy denies. [Host.Compile] refuses a module for the first two.
func (h *Host) Audit(wasm []byte) (*inspect.Audit, error) {
	a, err := h.config.limitsOf().Inspect(wasm)
	if err != nil {
		return nil, err
	}
	for _, im := range a.Imports {
		if reason := h.denies(im); reason != "" {
			a.Denied = append(a.Denied, inspect.Denial{Import: im, Reason: reason})
		}
	}
	return a, nil
}
