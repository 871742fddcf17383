package virt

import (
	"errors"
	"fmt"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
)

// ModuleLimits bounds what a module may hold. The Host counts it in one pass before anything else reads the module, in a time
// proportional to its size. A field that is 0 sets no limit.
//
// The limits apply to the module as it was given, before the Host rewrites it. [WithModuleLimits] replaces the defaults of
// [DefaultModuleLimits]. A module that exceeds one is refused with a [*ModuleError].
type ModuleLimits struct {
	// ModuleBytes bounds the size of the module's file.
	ModuleBytes uint64

	// Types bounds the number of function types, Params and Results the values that one of them takes and returns.
	Types, Params, Results uint64

	// Imports and Exports bound the entries of these sections.
	Imports, Exports uint64
	// Functions, Globals, Tags and Tables bound what the module defines of each.
	Functions, Globals, Tags, Tables uint64

	// TableElements bounds the initial size of all tables together, Elements the entries of all element segments
	// together, Segments the number of element and data segments together.
	TableElements, Elements, Segments uint64

	// NameBytes bounds the length of one name: of an import, an export or the module. Names of functions and locals are
	// shortened, not refused.
	NameBytes uint64
	// CustomSections bounds the number of custom sections, CustomBytes their size together.
	CustomSections, CustomBytes uint64

	// BodyBytes bounds the code of one function.
	BodyBytes uint64
	// Locals bounds the locals that one function declares, TotalLocals those of all functions together. No limit lets
	// a function have more than 50,000.
	Locals, TotalLocals uint64
	// Nesting bounds how many blocks stand inside each other.
	Nesting uint64
	// BranchTargets bounds the labels of one br_table, and the catch clauses of one try_table.
	BranchTargets uint64

	// FunctionCost bounds the estimated time that wazero's compiler takes for one function beyond what is proportional
	// to its size; TotalCost bounds the sum over all functions. The unit is about a microsecond of one processor, and up
	// to 100 bytes of memory. The compiler's cost grows with the product of blocks, live locals and loop
	// depth. A Host [WithInterpreter] does not look at these two: wazero's interpreter takes linear time.
	FunctionCost, TotalCost uint64
}

// DefaultModuleLimits returns the limits of a Host that was given none.
//
// They are about twice what was found in any real program tried, or more: Ruby, PHP, Perl, CPython, DuckDB, FFmpeg, SQLite,
// esbuild and Go's own compiler among them.
//
// Defaults: 128 MiB of module; 20,000 types of 1,000 parameters and 128 results; 10,000 imports; 200,000 exports, globals and
// functions; 1,000 tags; 100 tables of 10,000,000 elements together; 2,000,000 entries in 400,000 segments; names of 16 KiB; 1,000
// custom sections of 64 MiB; functions of 7,654,321 bytes, 50,000 locals (2,000,000 in all), 16,000 levels
// and 65,536 branch targets; a cost of 16,000,000 for a function and 250,000,000 in all.
func DefaultModuleLimits() ModuleLimits {
	return ModuleLimits{
		ModuleBytes: 128 << 20,
		Types:       20_000, Params: 1_000, Results: 128,
		Imports: 10_000, Exports: 200_000,
		Functions: 200_000, Globals: 200_000, Tags: 1_000, Tables: 100,
		TableElements: maxTableElements, Elements: 2_000_000, Segments: 400_000,
		NameBytes: 16 << 10, CustomSections: 1_000, CustomBytes: 64 << 20,
		BodyBytes: 7_654_321, Locals: wasmbin.MaxLocals, TotalLocals: 2_000_000, Nesting: 16_000, BranchTargets: 1 << 16,
		FunctionCost: 16_000_000, TotalCost: 250_000_000,
	}
}

