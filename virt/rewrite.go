package virt

import "github.com/wasivirt/wasivirt/internal/wasmbin"

// Rewrite returns a module as the Host really runs it: with looks at the Host where it could compute for ever, and with
// what else the Host's options ask for. What it imports from "wasivirt" only a Host has.
func (h *Host) Rewrite(wasm []byte) ([]byte, error) {
	info, err := readModule(wasm, h.config.limitsOf())
	if err != nil {
		return nil, err
	}
	if err := h.checkImports(info); err != nil {
		return nil, err
	}
	if wasm, _, err = wasmbin.Rewrite(wasm, h.rewriting(info)); err != nil {
		return nil, moduleError(err)
	}
	return wasm, nil
}
