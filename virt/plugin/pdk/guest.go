//go:build wasip1

package pdk

import (
	"errors"
	"unsafe"
)

// errorBit marks an error in the length of a packed result.
const errorBit = 1 << 31

// blocks are what the host has, which keeps the collector off. A module without threads runs one
// export at a time.
var blocks = map[uint32]any{}

//go:wasmexport malloc
func malloc(size uint32) uint32 {
	// Words, so that every type is aligned.
	b := make([]uint64, (uint64(size)+7)/8+1)
	ptr := address(unsafe.Pointer(&b[0]))
	blocks[ptr] = b
	return ptr
}

//go:wasmexport free
func free(ptr uint32) { delete(blocks, ptr) }

func address(p unsafe.Pointer) uint32 { return uint32(uintptr(p)) }

func pack(ptr, n uint32) uint64 { return uint64(ptr)<<32 | uint64(n) }

// String makes the result of an export that returns s.
func String(s string) uint64 { return Bytes([]byte(s)) }

// Bytes makes the result of an export that returns b. The host copies b after the export has
// returned: do not change b before.
func Bytes(b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	ptr := address(unsafe.Pointer(&b[0]))
	blocks[ptr] = b
	return pack(ptr, uint32(len(b)))
}

// Value makes the result of an export that returns *v. The host gets a Go struct of the same
// fields. T embeds structs.HostLayout. A string or slice is two fields of type uint32, a pointer
// and a length: see [Pin].
func Value[T any](v *T) uint64 {
	ptr := address(unsafe.Pointer(v))
	blocks[ptr] = v
	return pack(ptr, uint32(unsafe.Sizeof(*v)))
}

// Pin returns the pointer and length of b for a field of a [Value], and keeps b until the host has
// read it.
func Pin(b []byte) (ptr, n uint32) {
	packed := Bytes(b)
	return uint32(packed >> 32), uint32(packed)
}

// Error makes the result of an export that returns err. The host gets a *plugin.Error, or nil for
// nil.
func Error(err error) uint64 {
	if err == nil {
		return 0
	}
	text := []byte(err.Error())
	if len(text) == 0 {
		text = []byte("error")
	}
	return Bytes(text) | errorBit
}

// Result makes the result of an export that returns s, or err if it is not nil.
func Result(s string, err error) uint64 {
	if err != nil {
		return Error(err)
	}
	return String(s)
}

// Slice returns a slice parameter, which an export gets as a pointer and the number of elements. It
// is not copied, and stays valid as long as it is used.
func Slice[T any](ptr unsafe.Pointer, n uint32) []T { return unsafe.Slice((*T)(ptr), n) }

// TakeBytes returns the result of an imported function, without a copy.
func TakeBytes(packed uint64) ([]byte, error) {
	ptr, n := uint32(packed>>32), uint32(packed)
	if ptr == 0 {
		return nil, nil
	}
	words, _ := blocks[ptr].([]uint64)
	delete(blocks, ptr)
	if len(words) == 0 {
		return nil, errors.New("the host returned what malloc has not given out")
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n&^errorBit)
	if n&errorBit != 0 {
		return nil, errors.New(string(b))
	}
	return b, nil
}

// TakeString returns the result of an imported function, as a string.
func TakeString(packed uint64) (string, error) {
	b, err := TakeBytes(packed)
	return string(b), err
}
