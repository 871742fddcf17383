package trap_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/trap"
)

// A server tells its users why their programs were stopped.
func ExampleKind() {
	ctx := context.Background()
	wasm, err := os.ReadFile("../testdata/bare/traps.wasm")
	if err != nil {
		log.Fatal(err)
	}
	host, err := virt.NewBuilder().Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(ctx)
	module, err := host.Compile(ctx, wasm)
	if err != nil {
		log.Fatal(err)
	}
	for _, export := range []string{"unreachable", "out_of_bounds", "stack_overflow"} {
		guest, err := host.Instantiate(ctx, module)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := guest.Call(ctx, export); err == nil {
			log.Fatal("the guest did not trap")
		}
		switch t := guest.Result().Trap; t.Kind {
		case trap.Unreachable:
			fmt.Println("the program gave up")
		case trap.StackOverflow:
			fmt.Println("the program calls itself without end")
		default:
			fmt.Println("the program has a bug:", t.Kind)
		}
	}
	// Output:
	// the program gave up
	// the program has a bug: out of bounds memory access
	// the program calls itself without end
}
