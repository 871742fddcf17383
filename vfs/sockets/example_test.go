package sockets_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/internal/testcache"
	"github.com/wasivirt/wasivirt/vfs/netmem"
	"github.com/wasivirt/wasivirt/virt"
)

// Two guests talk by HTTP over a network in memory with a latency of 50 ms, in no time.
func Example() {
	ctx := context.Background()
	wasm, err := goguest.Build(ctx, "../../virt/testdata/go/fetch")
	if err != nil {
		log.Fatal(err)
	}
	host, err := virt.NewBuilder(virt.Deterministic(1), virt.WithoutFiles(), testcache.Option()).Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(ctx)
	network := netmem.New(host.Clock(), netmem.WithLink(netmem.Link{Latency: 50 * time.Millisecond}))

	module, err := host.Compile(ctx, wasm)
	if err != nil {
		log.Fatal(err)
	}
	server, err := host.Instantiate(ctx, module, virt.WithNetwork(network.At("server")), virt.WithArgs("serve", ":80", "1"))
	if err != nil {
		log.Fatal(err)
	}
	client, err := host.Instantiate(ctx, module, virt.WithNetwork(network.At("client", "server")), virt.WithArgs("get", "http://server/", "1"),
		virt.WithStdout(os.Stdout))
	if err != nil {
		log.Fatal(err)
	}
	results, err := host.RunAll(ctx, server, client)
	fmt.Println(results, err)
	// Output:
	// hello 0 200ms
	// [exit 0 exit 0] <nil>
}
