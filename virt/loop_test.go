package virt_test

import "github.com/wasivirt/wasivirt/internal/guestloop"

// call is one call of a function by a guest. An argument that is a from is loaded from guest
// memory.
type call struct {
	name string
	args []any
}

// from is the address that an i32 argument is loaded from.
type from = guestloop.From

// loop is a module whose export run(n) makes the calls of before once and the others n times; see
// [guestloop.Module].
func loop(module string, data []byte, before, calls []call) []byte {
	convert := func(list []call) (out []guestloop.Call) {
		for _, c := range list {
			out = append(out, guestloop.Call{Name: c.name, Args: c.args})
		}
		return out
	}
	return guestloop.Module(module, data, convert(before), convert(calls))
}

func appendName(b []byte, s string) []byte { return guestloop.AppendName(b, s) }

func appendSigned(b []byte, v int64) []byte { return guestloop.AppendSigned(b, v) }

// Addresses in the memory of a guest that makes calls.
const (
	resultAt = 0x100  // results of 8 bytes or less
	statAt   = 0x140  // a filestat
	subAt    = 0x800  // subscriptions
	eventAt  = 0x900  // events
	bufferAt = 0x1000 // 64 KiB and more
)
