package explore_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/wasivirt/wasivirt/virt/explore"
)

// Run finds that a counter, to which two threads add without a lock, loses additions in some orders
// of the threads.
func ExampleRun() {
	wasm, err := os.ReadFile("../testdata/bare/race_counter.wasm")
	if err != nil {
		log.Fatal(err)
	}
	report, err := explore.Run(context.Background(), explore.Config{Wasm: wasm, First: 1, Last: 100})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("all end alike:", report.Clean())
	for _, o := range report.Outcomes {
		fmt.Printf("%s, for the first time with seed %d\n", o.What, o.Seed)
	}
	// Output:
	// all end alike: false
	// exit 0, for the first time with seed 1
	// exit 1, for the first time with seed 3
}
