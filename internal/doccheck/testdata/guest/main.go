// Guest is the program that the documents' commands run as guest.wasm.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Println("hello from", os.Args[0])
}
