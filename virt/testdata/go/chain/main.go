//go:build wasip1

// Chain is a module between two others: what it is given byte by byte it gives to the module
// "rust", and passes on what comes back.
package main

//go:wasmimport rust put
func put(b uint32)

//go:wasmimport rust say
func say()

//go:wasmimport rust take
func take() int32

var in, out []byte

//go:wasmexport put
func receive(b uint32) { in = append(in, byte(b)) }

//go:wasmexport say
func answer() {
	for _, b := range in {
		put(uint32(b))
	}
	say()
	text := "go("
	for b := take(); b >= 0; b = take() {
		text += string(rune(b))
	}
	in, out = nil, []byte(text+")")
}

//go:wasmexport take
func give() int32 {
	if len(out) == 0 {
		return -1
	}
	b := out[0]
	out = out[1:]
	return int32(b)
}

func main() {}
