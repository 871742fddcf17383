// Package wasmbin reads a WebAssembly binary module and writes it again with a
// few changes that let a host stop, count, schedule and save what it runs.
//
// [Inspect] tells what a module imports, exports and remembers. [Rewrite] adds
// host functions to its imports, shifts every index that this moves (calls, tail
// calls, ref.func, element segments, constant expressions, exports, start, name
// section) and puts calls of them into the code. What is added, and under which
// names, the [Report] says. All functions are imported from
// Options.ImportModule; all cells are defined, mutable and exported globals, of
// which each instance (each thread) has its own:
//
//	check()                        Stop: the guest asks whether to go on
//	fuel()                         Fuel: the cell "fuel" (i64) is below zero
//	depth()                        CallDepth: too many calls are under way
//	access()                       SharedAccess: memory will be accessed now
//	wait32(addr, expected i32, timeout i64, offset i32) i32
//	wait64(addr i32, expected, timeout i64, offset i32) i32
//	notify(addr, count, offset i32) i32
//	grow(pages i32) i32            Grow: memory.grow of a shared memory
//
// A host function ends the guest by a panic with sys.NewExitError; when it
// returns, the guest goes on. check comes about every Options.Period
// instructions, in which Go's garbage collector gets its turn too: compiled code
// is not preemptible, and for that reason a cell that only the host moved would
// not do. With every processor in a guest, nobody would be left to move it.
//
// fuel takes from the cell before the instructions run: 1 for each, but 0 for
// block, loop, try_table, else, end and nop. A straight piece of code is paid at
// its beginning, together with what follows it as surely: code behind a block or
// if that no branch leaves but to its end. Nothing more than that has been paid
// whenever other code runs, host functions included, so that the cell is the same
// in wazero's compiler and interpreter; who returns has paid exactly. A trap in a
// function with a small loop leaves the cell as it was at the last call, because
// the count is in a local there, and the engines can differ then. The cell is 0 at first: the host sets it before it
// calls an export, and in fuel adds to it (and stops the guest there; slices should
// be small). memory.fill, memory.copy and their like count as 1 whatever their
// length.
//
// The offset of a wait is that of the instruction: the address waited at is addr +
// offset in 64 bits, both unsigned. Bounds, alignment and "the memory is shared"
// are the host's to check, and traps are its panics.
//
// depth counts calls of functions that are part of a cycle of the call graph. Its
// cell must be set to 0 before an export is called again after a trap.
//
// Code that moves makes offsets wrong: sections of DWARF, source maps, branch
// hints and relocations are dropped, names of labels too. Names of functions and
// locals stay. Whatever the rewriter does not know is an error with its offset.
// Some things that wazero 1.12 compiles are refused: a function with more than
// [MaxLocals] locals, a vector opcode encoded in another than the shortest way
// (wazero reads it as something else), tables and imports of types that do not
// exist, odd name sections, and names that are reserved. In the other direction it is well to read a module here
// before wazero does, which allocates what a count in it says, and panics over an
// exception whose type is not there.
package wasmbin
