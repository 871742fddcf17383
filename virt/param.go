package virt

import (
	"github.com/tetratelabs/wazero/api"
)

// signature returns the function's WebAssembly type and its parameters' names.
func (f *function) signature() (types, results []api.ValueType, names []string) {
	for _, p := range f.Params {
		switch {
		case p.Kind.Pair():
			types = append(types, api.ValueTypeI32, api.ValueTypeI32)
			names = append(names, p.Name, p.Name+"_len")
		case p.Kind.Wide():
			types = append(types, api.ValueTypeI64)
			names = append(names, p.Name)
		default:
			types = append(types, api.ValueTypeI32)
			names = append(names, p.Name)
		}
	}
	if !f.NoResult {
		results = []api.ValueType{api.ValueTypeI32}
	}
	return types, results, names
}
