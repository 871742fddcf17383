// Lines calls a function of the Host through others: the test names the lines of this file.
package main

import "os"

//go:wasmimport env trap
func trap()

//go:noinline
func inner(n int) {
	if n < 0 {
		os.Exit(1)
	}
	trap()
}

//go:noinline
func outer(n int) int {
	sum := 0
	for i := range n {
		sum += i
		if sum > 10 {
			inner(sum)
		}
	}
	return sum
}

func main() {
	println(outer(len(os.Args) + 100))
}
