package dropin_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/tetratelabs/wazero"

	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/dropin"
)

// A program that instantiates its modules with wazero gives them files in memory.
func ExampleInstantiate() {
	ctx := context.Background()
	wasm, err := os.ReadFile("../../examples/quickstart/guest/guest.wasm")
	if err != nil {
		log.Fatal(err)
	}
	files, err := memfs.FromMap(map[string]string{"in.txt": "hello"})
	if err != nil {
		log.Fatal(err)
	}
	runtime := wazero.NewRuntime(ctx)
	defer runtime.Close(ctx)
	if _, err := dropin.Instantiate(ctx, runtime, virt.WithMount("/", files)); err != nil {
		log.Fatal(err)
	}
	if _, err := runtime.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStdout(os.Stdout)); err != nil {
		log.Print(err) // that of proc_exit
	}
	text, err := files.ReadFile("out.txt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", text)
	// Output:
	// the guest has written out.txt
	// HELLO
}
