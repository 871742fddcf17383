package wasmbin_test

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// endless is (module (func (export "spin") (loop (br 0)))).
var endless = []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00" +
	"\x07\x08\x01\x04spin\x00\x00\x0a\x09\x01\x07\x00\x03\x40\x0c\x00\x0b\x0b")

// A loop without end is stopped by the host function that its header now calls
// from time to time.
func ExampleRewrite() {
	ctx := context.Background()
	runtime := wazero.NewRuntime(ctx)
	defer runtime.Close(ctx)

	module, report, err := wasmbin.Rewrite(endless, wasmbin.Options{ImportModule: "wasivirt", Stop: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d loop, imports %s, exports %s\n", report.Loops, report.Imports[0].Name, report.StopGlobal)

	checks := 0
	check := api.GoModuleFunc(func(context.Context, api.Module, []uint64) {
		if checks++; checks == 1000 {
			panic(sys.NewExitError(1))
		}
	})
	_, err = runtime.NewHostModuleBuilder("wasivirt").
		NewFunctionBuilder().WithGoModuleFunction(check, nil, nil).Export("check").
		Instantiate(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	guest, err := runtime.Instantiate(ctx, module)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = guest.ExportedFunction("spin").Call(ctx)
	fmt.Println(err)
	// Output:
	// 1 loop, imports check, exports wasivirt.stop
	// module closed with exit_code(1)
}

func ExampleInspect() {
	m, err := wasmbin.Inspect(endless)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range m.Exports {
		fmt.Println(e.Kind, e.Name)
	}
	_, err = wasmbin.Inspect([]byte("(module)"))
	fmt.Println(err)
	// Output:
	// func spin
	// wasm: header section, offset 0x0: WebAssembly text, not binary: assemble it first (wat2wasm)
}
