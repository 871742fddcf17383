package guestloop_test

import (
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/wasivirt/wasivirt/internal/guestloop"
)

// Every row is a module that compiles, and so is its floor.
func TestRowsCompile(t *testing.T) {
	ctx := t.Context()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	for _, row := range guestloop.Rows() {
		for name, wasm := range map[string][]byte{"module": row.Module(), "floor": row.Floor()} {
			if _, err := r.CompileModule(ctx, wasm); err != nil {
				t.Errorf("%s: %s: %v", row.Name, name, err)
			}
		}
	}
}
