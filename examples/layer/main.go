// Layer puts a layer that is written in C and compiled to WebAssembly between a guest in Go and the
// Host: what the guest prints comes out in capitals, and a file that is on no file system is served
// to it. Layers stack; this one stands twice.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/virt"
)

// layer is guest/layer.c, compiled.
//
//go:embed guest/layer.wasm
var layer []byte

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	guest, err := goguest.Build(ctx, "github.com/wasivirt/wasivirt/examples/layer/guest/motd")
	if err != nil {
		return err
	}
	host, err := virt.NewBuilder().Build(ctx)
	if err != nil {
		return err
	}
	defer host.Close(ctx)
	module, err := host.Compile(ctx, guest)
	if err != nil {
		return err
	}
	plug, err := host.CompilePlug(ctx, layer)
	if err != nil {
		return err
	}
	result, err := host.RunModule(ctx, module, virt.WithPlug(plug), virt.WithPlug(plug), virt.WithStdout(w))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, "it ended with", result)
	return err
}
