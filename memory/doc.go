// Package memory is the bridge to the memory of a guest: the only way by which the
// functions of WASI read and write it.
//
// # View
//
// A View is the guest's memory during one call of a host function. It checks every
// pointer that the guest supplies: arithmetic is in uint64, so that no sum wraps
// around, and what does not lie in the memory is EFAULT, never a panic. A range of
// length 0 may start at the end of the memory but not behind it, as in
// WebAssembly's own memory.copy.
//
//	v.PutUint32(resultPtr, n)                // EFAULT if it does not fit
//	name, errno := v.Path(ptr, len, scratch) // checked for NUL, UTF-8 and length
//	iovs, errno := v.Iovecs(ptr, n, scratch, true)
//
// Numbers are little endian and need no alignment. What another thread of the guest
// could change between a check and its use (paths, iovecs) is copied first, into a
// Scratch that a thread keeps, so that nothing is allocated.
//
// The slices that a View hands out are the guest's memory itself. Memory may move when
// it grows: they are good until the guest runs again, not longer, and after a call
// into the guest Refetch (or Reset) gets the new place.
//
// # Log
//
// With a Log a View notes which ranges a call read and which it wrote. A recorder
// needs nothing else to repeat a call. Without one that costs a comparison.
//
// # wazero
//
// FromModule turns wazero's api.Memory into bytes, Pages tells how large it is and may
// become, both right at 4 GiB. Allocator gets memory from the guest's own malloc,
// for host code that hands strings to exports; ReadString, ReadCString and Copy move
// bytes out of guests and between them. Fake is a memory without a guest, for tests.
package memory
