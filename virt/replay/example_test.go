package replay_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"

	"github.com/wasivirt/wasivirt/vfs/memfs"
	"github.com/wasivirt/wasivirt/virt"
	"github.com/wasivirt/wasivirt/virt/replay"
)

// A recorded run is repeated without the files that it had.
func ExampleRun() {
	ctx := context.Background()
	wasm, err := os.ReadFile("../../examples/quickstart/guest/guest.wasm")
	if err != nil {
		log.Fatal(err)
	}
	files, err := memfs.FromMap(map[string]string{"in.txt": "hello"})
	if err != nil {
		log.Fatal(err)
	}
	var recording bytes.Buffer
	result, err := virt.Run(ctx, wasm, virt.WithMount("/", files), virt.WithRecording(&recording))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("recorded:", result)

	result, err = replay.Run(ctx, wasm, &recording, virt.WithStdout(os.Stdout))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("replayed:", result)
	// Output:
	// recorded: exit 0
	// the guest has written out.txt
	// replayed: exit 0
}
