// Package virt runs WebAssembly guests in a virtual world: a small operating system whose
// processes are WebAssembly modules that call WASI preview1.
//
// A [Builder] collects what the world is made of and builds a [Host]. The Host owns the world: file
// systems, clock, randomness, scheduler. A [Guest] is a process in it: one instance of a [Module] with
// arguments, environment, descriptors and an end, told by its [Result].
//
//	host, err := virt.NewBuilder(virt.WithMount("/", files)).Build(ctx)
//	…
//	defer host.Close(ctx)
//	result, err := host.Run(ctx, wasm, virt.WithArgs("cat", "/a.txt"), virt.WithStdout(&out))
//
// Nothing of the machine is in that world unless an option put it there. What is not said is: no
// arguments but the name, an empty environment, standard input at its end, output discarded, a file system
// in memory with /dev and an empty /tmp, the real clock, the system's randomness.
//
// Each [Option] says whether it belongs to the Host or to the Guest. Those of a Guest may be given to the Builder,
// as what all guests have, and to [Host.Run] and [Host.Instantiate], as what one has.
//
// An error of [Host.Run] says that the Host could not do its part. How the guest ended, be it with a trap,
// is a [Result] and never an error.
//
// A Host and a Module may be used by any number of goroutines. A Guest runs one call of an export at a time.
package virt
