package virt

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wasivirt/wasivirt/internal/safetext"
	"github.com/wasivirt/wasivirt/internal/wasmbin"
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
	// SnapshotRefusals says why [Guest.Snapshot] refuses every guest of the module, each with the name of what it cannot take; nil if
	// the module can be saved.
	SnapshotRefusals []string
	// Denied is what a Host would not give; [Inspect], which knows no Host, leaves it empty. See [Host.Audit].
	Denied []Denial
}

// Import is one function that a module imports.
type Import struct {
	Module, Name string
	// Subsystem answers it; "" where no Host does by itself, so that the embedder has to.
	Subsystem Subsystem
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

// Inspect reads a module without compiling it. The error says what is wrong with the bytes.
func Inspect(wasm []byte) (*Audit, error) {
	limits := DefaultModuleLimits()
	limits.FunctionCost, limits.TotalCost = 0, 0 // it compiles nothing
	m, err := readModule(wasm, wasmbin.Limits(limits))
	if err != nil {
		return nil, err
	}
	return newAudit(m), nil
}

func newAudit(m *wasmbin.Module) *Audit {
	a := &Audit{}
	for _, im := range m.Imports {
		if im.Kind == wasmbin.KindFunc {
			each := newImport(im)
			a.Threads = a.Threads || im.Module == threadsModule && each.Subsystem == SubsystemSched
			a.Imports = append(a.Imports, each)
		}
	}
	for _, mem := range m.Memories {
		each := Memory{Min: mem.Min * pageSize, Max: mem.Max * pageSize, Shared: mem.Shared}
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

// subsystemOf is the subsystem that answers an import, or "".
func subsystemOf(module, name string) Subsystem {
	switch module {
	case ModuleName:
		if f := functionNamed(name); f != nil {
			return f.Subsystem
		}
	case threadsModule:
		if slices.ContainsFunc(threadFunctions, func(f kernelFunction) bool { return f.name == name }) {
			return SubsystemSched
		}
	}
	return ""
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
