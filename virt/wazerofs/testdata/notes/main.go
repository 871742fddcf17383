// Command notes writes a file by way of a temporary one.
package main

import (
	"log"
	"os"
)

func main() {
	if err := os.MkdirAll("/notes", 0o700); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("/notes/today.tmp", []byte("written by a guest\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	if err := os.Rename("/notes/today.tmp", "/notes/today"); err != nil {
		log.Fatal(err)
	}
	if _, err := os.ReadDir("/notes"); err != nil {
		log.Fatal(err)
	}
}
