package plugin_test

import (
	"context"
	"fmt"
	"log"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/plugin"
)

func ExampleFunc() {
	ctx := context.Background()
	// The guest imports env.lookup.
	lookup, err := plugin.HostFunc("lookup", func(_ context.Context, key string) (string, error) { return "the host's " + key, nil })
	if err != nil {
		log.Fatal(err)
	}
	host, err := virt.NewBuilder(virt.WithFunctions("env", lookup)).Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(ctx)
	module, err := host.Compile(ctx, abiWasm)
	if err != nil {
		log.Fatal(err)
	}
	guest, err := host.Instantiate(ctx, module)
	if err != nil {
		log.Fatal(err)
	}
	upper, err := plugin.Func[func(context.Context, string) (string, error)](guest, "upper")
	if err != nil {
		log.Fatal(err)
	}
	ask, err := plugin.Func[func(context.Context, string) (string, error)](guest, "ask")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(upper(ctx, "hello"))
	fmt.Println(upper(ctx, ""))
	fmt.Println(ask(ctx, "answer"))
	// Output:
	// HELLO <nil>
	//  nothing to do
	// the host's answer <nil>
}
