// Package inspect reads modules before they run: what they import and export, their memories, and
// whether they stay within limits.
package inspect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
	"github.com/wasivirt/wasivirt/virt/abi"
)

// Audit tells what a module needs, before it runs.
type Audit struct {
	// Imports are the functions it imports, in the module's order.
	Imports []Import
	// Memories are its memories, imported ones first.
	Memories []Memory
	// Exports are the names it exports.
	Exports []string
	// Threads says that it starts threads: it imports thread-spawn.
	Threads bool
	// SnapshotRefusals says why virt.Guest.Snapshot refuses every guest of the module, each with
	// the name of what it cannot take; nil if the module can be saved.
	SnapshotRefusals []string
	// Denied is what a Host would not give. [Module] knows no Host and leaves it empty;
	// virt.Host.Audit fills it.
	Denied []Denial
}

// Import is one function that a module imports.
type Import struct {
	Module, Name string
	// Params and Results are the function's type, as a virt.HostFunction that answers it has them.
	Params, Results []api.ValueType
	// Subsystem answers it. It is "" if no Host answers it by itself; then the embedder has to.
	Subsystem abi.Subsystem
}

// Type is the function's type in one line: "(i32, i64) f64". A function without results has none
// behind the parentheses; several results stand in parentheses.
func (im Import) Type() string {
	text := "(" + typeNames(im.Params) + ")"
	switch results := typeNames(im.Results); len(im.Results) {
	case 0:
		return text
	case 1:
		return text + " " + results
	default:
		return text + " (" + results + ")"
	}
}

func typeNames(types []api.ValueType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = wasmbin.ValueType(t).String()
	}
	return strings.Join(names, ", ")
}

// valueTypes are the types as wazero has them, which are the bytes of the binary format.
func valueTypes(types []wasmbin.ValueType) []api.ValueType {
	var all []api.ValueType
	for _, t := range types {
		all = append(all, api.ValueType(t))
	}
	return all
}

// Memory is a memory of a module.
type Memory struct {
	// Min and Max are in bytes; Max is 0 where the module gives none.
	Min, Max uint64
	// Shared memories are those of threads.
	Shared bool
	// Import is "module.name" of a memory that is imported, else "".
	Import string
}

// String tells size, sharing and origin in one line.
func (m Memory) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d KiB", m.Min>>10)
	if m.Max != 0 {
		fmt.Fprintf(&b, ", up to %d KiB", m.Max>>10)
	}
	if m.Shared {
		b.WriteString(", shared")
	}
	if m.Import != "" {
		b.WriteString(", imported as " + safetext.Name(m.Import))
	}
	return b.String()
}

// Denial is an import that a module would not get, or could not use, under a Host.
type Denial struct {
	Import Import
	Reason string
}

// Module reads a module within the [DefaultLimits], but allows throw_ref, without compiling it.
// Errors: an [*Error].
func Module(wasm []byte) (*Audit, error) {
	l := DefaultLimits()
	l.FunctionCost, l.TotalCost, l.NoThrowRef = 0, 0, false // nothing is compiled
	return l.Inspect(wasm)
}

// Inspect reads a module within the limits, without compiling it. Errors: an [*Error].
func (l Limits) Inspect(wasm []byte) (*Audit, error) {
	if err := l.Check(wasm); err != nil {
		return nil, err
	}
	m, err := wasmbin.Inspect(wasm)
	if err != nil {
		return nil, FromError(err)
	}
	return newAudit(m), nil
}

func newAudit(m *wasmbin.Module) *Audit {
	a := &Audit{}
	for _, im := range m.Imports {
		if im.Kind == wasmbin.KindFunc {
			each := Import{
				Module: im.Module, Name: im.Name,
				Params: valueTypes(im.Func.Params), Results: valueTypes(im.Func.Results),
				Subsystem: abi.SubsystemOf(im.Module, im.Name),
			}
			a.Threads = a.Threads || im.Module == abi.ThreadsModule && each.Subsystem == abi.SubsystemSched
			a.Imports = append(a.Imports, each)
		}
	}
	for _, mem := range m.Memories {
		each := Memory{Min: mem.Min * (1 << 16), Max: mem.Max * (1 << 16), Shared: mem.Shared}
		if mem.Imported {
			each.Import = mem.Module + "." + mem.Name
		}
		a.Memories = append(a.Memories, each)
	}
	for _, e := range m.Exports {
		a.Exports = append(a.Exports, e.Name)
	}
	var err error
	if a.SnapshotRefusals, err = m.Refusals(); err != nil {
		a.SnapshotRefusals = append(a.SnapshotRefusals, "its code cannot be read: "+err.Error())
	}
	return a
}

// Shared reports whether a memory is shared: threads can be started, or the guest is made for them.
func (a *Audit) Shared() bool {
	return slices.ContainsFunc(a.Memories, func(m Memory) bool { return m.Shared })
}

// Kind is "command", "reactor" or "library", by what the module exports.
func (a *Audit) Kind() string {
	switch {
	case slices.Contains(a.Exports, "_start"):
		return "command"
	case slices.Contains(a.Exports, "_initialize"):
		return "reactor"
	}
	return "library"
}

// Missing are the imports that no Host answers by itself.
func (a *Audit) Missing() (missing []Import) {
	for _, im := range a.Imports {
		if im.Subsystem == "" {
			missing = append(missing, im)
		}
	}
	return missing
}
