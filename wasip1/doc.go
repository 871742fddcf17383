// Package wasip1 is the ABI of WASI preview1 (wasi_snapshot_preview1): error numbers, rights, flags
// and enumerations, under the names of the specification, and the layouts of the structs that a
// guest and its host exchange through the guest's memory.
//
// # Numbers
//
// Every number is a Go type of its own, so that a lookup flag cannot be passed for an open flag.
// Sets of bits (Rights, Oflags, Fdflags, …) print as "A|B". Each has a constant with all bits that
// the specification defines, such as OflagsAll: a host refuses other bits with EINVAL. Enumerations
// (Filetype, Whence, Signal, …) have a method Valid, which reports whether the specification
// defines the value.
//
// # Errors
//
// Errno is an error. It matches the sentinels of io/fs: errors.Is(ENOENT, fs.ErrNotExist) is true.
// FromError goes the other way. It turns an error of io/fs, os, syscall, net or context into the
// number that a guest sees, and is the only function that does. The library passes Go errors along
// and calls it when a WASI function returns.
//
// # Structs
//
// Each struct X has a constant SizeX, a method Encode and a function DecodeX. The encoding is
// little endian and needs no alignment. Encode writes all SizeX bytes and sets padding to zero,
// because a recorded run has to repeat bit for bit and no byte of the host may leak. Encode and
// DecodeX panic if the slice is shorter than SizeX, as package encoding/binary does. Check the
// guest's pointer before.
package wasip1
