// Plugin calls the same plugin in Go, C, AssemblyScript and Rust behind one Go interface: strings,
// a struct and an error go in and out of WebAssembly.
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
	"github.com/wasivirt/wasivirt/virt/plugin"
)

// inC, inAssemblyScript and inRust are guest/plugin.c, guest/plugin-as.ts and guest/plugin.rs,
// compiled.
var (
	//go:embed guest/plugin.wasm
	inC []byte
	//go:embed guest/plugin-as.wasm
	inAssemblyScript []byte
	//go:embed guest/plugin-rust.wasm
	inRust []byte
)

// Plugin is what plugins can do. Each field is an export of the guest.
type Plugin struct {
	Name    func(ctx context.Context) (string, error)
	Reverse func(ctx context.Context, text string) (string, error)
	Stats   func(ctx context.Context, text string) (Stats, error)
}

// Stats tells about a text.
type Stats struct {
	Words   uint32
	Longest string
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	inGo, err := goguest.Build(ctx, "github.com/wasivirt/wasivirt/examples/plugin/guest/goplugin", "-buildmode=c-shared")
	if err != nil {
		return err
	}
	host, err := virt.NewBuilder().Build(ctx)
	if err != nil {
		return err
	}
	defer host.Close(ctx)
	for _, wasm := range [][]byte{inC, inGo, inAssemblyScript} {
		if err := use(ctx, host, w, wasm); err != nil {
			return err
		}
	}
	return use(ctx, host, w, inRust, plugin.WithAllocator("allocate", "deallocate"))
}

// use makes a guest of a plugin and calls it.
func use(ctx context.Context, host *virt.Host, w io.Writer, wasm []byte, opts ...plugin.Option) error {
	module, err := host.Compile(ctx, wasm)
	if err != nil {
		return err
	}
	defer module.Close(ctx)
	guest, err := host.Instantiate(ctx, module)
	if err != nil {
		return err
	}
	defer guest.Close(ctx)
	var p Plugin
	if err := plugin.Bind(guest, &p, opts...); err != nil {
		return err
	}

	name, err := p.Name(ctx)
	if err != nil {
		return err
	}
	reversed, err := p.Reverse(ctx, "a plugin")
	if err != nil {
		return err
	}
	stats, err := p.Stats(ctx, "the longest word wins")
	if err != nil {
		return err
	}
	_, failed := p.Reverse(ctx, "")
	_, err = fmt.Fprintf(w, "%s: %q, %d words, the longest is %q; error: %v\n", name, reversed, stats.Words, stats.Longest, failed)
	return err
}
