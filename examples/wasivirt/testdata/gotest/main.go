// Command gotest does what Go's tests do: it reads a file of its directory, writes a temporary one,
// and looks at time and chance.
package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

func main() {
	if _, err := os.ReadFile("main.go"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("read main.go")
	f, err := os.CreateTemp("", "gotest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer f.Close()
	fmt.Println("temporary file")
	time.Sleep(time.Millisecond)
	fmt.Println(time.Now().Format(time.RFC3339Nano), rand.Uint64())
}
