package inspect_test

import (
	"fmt"
	"log"
	"os"

	"github.com/wasivirt/wasivirt/virt/inspect"
)

// Module tells what a module needs before it runs.
func ExampleModule() {
	wasm, err := os.ReadFile("../../examples/quickstart/guest/guest.wasm")
	if err != nil {
		log.Fatal(err)
	}
	audit, err := inspect.Module(wasm)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(audit.Kind())
	for _, im := range audit.Imports {
		fmt.Println(im.Name, "is answered by", im.Subsystem)
	}
	// Output:
	// command
	// path_open is answered by vfs
	// fd_read is answered by vfs
	// fd_write is answered by vfs
	// proc_exit is answered by process
}
