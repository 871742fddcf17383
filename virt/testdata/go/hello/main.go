// A guest: copies /in.txt to /out.txt in capitals, and prints what it did.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	text, err := os.ReadFile("/in.txt")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := os.WriteFile("/out.txt", []byte(strings.ToUpper(string(text))), 0o666); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(len(text), "bytes,", os.Args[1:], os.Getenv("GREETING"))
	os.Exit(3)
}
