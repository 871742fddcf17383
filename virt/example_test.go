package virt_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"

	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
)

// A guest that copies a file in capitals runs on files in memory.
func Example() {
	ctx := context.Background()
	wasm, err := os.ReadFile("../examples/quickstart/guest/guest.wasm")
	if err != nil {
		log.Fatal(err)
	}
	files, err := memfs.FromMap(map[string]string{"in.txt": "hello"})
	if err != nil {
		log.Fatal(err)
	}
	host, err := virt.NewBuilder(virt.WithMount("/", files)).Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(ctx)

	var out bytes.Buffer
	result, err := host.Run(ctx, wasm, virt.WithStdout(&out))
	if err != nil {
		log.Fatal(err)
	}
	text, err := files.ReadFile("out.txt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(out.String())
	fmt.Printf("%v: %s\n", result, text)
	// Output:
	// the guest has written out.txt
	// exit 0: HELLO
}
