// Package memory gives the functions of WASI, and those of an embedder, access to guest memory. A
// function of virt.WithFunctions gets its View from virt.HostCall; package virt/plugin passes
// strings and structs without it.
//
// # View
//
// A [View] is the guest's memory during one call of a host function. It checks every pointer that
// the guest supplies. A range that is not in the memory is EFAULT and never a panic: arithmetic is
// in uint64, so no sum wraps around. A range of length 0 may start at the end of the memory, as in
// WebAssembly's memory.copy.
//
//	v.PutUint32(resultPtr, n)                // EFAULT if it does not fit
//	name, errno := v.Path(ptr, len, scratch) // checked for NUL, UTF-8 and length
//	iovs, errno := v.Iovecs(ptr, n, scratch, true)
//
// Numbers are little endian and need no alignment. Paths and iovecs are copied into a [Scratch]
// before they are checked, because another thread of the guest could change them between a check
// and its use. Each thread keeps its Scratch, so calls do not allocate.
//
// The slices that a View returns are the guest's memory itself. They are valid until the guest runs
// again, because memory may move when it grows. After a call into the guest, call [View.Reset].
//
// # Log
//
// A View with a [Log] notes which ranges a call read and which it wrote. A recorder needs nothing
// else to repeat a call. A View without a Log pays one comparison for that.
//
// Package wazeromem connects a View with wazero's api.Memory. Package memorytest has a memory
// without a guest.
package memory
