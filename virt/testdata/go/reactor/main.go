// A reactor: its functions are called by the host as often as it likes.
package main

import (
	"os"
	"strings"
	"unsafe"
)

func main() {}

var calls int64

//go:wasmexport add
func add(a, b int32) int32 { calls++; return a + b }

//go:wasmexport called
func called() int64 { return calls }

//go:wasmimport env callback
func callback(n int32) int32

// nest asks the host, which may call add meanwhile.
//
//go:wasmexport nest
func nest(n int32) int32 { return callback(n) }

//go:wasmexport exit
func exit(code int32) { os.Exit(int(code)) }

// blocks are what the host has allocated, which keeps the garbage collector off.
var blocks = map[uintptr][]byte{}

//go:wasmexport malloc
func malloc(size int32) uintptr {
	b := make([]byte, max(size, 1))
	p := uintptr(unsafe.Pointer(&b[0]))
	blocks[p] = b
	return p
}

//go:wasmexport free
func free(p uintptr) { delete(blocks, p) }

// upper writes the file whose name has n bytes at p, with its content in upper case, to standard
// output.
//
//go:wasmexport upper
func upper(p uintptr, n int32) int32 {
	content, err := os.ReadFile(string(blocks[p][:n]))
	if err != nil {
		return -1
	}
	written, _ := os.Stdout.WriteString(strings.ToUpper(string(content)))
	return int32(written)
}
