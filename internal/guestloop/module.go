// Package guestloop makes guests for benchmarks: modules that call functions of WASI preview1 in a
// loop, so that what is timed is calls and nothing else, on whatever host.
//
// [Module] is the generator, [Rows] the calls that the project measures itself by.
package guestloop

import (
	"encoding/binary"
	"fmt"
)

// Call is one call of a function. An argument is an int, which is an i32, a uint64, which is an
// i64, or a From.
type Call struct {
	Name string
	Args []any
}

// From is the address in guest memory that an i32 argument is loaded from at each call.
type From uint32

// Module is a module whose export run(n) makes the calls of before once and the others n times, on
// a memory that has data at address 0, and returns all their results or-ed. Its calls go to module.
func Module(module string, data []byte, before, calls []Call) []byte {
	var types, imports, body []byte
	for i, c := range append(before[:len(before):len(before)], calls...) {
		if i == len(before) {
			body = append(body, 0x03, 0x40) // loop
		}
		types = append(types, 0x60)
		types = binary.AppendUvarint(types, uint64(len(c.Args)))
		for j, a := range c.Args {
			wide := false
			switch a := a.(type) {
			case From:
				body = append(body, 0x41, 0, 0x28, 2)
				body = binary.AppendUvarint(body, uint64(a))
			case int:
				body = append(body, 0x41)
				body = AppendSigned(body, int64(a))
			case uint64:
				wide = true
				body = append(body, 0x42)
				body = AppendSigned(body, int64(a))
			default:
				panic(fmt.Sprintf("argument %d of %s", j, c.Name))
			}
			if wide {
				types = append(types, 0x7e)
			} else {
				types = append(types, 0x7f)
			}
		}
		types = append(types, 1, 0x7f)
		imports = AppendName(AppendName(imports, module), c.Name)
		imports = append(imports, 0, byte(i))
		body = append(body, 0x10, byte(i), 0x20, 1, 0x72, 0x21, 1) // call, or into local 1
	}
	n := byte(len(before) + len(calls))
	types = append(types, 0x60, 1, 0x7f, 1, 0x7f) // run
	body = append([]byte{1, 1, 0x7f}, body...)
	body = append(body, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b, 0x20, 1, 0x0b)
	wasm := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	section := func(id byte, content []byte) {
		wasm = append(binary.AppendUvarint(append(wasm, id), uint64(len(content))), content...)
	}
	section(1, append([]byte{n + 1}, types...))
	section(2, append([]byte{n}, imports...))
	section(3, []byte{1, n})
	section(5, []byte{1, 0, 4})
	section(7, append(append(AppendName([]byte{2}, "run"), 0, n), append(AppendName(nil, "memory"), 2, 0)...))
	section(10, append(binary.AppendUvarint([]byte{1}, uint64(len(body))), body...))
	section(11, append(binary.AppendUvarint([]byte{1, 0, 0x41, 0, 0x0b}, uint64(len(data))), data...))
	return wasm
}

// AppendName appends a name as the binary format has it: its length and its bytes.
func AppendName(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendSigned appends v in signed LEB128.
func AppendSigned(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
