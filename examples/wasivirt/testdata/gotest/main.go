// Command gotest does what Go's tests do: it reads a file of its directory, writes a temporary one,
// looks at time and chance, loads a time zone and listens on the loopback by its name.
package main

import (
	"fmt"
	"math/rand/v2"
	"net"
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
	if _, err := time.LoadLocation("America/Los_Angeles"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer l.Close()
	time.Sleep(time.Millisecond)
	fmt.Println(time.Now().Format(time.RFC3339Nano), rand.Uint64())
}
