package pdk_test

import (
	"context"
	"fmt"
	"log"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/plugin"
)

// The guest exports
//
//	//go:wasmexport reverse
//	func reverse(text string) uint64 {
//		if text == "" {
//			return pdk.Error(errors.New("nothing to reverse"))
//		}
//		letters := []rune(text)
//		slices.Reverse(letters)
//		return pdk.String(string(letters))
//	}
//
// and the host calls it as a Go function.
func Example() {
	ctx := context.Background()
	wasm, err := goguest.Build(ctx, "../../../examples/plugin/guest/goplugin", "-buildmode=c-shared")
	if err != nil {
		log.Fatal(err)
	}
	host, err := virt.NewBuilder(virt.WithInterpreter()).Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(ctx)
	module, err := host.Compile(ctx, wasm)
	if err != nil {
		log.Fatal(err)
	}
	guest, err := host.Instantiate(ctx, module)
	if err != nil {
		log.Fatal(err)
	}
	reverse, err := plugin.Func[func(context.Context, string) (string, error)](guest, "reverse")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reverse(ctx, "desserts"))
	fmt.Println(reverse(ctx, ""))
	// Output:
	// stressed <nil>
	//  nothing to reverse
}
