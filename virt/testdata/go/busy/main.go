// Command busy does a little of everything in which a run can differ from another: goroutines,
// timers, maps, select, both kinds of randomness, and files.
package main

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand"
	"os"
	"time"
)

func main() {
	results := make(chan string)
	for i := range 4 {
		go func() {
			for range 3 {
				time.Sleep(time.Duration(mathrand.Intn(1000)) * time.Microsecond)
				results <- fmt.Sprintf("goroutine %d", i)
			}
		}()
	}
	tick := time.NewTicker(300 * time.Microsecond)
	defer tick.Stop()
	for n := 0; n < 12; {
		select {
		case r := <-results:
			n++
			fmt.Println(time.Now().Format(time.RFC3339Nano), r)
		case <-tick.C:
			fmt.Println("tick")
		}
	}
	set := map[int]bool{}
	for i := range 20 {
		set[i] = true
	}
	for i := range set {
		fmt.Print(i, " ")
	}
	key := make([]byte, 8)
	if _, err := rand.Read(key); err != nil {
		panic(err)
	}
	fmt.Printf("\n%x %d\n", key, mathrand.Int())
	for i := range 5 {
		name := fmt.Sprintf("/tmp/%d-%x", i, key)
		if err := os.WriteFile(name, []byte(name), 0o644); err != nil {
			panic(err)
		}
	}
	entries, err := os.ReadDir("/tmp")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		fmt.Println(e.Name())
	}
}
