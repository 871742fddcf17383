// Package wasip1 is the ABI of WASI preview1 (wasi_snapshot_preview1) and nothing
// else: the error numbers, rights, flags and enumerations under the names of the
// specification, and the structs that a guest and its host exchange through the
// guest's memory, each with its exact layout.
//
// # Numbers
//
// Every number is a Go type of its own, so that a lookup flag cannot be passed for
// an open flag. Sets of bits (Rights, Oflags, Fdflags, …) print as "A|B" and have a
// constant with all bits that the specification knows (OflagsAll), so that a host
// can refuse the others with EINVAL. Enumerations (Filetype, Whence, Signal, …)
// tell by Valid whether the specification knows the value.
//
// # Errors
//
// Errno is an error. It matches the sentinels of io/fs, so that
// errors.Is(ENOENT, fs.ErrNotExist) holds, and FromError goes the other way: it is
// the one place where an error of the Go world (io/fs, os, syscall, net, context)
// becomes the number that a guest sees. Code inside the library passes Go errors
// along and maps them once, at the edge of the ABI.
//
// # Structs
//
// Each struct X has SizeX, X.Encode and DecodeX. They are little endian, as
// WebAssembly is, and demand no alignment. Encode writes all SizeX bytes: padding
// becomes zero, so that a recorded run repeats bit for bit and no byte of the host
// leaks. Encode and Decode panic on a slice shorter than SizeX, as package
// encoding/binary does: the caller has checked the guest's pointer by then.
package wasip1
