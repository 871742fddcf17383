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
//	stack()                        Stack: calls may take more of the engine's stack than was said
//	try()                          a try_table will be entered, for which wazero's compiler copies its
//	                               stack
//	tables(n i32) i32              table.grow will add so many elements, or as many as the host says
//	ungrown()                      it has added none
//	access(addr, at i32, what i64) SharedAccess: memory will be accessed now, by the instruction at
//	                               an offset of the module; AccessOf explains what
//	note(a, b, c, at i32, what i64) the same of a bulk operation, with its operands, and of a fence
//	wait32(addr, expected i32, timeout i64, offset i32) i32
//	wait64(addr i32, expected, timeout i64, offset i32) i32
//	notify(addr, count, offset i32) i32
//	grow(pages i32) i32            Grow: memory.grow of a shared memory
//
// A host function ends the guest by a panic with sys.NewExitError; when it
// returns, the guest goes on. Go's garbage collector gets its turn in check too:
// compiled code is not preemptible, and for that reason a cell that only the host
// moved would not do. With every processor in a guest, nobody would be left to
// move it.
//
// # What runs between two checks is bounded
//
// Every instruction has a weight, the machine time that it may take: 1 for simple
// ones, more for those that divide, call or read memory. A look is code that
// takes a weight from the counter and calls check, or fuel, when it is used up.
// The rewriter places looks such that a look pays for all that may run until the
// next:
//
//  1. Each way around a loop has a look, at the loop's header or at the branch
//     back. So a path without a look is a path without a cycle in its function. A branch to a
//     loop that begins with a br_table over a local, behind code that sets the local to a constant,
//     leads to the label in the table itself if that is ahead: it is no way around.
//  2. A walk over the body, from its end to its beginning, adds up the heaviest
//     path to the next look. Where it exceeds maxPiece another look is put. A call
//     adds what the callee may weigh before its own first look. Behind a block or loop with a small
//     loop in it a look stands as soon as half of maxPiece lies ahead: so none stands in the loop.
//  3. A function has a look at its entry if it is on a cycle of the call graph, or
//     if more than maxHead would run in a call of it. Callees are planned before
//     their callers, so that what a call adds is known, and at most maxHead. An
//     indirect call adds the most of all functions of its type that can be reached so.
//  4. Behind a call of another component of the call graph a look stands if what
//     remains of the callee and of the caller could exceed twice maxPiece.
//  5. Behind a call that may be part of a cycle a look stands if more than maxTail
//     would run until the return, or anything heavy. A recursion of depth d so returns
//     in d·maxTail. A loop that begins with a call that looks has no look of its own.
//  6. Before throw, throw_ref, try_table, memory.grow and table.grow, whose time
//     depends on the engine's state, the host is called, or the fuel looked at.
//  7. memory.copy, fill, init and the instructions of tables move at most
//     chunkBytes or chunkElements before each look, and pay for them by length.
//
// By 1 to 4 a path between two looks weighs at most a few times maxPiece, however
// deep calls are and whatever they are made by: host, start function, table or
// tail call. What a look takes from the counter is at least what its own function
// weighs until the next, and minEntry at an entry, which pays for the piece that
// the caller goes on with. So between two calls of check runs at most a small
// multiple of Options.Period, beside the returns of 5. The test
// TestLongestUncheckedPath computes the longest paths from the bytes of rewritten
// modules.
//
// # References
//
// Stop and Fuel make each ref.func a read of an immutable global, which is added for its function.
// wazero's compiler leaves its code for a ref.func, and keeps a new reference for each as long as
// the instance lives.
//
// # Fuel
//
// fuel takes from the cell before the instructions run:
//
//	block, loop, else, end, nop          0
//	throw, throw_ref, try_table          1000
//	memory.copy, fill, init              1, and 1 for each 8 bytes
//	table.copy, fill, init, grow         1, and 1 for each element
//	memory.grow                          1, and 4096 for each page that it adds
//	every other instruction              1
//
// A straight piece of code is paid at
// its beginning, together with what follows it as surely: code behind a block or
// if that no branch leaves but to its end, but no more than a piece. Nothing more
// than that has been paid whenever other code runs, host functions included, so
// that the cell is the same in wazero's compiler and interpreter; who returns has
// paid exactly. A trap in a function with a small loop leaves the cell as it was
// at the last call, because the count is in a local there, and the engines can
// differ then. The cell is 0 at first: the host sets it before it calls an export,
// and in fuel adds to it (and stops the guest there; slices should be small). fuel
// is called again if the cell is still below zero, unless threads take turns.
//
// The offset of a wait is that of the instruction: the address waited at is addr +
// offset in 64 bits, both unsigned. Bounds, alignment and "the memory is shared"
// are the host's to check, and traps are its panics.
//
// depth counts calls of functions that are part of a cycle of the call graph. Its
// cell must be set to 0 before an export is called again after a trap. The cell of
// stack counts bytes in the same way: about what wazero's compiler takes at most for a
// call, of functions on a cycle and of all that could take more than 16 KiB together.
//
// Code that moves makes offsets wrong: sections of DWARF, source maps, branch hints and relocations
// are dropped, names of labels too. [Offsets] leads from an offset in the new code back to the old,
// by writing the code once more. Names of functions and locals stay. Whatever the rewriter does not
// know is an error with its offset. Some things that wazero 1.12 compiles are refused: a function
// with more than [MaxLocals] locals, a vector opcode encoded in another than the shortest way
// (wazero reads it as something else), tables and imports of types that do not exist, odd name
// sections, and names that are reserved. In the other direction it is well to read a module here
// before wazero does, which allocates what a count in it says, and panics over an exception whose
// type is not there.
package wasmbin
