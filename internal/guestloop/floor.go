package guestloop

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// InstantiateFloor makes the module "floor" in r: host functions with the names and parameters of
// calls that answer 0.
func InstantiateFloor(ctx context.Context, r wazero.Runtime, calls []Call) (api.Module, error) {
	m := r.NewHostModuleBuilder("floor")
	seen := map[string]bool{}
	for _, c := range calls {
		if seen[c.Name] {
			continue
		}
		seen[c.Name] = true
		var params []api.ValueType
		for _, a := range c.Args {
			if _, wide := a.(uint64); wide {
				params = append(params, api.ValueTypeI64)
			} else {
				params = append(params, api.ValueTypeI32)
			}
		}
		m.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) {
			stack[0] = 0
		}), params, []api.ValueType{api.ValueTypeI32}).Export(c.Name)
	}
	return m.Instantiate(ctx)
}
