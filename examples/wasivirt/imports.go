package main

import (
	"fmt"
	"strings"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/abi"
	"github.com/wasivirt/wasivirt/virt/inspect"
)

// trapping provides the functions that a module imports and no Host answers. Each traps. Other
// previews of WASI, and what only the Host itself provides, stay refused.
func trapping(wasm []byte) (opts []virt.Option, err error) {
	audit, err := inspect.Module(wasm)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, im := range audit.Missing() {
		name := im.Module + "." + im.Name
		wasi := im.Module == abi.ModuleName || strings.HasPrefix(im.Module, "wasi:") || im.Module == "wasi_unstable"
		if wasi || strings.HasPrefix(im.Module, "wasivirt") || known[name] {
			continue
		}
		known[name] = true
		opts = append(opts, virt.WithFunctions(im.Module, virt.HostFunction{
			Name: im.Name, Params: im.Params, Results: im.Results,
			Call: func(c *virt.HostCall, _ []uint64) {
				c.Trap(fmt.Errorf("the guest called %s, which nothing provides", safetext.Name(name)))
			},
		}))
	}
	return opts, nil
}
