package cookbook

import (
	"context"
	"log"
	"os"
)

// The guests of the recipes: wasm does what its arguments say ("write /a text", "cat /a", "sleep
// 1000"), library is a reactor, racer starts threads that race, caller calls a function of the
// embedder's.
var (
	ctx     = context.Background()
	wasm    = read("../../virt/testdata/bare/do.wasm")
	library = read("../../virt/testdata/warm.wasm")
	racer   = read("../../virt/testdata/bare/race_counter.wasm")
	caller  = read("testdata/double.wasm")
)

func read(file string) []byte {
	b, err := os.ReadFile(file)
	check(err)
	return b
}

// check stands for what a program does with an error.
func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}
