// Quickstart runs a WebAssembly guest in a world in memory: it gives the guest a file, lets it run,
// and reads what the guest wrote.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"log"
	"os"

	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
)

// guest is guest/guest.c, compiled.
//
//go:embed guest/guest.wasm
var guest []byte

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	files := memfs.New()
	if err := files.WriteFile("in.txt", []byte("hello from a file that is on no disk\n")); err != nil {
		return err
	}
	host, err := virt.NewBuilder(virt.WithMount("/", files), virt.WithStdout(os.Stdout)).Build(ctx)
	if err != nil {
		return err
	}
	defer host.Close(ctx)

	result, err := host.Run(ctx, guest)
	if err != nil {
		return err
	}
	text, err := files.ReadFile("out.txt")
	if err != nil {
		return err
	}
	fmt.Printf("it ended with %v, and out.txt is: %s", result, text)
	return nil
}
