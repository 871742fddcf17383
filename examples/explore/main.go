// Explore finds a race in a guest with threads: it runs the guest with many orders of its threads,
// prints in which ways it ended, and runs one of the seeds that go wrong again, which goes wrong
// again.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/explore"
)

// guest is guest/guest.c, compiled.
//
//go:embed guest/guest.wasm
var guest []byte

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	report, err := explore.Run(ctx, explore.Config{Wasm: guest, First: 1, Last: 500})
	if err != nil {
		return err
	}
	if err := report.Write(out, nil); err != nil {
		return err
	}
	for _, o := range report.Outcomes {
		if o.Result.Success() {
			continue
		}
		result, err := again(ctx, o.Seed)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "seed %d, once more: %v\n", o.Seed, result)
	}
	return nil
}

// again runs the guest in the order that explore gives a seed.
func again(ctx context.Context, seed uint64) (*virt.Result, error) {
	host, err := virt.NewBuilder(
		virt.WithDeterminism(virt.Determinism{Seed: seed, Strategy: explore.DefaultStrategy()}),
		virt.WithAccessSwitches(),
		virt.WithMaxThreads(64),
		virt.WithFuel(explore.DefaultFuel),
	).Build(ctx)
	if err != nil {
		return nil, err
	}
	defer host.Close(ctx)
	return host.Run(ctx, guest)
}
