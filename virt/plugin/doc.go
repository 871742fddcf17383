// Package plugin calls the exports of a guest with Go values: strings, byte slices, numbers, bools,
// structs, slices and errors.
//
//	greet, err := plugin.Func[func(context.Context, string) (string, error)](guest, "greet")
//	…
//	text, err := greet(ctx, "world")
//
// [Func] returns a Go function that calls an export. [Bind] fills a struct of such functions.
// [HostFunc] makes a function for guests of a Go function. The guest's side is plain WebAssembly,
// which any toolchain writes. docs/plugins.md shows it in Go, C, Rust and AssemblyScript.
//
// # Parameters
//
// Parameters are passed as WebAssembly values, in order:
//
//	bool, int8 … uint32                i32
//	int64, uint64, int, uint           i64
//	float32, float64                   f32, f64
//	string, []T                        two i32: pointer and length (in bytes, or elements)
//	struct                             its fields, one after the other
//
// If these are more than 16 values, the export takes one i32 instead: a pointer to a struct of the
// parameters. In memory, a struct has the layout of C on wasm32: fields in order, each aligned to
// its size, little endian; a string or slice is a pointer and a length of 32 bits each. This is the
// canonical ABI of the component model, restricted to these types.
//
// # Results
//
// Func looks at the type of the export and accepts each of these forms:
//
//	direct      the values themselves: one number, or several results
//	packed      one i64: the pointer in the upper half, the length in the lower half
//	pointer     one i32: a pointer to a struct of the results
//	area        no result: the first parameter is a pointer to room for a struct of the results, as C and Rust return structs
//
// For a string or slice, packed points to its bytes; for other results, to a struct of the results.
// Only the packed form carries errors of the guest: if bit 31 of the length is set, pointer and
// length are those of the error's text. A function without results returns an i64 that is 0, or a
// packed error, or nothing. An i64 is direct if the Go function's only result is an int64 or
// uint64.
//
// # Memory
//
// The host allocates parameters with the guest's allocator. Each string and slice is a block of its
// own, of at least one byte.
//
//	allocator                          parameters are freed by      results are freed by
//	malloc, free                       the host, after the call     the host, with free
//	two names, see WithAllocator       the host                     the host
//	cabi_realloc                       the guest, which owns them   cabi_post_NAME, if the guest exports it
//	AssemblyScript: __new, __pin       the collector                the collector
//
// The host also frees after an error, and after a trap if the guest may go on
// ([virt.WithCallsAfterTrap]). It does not free a block whose address is outside of the guest's
// memory.
//
// In AssemblyScript, a string is a pointer to a String object, a []byte a pointer to an
// ArrayBuffer, and a struct in results a pointer to an object with the same fields. Structs and
// other slices cannot be parameters. The packed form has the object's pointer in its upper half.
//
// # Trust
//
// A guest may return any pointer and any length. A range outside of its memory, one larger than
// [WithMaxSize], and a pointer to no object are a [*MemoryError]. The host never takes more than
// [WithMaxSize] bytes for one call. If the guest fails to free a block, those that are left are not
// freed. A call ends with its context, as [virt.Guest.Call] does.
// [virt.WithRecording] records calls.
package plugin
