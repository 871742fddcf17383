// A guest that reads a file and prints it.
package main

import (
	"fmt"
	"log"
	"os"
)

func main() {
	text, err := os.ReadFile("/etc/motd")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", text)
	fmt.Println("printed by a guest in Go")
}
