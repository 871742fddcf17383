//go:build wasip1

// Typed greets: the guest of the benchmark Typed for this library, and for calls that are written
// by hand.
package main

import (
	"structs"

	"github.com/wasivirt/wasivirt/virt/plugin/pdk"
)

//go:wasmexport greet
func greet(name string) uint64 { return pdk.String("Good morning, " + name) }

type reply struct {
	_       structs.HostLayout
	id      uint64
	message uint32
	len     uint32
}

//go:wasmexport greet_request
func greetRequest(id uint64, name string, urgent uint32) uint64 {
	r := &reply{id: id + uint64(urgent)}
	r.message, r.len = pdk.Pin([]byte("Good morning, " + name))
	return pdk.Value(r)
}

func main() {}
