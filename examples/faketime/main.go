// Faketime runs a guest that sleeps for an hour, and is done at once: the Host's clock jumps
// whenever all who use it sleep.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/internal/goguest"
	"github.com/wasivirt/wasivirt/virt"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, opts ...virt.Option) error {
	wasm, err := goguest.Build(ctx, "github.com/wasivirt/wasivirt/examples/faketime/guest")
	if err != nil {
		return err
	}
	eve := time.Date(1999, time.December, 31, 23, 30, 0, 0, time.UTC)
	virtual := clock.NewVirtual(clock.WithAutoAdvance(), clock.WithStart(eve))
	host, err := virt.NewBuilder(virt.WithClock(virtual), virt.WithStdout(out)).With(opts...).Build(ctx)
	if err != nil {
		return err
	}
	defer host.Close(ctx)

	module, err := host.Compile(ctx, wasm)
	if err != nil {
		return err
	}
	began := time.Now()
	result, err := host.RunModule(ctx, module)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%v: %v passed for the guest, %v for us\n", result, virtual.Elapsed(), time.Since(began).Round(time.Microsecond))
	return err
}
