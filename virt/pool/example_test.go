package pool_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/pool"
)

// Guests that have started already answer requests, each its own.
func Example() {
	ctx := context.Background()
	wasm, err := os.ReadFile("../testdata/warm.wasm")
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
	guest, err := host.Instantiate(ctx, module)
	if err != nil {
		log.Fatal(err)
	}
	snapshot, err := guest.Snapshot(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer snapshot.Close()
	guests, err := pool.New(snapshot, pool.Config{Ready: 2, Max: 8})
	if err != nil {
		log.Fatal(err)
	}
	defer guests.Close(ctx)

	for range 2 {
		err := guests.Do(ctx, func(g *virt.Guest) error {
			results, err := g.Call(ctx, "bump")
			if err == nil {
				fmt.Println("the counter stands at", results[0])
			}
			return err
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// the counter stands at 107
	// the counter stands at 107
}