// untrustedModuleLimits are for modules that nobody vouches for: they keep compilation to a few seconds and 300 MB.
func untrustedModuleLimits() ModuleLimits {
	l := DefaultModuleLimits()
	l.ModuleBytes, l.CustomBytes = 16<<20, 8<<20
	l.Types, l.Imports, l.Exports, l.Functions, l.Globals = 10_000, 1_000, 20_000, 50_000, 20_000
	l.TableElements, l.Elements, l.Segments = 1_000_000, 200_000, 100_000
	l.NameBytes, l.CustomSections = 4<<10, 100
	l.BodyBytes, l.Locals, l.TotalLocals, l.Nesting, l.BranchTargets = 1<<20, 10_000, 500_000, 4_000, 16<<10
	l.FunctionCost, l.TotalCost = 2_000_000, 4_000_000
	return l
}

// WithModuleLimits sets what modules of the Host may hold. It replaces all defaults: begin with [DefaultModuleLimits] to change
// single ones. The zero ModuleLimits sets no limit.
func WithModuleLimits(l ModuleLimits) HostOption {
	return hostOption("WithModuleLimits", func(c *config) error {
		c.moduleLimits = &l
		return nil
	})
}

// limitsOf returns the limits that a Host's modules are checked against.
func (c *config) limitsOf() wasmbin.Limits {
	l := DefaultModuleLimits()
	if c.moduleLimits != nil {
		l = *c.moduleLimits
	}
	if c.interpreted {
		l.FunctionCost, l.TotalCost = 0, 0
	}
	return wasmbin.Limits(l)
}

// ModuleError reports bytes that are no module which this Host takes. [Inspect], [Host.Audit], [Host.Rewrite],
// [Host.Compile], [Host.Run] and [Replay] return it.
type ModuleError struct {
	// Offset is the position in the module, in bytes from its first; -1 where it is not known.
	Offset int
	// Section names the section at Offset: "type", "import", "code" and so on; "header" before the first; "" where it is not
	// known.
	Section string
	// Reason says what is wrong.
	Reason string
	// Limit is the name of the field of [ModuleLimits] that the module exceeds; "" where it exceeds none.
	Limit string

	cause error
}

// Error returns the place and the reason in one line. Names of the module's are escaped and shortened.
func (e *ModuleError) Error() string {
	text := "module: "
	if e.Section != "" {
		text += e.Section + " section, "
	}
	if e.Offset >= 0 {
		text += fmt.Sprintf("offset %#x: ", e.Offset)
	}
	text += safetext.Line(e.Reason)
	switch e.Limit {
	case "":
		return text
	case "FunctionCost", "TotalCost":
		return text + ": raise ModuleLimits." + e.Limit + ", or use WithInterpreter"
	}
	return text + ": raise ModuleLimits." + e.Limit
}

// Unwrap returns the engine's error, where it was the engine that refused the module.
func (e *ModuleError) Unwrap() error { return e.cause }

// moduleError makes a *ModuleError of the errors of package wasmbin.
func moduleError(err error) error {
	if format, ok := errors.AsType[*wasmbin.FormatError](err); ok {
		return &ModuleError{Offset: format.Offset, Section: format.Section, Reason: format.Msg}
	}
	if limit, ok := errors.AsType[*wasmbin.LimitError](err); ok {
		return &ModuleError{Offset: limit.Offset, Section: limit.Section, Reason: limit.Reason(), Limit: limit.Limit}
	}
	if reserved, ok := errors.AsType[*wasmbin.ReservedError](err); ok {
		return &ModuleError{Offset: -1, Reason: reserved.Reason()}
	}
	return err
}

// readModule checks a module against limits and reads its structure.
func readModule(wasm []byte, limits wasmbin.Limits) (*wasmbin.Module, error) {
	if _, err := wasmbin.Check(wasm, limits); err != nil {
		return nil, moduleError(err)
	}
	info, err := wasmbin.Inspect(wasm)
	if err != nil {
		return nil, moduleError(err)
	}
	return info, nil
}
