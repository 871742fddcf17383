// A reactor that answers requests: it writes to 100 pages of 4 KiB and reads a file.
package main

import "os"

func main() {}

var pages = func() (p [200][4096]byte) {
	for i := range p {
		for j := range p[i] {
			p[i][j] = byte(i * j)
		}
	}
	return p
}()

// request answers the number of bytes read plus what it found in the pages, which is the same for
// each fresh guest.
//
//go:wasmexport request
func request() uint32 {
	b, err := os.ReadFile("/input")
	if err != nil {
		panic(err)
	}
	sum := uint32(len(b))
	for i := range 100 {
		sum += uint32(pages[2*i][i])
		pages[2*i][i]++
	}
	return sum
}
