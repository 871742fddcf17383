package inspect

import "github.com/wasivirt/wasivirt/internal/wasmbin"

// MaxTableElements is how many elements the tables of one instance may have together (browsers:
// 10,000,000 in one table). wazero takes 8 bytes for each and has no limit of its own but 1<<27 at
// the start and 1<<32 after growing.
const MaxTableElements = 10_000_000

// Limits bounds what a module may hold. The Host counts it in one pass before anything else reads
// the module, in a time proportional to its size. A field that is 0 sets no limit.
//
// The limits apply to the module as it was given, before the Host rewrites it.
// virt.WithModuleLimits replaces the defaults of [DefaultLimits]. A module that exceeds one is
// refused with a [*Error].
type Limits struct {
	// ModuleBytes bounds the size of the module's file.
	ModuleBytes uint64

	// Types bounds the number of function types, Params and Results the values that one of them
	// takes and returns, TypeValues those of all types together.
	Types, Params, Results, TypeValues uint64

	// Imports and Exports bound the entries of these sections.
	Imports, Exports uint64
	// Functions, Globals, Tags and Tables bound what the module defines of each.
	Functions, Globals, Tags, Tables uint64

	// TableElements bounds the initial size of all tables together, Elements the entries of all
	// element segments together, Segments the number of element and data segments together.
	TableElements, Elements, Segments uint64

	// NameBytes bounds the length of one name: of an import, an export or the module. Names of
	// functions and locals are shortened, not refused.
	NameBytes uint64
	// CustomSections bounds the number of custom sections, CustomBytes their size together.
	CustomSections, CustomBytes uint64

	// BodyBytes bounds the code of one function.
	BodyBytes uint64
	// Locals bounds the locals that one function declares, TotalLocals those of all functions
	// together. No limit lets a function have more than 50,000.
	Locals, TotalLocals uint64
	// Nesting bounds how many blocks stand inside each other.
	Nesting uint64
	// BranchTargets bounds the labels of one br_table.
	BranchTargets uint64
	// Catches bounds the try_tables of one function and their catch clauses together. A throw looks
	// through them in each call that it leaves, without a pause in which it could be stopped.
	Catches uint64

	// FunctionCost bounds the estimated time that wazero's compiler takes for one function beyond
	// what is proportional to its size; TotalCost bounds the sum over all functions. The unit is
	// about a microsecond of one processor, and up to 100 bytes of memory. The compiler's cost
	// grows with the product of blocks, live locals and loop depth. A Host with
	// virt.WithInterpreter does not look at these two: wazero's interpreter takes linear time.
	FunctionCost, TotalCost uint64

	// NoThrowRef refuses modules with the instruction throw_ref, by which C++ throws an exception
	// again that it has caught, or has cleaned up behind. wazero 1.12 frees exceptions that a guest
	// still refers to (wazero's issue 2522). A guest that throws such a reference makes the engine
	// read, as an exception, memory of the process that is something else by now: it can end the
	// process, and might read or write outside of its own memory. Other instructions of exceptions
	// do not use the reference. Allow throw_ref only to modules that you trust.
	NoThrowRef bool
}

// DefaultLimits returns the limits of a Host that was given none.
//
// They are about twice what was found in any real program tried, or more: Ruby, PHP, Perl, CPython,
// DuckDB, FFmpeg, SQLite, esbuild and Go's own compiler among them.
//
// Defaults: 128 MiB of module; 20,000 types of 1,000 parameters and 128 results; 10,000 imports;
// 200,000 exports, globals and functions; 1,000 tags; 100 tables of 10,000,000 elements together;
// 2,000,000 entries in 400,000 segments; names of 16 KiB; 1,000 custom sections of 64 MiB;
// functions of 7,654,321 bytes, 50,000 locals (2,000,000 in all), 16,000 levels and 65,536 branch
// targets; a cost of 16,000,000 for a function and 250,000,000 in all; no throw_ref.
func DefaultLimits() Limits {
	return Limits{
		ModuleBytes: 128 << 20,
		Types:       20_000, Params: 1_000, Results: 128, TypeValues: 200_000,
		Imports: 10_000, Exports: 200_000,
		Functions: 200_000, Globals: 200_000, Tags: 1_000, Tables: 100,
		TableElements: MaxTableElements, Elements: 2_000_000, Segments: 400_000,
		NameBytes: 16 << 10, CustomSections: 1_000, CustomBytes: 64 << 20,
		BodyBytes: 7_654_321, Locals: wasmbin.MaxLocals, TotalLocals: 2_000_000, Nesting: 16_000, BranchTargets: 1 << 16, Catches: 10_000,
		FunctionCost: 16_000_000, TotalCost: 250_000_000, NoThrowRef: true,
	}
}

// Check reports whether a module stays within the limits. Errors: an [*Error].
func (l Limits) Check(wasm []byte) error {
	_, err := wasmbin.Check(wasm, wasmbin.Limits(l))
	return FromError(err)
}
