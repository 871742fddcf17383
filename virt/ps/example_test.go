package ps_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/wasivirt/wasivirt/clock"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/ps"
)

// What does a guest wait for? Write shows the same as text.
func ExampleOf() {
	ctx := context.Background()
	wasm, err := os.ReadFile("../testdata/bare/do.wasm")
	if err != nil {
		log.Fatal(err)
	}
	now := clock.NewVirtual()
	host, err := virt.NewBuilder(virt.WithClock(now)).Build(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close(ctx)
	ended := make(chan error)
	go func() {
		_, err := host.Run(ctx, wasm, virt.WithName("sleeper"), virt.WithArgs("sleep", "1000"))
		ended <- err
	}()

	// Until the guest sleeps: its timer is set a moment before it counts as waiting.
	if err := now.BlockUntilIdle(ctx, 1); err != nil {
		log.Fatal(err)
	}
	for _, g := range ps.Of(host) {
		for _, t := range g.Threads {
			fmt.Println(g.Name, t.State, t.Call, t.Left)
		}
		for _, d := range g.Descriptors[:3] {
			fmt.Println(d.Fd, d.Path)
		}
	}

	now.Advance(time.Second)
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
	// Output:
	// sleeper waiting poll_oneoff 1s
	// 0 <stdin>
	// 1 <stdout>
	// 2 <stderr>
}
