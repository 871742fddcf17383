package virt

import (
	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/virt/inspect"
)

// Rewrite returns the module as the Host runs it: with checks that let the Host stop it, and with
// the changes that options ask for. Its imports from "wasivirt" can be answered by a Host only.
func (h *Host) Rewrite(wasm []byte) ([]byte, error) {
	info, err := readModule(wasm, h.config.limitsOf())
	if err != nil {
		return nil, err
	}
	if err := h.checkImports(info, nil); err != nil {
		return nil, err
	}
	if wasm, _, err = wasmbin.Rewrite(wasm, h.rewriting(info)); err != nil {
		return nil, inspect.FromError(err)
	}
	return wasm, nil
}
